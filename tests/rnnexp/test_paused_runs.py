"""Trials of ours that a search has paused go on to the same digits."""

import subprocess
import sys

import pytest
import yaml
from records import histories, weights

from rnnexp.record.run_folder import RunFolder
from rnnexp.results import collect

RUN = "data.limit=600 data.valid_size=100 model.num_layers=1 train.epochs=3 model.dropout=0.2 train.threads=1".split()
SPACE = ["model=gru,lstm", "model.hidden_size=int(interval(4,12))", "optim=adam", "n_trials=8", "name=s"]
HALVED = [
    "hydra/sweeper/pruner=asha",
    "hydra.sweeper.pruner.reduction_factor=2",
    "hydra/launcher=basic",
    "hydra.sweeper.seed=2",
]


@pytest.mark.parametrize("reports", [1, pytest.param(3, marks=pytest.mark.long)])
def test_a_trial_that_was_paused_and_promoted_is_the_uninterrupted_run_bit_for_bit(tmp_path, reports):
    words = [*RUN, f"train.reports_per_epoch={reports}"]
    command = [sys.executable, "-W", "error", "-m", "rnnexp"]
    done = subprocess.run([*command, "-m", *words, *SPACE, *HALVED], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sweep = tmp_path / "outputs" / "sweeps" / "s"
    table = collect(sweep).set_index("path")
    assert set(table["status"]) == {"complete", "pruned"}
    promoted = table[(table["attempt"] > 1) & (table["status"] == "complete")]
    assert len(promoted), "no trial was paused and promoted"
    for path in promoted.index:
        sampled = yaml.safe_load((sweep / path / ".hydra" / "overrides.yaml").read_text())
        kept = [text for text in sampled if text.partition("=")[0] not in ("n_trials", "name")]
        subprocess.run([*command, *kept, f"name={path}"], cwd=tmp_path, check=True, capture_output=True)
        alone = tmp_path / "outputs" / "runs" / path
        one, other = histories(sweep / path, alone)
        assert one == other
        a, b = weights(sweep / path), weights(alone)
        assert all((a[key] == b[key]).all() for key in a)
    for path in table.index[table["status"] == "pruned"]:
        assert not RunFolder(sweep / path).checkpoint.exists()
