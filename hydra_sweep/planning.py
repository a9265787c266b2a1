"""From `hydra.sweeper` and a command line to a plan, checked whole before anything is written."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import operator
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from hydra.types import TaskFunction
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from hydra_sweep import artifacts as artifact_stores
from hydra_sweep import custom, declarations, official, sources, storage
from hydra_sweep.compat import group_options
from hydra_sweep.differences import as_recorded, flatten, plain_values
from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest
from hydra_sweep.hydra_errors import one_line
from hydra_sweep.plan import Command, Plan, constraint_of, key_of
from hydra_sweep.settings import ALLOWED, PRUNERS, SAMPLERS, SweeperConfig
from hydra_sweep.space import Space
from hydra_sweep.sweep_folder import SweepFolder

Compose = Callable[[list[str]], DictConfig]  # from overrides to a configuration, Hydra's part included
OPTUNAS_PRUNERS = ("median", "percentile", "patient", "wilcoxon")  # which go by the one objective of a study
MAX_CELLS = 100_000  # of a grid: every command that goes on with it looks at all of them


def make(
    config: DictConfig,
    arguments: Sequence[str],
    compose: Compose,
    *,
    code: Callable[[Iterable[DictConfig]], str] = lambda trials: "",
    config_loader: Any = None,
) -> Plan:
    """Returns the plan of a multirun.

    Args:
        config: the master configuration, composed without sweeping overrides.
        arguments: the task's overrides as typed.
        compose: from overrides to a trial's configuration, Hydra's part included.
        code: returns the version of the code that will run, from configurations that together show every choice.

    Raises:
        UserError: a line for each fault.
    """
    node, choices = config.hydra.sweeper, config.hydra.runtime.choices
    try:
        settings: SweeperConfig = OmegaConf.to_object(node)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise UserError(f"hydra.sweeper: {one_line(error)}") from error
    sampler, pruner = str(choices["hydra/sweeper/sampler"]), str(choices["hydra/sweeper/pruner"])
    problems = [*_unknown(node, settings), *official.adopt(settings, sampler), *_problems(settings)]
    try:
        space = declarations.build(
            arguments,
            settings.params or {},
            settings.when or {},
            compose,
            n_trials=settings.n_trials,
            zips=_zips(settings.zip),
            seed_key=settings.seed_key,
            is_grid=sampler == "grid",
            config_loader=config_loader,
        )
    except UserError as error:
        raise UserError([*problems, *error.problems]) from error
    problems += _problems_together(settings, space, sampler, pruner)
    configs: dict[str, Any] = {key: OmegaConf.to_container(node[key], resolve=True) for key in ("sampler", "pruner")}
    configs["sampler"] = {key: value for key, value in configs["sampler"].items() if value is not None}
    if sampler != "motpe":
        problems += _problems_of_building("sampler", sampler, configs["sampler"] | {"seed": settings.seed})
    problems += _problems_of_building("pruner", pruner, configs["pruner"])
    queue, refused = _first_guesses(settings, space)
    problems += refused
    if not problems and settings.custom_search_space:
        problems += custom.problems(settings.custom_search_space, space, compose)
    if problems:
        raise UserError(problems)
    if settings.enqueue_defaults:
        queue = [*space.defaults(compose), *queue]
    taken = {key_of(text) for text in arguments} | {parameter.key for parameter in space.parameters}
    always = [text for text in settings.trial_overrides if key_of(text) not in taken]
    example = compose([*next(space.examples()), *always])
    first_seed = OmegaConf.select(example, settings.seed_key) or 0
    if settings.repeats > 1 and not isinstance(first_seed, int):
        raise UserError(f"repeats vary {settings.seed_key}, which must be a whole number, got {first_seed}")
    if settings.folds and settings.fold_key in taken:
        if space.is_search:
            raise UserError(f"{settings.fold_key} is what the {settings.folds} folds vary; leave it out")
        settings.folds = None  # they are typed as cells of the grid
    total = settings.n_trials
    if total is None:
        assert space.num_cells is not None  # a search without a budget has its line above
        total = len(queue) + space.num_cells
    version_of_code = code(compose([*overrides, *always]) for overrides in _examples_of_targets(space, config_loader))
    typed: Any = OmegaConf.to_container(config.hydra.overrides, resolve=False)  # ${...} stays as it was typed
    folder = SweepFolder(Path(config.hydra.sweep.dir).absolute())
    plan = Plan(
        folder=folder,
        url=storage.absolute(settings.storage) if settings.storage else folder.database_url,
        study_name=settings.study_name or (not settings.storage and _recorded_name(folder)) or folder.path.name,
        settings=settings,
        sampler_name=sampler,
        pruner_name=pruner,
        sampler_config=configs["sampler"],
        pruner_config=configs["pruner"],
        space=space,
        overrides=[*space.fixed, *always],
        objectives=_names(settings.objective),
        directions=_names(settings.direction),
        constraints=[parsed for text in settings.constraints if (parsed := constraint_of(text))],
        queue=queue,
        n_trials=total,
        first_seed=first_seed,
        request={},
        command=Command.current([*typed["task"], *typed["hydra"]]),
        arguments=[*(text for text in typed["hydra"] if key_of(text) != "hydra.mode"), *arguments],
    )
    plan.request = as_recorded(_request(plan, _base_config(example, settings, space), version_of_code))
    if plan.is_grid:
        plan.n_trials = min(plan.n_trials, len(plan.wanted))
    return plan


def _first_guesses(settings: SweeperConfig, space: Space) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the parameters of what is to be tried first, and what is wrong with it."""
    queue, problems = [], []
    for guess in settings.enqueue:
        try:
            queue.append(space.values(guess.split() if isinstance(guess, str) else list(guess)))
        except UserError as error:
            problems.append(f"enqueue: {error}")
    return queue, problems


def _request(plan: Plan, config: Mapping[str, Any], code: str) -> dict[str, Any]:
    """Returns what a command that goes on with the sweep must ask for, too."""
    found = {
        "kind": "search" if not plan.is_grid else "grid search" if plan.space.is_search else "grid",
        "space": plan.space.request(),
        "objective": plan.objectives,
        "direction": plan.directions,
        "constraints": [str(constraint) for constraint in plan.constraints],
        "repeats": plan.settings.repeats,
        "config": config,
        "code": code,
    }
    custom_space = plan.settings.custom_search_space
    found |= {"folds": plan.settings.folds} if plan.settings.folds else {}
    return found | ({"custom_search_space": custom_space} if custom_space else {})


def _recorded_name(folder: SweepFolder) -> str | None:
    """Returns the name of the study in a sweep's folder, which may have been renamed since."""
    with suppress(OSError, ValueError):
        if isinstance(name := folder.read_request().get("study"), str):
            return name.partition("~")[0]
    return None


def _examples_of_targets(space: Space, config_loader: Any) -> list[list[str]]:
    """Returns override lists that together show every choice that may bring a `_target_`."""

    def brings_target(text: str) -> bool:
        key = key_of(text)
        return "_target_" in key or config_loader is None or bool(group_options(config_loader, key))

    distinct = {tuple(filter(brings_target, overrides)): overrides for overrides in space.examples()}
    return list(distinct.values())


def _unknown(node: DictConfig, settings: SweeperConfig) -> Iterator[str]:
    """Yields keys that nobody reads: `+hydra.sweeper.x` passes Hydra."""
    known = [field.name for field in dataclasses.fields(settings)]
    for key in node:
        if key not in known:
            yield f"there is no hydra.sweeper.{key!s}{nearest(str(key), known)}"


def _problems(settings: SweeperConfig) -> Iterator[str]:
    """Yields what is wrong with single values."""
    checks = {
        "n_trials": (settings.n_trials, operator.ge, 0),
        "workers": (settings.workers, operator.ge, 1),
        "workers_per_gpu": (settings.workers_per_gpu, operator.ge, 1),
        "repeats": (settings.repeats, operator.ge, 1),
        "folds": (settings.folds, operator.ge, 2),
        "max_failures": (settings.max_failures, operator.ge, 1),
        "max_attempts": (settings.max_attempts, operator.ge, 1),
        "trial_seconds": (settings.trial_seconds, operator.gt, 0),
        "hang_seconds": (settings.hang_seconds, operator.gt, 0),
        "lease_seconds": (settings.lease_seconds, operator.ge, 2),
        "storage_seconds": (settings.storage_seconds, operator.ge, 0),
        "seed": (settings.seed, operator.ge, 0),
        "stop.seconds": (settings.stop.seconds, operator.gt, 0),
        "stop.patience": (settings.stop.patience, operator.ge, 1),
        "stop.steps": (settings.stop.steps, operator.ge, 1),
    }
    for name, (value, compare, bound) in checks.items():
        if value is not None and not compare(value, bound):
            sign = ">" if compare is operator.gt else ">="
            yield f"hydra.sweeper.{name} must be {sign} {bound}, got {value}"
    if settings.random_share is not None and not 0 <= settings.random_share <= 1:
        yield f"hydra.sweeper.random_share must be from 0 to 1, got {settings.random_share:g}"
    if not isinstance(settings.stack, str) and not (isinstance(settings.stack, int) and settings.stack >= 1):
        yield f"hydra.sweeper.stack must be a number of trials or module.function, got {settings.stack}"
    for name, allowed in ALLOWED.items():
        for word in _names(getattr(settings, name)):
            if word not in allowed:
                yield f"hydra.sweeper.{name} must be {' or '.join(allowed)}, got {word}{nearest(word, allowed)}"
    if settings.storage is not None:
        yield from storage.problems(settings.storage)
    if settings.artifact_store is not None:
        yield from artifact_stores.problems(settings.artifact_store)
    for text in settings.constraints:
        if constraint_of(text) is None:
            yield f"constraint {text!r} can't be read; write METRIC <= NUMBER or METRIC >= NUMBER"
    for text in settings.trial_overrides:
        try:
            OverridesParser.create().parse_override(text)
        except HydraException as error:
            yield f"hydra.sweeper.trial_overrides: {one_line(error)}"


def _problems_together(settings: SweeperConfig, space: Space, sampler: str, pruner: str) -> Iterator[str]:
    """Yields what is wrong with values that must fit one another."""
    objectives, directions = _names(settings.objective), _names(settings.direction)
    if objectives and len(objectives) != len(directions):
        yield f"{len(objectives)} objectives ({', '.join(objectives)}) need as many directions, got {len(directions)}"
    metrics = [
        *objectives,
        *filter(None, [settings.prune_by]),
        *(found.metric for text in settings.constraints if (found := constraint_of(text))),
    ]
    for name in metrics:
        for pattern, why in settings.forbidden_objectives.items():
            try:
                if match := re.fullmatch(pattern, name):
                    yield f"{name} {match.expand(why)}"
            except (re.error, IndexError) as error:
                yield f"hydra.sweeper.forbidden_objectives: {pattern!r}: {why!r} can't be read ({error})"
    if len(directions) > 1 and pruner in OPTUNAS_PRUNERS:
        yield f"pruner {pruner} needs one objective, got {len(directions)}; try hydra/sweeper/pruner=asha"
    elif pruner in OPTUNAS_PRUNERS and settings.prune_direction not in (None, *directions):
        yield (
            f"pruner {pruner} goes by what is {directions[0]}d, and prune_direction is {settings.prune_direction}; try "
            "hydra/sweeper/pruner=asha"
        )
    if settings.prune_direction and not settings.prune_by:
        yield "prune_direction is that of prune_by, which is missing; type hydra.sweeper.prune_by=NAME"
    if len(directions) > 1 and (settings.stop.value is not None or settings.stop.patience is not None):
        yield f"stop.value and stop.patience need one objective, got {len(directions)}; try stop.seconds"
    stop = settings.stop
    if not settings.wait and (stop.seconds or stop.value is not None or stop.patience):
        yield "stop.seconds, stop.value and stop.patience need a command that waits; try wait=true, or stop.steps"
    if space.is_search and sampler == "grid" and space.num_cells is None:
        yield "sampler grid needs choices or stepped intervals: an interval without a step has no end of values"
    elif space.is_search and settings.n_trials is None and sampler != "grid":
        yield f"a search needs a budget; type {settings.spelling('n_trials')}=40"
    if settings.start_from and (not space.is_search or sampler == "grid"):
        yield "start_from tells a sampler what to expect; a grid asks none"
    if settings.random_share is not None and (not space.is_search or sampler in ("grid", "random", "qmc")):
        yield "random_share is for samplers that learn, such as tpe; leave it out"
    if settings.custom_search_space and (settings.n_trials is None or sampler == "grid"):
        yield (
            "custom_search_space is for searches: it needs a sampler other than grid, and a budget, such as "
            f"{settings.spelling('n_trials')}=40"
        )
    for parameter in space.parameters:
        if parameter.key in settings.sweep_keys:
            yield f"{parameter.key} is of the sweep and not of its runs: it can't have several values"
    is_grid = not space.is_search or sampler == "grid"
    if is_grid and space.num_cells is not None and space.num_cells > MAX_CELLS:
        yield (
            f"a grid of {space.num_cells:,} cells is more than {MAX_CELLS:,}; name fewer values, or search, such as "
            f"with {settings.spelling('n_trials')}=40"
        )
    known = {"sampler": (sampler, SAMPLERS), "pruner": (pruner, PRUNERS)}
    for group, (name, options) in known.items():
        if name == "None":
            yield f"hydra/sweeper/{group} is missing; choose one of {', '.join(options)}"


def _problems_of_building(group: str, name: str, config: Mapping[str, Any]) -> Iterator[str]:
    """Yields what Optuna says against a sampler's or pruner's parameters."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is experimental
            instantiate(config)
    except InstantiationException as error:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        yield f"hydra/sweeper/{group}={name}: {one_line(cause)}"


def _zips(value: Any) -> list[list[str]]:
    """Returns the groups of keys that go side by side: zip=[a,b] is one, zip=[[a,b],[c,d]] are two."""
    groups = list(value or ())
    groups = [groups] if groups and not any(isinstance(group, list) for group in groups) else groups
    return [_names(group) for group in groups]


def _names(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(name) for name in value] if isinstance(value, (list, tuple)) else [str(value)]


def _base_config(full: DictConfig, settings: SweeperConfig, space: Space) -> dict[str, Any]:
    """Returns the configuration that all trials share, flat: without what is searched or may change."""
    plain = plain_values(as_plain(full))
    searched = {parameter.key.replace("/", ".") for parameter in space.parameters}
    skipped = {*settings.sweep_keys, *settings.volatile, *searched}
    flat = flatten(plain)
    return {k: v for k, v in flat.items() if not any(k == s or k.startswith(f"{s}.") for s in skipped)}


def refuse_official() -> None:
    """Raises: UserError if the official plugin is there, whose name is ours."""
    if importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper"):
        raise UserError(
            "hydra-optuna-sweeper answers to hydra/sweeper=optuna, too; type pip uninstall hydra-optuna-sweeper"
        )


def code_version(task_function: TaskFunction, config: DictConfig, trials: Iterable[DictConfig]) -> str:
    """Returns the version of what will run: its package's number and a hash of its source and configuration files.

    Args:
        task_function: with its package, and what these import from the user's own folders.
        config: with the folders of configuration files.
        trials: configurations that together have every `_target_`.
    """
    name = task_function.__module__
    package = sys.modules.get(name.partition(".")[0])
    file = getattr(sys.modules.get(name), "__file__", None)
    folders = [Path(folder) for folder in getattr(package, "__path__", [])]
    files = {path for folder in folders for path in folder.rglob("*.py")} or ({Path(file)} if file else set())
    volatile = config.hydra.sweeper.get("volatile") or ()
    plain = ({key: value for key, value in as_plain(cfg).items() if key not in volatile} for cfg in trials)
    names = {target for cfg in plain for target in sources.targets(cfg)}
    if spec := getattr(sys.modules.get(name), "__spec__", None):
        names.add(spec.name)
    if path := config.hydra.sweeper.get("custom_search_space"):
        names.add(path)
    own = sources.own_files(names, () if spec else files, map(str, folders))
    for source in config.hydra.runtime.config_sources:
        if source.schema == "file":
            files |= set(Path(source.path).rglob("*.yaml"))
    digest = hashlib.sha256()
    for path in sorted({*files, *own.values()}, key=lambda path: (path.name, str(path))):
        digest.update(path.name.encode() + path.read_bytes())
    try:
        number = version(name.partition(".")[0])
    except PackageNotFoundError:
        number = ""
    return f"{number} {digest.hexdigest()[:8]}".strip()


def as_plain(cfg: DictConfig) -> Any:
    with open_dict(cfg := cfg.copy()):
        cfg.pop("hydra", None)
    return OmegaConf.to_container(cfg, resolve=False)
