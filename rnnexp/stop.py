"""`rnnexp stop NAME`: ends a sweep from another terminal or host. No torch."""

import sys

from hydra_sweep import stop
from hydra_sweep.commands import command
from hydra_sweep.errors import UserError
from rnnexp.record.places import refuse_comparison
from rnnexp.schema.config import SWEEPS


@command("rnnexp stop")
def main() -> int:
    try:
        return stop.run("rnnexp stop", SWEEPS)
    except UserError:
        refuse_comparison(sys.argv[1:], "press Ctrl-C where it runs, or name one of its sweeps")
        raise


if __name__ == "__main__":
    sys.exit(main())
