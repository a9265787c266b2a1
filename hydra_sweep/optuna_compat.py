"""Every private name of Optuna that is used: a new version of it breaks this module alone. Seen with 4.9 and 5.0."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import bindparam, text

HAS_CONSTRAINTS = hasattr(optuna.Trial, "set_constraint")  # Optuna 5; 4.9 has constraints_func instead
# All that a storage does; Optuna's cache in front of a database calls the last three, too.
STORAGE_CALLS = (*BaseStorage.__abstractmethods__, "_get_trials", "_set_trial_param", "_create_new_trial")


class Database(RDBStorage):
    """Optuna's storage in a database, which reads trials that wait only once something has become of them.

    Optuna reads all unfinished ones whenever somebody looks, at about a millisecond each; a schedule leaves hundreds of
    them paused. What becomes of one that waits shows in the user attributes that `claims` names.
    """

    claims: Sequence[str] = ()
    _waiting = text(
        "SELECT trials.trial_id, trials.state, claims.key, claims.value_json FROM trials "
        "LEFT JOIN trial_user_attributes AS claims ON claims.trial_id = trials.trial_id AND claims.key IN :claims "
        "WHERE trials.study_id = :study AND (trials.state = 'WAITING' OR trials.trial_id > :last)"
    ).bindparams(bindparam("claims", expanding=True))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read: dict[int, dict[str | None, str]] = {}  # what those that wait were known by, when they were read

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Returns the trials that are included or newer, but for those included that wait as they did."""
        found, waiting = set(included_trial_ids), dict[int, dict[str | None, str]]()
        with self.engine.connect() as connection:
            values = {"study": study_id, "last": trial_id_greater_than, "claims": list(self.claims)}
            for trial_id, state, key, value in connection.execute(self._waiting, values):
                found.add(trial_id)
                if state == "WAITING":
                    waiting.setdefault(trial_id, {})[key] = value
        same = {one for one, claims in waiting.items() if one in included_trial_ids and self._read.get(one) == claims}
        if same:
            included_trial_ids, trial_id_greater_than = found - same, max(trial_id_greater_than, *found)
        trials = super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        self._read = waiting
        return trials


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
