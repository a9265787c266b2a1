"""`python -m rnnexp.fetch URL [FOLDER]`: the runs that a sweep's workers have put into a depot, to make tables of.

URL is that of one sweep: of depot=s3://bucket/sweeps and name=big, s3://bucket/sweeps/big. What the folder has already
is not fetched again. No torch.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rnnexp import streams
from rnnexp.arguments import Parser
from rnnexp.schema import UserError, counted
from rnnexp.status import SWEEPS
from rnnexp.sweep.depot import Depot, fetch


@streams.command
def main() -> int:
    parser = Parser("rnnexp.fetch", description=__doc__)
    parser.add_argument("url", help="of a sweep in its depot, such as s3://bucket/sweeps/big")
    parser.add_argument("folder", nargs="?", type=Path, help=f"where to put its runs (default: {SWEEPS}/NAME)")
    args = parser.parse_args()
    try:
        depot = Depot(args.url)
        folder = args.folder or SWEEPS / depot.url.rpartition("/")[2]
        if not depot.names():
            raise UserError(f"there are no trials in {args.url}")
    except (UserError, OSError) as error:
        print(f"rnnexp.fetch: {error}", file=sys.stderr)
        return 2
    problems = fetch(depot, folder)
    for problem in problems:
        print(f"rnnexp.fetch: {problem}", file=sys.stderr)
    print(f"{counted(len(depot.names()), 'trial')} in {args.url}, those that were missing are in {folder}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
