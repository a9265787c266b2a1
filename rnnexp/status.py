"""`rnnexp status [NAME]`: what a sweep is doing, wherever its workers are. No torch."""

import sys

from hydra_sweep import status
from hydra_sweep.commands import command
from rnnexp.schema.config import SWEEPS


@command("rnnexp status")
def main() -> int:
    return status.run("rnnexp status", SWEEPS)


if __name__ == "__main__":
    sys.exit(main())
