"""Ray Tune with ASHA and OptunaSearch, the same run function: `python ray_search.py FOLDER CPUS`.

Actors are reused, so that a trial doesn't import torch anew. The end of each epoch goes into SEARCH_LOG with the
trial's best validation accuracy so far, as each trial's in official_search.py.
"""

import os
import sys
import time
from pathlib import Path

from rnnexp.schema.config import register_schemas

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_DISABLE_IMPORT_WARNING"] = "1"
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch
from search_space import BATCH_SIZES, CELLS, EPOCHS, FIXED, HIDDEN_SIZE, LR, NUM_TRIALS

folder, num_cpus = Path(sys.argv[1]).absolute(), int(sys.argv[2])
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
    best = 0.0

    def report(row: dict) -> bool:
        nonlocal best
        best = max(best, row["valid_accuracy"])
        with open(log, "a") as out:
            out.write(f"{time.time()} {best}\n")
        tune.report({"valid_accuracy": row["valid_accuracy"]})
        return False

    run(cfg, folder / "runs" / tune.get_context().get_trial_id(), on_epoch=report, test=False)


ray.init(num_cpus=num_cpus, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
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
        num_samples=NUM_TRIALS,
        search_alg=ConcurrencyLimiter(OptunaSearch(), max_concurrent=num_cpus),
        scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
        reuse_actors=True,
    ),
    run_config=tune.RunConfig(storage_path=str(folder / "ray"), verbose=0),
)
results = tuner.fit()
assert not results.errors, results.errors
