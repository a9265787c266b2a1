"""Comparisons in processes of their own."""

import json
import os
import subprocess
import sys

SMALL = (
    "search=quick data.limit=300 data.valid_size=100 train.epochs=1 model.hidden_size=8 model.num_layers=1 "
    "compare.searches=2 compare.trials=3 compare.top=2 compare.seeds=2 compare.estimate=false"
).split()
ALONE = ("workers=1", "hydra/launcher=basic", *SMALL)  # in fewer processes
TWO = 'compare.arms=["model=gru","model=rnn optim=adam"]'


def compare(folder, *arguments, code=0):
    """Runs the command in a folder and returns what it printed."""
    command = [sys.executable, "-W", "error", "-m", "rnnexp.compare", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def result(folder, name="c"):
    """Returns comparison.json without times and folders, which no two runs share, and the sum over them."""
    found = json.loads((folder / "outputs" / "compare" / name / "comparison.json").read_text())
    del found["crc32"]
    found["leads"].pop("seconds", None)
    for arm in found["arms"]:
        del arm["train_seconds"]
        arm["anytime"].pop("seconds", None)
        for choice in arm["choices"]:
            del choice["search"]["seconds"], choice["search"]["trial_seconds"]
        arm["runs"] = len(arm["runs"])
    return found


def family(folder):
    """Returns the processes that work in a folder."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == str(folder):
                found.append(int(entry))
        except OSError:
            continue
    return found
