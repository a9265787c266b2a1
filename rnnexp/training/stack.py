"""How many trials of a sweep train side by side in each worker: `stack`."""

from __future__ import annotations

from collections.abc import Collection

from omegaconf import DictConfig

from rnnexp.training.machine import pick_device

AT_ONCE = 8  # of more, a step takes as long for each, or longer: their arrays leave the processor's cache
# The largest layers that trials are stacked for by themselves on a CPU: whose steps were found faster (EXPERIMENTS.md).
LARGEST = {"rnn": 32, "gru": 16}
# What trials may differ in and still be one program; and all below keys that end with a dot.
STACKABLE = frozenset(
    "seed data.fold model.dropout model.init model.init_steps optim optim. schedule schedule. train.label_smoothing "
    "train.clip_norm train.epochs train.patience train.monitor".split()
)


def trials_at_once(cfg: DictConfig, keys: Collection[str], is_search: bool) -> int:
    """Returns how many trials each worker of a sweep trains side by side: what `hydra.sweeper.stack` asks for.

    Args:
        cfg: a trial's, with `hydra`.
        keys: that vary among trials.
        is_search: whether trials are chosen by what others have come to, so that they had better come one by one.
    """
    if cfg.stack != "auto":
        return 1 if cfg.stack in ("off", False) else int(cfg.stack)
    sweeper = cfg.hydra.sweeper
    if is_search or not all(is_stackable(key) for key in keys):
        return 1
    is_timed = sweeper.trial_seconds or sweeper.hang_seconds or "train_seconds" in str(sweeper.objective)
    model = cfg.model
    is_small = model.get("hidden_size", 0) <= LARGEST.get(model.get("cell"), -1)
    is_watched = bool(cfg.tracker or cfg.callbacks)  # by what may know but one run at a time
    if is_timed or is_watched or not is_small or pick_device(cfg.train.device).type != "cpu":
        return 1
    return AT_ONCE


def is_stackable(key: str) -> bool:
    """Returns whether trials that differ in a key can be computed in one program."""
    return key in STACKABLE or f"{key.partition('.')[0]}." in STACKABLE
