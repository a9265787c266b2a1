"""`python -m rnnexp.status [NAME]`: what a sweep is doing, wherever its workers are. No torch."""

import sys

from hydra_sweep.status import main
from rnnexp.schema.config import SWEEPS

if __name__ == "__main__":
    sys.exit(main("rnnexp.status", SWEEPS))
