"""Whether a comparison can run as it was typed, and what it will cost: nothing is run, and nothing is written."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence

from hydra_sweep.errors import counted
from hydra_sweep.plan import key_of
from hydra_sweep.text_table import table
from rnnexp.command_line import CommandLine
from rnnexp.comparing.arms import ArmSpec, arms_text, choice_problems
from rnnexp.comparing.protocol import AGAIN, Protocol
from rnnexp.schema.tree import CONFIG_DIR


def problems(protocol: Protocol, args: argparse.Namespace) -> list[str]:
    """Returns what keeps it from running, a line each."""
    found = [*typed_problems(protocol, args), *seed_problems(protocol)]
    settings = protocol.cfg.compare
    if not found and settings.epochs is not None:
        found += split_budget(protocol, args)
    for arm in protocol.arms:
        if found:
            break
        chosen: list[str] = []
        if settings.trials:
            search = command_line(args, protocol.search_overrides(arm, 0))
            found += [f"arm {arm.name}: {problem}" for problem in search.problems()]
            chosen = [] if found else _example(search)
        if not found:
            final = final_command(protocol, args, arm, chosen)
            problems = final.problems() or list(choice_problems(final))
            found += [f"arm {arm.name}, final runs: {problem}" for problem in problems]
        if settings.trials and settings.top > 1 and arm is protocol.arms[0] and not found:  # the others are like it
            again = command_line(args, protocol.again_overrides(arm, 0, [chosen]))
            found += [f"arm {arm.name}, its best trials run again: {problem}" for problem in again.problems()]
    return found


def typed_problems(protocol: Protocol, args: argparse.Namespace) -> Iterator[str]:
    """Yields what of the command makes no sense in a comparison."""
    arms, settings = protocol.arms, protocol.cfg.compare
    for text in args.overrides:
        if key_of(text) == "n_trials":
            yield f"{text}: a comparison's searches have compare.trials each; type compare.trials=..."
    every_arms = set.intersection(*({key_of(text) for text in arm.overrides} for arm in arms))
    for text in protocol.overrides:
        if key_of(text) in every_arms:
            others = [t for arm in arms for t in arm.overrides if key_of(t) == key_of(text) and t != text]
            yield (
                f"{text}: each arm sets {key_of(text)} itself; leave it out, or name the arms: "
                f"{arms_text([text, others[0]])}"
            )
    if settings.budget == "seconds" and settings.seconds is None:
        yield "compare.budget=seconds gives each search the same time; say how long: compare.seconds=600"
    elif settings.budget != "seconds" and settings.seconds is not None:
        yield f"compare.seconds={settings.seconds:g} is of compare.budget=seconds; type that, too"
    if settings.budget == "seconds" and settings.epochs is not None:
        yield "compare.epochs sets the trials of each search, and compare.budget=seconds their time; leave one out"
    if settings.trials and not isinstance(protocol.cfg.objective, str):
        yield f"a comparison needs one objective, got {protocol.cfg.objective}; try objective=valid_accuracy"
    if not protocol.cfg.wait:
        yield "wait=false: a comparison needs what its sweeps find; leave it out"
    if "data.folds" in map(key_of, settings.final):
        yield "compare.final: data.folds is to choose by; the final runs train on the whole training part"
    if settings.trials:
        return
    typed = set(map(key_of, args.overrides))
    if protocol.cfg.data.folds is not None:
        yield "compare.trials=0 has nothing to choose by folds; leave data.folds out"
    if "search" in map(key_of, protocol.overrides):
        yield "compare.trials=0 runs the arms as they are; leave search=... out, or type compare.trials=20"
    for key in ("searches", "top", "splits", "budget", "epochs", "seconds"):
        if f"compare.{key}" in typed:
            yield f"compare.trials=0 runs the arms as they are; leave compare.{key} out"


def seed_problems(protocol: Protocol) -> Iterator[str]:
    """Yields what is wrong with the numbers of seeds and searches."""
    settings = protocol.cfg.compare
    seeds, searches, most = settings.seeds, protocol.num_searches, settings.max_seeds
    if not protocol.is_auto and not (isinstance(seeds, int) and not isinstance(seeds, bool) and 1 <= seeds <= AGAIN):
        yield f"compare.seeds must be a whole number from 1 to {AGAIN:,}, or auto, got {seeds!r}"
        return
    if protocol.is_auto and most is None:
        yield "compare.seeds=auto adds seeds until all is decided; say up to how many: compare.max_seeds=20"
    elif protocol.is_auto and most < protocol.stages()[0]:
        yield f"compare.max_seeds={most}: the first look has {protocol.stages()[0]}"
    elif not protocol.is_auto and most is not None and most < seeds:
        yield f"compare.max_seeds={most} is less than compare.seeds={seeds}"
    if searches > 1 and not protocol.is_auto and seeds % searches:
        yield (
            f"compare.seeds={seeds}: the winners of {searches} searches share the seeds out evenly; try "
            f"compare.seeds={searches}"
        )
    total = max(seeds if isinstance(seeds, int) else 0, most or 0)
    fresh = range(settings.first_seed, settings.first_seed + AGAIN + max(searches, total) * protocol.cfg.repeats)
    for arm in protocol.arms:
        own = protocol.configs[arm.name]
        used = range(own.seed, own.seed + own.repeats * max(1, searches, total if protocol.is_auto else 0))
        if settings.trials and (both := set(used) & set(fresh)):
            yield f"compare.first_seed={settings.first_seed}: the searches use seed {max(both)}; take another"
            break


def split_budget(protocol: Protocol, args: argparse.Namespace) -> Iterator[str]:
    """Sets the trials that `compare.epochs` leaves room for, or yields why there are none."""
    settings = protocol.cfg.compare
    protocol.cfg.compare.trials = max(settings.trials, settings.top)
    costs = protocol.costs({arm.name: final_epochs(protocol, args, arm) for arm in protocol.arms})
    others = sum(cost.epochs for cost in costs if cost.part != "searches")
    a_trial = sum(protocol.epochs_of_a_trial(arm) for arm in protocol.arms) * protocol.num_tuned(protocol.stages()[0])
    trials = (settings.epochs - others) // a_trial
    least = others + a_trial * settings.top
    protocol.cfg.compare.trials = trials
    if trials < settings.top:
        yield (
            f"compare.epochs={settings.epochs} leaves no {counted(settings.top, 'trial')} for each search: type at "
            f"least compare.epochs={least}, or fewer compare.searches, compare.top or compare.seeds"
        )


def final_epochs(protocol: Protocol, args: argparse.Namespace, arm: ArmSpec) -> int:
    return int(final_command(protocol, args, arm, []).compose(protocol.final_overrides(arm, 0, [], [0])).train.epochs)


def final_command(protocol: Protocol, args: argparse.Namespace, arm: ArmSpec, chosen: Sequence[str]) -> CommandLine:
    seeds = protocol.fresh_seeds(0, protocol.stages()[0])
    return command_line(args, protocol.final_overrides(arm, 0, chosen, seeds))


def command_line(args: argparse.Namespace, overrides: list[str]) -> CommandLine:
    """Returns the command line of one of its sweeps."""
    changed = {"multirun": True, "config_name": None, "overrides": overrides}
    return CommandLine(argparse.Namespace(**vars(args) | changed), CONFIG_DIR)


def cost_lines(comparisons: Mapping[str, Protocol], args: argparse.Namespace) -> list[str]:
    """Returns what comparisons cost, as a table: a row for each part, or for each of several data sets."""
    costs = {
        name: protocol.costs({arm.name: final_epochs(protocol, args, arm) for arm in protocol.arms})
        for name, protocol in comparisons.items()
    }
    whole = [cost for found in costs.values() for cost in found]
    arms = counted(len(next(iter(comparisons.values())).arms), "arm")
    if len(costs) == 1:
        first: dict[str, list[str]] = {arms: [cost.part for cost in whole]}
        first |= {
            "runs": ["as fit" if cost.seconds_each else f"{cost.runs:,}" for cost in whole],
            "epochs each": [
                f"{cost.seconds_each:g} s" if cost.seconds_each else f"{cost.epochs_each:,}" for cost in whole
            ],
        }
        first["epochs"] = ["" if cost.seconds_each else f"{cost.epochs:,}" for cost in whole]
    else:
        first = {
            f"{arms}, on": list(costs),
            "runs": [f"{sum(c.runs for c in found if not c.seconds_each):,}" for found in costs.values()],
        }
        first["epochs"] = [f"{sum(c.epochs for c in found):,}" for found in costs.values()]
    known = [cost for cost in whole if not cost.seconds_each]
    total = {"runs": f"{sum(c.runs for c in known):,}", "epochs": f"{sum(c.epochs for c in known):,}"}
    names = list(first)
    return table({name: [*first[name], "all" if name == names[0] else total.get(name, "")] for name in names}, 80)


def _example(search: CommandLine) -> list[str]:
    """Returns a configuration that a search may find."""
    space = search.plan.space
    keys = {parameter.key for parameter in space.parameters}
    return [text for text in next(space.examples()) if key_of(text) in keys]
