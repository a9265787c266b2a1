"""What a configuration may say and what a run gives back, as dataclasses.

The values themselves are in `conf/`: every field here is missing until a YAML file sets it, so that a default lives in
one place. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from hydra_sweep.differences import plain_values
from rnnexp.schema.identity import SWEEP_KEYS, VOLATILE, WATCHERS
from rnnexp.schema.trackers import TRACKERS

SWEEPS = Path("outputs/sweeps")


Bound = float | None


def number(default: Any = MISSING, *, gt: Bound = None, ge: Bound = None, lt: Bound = None, le: Bound = None) -> Any:
    """Returns a dataclass field for a number, or a list of numbers, within bounds; by default a required one."""
    return field(default=default, metadata={">": gt, ">=": ge, "<": lt, "<=": le})


def one_of(*allowed: str) -> Any:
    """Returns a required dataclass field for one of a few words."""
    return field(default=MISSING, metadata={"allowed": allowed})


@dataclass
class ModelSchema:
    _target_: str = MISSING
    cell: str = MISSING
    hidden_size: int = number(ge=1)
    num_layers: int = number(ge=1)
    bidirectional: bool = MISSING
    dropout: float = number(ge=0, lt=1)
    readout: str = one_of("last", "mean")


@dataclass
class RecurrentSchema(ModelSchema):
    init: str = one_of("torch", "orthogonal", "chrono")
    layer_norm: bool = MISSING
    backend: str = one_of("auto", "torch", "fused")


@dataclass
class RnnSchema(RecurrentSchema):
    cell: str = one_of("rnn")
    init: str = one_of("torch", "orthogonal", "identity")
    nonlinearity: str = one_of("tanh", "relu")


@dataclass
class GruSchema(RecurrentSchema):
    cell: str = one_of("gru")
    init_steps: int | None = number(ge=3)


@dataclass
class LstmSchema(RecurrentSchema):
    cell: str = one_of("lstm")
    init_steps: int | None = number(ge=3)
    backend: str = one_of("auto", "torch")


@dataclass
class MinGruSchema(ModelSchema):
    cell: str = one_of("mingru")


@dataclass
class MinLstmSchema(ModelSchema):
    cell: str = one_of("minlstm")


@dataclass
class LruSchema(ModelSchema):
    cell: str = one_of("lru")
    r_min: float = number(ge=0, lt=1)
    r_max: float = number(gt=0, lt=1)
    max_phase: float = number(gt=0, le=6.2832)


@dataclass
class RgLruSchema(ModelSchema):
    cell: str = one_of("rglru")


@dataclass
class OptimSchema:
    _target_: str = MISSING
    lr: float = number(gt=0)
    weight_decay: float = number(ge=0)
    foreach: bool | None = MISSING


@dataclass
class AdadeltaSchema(OptimSchema):
    rho: float = number(ge=0, le=1)
    eps: float = number(gt=0)


@dataclass
class AdamSchema(OptimSchema):
    betas: list[float] = number(ge=0, lt=1)
    eps: float = number(gt=0)
    amsgrad: bool = MISSING
    decoupled_weight_decay: bool = MISSING
    fused: bool | None = MISSING


@dataclass
class SgdSchema(OptimSchema):
    momentum: float = number(ge=0, lt=1)
    dampening: float = number(ge=0, le=1)
    nesterov: bool = MISSING
    fused: bool | None = MISSING


@dataclass
class ScheduleSchema:
    _target_: str = MISSING


@dataclass
class ConstantSchema(ScheduleSchema):
    pass


@dataclass
class CosineSchema(ScheduleSchema):
    final_factor: float = number(ge=0, le=1)


@dataclass
class OneCycleSchema(ScheduleSchema):
    rise_fraction: float = number(gt=0, lt=1)
    initial_factor: float = number(gt=0, le=1)
    final_factor: float = number(ge=0, le=1)


@dataclass
class StepSchema(ScheduleSchema):
    step_epochs: int = number(ge=1)
    gamma: float = number(gt=0, le=1)


@dataclass
class JitterConfig:
    degrees: float = number(ge=0, le=180)
    translate: float = number(ge=0, lt=1)
    scale: float = number(ge=0, lt=1)
    shear: float = number(ge=0, lt=90)
    elastic: float = number(ge=0, lt=1)


@dataclass
class DataSchema:
    """How any dataset is split and normalized; an option's other keys are its callable's own."""

    _target_: str = MISSING
    test_size: int | float = number(ge=0)
    valid_from: str = one_of("train", "test")
    valid_size: int | float = number(ge=0)
    split_seed: int = number(ge=0)
    valid_seed: int | None = number(ge=0)
    folds: int | None = number(ge=2)
    fold: int = number(ge=0)
    limit: int | None = number(ge=1)
    normalize: Any = MISSING  # none, dataset, series, or [mean, std]


@dataclass
class ImagesSchema(DataSchema):
    sequence: str = one_of("columns", "rows", "pixels", "permuted", "patches")
    permutation_seed: int = number(ge=0, lt=2**32)
    patch: int = number(ge=1)
    augment: bool = MISSING
    jitter: JitterConfig = field(default_factory=JitterConfig)


@dataclass
class SeriesSchema(DataSchema):
    noise: float = number(ge=0)
    scaling: float = number(ge=0)
    window: float = number(gt=0, le=1)


@dataclass
class IdxSchema(ImagesSchema):
    name: str = one_of("mnist", "fashion_mnist", "kmnist")
    root: str | None = MISSING


@dataclass
class EmnistSchema(ImagesSchema):
    split: str = one_of("balanced", "letters")
    root: str | None = MISSING


@dataclass
class CifarSchema(ImagesSchema):
    root: str | None = MISSING


@dataclass
class ImageFolderSchema(ImagesSchema):
    root: str = MISSING
    size: Any = MISSING  # pixels of a side, or [height, width]
    channels: int = number(ge=1, le=3)
    fit: str = one_of("crop", "pad", "stretch")


@dataclass
class SeriesFilesSchema(SeriesSchema):
    root: str = MISSING
    test: str | None = MISSING
    missing: str = one_of("refuse", "interpolate")
    id_column: str = MISSING
    time_column: str | None = MISSING
    label_column: str = MISSING
    feature_columns: list[str] | None = MISSING


@dataclass
class TrainConfig:
    epochs: int = number(ge=1)
    batch_size: int = number(ge=1)
    eval_batch_size: int = number(ge=1)
    clip_norm: float | None = number(gt=0)
    label_smoothing: float = number(ge=0, lt=1)
    class_weights: str = one_of("none", "balanced")
    monitor: str = MISSING
    keep: str = one_of("best", "last")
    patience: int | None = number(ge=1)
    reports_per_epoch: int = number(ge=1)
    precision: str = one_of("auto", "fp32", "tf32", "bf16")
    device: str = one_of("auto", "cpu", "cuda", "mps")
    threads: int | None = number(ge=1)
    checkpoint_seconds: float = number(gt=0)
    resume: bool = MISSING


@dataclass
class Config:
    """The whole configuration of one run.

    `data`, `model`, `optim` and `schedule` are callables by `_target_`, so that a user's own is one YAML file away:
    `data(**keys) -> Dataset`, from the keys that are not those of `ImagesSchema` or `SeriesSchema`;
    `model(**keys, input_size=I, num_classes=O) -> nn.Module` from (B, T, I) to logits (B, O), and from (B, T, I) and
    lengths (B,) where series have unequal lengths;
    `optim(parameters, **keys) -> torch.optim.Optimizer`;
    `schedule(step, num_steps, epoch, **keys) -> float`, a factor of the learning rate;
    each of `metrics`: `metric(labels, probabilities, **keys) -> float`, as those in rnnexp/metrics.py;
    `tracker(**keys)` and each of the list `callbacks`, a `rnnexp.callbacks.Callback`.
    """

    name: str = MISSING
    seed: int = number(ge=0)
    objective: Any = MISSING  # a metric, or a list of them
    direction: Any = MISSING
    n_trials: int | None = number(ge=0)
    workers: int | None = number(ge=1)
    workers_per_gpu: int = number(1, ge=1)
    stack: Any = "auto"  # or off, or a number
    wait: bool = True
    storage: str | None = None
    artifact_store: str | None = None
    repeats: int = number(ge=1)
    zip: list[Any] = field(default_factory=list)
    resume: str = one_of("auto", "force")
    model: Any = MISSING
    optim: Any = MISSING
    schedule: Any = MISSING
    data: Any = MISSING
    metrics: Any = field(default_factory=dict)
    tracker: Any = None
    callbacks: list[Any] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    train: TrainConfig = field(default_factory=TrainConfig)
    experiment: Any = None
    search: Any = None


@dataclass
class CompareConfig:
    arms: Any = MISSING  # a group, a list of groups, or a list of overrides
    data: Any = MISSING  # null, a list of options or overrides, or a mapping from names to overrides
    searches: int = number(ge=1, le=1000)
    trials: int = number(ge=0)
    budget: str = one_of("trials", "epochs", "seconds")
    epochs: int | None = number(ge=1)
    seconds: float | None = number(gt=0)
    top: int = number(ge=1, le=10)
    splits: str = one_of("resample", "same")
    seeds: Any = MISSING  # a number, or auto
    max_seeds: int | None = number(ge=1, le=1000)
    first_seed: int = number(ge=0)
    final: list[str] = MISSING
    smallest_effect: float = number(gt=0, lt=1)
    estimate: bool = MISSING


@dataclass
class ComparisonConfig(Config):
    """The whole configuration of one comparison: that of its runs, and `compare`."""

    compare: CompareConfig = field(default_factory=CompareConfig)


SCHEMAS: dict[str, dict[str, type]] = {
    "model": {
        "rnn": RnnSchema,
        "gru": GruSchema,
        "lstm": LstmSchema,
        "mingru": MinGruSchema,
        "minlstm": MinLstmSchema,
        "lru": LruSchema,
        "rglru": RgLruSchema,
    },
    "optim": {"adadelta": AdadeltaSchema, "adam": AdamSchema, "sgd": SgdSchema},
    "schedule": {
        "constant": ConstantSchema,
        "cosine": CosineSchema,
        "onecycle": OneCycleSchema,
        "step": StepSchema,
    },
    "data": {
        "mnist": IdxSchema,
        "fashion_mnist": IdxSchema,
        "kmnist": IdxSchema,
        "emnist": EmnistSchema,
        "cifar10": CifarSchema,
        "images": ImageFolderSchema,
        "series": SeriesFilesSchema,
    },
    "tracker": TRACKERS,
}
OPTIONAL = ("tracker",)  # groups that may be left out


def options_with(group: str, name: str) -> list[str]:
    """Returns the options of a group whose schema has a key that not all of them have."""
    options = SCHEMAS.get(group, {})
    found = [option for option, kind in options.items() if name in {f.name for f in dataclasses.fields(kind)}]
    return found if len(found) < len(options) else []


def data_arguments(data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keys of `data` that its callable is called with: all but those that rnnexp has for its kind."""
    kind = ImagesSchema if "sequence" in data else SeriesSchema
    own = {field.name for field in dataclasses.fields(kind)} - {"_target_"}
    return {key: value for key, value in data.items() if key not in own}


def register_schemas() -> None:
    """Makes the schemas known to Hydra, as `<option>_schema` of their group."""
    store = ConfigStore.instance()
    store.store(name="rnnexp_schema", node=Config)
    store.store(name="rnnexp_comparison_schema", node=ComparisonConfig)
    store.store(
        name="rnnexp_sweep_keys", package="hydra.sweeper", node={"sweep_keys": SWEEP_KEYS, "volatile": VOLATILE}
    )
    for group, options in SCHEMAS.items():
        for option, schema in options.items():
            store.store(group=group, name=f"{option}_schema", node=schema)


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """Returns the configuration resolved, as plain dictionaries that JSON can hold.

    What watches the run stays as it was typed: the password in `${oc.env:PASSWORD}` is in no record.
    """
    resolved, typed = (OmegaConf.to_container(cfg, resolve=resolve) for resolve in (True, False))
    assert isinstance(resolved, dict)
    assert isinstance(typed, dict)
    kept = {key: typed[key] for key in WATCHERS if key in typed}
    return {str(key): value for key, value in plain_values(resolved | kept).items()}


def with_schema(config: DictConfig | Mapping[str, Any]) -> DictConfig:
    """Returns the configuration with its schema, be it composed by Hydra or read back from a record."""
    if isinstance(config, DictConfig) and OmegaConf.get_type(config) is Config:
        return config
    merged = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(dict(config)))
    assert isinstance(merged, DictConfig)
    return merged
