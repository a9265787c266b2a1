"""`rnnexp stop NAME`: ends a sweep from another terminal or host. No torch."""

import sys

from hydra_sweep import stop
from hydra_sweep.commands import command
from rnnexp.schema.config import SWEEPS


@command("rnnexp stop")
def main() -> int:
    return stop.run("rnnexp stop", SWEEPS)


if __name__ == "__main__":
    sys.exit(main())
