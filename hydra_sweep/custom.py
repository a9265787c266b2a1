"""A user's own function (cfg, trial) that suggests what a declared space can't: bounds that follow from other values.

`hydra.sweeper.custom_search_space` names it. It is called once for each trial, after the declared space was sampled,
with the configuration as the command line has it and Optuna's trial. The names that it suggests are keys of overrides:
`+w` adds a key that the configuration lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import optuna
from omegaconf import DictConfig

from hydra_sweep.compat import locate
from hydra_sweep.compose import ComposeError
from hydra_sweep.errors import UserError, describe_error
from hydra_sweep.grammar import literal
from hydra_sweep.optuna_compat import ask
from hydra_sweep.space import Compose, Space


def suggest(path: str, cfg: DictConfig, trial: optuna.Trial, space: Space) -> list[str]:
    """Calls the function. Returns the overrides of what it has suggested, or whatever it raises."""
    function: Callable[[DictConfig, optuna.Trial], None] = locate(path)
    function(cfg, trial)
    return overrides(space, trial.params)


def overrides(space: Space, params: Mapping[str, Any]) -> list[str]:
    """Returns the overrides of a trial's parameters that are not declared.

    Raises:
        UserError: one of them has a value already.
    """
    declared = {parameter.name for parameter in space.parameters}
    taken = {parameter.key for parameter in space.parameters} | space.fixed_texts().keys()
    found = []
    for name, value in params.items():
        if name not in declared:
            if (key := name.lstrip("+")) in taken:
                raise UserError(f"it suggests {key}, which has a value already; leave one")
            found.append(f"{name}={literal(value)}")
    return found


def problems(path: str, space: Space, compose: Compose) -> list[str]:
    """Returns what is wrong with the function, found out by one trial of a study in memory."""
    try:
        function = locate(path)
    except Exception as error:
        return [f"custom_search_space={path} can't be imported ({str(error).splitlines()[0]}); write module.function"]
    if not callable(function):
        return [f"custom_search_space={path} must be a function of (cfg, trial), got {type(function).__name__}"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = ask(study)
    for key, text in space.fixed_texts().items():
        trial.set_user_attr(key, text)
    declared = space.sample(trial.draw)
    try:
        compose([*space.fixed, *declared, *suggest(path, compose(space.fixed), trial, space)])
    except ComposeError as error:
        return [f"custom_search_space={path}: {error}; a name of its own needs a plus, as in +w"]
    except Exception as error:
        text = str(error) if isinstance(error, UserError) else describe_error(error)
        return [f"custom_search_space={path}: {text}"]
    return []
