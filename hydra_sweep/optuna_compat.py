"""Every private name of Optuna that is used: a new version of it breaks this module alone. Seen with 4.9 and 5.0."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

HAS_CONSTRAINTS = hasattr(optuna.Trial, "set_constraint")  # Optuna 5; 4.9 has constraints_func instead
# All that a storage does; Optuna's cache in front of a database calls the last three, too.
STORAGE_CALLS = (*BaseStorage.__abstractmethods__, "_get_trials", "_set_trial_param", "_create_new_trial")


def trial_id(trial: FrozenTrial) -> int:
    """Returns the number of a trial in its storage, which all calls to the storage want."""
    return trial._trial_id


def renumber(trial: FrozenTrial, number: int) -> None:
    """Gives a trial that is in no storage a number, and the same as its place in one."""
    trial.number = trial._trial_id = number


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a parameter may have a value.

    Raises:
        ValueError: it is of another kind.
        TypeError: so it is.
    """
    return distribution._contains(distribution.to_internal_repr(value))


class Trial(optuna.Trial):
    """A trial that is told of each parameter before it is drawn."""

    def before_draw(self, name: str) -> None:
        """Is called with the name of a parameter, whose draw or recorded value follows."""

    def draw(self, name: str, distribution: BaseDistribution) -> Any:
        """Returns a parameter's value, drawn by the sampler or drawn before, from any distribution."""
        return self._suggest(name, distribution)

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self.before_draw(name)
        return super()._suggest(name, distribution)


def ask(study: optuna.Study) -> Trial:
    """Returns a new trial of a study."""
    return Trial(study, study.ask()._trial_id)
