"""`rnnexp proxy URL`: one server in front of a database, for hundreds of workers. No torch."""

import sys

from hydra_sweep import proxy
from hydra_sweep.commands import command


@command("rnnexp proxy")
def main() -> int:
    return proxy.run("rnnexp proxy")


if __name__ == "__main__":
    sys.exit(main())
