"""`rnnexp fetch URL [FOLDER]`: the runs that a sweep's workers have put into an artifact store. No torch."""

import sys

from hydra_sweep import fetch
from hydra_sweep.commands import command
from rnnexp.schema.config import SWEEPS


@command("rnnexp fetch")
def main() -> int:
    return fetch.run("rnnexp fetch", SWEEPS)


if __name__ == "__main__":
    sys.exit(main())
