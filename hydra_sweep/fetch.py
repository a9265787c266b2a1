"""`python -m hydra_sweep.fetch URL [FOLDER]`: the runs that a sweep's workers have put into a depot, to make tables of.

URL is that of one sweep: of depot=s3://bucket/sweeps and name=big, s3://bucket/sweeps/big. What the folder has already
is not fetched again. No torch.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hydra_sweep import streams
from hydra_sweep.arguments import Parser
from hydra_sweep.artifacts import Depot, fetch
from hydra_sweep.errors import UserError, counted
from hydra_sweep.status import SWEEPS


@streams.command
def main(program: str = "hydra_sweep.fetch", sweeps: Path = SWEEPS) -> int:
    parser = Parser(program, description=__doc__.partition(": ")[2])
    parser.add_argument("url", help="of a sweep in its depot, such as s3://bucket/sweeps/big")
    parser.add_argument("folder", nargs="?", type=Path, help=f"where to put its runs (default: {sweeps}/NAME)")
    args = parser.parse_args()
    try:
        depot = Depot(args.url)
        folder = args.folder or sweeps / depot.url.rpartition("/")[2]
        if not depot.names():
            raise UserError(f"there are no trials in {args.url}")
    except (UserError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    problems = fetch(depot, folder)
    for problem in problems:
        print(f"{program}: {problem}", file=sys.stderr)
    print(f"{counted(len(depot.names()), 'trial')} in {args.url}, those that were missing are in {folder}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
