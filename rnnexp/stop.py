"""`python -m rnnexp.stop NAME`: ends a sweep from another terminal or host; the same command goes on with it later.

Workers finish the trials that they run and begin no more; with --now they save them and give them back. No torch.
"""

from __future__ import annotations

import sys

from rnnexp import streams
from rnnexp.arguments import Parser
from rnnexp.schema import UserError
from rnnexp.status import SWEEPS, TRUST_HELP, headline, open_sweep
from rnnexp.sweep.storage import explained
from rnnexp.sweep.study import DRAIN, SOFTLY


@streams.command
def main() -> int:
    parser = Parser("rnnexp.stop", description=__doc__)
    parser.add_argument("name", help=f"a sweep below {SWEEPS}, or its folder")
    parser.add_argument("--now", action="store_true", help="save running trials and give them back")
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    args = parser.parse_args()
    try:
        sweep = open_sweep(args.name, args.trust, to_write=True)
        with explained(sweep.study.url):
            sweep.study.stop(SOFTLY if args.now else DRAIN)
        print(headline(sweep))
        print("told to stop" + (", running trials are saved" if args.now else " when the running trials are over"))
    except (UserError, OSError) as error:
        print(f"rnnexp.stop: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
