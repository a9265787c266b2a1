"""`python -m rnnexp.proxy URL`: one server in front of a database, for hundreds of workers. No torch."""

import sys

from hydra_sweep.proxy import main

if __name__ == "__main__":
    sys.exit(main("rnnexp.proxy"))
