"""Options of the official sweeper (hydra-optuna-sweeper), so that an app written for it runs here.

What means the same here is given its place among our own settings. What doesn't is refused by a line that names the
spelling to use; none is silently ignored. docs/official-sweeper.md has the whole table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from hydra_sweep.grammar import literal
from hydra_sweep.hints import nearest
from hydra_sweep.settings import SweeperConfig

NEVER = sys.maxsize  # failures: more than any sweep has trials
FIELDS = ("type", "low", "high", "log", "step", "choices")  # of a parameter in `search_space`
# Samplers' arguments that official configurations may name, the values that ask for nothing, and what to do otherwise.
SAMPLER_ARGUMENTS = {
    "consider_prior": ((None, True), "Optuna has always considered the prior since 4.3; leave it out"),
    "independent_sampler": ((None,), "what a sampler doesn't model is drawn at random; leave it out"),
    "constraints_func": ((None,), "constraints are strings here; write hydra.sweeper.constraints=['METRIC <= NUMBER']"),
    "restart_strategy": ((None,), "Optuna has no restarts of CMA-ES any more; leave it out"),
    "inc_popsize": ((None, -1, 2), "Optuna has no restarts of CMA-ES any more; leave it out"),
    "source_trials": ((None,), "trials can't be written in a configuration; leave it out"),
}


def adopt(settings: SweeperConfig, sampler: str) -> Iterator[str]:
    """Gives the official options their places among ours, in `settings`. Yields a line for each that has none."""
    if settings.n_jobs is not None:
        if settings.workers not in (None, settings.n_jobs):
            yield f"workers={settings.workers} and n_jobs={settings.n_jobs} are the same option; leave one"
        settings.workers = settings.n_jobs
    if (rate := settings.max_failure_rate) is not None:
        if rate not in (0, 1):
            yield (
                f"hydra.sweeper.max_failure_rate={rate:g}: a rate is of a batch of trials, and no batches are here; "
                "write hydra.sweeper.max_failures=5, a number of failed trials"
            )
        settings.max_failures = NEVER if rate else 1
    if settings.search_space is not None:
        if settings.params:
            yield "hydra.sweeper.params and hydra.sweeper.search_space both declare a space; leave search_space out"
        elif not isinstance(settings.search_space, Mapping):
            yield f"hydra.sweeper.search_space must be a mapping of keys, got {settings.search_space!r:.60}"
        else:
            settings.params = {}
            for key, given in settings.search_space.items():
                try:
                    settings.params[key] = _declaration(given)
                except ValueError as error:
                    yield f"hydra.sweeper.search_space.{key}: {error}"
    if not isinstance(settings.storage, str | None):
        yield (
            "hydra.sweeper.storage must be a URL, such as sqlite:///study.db or postgresql://user@host/database, "
            f"got {settings.storage!r:.60}"
        )
        settings.storage = None
    yield from _adopt_sampler(settings, sampler)


def _adopt_sampler(settings: SweeperConfig, sampler: str) -> Iterator[str]:
    if sampler == "motpe":
        yield (
            "sampler motpe: Optuna's TPE does several objectives; write hydra/sweeper/sampler=tpe "
            "(its n_ei_candidates is what n_ehvi_candidates was)"
        )
    seed = getattr(settings.sampler, "seed", None)
    if seed is not None:
        if settings.seed not in (0, seed):
            yield f"hydra.sweeper.seed={settings.seed} and hydra.sweeper.sampler.seed={seed} differ; leave one"
        settings.seed = seed
    for name, (nothing, instead) in SAMPLER_ARGUMENTS.items():
        if (value := getattr(settings.sampler, name, None)) not in nothing:
            yield f"hydra.sweeper.sampler.{name}={value!s:.40}: {instead}"


def _declaration(given: Any) -> str:
    """Returns a parameter of `search_space` in Hydra's grammar.

    Raises:
        ValueError: it isn't one.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"must have type, low and high or choices, got {given!r:.60}")
    for name in given:
        if name not in FIELDS:
            raise ValueError(f"there is no {name}{nearest(str(name), FIELDS)}; there are {', '.join(FIELDS)}")
    kind, choices = given.get("type"), given.get("choices")
    if kind == "categorical":
        if not isinstance(choices, list) or not choices:
            raise ValueError(f"categorical needs a list of choices, got {choices!r:.60}")
        return f"choice({','.join(map(literal, choices))})"
    if kind not in ("float", "int"):
        raise ValueError(f"type must be float, int or categorical, got {kind}")
    ends = [given.get("low"), given.get("high")]
    if not all(isinstance(end, (int, float)) for end in ends):
        raise ValueError(f"{kind} needs numbers low and high, got {ends[0]} and {ends[1]}")
    if kind == "int":
        text = f"int(interval({int(ends[0])},{int(ends[1])}))"  # type: ignore[arg-type]
    else:
        text = f"interval({float(ends[0])!r},{float(ends[1])!r})"  # type: ignore[arg-type]
    tags = ["log"] * bool(given.get("log")) + [f"step:{step}" for step in [given.get("step")] if step is not None]
    return f"tag({','.join([*tags, text])})" if tags else text
