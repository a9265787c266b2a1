"""`python -m hydra_sweep.stop NAME`: ends a sweep from another terminal or host; its command resumes it.

Workers finish the trials that they run and begin no more; with --now they save them and give them back. No torch.
"""

from __future__ import annotations

import sys
from pathlib import Path

from optuna.trial import TrialState

from hydra_sweep.commands import Parser, command
from hydra_sweep.status import SWEEPS, headline, open_sweep, trust_help
from hydra_sweep.storage import explained
from hydra_sweep.study import StopMode


def run(program: str, sweeps: Path) -> int:
    """Tells a sweep to stop and returns the exit status."""
    parser = Parser(program, description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("name", help=f"a sweep below {sweeps}, or its folder")
    parser.add_argument("--now", action="store_true", help="save running trials and give them back")
    parser.add_argument("--trust", action="store_true", help=trust_help(sweeps))
    args = parser.parse_args()
    sweep = open_sweep(args.name, sweeps, args.trust, to_write=True)
    trials = sweep.trials()
    if len(trials) >= sweep.n_trials and all(trial.state.is_finished() for trial in trials):
        print(f"{headline(sweep)}\nit has finished: there is nothing to stop")
        return 0
    if all(sweep.study.stop_modes().values()) and not any(trial.state is TrialState.RUNNING for trial in trials):
        print(f"{headline(sweep)}\nnobody is at work on it: there is nothing to stop; type its command again to go on")
        return 0
    with explained(sweep.study.url):
        sweep.study.stop(StopMode.PREEMPT if args.now else StopMode.DRAIN)
    print(headline(sweep))
    print("asked to stop" + (", running trials are saved" if args.now else " when the running trials finished"))
    return 0


@command("hydra_sweep.stop")
def main() -> int:
    return run("hydra_sweep.stop", SWEEPS)


if __name__ == "__main__":
    sys.exit(main())
