"""`python -m rnnexp.stop NAME`: ends a sweep from another terminal or host. No torch."""

import sys

from hydra_sweep.stop import main
from rnnexp.schema.config import SWEEPS

if __name__ == "__main__":
    sys.exit(main("rnnexp.stop", SWEEPS))
