"""Ray Tune with ASHA and OptunaSearch, the same run function: `python ray_search.py FOLDER CPUS TRIALS`.

Actors are reused, so that a trial doesn't import torch anew. Each epoch's validation accuracy goes into the file
SEARCH_LOG, as in official_search.py.
"""

import os
import sys
from pathlib import Path

from rnnexp.schema.config import register_schemas

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_DISABLE_IMPORT_WARNING"] = "1"
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch
from search_space import BATCH_SIZES, CELLS, EPOCHS, FIXED, HIDDEN_SIZE, LR

folder, num_cpus, num_trials = Path(sys.argv[1]).absolute(), int(sys.argv[2]), int(sys.argv[3])
log = os.environ["SEARCH_LOG"]


def trial(sample: dict) -> None:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from rnnexp.runner import run
    from rnnexp.schema.tree import CONFIG_DIR

    register_schemas()
    GlobalHydra.instance().clear()
    overrides = [*FIXED, "train.threads=1", *(f"{key}={value}" for key, value in sample.items())]
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("config", overrides=overrides)

    def report(row: dict) -> bool:
        with open(log, "a") as out:
            out.write(f"{row['valid_accuracy']}\n")
        tune.report({"valid_accuracy": row["valid_accuracy"]})
        return False

    run(cfg, folder / "runs" / tune.get_context().get_trial_id(), on_epoch=report, test=False)


ray.init("local", num_cpus=num_cpus, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
space = {
    "model": tune.choice(CELLS),
    "optim.lr": tune.loguniform(*LR),
    "model.hidden_size": tune.lograndint(HIDDEN_SIZE[0], HIDDEN_SIZE[1] + 1),
    "train.batch_size": tune.choice(BATCH_SIZES),
}
tuner = tune.Tuner(
    tune.with_resources(trial, {"cpu": 1}),
    param_space=space,
    tune_config=tune.TuneConfig(
        metric="valid_accuracy",
        mode="max",
        num_samples=num_trials,
        search_alg=ConcurrencyLimiter(OptunaSearch(), max_concurrent=num_cpus),
        scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
        reuse_actors=True,
    ),
    run_config=tune.RunConfig(storage_path=str(folder / "ray"), verbose=0),
)
results = tuner.fit()
assert not results.errors, results.errors
