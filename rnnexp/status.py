"""`rnnexp status [NAME]`: what a sweep is doing, wherever its workers are. No torch."""

import sys

from hydra_sweep import status
from hydra_sweep.commands import command
from hydra_sweep.errors import UserError
from rnnexp.record.places import refuse_comparison
from rnnexp.schema.config import SWEEPS


@command("rnnexp status")
def main() -> int:
    try:
        return status.run("rnnexp status", SWEEPS)
    except UserError:
        refuse_comparison(sys.argv[1:], "type rnnexp report {name}")
        raise


if __name__ == "__main__":
    sys.exit(main())
