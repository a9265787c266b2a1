"""Everything about a command line that can be wrong, found before anything is loaded or written, all of it at once.

Hydra stops at the first problem and has made its output folder by the time the run could find another. No torch,
unless a user's own class has to be looked at or a device asked for.
"""

from __future__ import annotations

import argparse
import copy
import functools
import importlib.util
import os
import shlex
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import AnyNode, DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from hydra_sweep.compat import group_options
from hydra_sweep.compose import ComposeError, flat_without_hydra
from hydra_sweep.errors import UserError
from hydra_sweep.hints import nearest, nearest_key, unreadable
from rnnexp.arguments import join_spaced, listed_options, own_data, with_quoted_labels
from rnnexp.composition import ConfigTree, shipped_tree
from rnnexp.overrides import literal
from rnnexp.preconditions import (
    folder_problem,
    machine_problems,
    other_dataset,
    recorded_difference,
    runs_here,
    unresolved,
)
from rnnexp.record.result import METRICS
from rnnexp.schema import validation
from rnnexp.schema.config import SCHEMAS, options_with
from rnnexp.schema.identity import WATCHING
from rnnexp.schema.synonyms import NOTES
from rnnexp.schema.tree import GROUPS

if TYPE_CHECKING:
    from hydra_sweep.plan import Plan

SPLIT_KEYS = tuple(
    f"data.{key}" for key in ("split_seed", "valid_seed", "valid_size", "valid_from", "test_size", "fold", "folds")
)
DIRECTIONS = {"loss": "minimize", "accuracy": "maximize"}  # in which a metric gets better, by how its name ends
LAUNCHER_PLUGINS = {"slurm": "hydra_submitit_launcher", "ray": "hydra_ray_launcher"}  # those that are extras


def expand_aliases(overrides: list[str]) -> list[str]:
    """Returns overrides as Hydra knows them: launcher=slurm is short for hydra/launcher=slurm; notes are any text."""
    return [f"hydra/{text}" if text.startswith("launcher=") else with_quoted_labels(text) for text in overrides]


def is_missing_extra(launcher: str) -> bool:
    """Returns whether a launcher's plugin would have to be installed first."""
    plugin = LAUNCHER_PLUGINS.get(launcher)
    return plugin is not None and importlib.util.find_spec(f"hydra_plugins.{plugin}") is None


class CommandLine:
    """One command line of rnnexp, composed but not run.

    Args:
        args: as Hydra's own parser gives them.
        config_dir: absolute path of rnnexp's config tree.
        argv: the program and what was typed, to be told again; by default this process's.
    """

    def __init__(self, args: argparse.Namespace, config_dir: Path, argv: list[str] | None = None) -> None:
        self.args, self.argv = args, argv or sys.argv
        self.multirun: bool = args.multirun
        self.full: DictConfig | None = None  # as composed, once it is found sound so far
        self.run_here: list[DictConfig] = []  # what a sweep will run on this machine: a configuration of each kind
        self.is_dry: bool = args.cfg is not None  # only shows the configuration
        joined, self.spaced = join_spaced(args.overrides)
        self.overrides = expand_aliases(joined)
        self.config_name = args.config_name or "config"
        self.extra_dir = Path(args.config_dir).absolute() if args.config_dir else None
        is_own = self.extra_dir or args.config_path
        self.tree = (
            ConfigTree(args.config_path or str(config_dir), self.extra_dir) if is_own else shipped_tree(str(config_dir))
        )
        self.hydra = self.tree.hydra

    def options(self, group: str) -> list[str]:
        """Returns the options of a group that are meant to be chosen."""
        return sorted(o for o in group_options(self.hydra.config_loader, group) if not o.endswith("_schema"))

    def compose(self, overrides: list[str]) -> DictConfig:
        """Returns the configuration, Hydra's own part included.

        Raises:
            ComposeError: a file or an override is faulty.
        """
        return self.tree.compose(self.config_name, overrides, RunMode.MULTIRUN if self.multirun else RunMode.RUN)

    def problems(self) -> list[str]:
        """Returns one line for each thing that is wrong with the command."""
        if self.extra_dir and not self.extra_dir.is_dir():
            return [f"--config-dir {self.extra_dir} is not a directory"]
        problems = list(self.spaced)
        groups: list[Override] = []
        values: list[Override] = []
        for text in self.overrides:
            try:
                override = OverridesParser.create().parse_override(text)
            except HydraException as error:
                problems.append(unreadable(text, str(error).splitlines()[0]))
                continue
            if override.is_sweep_override() and not self.multirun:
                problems.append(f"{text} names several values; add -m to run them all")
            elif self.options(override.key_or_group):
                found = list(self.option_problems(override))
                problems += found
                groups += [] if found else [override]
            else:
                values.append(override)
        try:
            presets = self.compose([first(o) for o in groups])
        except ComposeError as error:
            return [*problems, str(error)]
        good = []
        for override in values:
            found = list(self.value_problems(override, presets))
            problems += found
            good += [] if found else [override]
        try:
            self.full = full = self.compose([first(o) for o in [*groups, *good]])
        except ComposeError as error:
            return [*problems, str(error)]
        problems += unresolved(full, [o.key_or_group for o in values if o.key_or_group.startswith("hydra.")])
        problems += validation.problems(without_hydra(full), flat_without_hydra(presets), imports_known=False)
        if self.multirun and not problems:
            problems += self.sweep_problems(presets)
        elif without_typed := self.searched_keys(full):
            problems.append(f"{self.search_text()} is a search over {', '.join(without_typed)}; add -m")
        return list(dict.fromkeys(problems)) or self.environment_errors(full)

    def option_problems(self, override: Override) -> Iterator[str]:
        """Yields a line for each option that the group doesn't have."""
        group, options = override.key_or_group, self.options(override.key_or_group)
        for value in elements(override):
            if value is None and not override.is_delete():
                yield f"{group}=null: Hydra leaves a group out by ~{group}; type that, or nothing"
            if isinstance(value, list) and group in SCHEMAS:
                yield listed_options(override.input_line or "", group, value, self.multirun)
                continue
            for option in value if isinstance(value, list) else [value]:
                if not override.is_delete() and option is not None and str(option) not in options:
                    note = NOTES.get(f"{group}={option}".lower()) or (group == "data" and own_data(str(option)))
                    hint = f" ({note})" if note else nearest(str(option), options)
                    yield f"{group}={option}: no such {group}{hint}; there are {', '.join(options)}"
                elif group == "hydra/launcher" and is_missing_extra(str(option)):
                    yield f"launcher={option} is an extra; type pip install 'rnnexp[{option}]'"

    def value_problems(self, override: Override, presets: DictConfig) -> Iterator[str]:
        """Yields a line for an unknown key, or for each value of the wrong type."""
        key = override.key_or_group
        if key.startswith("hydra.") or override.is_delete():
            return
        parent, _, leaf = key.rpartition(".")
        owner = OmegaConf.select(presets, parent) if parent else presets
        is_open = isinstance(owner, DictConfig) and OmegaConf.get_type(owner) is dict  # a user's own option
        is_open = is_open or key.startswith("metrics.")
        is_adding = override.is_add() or override.is_force_add()
        if not has_key(presets, key) and not (is_open and is_adding):
            owners = [f"{parent}={option}" for option in options_with(parent, leaf)]
            hint = f"; {' and '.join(owners)} has it" if owners else self.nearest_key(key, presets)
            hint = f"; type +{override.input_line} to add it" if parent == "tracker.options" else hint
            yield f"there is no key {key}{hint}; rnnexp train --help lists them"
        elif not is_open and override.is_interval_sweep():
            interval: Any = override.value()
            ends = interval.start, interval.end
            try:
                OmegaConf.update(owner.copy(), leaf, ends[0])
                OmegaConf.update(owner.copy(), leaf, ends[1])
            except OmegaConfBaseException:
                better = f"; try {key}=int(interval({ends[0]:.0f},{ends[1]:.0f}))"
                wanted = validation.type_name(presets, key)
                better = better if wanted.startswith("a whole number") else ""
                yield f"{key} must be {wanted}, got {override.input_line}{better}"
        elif not is_open:
            preset = OmegaConf.select(presets, key)
            example = "" if preset is None else f"; try {key}={preset}"
            scratch = owner.copy()
            for value in elements(override):
                try:
                    OmegaConf.update(scratch, leaf, value)
                except OmegaConfBaseException:
                    got = "null" if value is None else repr(value)
                    yield f"{key} must be {validation.type_name(presets, key)}, got {got}{example}"

    def nearest_key(self, key: str, presets: DictConfig) -> str:
        """Returns a hint at the key that was meant: one of the same group that looks alike, or one that ends alike."""
        keys = [k for k in flat_without_hydra(presets) if "_target_" not in k]
        keys += [group for group in GROUPS if self.options(group)]
        group, _, leaf = key.rpartition(".")
        siblings = [k for k in keys if k.rpartition(".")[0] == group]
        if group and siblings:
            hint = nearest(leaf, [k.rpartition(".")[2] for k in siblings]).replace("mean ", f"mean {group}.")
            return hint or (nearest_key(key, keys) if leaf in {k.rpartition(".")[2] for k in keys} else "")
        return nearest_key(key, [*keys, *(f"hydra/sweeper/{part}" for part in ("sampler", "pruner"))])

    def sweep_problems(self, presets: DictConfig) -> Iterator[str]:
        """Yields a line for everything that is wrong with a grid or a search: its space, its budget, its values."""
        try:
            plan = self.plan
        except UserError as error:
            yield from error.problems
            return
        flat_presets = flat_without_hydra(presets)
        examples = [without_hydra(self.composer(overrides)) for overrides in plan.space.examples()]
        if plan.n_trials != 0 and runs_here(self.composer.master):
            self.run_here = examples
        for cfg in examples:
            is_search = plan.space.is_search
            yield from validation.problems(cfg, flat_presets, is_search=is_search, imports_known=False)
            if cfg.data.folds != plan.settings.folds and not (cfg.data.folds and "data.fold" in self.sweep_keys):
                yield (
                    "data.folds must be the same in all runs of a sweep, which runs every fold; type data.folds=5, or "
                    "one sweep for each"
                )
            if is_search or cfg.data.folds is not None:
                continue
            if cfg.data.valid_from == "test" and plan.objectives and plan.settings.summary:
                yield (
                    "a grid with data.valid_from=test would name the best by the test set; try data.valid_from=train, "
                    "or objective=null, which names none"
                )
            wanted = [name for name in plan.objectives if name.startswith("valid_")]
            if wanted and cfg.data.valid_from == "train" and cfg.data.valid_size == 0:
                yield f"a grid with data.valid_size=0 has no {wanted[0]} to name the best by; type objective=null"
        for parameter in plan.space.parameters:
            if parameter.key.partition(".")[0] in WATCHING:
                yield f"{parameter.key} can't have several values: the runs would be the same; name one"
        for parameter in plan.space.parameters if plan.space.is_search else ():
            if parameter.key in SPLIT_KEYS:
                yield f"{parameter.key} can't be searched: the luckiest split would win; fix it, or run a grid"
        if plan.settings.seed_key in SPLIT_KEYS:
            yield f"hydra.sweeper.seed_key={plan.settings.seed_key}: repeats must share their split; try seed"
        if plan.settings.fold_key != "data.fold":
            yield f"hydra.sweeper.fold_key={plan.settings.fold_key}: folds are those of data.fold"
        own = [f"valid_{name}" for name in (examples[0].metrics if examples else ())]
        own = [name for name in own if all(name.removeprefix("valid_") in cfg.metrics for cfg in examples)]
        for name in plan.objectives:
            if name not in METRICS and name not in own and not name.startswith("test_"):
                allowed = [metric for metric in (*METRICS, *own) if not metric.startswith("test_")]
                yield f"objective must be one of {', '.join(allowed)}, got {name}{nearest(name, allowed)}"
        if metric := plan.settings.prune_by:
            better = DIRECTIONS.get(metric.rpartition("_")[2], plan.pruned_by[metric])
            if metric not in METRICS and metric not in own:
                allowed = [name for name in (*METRICS, *own) if not name.startswith("test_")]
                known = f"{', '.join(allowed)}, got {metric}{nearest(metric, allowed)}"
                yield f"hydra.sweeper.prune_by must be one of {known}"
            elif plan.pruned_by[metric] != better:
                line = f"hydra.sweeper.prune_by={metric} would keep the worst"
                yield f"{line}; type hydra.sweeper.prune_direction={better}"
        for name, direction in zip(plan.objectives, plan.directions, strict=False):  # no objective has a direction, too
            better = DIRECTIONS.get(name.rpartition("_")[2], direction)
            better = "maximize" if name in own else better
            if direction != better:
                yield f"direction={direction} would look for the worst {name}; type direction={better}"

    @functools.cached_property
    def plan(self) -> Plan:
        """What this multirun asks for.

        Raises:
            UserError: a line for each problem.
        """
        from hydra_sweep import planning
        from hydra_sweep.compose import Composer

        planning.refuse_official()
        master = self.compose(self.overrides)
        self.composer = Composer(self.hydra.config_loader, master)
        task = [str(text) for text in master.hydra.overrides.task]
        return planning.make(master, task, self.composer, config_loader=self.hydra.config_loader)

    @property
    def sweep_keys(self) -> set[str]:
        """The keys that were typed or vary."""
        from hydra_sweep.plan import key_of

        return {key_of(text) for text in self.plan.arguments} | self.varied_keys

    @property
    def varied_keys(self) -> set[str]:
        return {parameter.key for parameter in self.plan.space.parameters}

    def shown_space(self, part: str) -> str:
        """Returns the search space or grid, and the configuration of one of its trials: job, hydra or all."""
        from hydra_sweep.summary import dry_run

        plan = self.plan
        full = self.composer(next(plan.space.examples()))
        shown = {"job": without_hydra(full), "hydra": OmegaConf.masked_copy(full, "hydra"), "all": full}[part]
        lines = [f"# {line}" for line in [*dry_run(plan), "one of its trials:"]]
        return "\n".join([*lines, OmegaConf.to_yaml(shown).rstrip()])

    def search_text(self) -> str:
        return next((text for text in self.overrides if text.startswith("search=")), "hydra.sweeper.params")

    def searched_keys(self, full: DictConfig) -> list[str]:
        """Returns the keys that a search space, chosen without -m, leaves open."""
        if self.multirun or not self.search_text().startswith("search="):
            return []
        typed = {text.partition("=")[0].lstrip("+") for text in self.overrides}
        return [str(key) for key in full.hydra.sweeper.params if key not in typed]

    def environment_errors(self, full: DictConfig) -> list[str]:
        """Returns what keeps a sound configuration from running here: its folder, its device, its data."""
        if self.is_dry:
            return []
        if self.multirun:
            return self.sweep_environment_errors()
        cfg = without_hydra(full)
        is_resuming = cfg.train.resume
        try:
            out = Path(full.hydra.run.dir)
        except OmegaConfBaseException:  # a folder name that is known only while the job runs
            return list(unresolved(full, ["hydra.run.dir"]))
        if is_resuming and not any(text.startswith(("name=", "hydra.run.dir=")) for text in self.overrides):
            return ["train.resume=true resumes a run of a known name; type name=... too"]
        if problem := folder_problem(out):
            return [problem]
        from rnnexp.record.run_folder import RunFolder

        if changes := recorded_difference(RunFolder(out), cfg):
            shown = "; ".join([*changes[:4], *(["..."] if len(changes) > 4 else [])])
            return [f"{out} holds a run of another configuration ({shown}); choose another name="]
        if RunFolder(out).is_run() and not is_resuming:
            return [f"{RunFolder(out).taken}: {resume_command(self.argv, cfg.name, out)}"]
        return list(machine_problems(cfg))

    def sweep_environment_errors(self) -> list[str]:
        """Returns what keeps the runs of a sweep from running here; for a search, without a look at the test set."""
        from rnnexp.data import loading

        is_search, found = self.plan.space.is_search, []
        for cfg in self.run_here:
            problems = list(machine_problems(cfg, with_test=not is_search))
            if not problems and "data.root" not in self.varied_keys and self.plan.settings.resume != "force":
                problems = list(other_dataset(self.plan.folder.path, cfg, with_test=not is_search))
            found += problems
        loading.forget()
        return list(dict.fromkeys(found))


def resume_command(argv: list[str], name: str, folder: str | os.PathLike[str]) -> str:
    """Returns the command that goes on with a run, from the one that was typed to begin it."""
    typed, program = argv[1:], ["python", "-m", "rnnexp"] if argv[0].endswith(".py") else [Path(argv[0]).name]
    more = [f"name={name}", "train.resume=true"]
    if any(text.startswith("hydra.run.dir=") for text in typed):
        more.append(f"hydra.run.dir={literal(folder, name)}")  # the one that was typed may hold the time
    replaced = {text.partition("=")[0] for text in more}
    return shlex.join([*program, *(text for text in typed if text.partition("=")[0] not in replaced), *more])


def elements(override: Override) -> list[Any]:
    """Returns the values that an override stands for: one, or those of a sweep over choices; of very many, the first.

    A sweep refuses more values than that.
    """
    if override.is_discrete_sweep():
        return [Override._convert_value(v) for v in islice(override.sweep_iterator(), 10_001)]
    return [override.value()]


def first(override: Override) -> str:
    """Returns the override, or that of a sweep's first value, as text."""
    if override.is_discrete_sweep():
        return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"
    return str(override.input_line)


def without_hydra(full: DictConfig) -> DictConfig:
    """Returns the application's part of a composed configuration."""
    known = {id(full._get_node("hydra")): AnyNode()}  # for deepcopy to take, in place of the larger part of the copy
    with open_dict(cfg := copy.deepcopy(full, known)):
        cfg.pop("hydra", None)
    return cfg


def has_key(cfg: DictConfig, key: str) -> bool:
    parent, _, leaf = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    return isinstance(node, DictConfig) and leaf in node.keys()  # noqa: SIM118 (`in node` is false for null)
