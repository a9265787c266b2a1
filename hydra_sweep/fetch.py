"""`python -m hydra_sweep.fetch URL [FOLDER]`: the runs that a sweep's workers have put into an artifact store.

URL is that of one sweep: s3://bucket/sweeps/big, of artifact_store=s3://bucket/sweeps and name=big. What the folder has
already is not fetched again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hydra_sweep import streams
from hydra_sweep.arguments import Parser
from hydra_sweep.artifacts import ArtifactStore, fetch
from hydra_sweep.errors import UserError, counted
from hydra_sweep.status import SWEEPS


@streams.command
def main(program: str = "hydra_sweep.fetch", sweeps: Path = SWEEPS) -> int:
    parser = Parser(program, description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("url", help="of a sweep in its artifact store, such as s3://bucket/sweeps/big")
    parser.add_argument("folder", nargs="?", type=Path, help=f"where to put its runs (default: {sweeps}/NAME)")
    args = parser.parse_args()
    try:
        artifact_store = ArtifactStore(args.url)
        folder = args.folder or sweeps / artifact_store.url.rpartition("/")[2]
        if not artifact_store.names():
            raise UserError(f"there are no trials in {args.url}")
    except (UserError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    problems = fetch(artifact_store, folder)
    for problem in problems:
        print(f"{program}: {problem}", file=sys.stderr)
    print(f"{counted(len(artifact_store.names()), 'trial')} in {args.url}, those that were missing are in {folder}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
