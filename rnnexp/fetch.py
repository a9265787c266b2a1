"""`python -m rnnexp.fetch URL [FOLDER]`: the runs that a sweep's workers have put into an artifact store. No torch."""

import sys

from hydra_sweep.fetch import main
from rnnexp.schema.config import SWEEPS

if __name__ == "__main__":
    sys.exit(main("rnnexp.fetch", SWEEPS))
