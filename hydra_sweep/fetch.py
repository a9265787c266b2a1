"""`python -m hydra_sweep.fetch URL [FOLDER]`: the runs that a sweep's workers have put into an artifact store.

URL is that of one sweep: s3://bucket/sweeps/big, of artifact_store=s3://bucket/sweeps and name=big. What the folder has
already is not fetched again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hydra_sweep.artifacts import ArtifactStore, fetch
from hydra_sweep.commands import Parser, command, show
from hydra_sweep.errors import UserError, counted
from hydra_sweep.status import SWEEPS


def run(program: str, sweeps: Path) -> int:
    """Fetches the runs of one sweep and returns the exit status."""
    parser = Parser(program, description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("url", help="of a sweep in its artifact store, such as s3://bucket/sweeps/big")
    parser.add_argument("folder", nargs="?", type=Path, help=f"where to put its runs (default: {sweeps}/NAME)")
    args = parser.parse_args()
    artifact_store = ArtifactStore(args.url)
    folder = args.folder or sweeps / artifact_store.url.rpartition("/")[2]
    if not artifact_store.names():
        raise UserError(f"there are no trials in {args.url}")
    problems = fetch(artifact_store, folder)
    show(program, problems)
    print(f"{counted(len(artifact_store.names()), 'trial')} in {args.url}, those that were missing are in {folder}")
    return 1 if problems else 0


@command("hydra_sweep.fetch")
def main() -> int:
    return run("hydra_sweep.fetch", SWEEPS)


if __name__ == "__main__":
    sys.exit(main())
