"""What `hydra.sweeper` may say: the sweeper's keys, its samplers and its pruners, as typed configuration.

A sampler's or pruner's fields are the arguments of Optuna's class of that name, which Optuna's documentation describes;
defaults are Optuna's, but for those that suit parallel workers and few epochs better. A step is a report, and the first
one has number 1. Nothing here imports Optuna.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import II, MISSING


@dataclass
class SamplerConfig:
    _target_: str = MISSING
    seed: int | None = None  # `hydra.sweeper.seed`, as official configurations write it


@dataclass
class Tpe(SamplerConfig):
    """Tree-structured Parzen estimator (Bergstra et al. 2011; Watanabe 2023, arXiv:2304.11127)."""

    _target_: str = "optuna.samplers.TPESampler"
    n_startup_trials: int = 10
    n_ei_candidates: int = 24
    multivariate: bool = True  # models parameters together: ahead of one by one (EXPERIMENTS.md)
    group: bool = II(".multivariate")  # those of each branch of a space by themselves; needs multivariate
    constant_liar: bool = True  # keeps parallel workers apart
    consider_prior: bool | None = None  # these five are deprecated by Optuna, and in official configurations
    prior_weight: float | None = None
    consider_magic_clip: bool | None = None
    consider_endpoints: bool | None = None
    warn_independent_sampling: bool | None = None


@dataclass
class Random(SamplerConfig):
    _target_: str = "optuna.samplers.RandomSampler"


@dataclass
class Cmaes(SamplerConfig):
    """Covariance matrix adaptation (Hansen 2016, arXiv:1604.00772); numbers only, the rest is drawn at random."""

    _target_: str = "optuna.samplers.CmaEsSampler"
    sigma0: float | None = None
    n_startup_trials: int = 1
    consider_pruned_trials: bool = False
    use_separable_cma: bool = False
    with_margin: bool = False
    lr_adapt: bool = False
    warn_independent_sampling: bool = False
    x0: Any = None
    independent_sampler: Any = None  # official.py says what becomes of the last four
    restart_strategy: Any = None
    inc_popsize: int | None = None
    source_trials: Any = None


@dataclass
class Gp(SamplerConfig):
    """Gaussian process with expected improvement; imports torch and scipy."""

    _target_: str = "optuna.samplers.GPSampler"
    n_startup_trials: int = 10
    deterministic_objective: bool = False
    warn_independent_sampling: bool = False
    independent_sampler: Any = None  # refused, by official.py
    constraints_func: Any = None  # refused


@dataclass
class Nsgaii(SamplerConfig):
    """Non-dominated sorting genetic algorithm (Deb et al. 2002)."""

    _target_: str = "optuna.samplers.NSGAIISampler"
    population_size: int = 50
    mutation_prob: float | None = None
    crossover_prob: float = 0.9
    swapping_prob: float = 0.5
    constraints_func: Any = None  # refused, by official.py


@dataclass
class Qmc(SamplerConfig):
    """A low-discrepancy sequence (Sobol or Halton)."""

    _target_: str = "optuna.samplers.QMCSampler"
    qmc_type: str = "sobol"
    scramble: bool = True
    warn_asynchronous_seeding: bool = False
    warn_independent_sampling: bool = False
    independent_sampler: Any = None  # refused, by official.py


@dataclass
class Grid(SamplerConfig):
    """Every combination once, in the order of the product; what isn't in the product's cell is drawn by nobody."""

    _target_: str = "optuna.samplers.RandomSampler"


@dataclass
class Motpe(SamplerConfig):
    """Of official configurations alone: official.py refuses it by the name of its successor."""

    _target_: str = "optuna.samplers.MOTPESampler"
    consider_prior: Any = None
    prior_weight: Any = None
    consider_magic_clip: Any = None
    consider_endpoints: Any = None
    n_startup_trials: Any = None
    n_ehvi_candidates: Any = None


@dataclass
class PrunerConfig:
    _target_: str = MISSING


@dataclass
class NoPruner(PrunerConfig):
    _target_: str = "optuna.pruners.NopPruner"


@dataclass
class Median(PrunerConfig):
    """Stops what is worse than the median of the earlier trials at the same step."""

    _target_: str = "optuna.pruners.MedianPruner"
    n_startup_trials: int = 5
    n_warmup_steps: int = 0
    interval_steps: int = 1
    n_min_trials: int = 1


@dataclass
class Percentile(PrunerConfig):
    """Stops what is not among the best `percentile` percent at the same step."""

    _target_: str = "optuna.pruners.PercentilePruner"
    percentile: float = 25.0
    n_startup_trials: int = 5
    n_warmup_steps: int = 0
    interval_steps: int = 1
    n_min_trials: int = 1


@dataclass
class Asha(PrunerConfig):
    """Asynchronous successive halving (Li et al. 2020, arXiv:1810.05934): trials pause at rungs, the best go on."""

    _target_: str = "hydra_sweep.schedules.Asha"
    min_resource: int = 1  # steps that every trial gets
    reduction_factor: int = 4  # of so many trials one goes on; the next rung is so many times as long
    keep_paused: int | None = None  # trials that may be paused at once; null: all that may still go on


@dataclass
class Stopping(PrunerConfig):
    """Asynchronous successive halving that pauses nothing: what isn't among the best of its rung so far ends."""

    _target_: str = "hydra_sweep.schedules.Stopping"
    min_resource: int = 1
    reduction_factor: int = 4


@dataclass
class Pasha(PrunerConfig):
    """ASHA whose highest rung grows as long as it changes the order (Bohdal et al. 2023, arXiv:2207.06940)."""

    _target_: str = "hydra_sweep.schedules.Pasha"
    min_resource: int = 1
    reduction_factor: int = 3
    keep_paused: int | None = None


@dataclass
class OneEpoch(PrunerConfig):
    """All trials do `min_resource` steps, the best few run to their end (Egele et al. 2023, arXiv:2307.15422)."""

    _target_: str = "hydra_sweep.schedules.OneEpoch"
    min_resource: int = 1
    keep: int = 3
    keep_paused: int | None = None


@dataclass
class Hyperband(PrunerConfig):
    """ASHA in brackets that begin at other rungs (Li et al. 2018, arXiv:1603.06560; 2020, section 3.3)."""

    _target_: str = "hydra_sweep.schedules.Hyperband"
    min_resource: int = 1
    max_resource: int | None = None  # steps of a trial that runs to its end; null: what the task says
    reduction_factor: int = 3
    keep_paused: int | None = None


@dataclass
class Patient(PrunerConfig):
    """Stops what has not improved for `patience` steps; a wrapped pruner must agree."""

    _target_: str = "optuna.pruners.PatientPruner"
    wrapped_pruner: Any = None
    patience: int = 3
    min_delta: float = 0.0


@dataclass
class Wilcoxon(PrunerConfig):
    """Signed-rank test against the best trial; with repeats, its steps are the repeats."""

    _target_: str = "optuna.pruners.WilcoxonPruner"
    p_threshold: float = 0.1
    n_startup_steps: int = 2


@dataclass
class StopConfig:
    """What ends a sweep before its budget is spent."""

    seconds: float | None = None  # of all commands of this sweep together; running trials go on with a larger one
    value: float | None = None  # as soon as the objective has reached this
    patience: int | None = None  # after so many finished trials without a better one
    steps: int | None = None  # after so many reports of all trials together; those that run then run on to their end


@dataclass
class SweeperConfig:
    """`hydra.sweeper` of `hydra/sweeper=optuna`."""

    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])
    _target_: str = "hydra_plugins.hydra_sweep.optuna_sweeper.OptunaSweeper"
    _recursive_: bool = False  # samplers and pruners are built where they are used
    sampler: SamplerConfig = MISSING
    pruner: PrunerConfig = MISSING
    objective: Any = None  # name, or list of names, where the task returns a mapping of metrics
    prune_by: str | None = None  # the reported metric that the pruner goes by; null: the objective, or all of them
    prune_direction: str | None = None  # of that metric, minimize or maximize; null: that of the objective
    # what no choice may be made by, a pattern of names: why, and what to take instead, as re.Match.expand has it
    forbidden_objectives: dict[str, str] = field(default_factory=dict)
    direction: Any = "minimize"  # or maximize; a list for several objectives
    n_trials: int | None = None  # a total over all commands of this name; null: the whole grid
    workers: int | None = None  # null: workers_per_gpu for each GPU, else one for each physical core
    workers_per_gpu: int = 1  # that share a GPU, which small networks leave idle
    # trials that each worker runs side by side, for tasks that compute steps by hydra_sweep.lanes.together; or
    # module.function of (cfg, the keys that vary, whether it is a search), which returns how many
    stack: Any = 1
    wait: bool = True  # false: hand the workers to Slurm and leave; they end when the budget is spent
    # share of the trials that are drawn at random, so that what is slow at first is tried again however few of it a
    # pruner has let through (Falkner et al. 2018, arXiv:1807.01774: a third); null: a third of those of tpe under a
    # pruner that pauses trials, else none
    random_share: float | None = None
    params: Any = field(default_factory=dict)  # key: "choice(...)", "interval(...)", ...
    when: Any = field(default_factory=dict)  # "key=value": {key: "...", when: {...}}
    zip: list[Any] = field(default_factory=list)  # keys whose values go side by side: [a,b], or [[a,b],[c,d]]
    enqueue: list[Any] = field(default_factory=list)  # first guesses: "key=value key=value", or lists of overrides
    start_from: list[Any] = field(default_factory=list)  # other sweeps, whose trials the sampler learns from, too
    enqueue_defaults: bool = False  # try the presets first: the configuration's, and each other of a searched group
    constraints: list[str] = field(default_factory=list)  # "num_parameters <= 50000"
    stop: StopConfig = field(default_factory=StopConfig)
    repeats: int = 1  # runs of each sampled configuration, with seeds seed, seed + 1, ...; the study is told the mean
    seed_key: str = "seed"  # the key that repeats vary; never searched
    folds: int | None = None  # of cross-validation: runs of each repeat, with fold_key=0, 1, ...; their mean counts
    fold_key: str = "fold"  # the key that folds vary; never searched
    seed: int = 0  # of the sampler
    study_name: str | None = None  # null: the name of the sweep's folder
    storage: Any = None  # an Optuna URL; null: study.db in the sweep's folder
    storage_seconds: float = 60.0  # how long a storage, or an artifact store, that is away is tried again
    artifact_store: str | None = None  # where workers that share no folder put those of their trials; an fsspec URL
    artifact_store_exclude: list[str] = field(
        default_factory=list
    )  # names of files that stay behind when a trial has finished
    checkpoint_files: list[str] = field(
        default_factory=list
    )  # names of files in a trial's folder that are of no use but to go on with it: deleted when a paused trial ends
    resume: str = "auto"  # force: go on although the space, objective, configuration or code has changed
    duplicates: str = "reuse"  # a configuration that is complete already: reuse its result, rerun it, or refuse it
    max_failures: int = 20  # failed trials of one command that end it
    max_attempts: int = 3  # of a trial whose worker dies, without progress between
    trial_seconds: float | None = None  # after which a trial ends at its next report: its best step so far counts
    hang_seconds: float | None = None  # after so long without a report from its task, a worker is killed: a lost one
    lease_seconds: float = 30.0  # after so long without a sign of life, a worker on another host counts as gone
    trial_overrides: list[str] = field(default_factory=list)  # of every trial, unless typed otherwise
    sweep_keys: list[str] = field(default_factory=list)  # keys of the configuration that mean nothing to a single run
    volatile: list[str] = field(default_factory=list)  # other keys that may change when a sweep goes on
    summary: bool = True  # show at the end what came of the sweep, and how to go on with it
    resume_with: str = "hydra.sweep.dir=${hydra.sweep.dir}"  # what makes a command go on with this sweep
    status_command: str = "python -m hydra_sweep.status"  # what shows a sweep that goes on without its command
    custom_search_space: str | None = None  # module.function of (cfg, trial), which suggests more of the trial
    optimization_results: bool = True  # write optimization_results.yaml, too: best.yaml in the official sweeper's words
    # Other names of the official sweeper's, which official.py turns into ours.
    n_jobs: int | None = None  # workers
    max_failure_rate: float | None = None  # max_failures
    search_space: Any = None  # params

    def spelling(self, key: str) -> str:
        """Returns how a command line of this app spells one of these keys: an app may have given it a short name."""
        return key if key in self.sweep_keys else f"hydra.sweeper.{key}"


SAMPLERS = {"tpe": Tpe, "random": Random, "cmaes": Cmaes, "gp": Gp, "nsgaii": Nsgaii, "qmc": Qmc, "grid": Grid}
PRUNERS = {
    "none": NoPruner,
    "median": Median,
    "percentile": Percentile,
    "asha": Asha,
    "stopping": Stopping,
    "pasha": Pasha,
    "one_epoch": OneEpoch,
    "hyperband": Hyperband,
    "patient": Patient,
    "wilcoxon": Wilcoxon,
}
ALLOWED = {
    "direction": ("minimize", "maximize"),
    "prune_direction": ("minimize", "maximize"),
    "resume": ("auto", "force"),
    "duplicates": ("reuse", "rerun", "refuse"),
}


def register() -> None:
    """Makes `hydra/sweeper=optuna` and its sampler and pruner groups known to Hydra."""
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="optuna", node=SweeperConfig, provider="hydra_sweep")
    for name, sampler in (SAMPLERS | {"motpe": Motpe}).items():
        store.store(group="hydra/sweeper/sampler", name=name, node=sampler, provider="hydra_sweep")
    for name, pruner in PRUNERS.items():
        store.store(group="hydra/sweeper/pruner", name=name, node=pruner, provider="hydra_sweep")
