"""SIGKILL at any moment, drawn or aimed: what is typed again ends as what nobody has disturbed."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import yaml
from comparisons import SMALL as SMALL_COMPARISON
from comparisons import TWO, compare, family, result
from records import SMALL, assert_identical
from sweeps import (
    APPS,
    BASIC,
    JOBLIB,
    SPACE,
    Starter,
    assert_whole,
    budget,
    essence,
    rows,
    runs,
    strike,
    wait_for,
    wait_for_work,
)

KILLED = signal.SIGKILL.value


def pytest_generate_tests(metafunc):
    """Gives each test of drawn moments its seeds: more of them for the long variant."""
    if "seed" in metafunc.fixturenames:
        usual, all_ = metafunc.function.seeds
        more = [pytest.param(seed, marks=pytest.mark.long) for seed in range(usual, all_)]
        metafunc.parametrize("seed", [*range(usual), *more])


def seeds(usual, all_):
    """Marks a test of drawn moments: how many seeds it has, and with --long."""

    def mark(test):
        test.seeds = usual, all_
        return test

    return mark


def some(cases, number):
    """Returns all cases, of which so many, evenly spread, are not for --long alone."""
    cases = list(cases)
    kept = range(0, len(cases), max(1, len(cases) // number))
    return [case if i in kept else pytest.param(case, marks=pytest.mark.long) for i, case in enumerate(cases)]


# A comparison: it takes longest, so it begins first.

ALONE = "hydra/launcher=basic"  # in fewer processes, where none is killed
# All that a comparison goes through, in fewer sweeps than with several searches: those are in test_comparison.py.
COMPARISON = ["name=c", TWO, "workers=1", *SMALL_COMPARISON, "compare.trials=2", "compare.searches=1", "compare.top=2"]


@pytest.fixture(scope="module")
def whole_comparison(tmp_path_factory):
    """Returns the folder of a comparison that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    compare(folder, *COMPARISON, ALONE)
    return folder


@pytest.mark.long
def test_a_comparison_killed_at_drawn_moments_ends_alike(whole_comparison, tmp_path, inject):
    command = [sys.executable, "-m", "rnnexp.compare", *COMPARISON]
    draw, kills = random.Random(0), 0
    for is_all in (False, True):  # of itself alone, or of its sweep and their workers, too
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(draw.uniform(2, 14))
            except subprocess.TimeoutExpired:
                for pid in family(tmp_path) if is_all else [process.pid]:
                    os.kill(pid, signal.SIGKILL)
                kills += 1
    inject("kill of a comparison", kills)
    wait_for(lambda: not family(tmp_path), "the sweep to hear of it and to save its runs")
    compare(tmp_path, *COMPARISON, ALONE)
    assert result(tmp_path) == result(whole_comparison)
    for file in tmp_path.rglob("study.db"):
        for name in optuna.get_all_study_names(f"sqlite:///{file}"):
            found = optuna.load_study(study_name=name, storage=f"sqlite:///{file}").trials
            assert found
            assert all(trial.state.is_finished() for trial in found)


# A run.

NURSERY = """
import json, os, signal, sys, time
from hydra import compose, initialize_config_dir
from rnnexp.schema.tree import CONFIG_DIR
from rnnexp.runner import run
from rnnexp.schema.config import register_schemas
sys.path.insert(0, sys.argv[1])
from fatal import arm

register_schemas()
with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
    cfg = compose("config", overrides=sys.argv[2:])
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()  # nothing of torch has run in this process, so that a fork of it is whole
    if child == 0:
        if order["fatal"]:
            arm(*order["fatal"])
        run(cfg, order["folder"])
        os._exit(0)
    if order["seconds"] is not None:
        time.sleep(order["seconds"])
        os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture(scope="module")
def train():
    """Returns a function that trains SMALL in a folder, at no cost for imports, and returns the exit status."""
    resumable = ["data.limit=1000", "train.resume=true", "train.checkpoint_seconds=0.05"]
    command = [sys.executable, "-W", "error", "-c", NURSERY, str(APPS), *SMALL, *resumable]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:

        def train(folder, seconds=None, fatal=None):
            nursery.stdin.write(json.dumps({"folder": str(folder), "seconds": seconds, "fatal": fatal}) + "\n")
            nursery.stdin.flush()
            return int(nursery.stdout.readline())

        yield train
        nursery.stdin.close()


@pytest.fixture(scope="module")
def whole_run(train, tmp_path_factory):
    """Returns the folder of an undisturbed run."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(folder) == 0
    return folder


@seeds(1, 3)
def test_a_run_killed_at_drawn_moments_ends_with_the_same_bits(train, whole_run, tmp_path, inject, seed):
    draw, kills, number = random.Random(seed), 0, 0
    seconds = sum(row["epoch_seconds"] for row in history(whole_run)) + 1  # files and the test set
    while kills < 10:
        number += 1
        folder, struck = tmp_path / str(number), 0
        for _ in range(3):
            status = train(folder, seconds=draw.uniform(0, seconds))
            assert status in (0, KILLED)
            struck += status == KILLED
        assert train(folder) == 0
        assert_identical(whole_run, folder)
        kills += struck
        inject("kill of a run", struck)


def history(folder):
    lines = (folder / "history.csv").read_text().splitlines()
    return [dict(zip(lines[0].split(","), map(float, line.split(",")), strict=True)) for line in lines[1:]]


REPLACE = "os.replace"
MOMENTS_OF_A_RUN = [
    ("after", "rnnexp.record.run_folder.RunFolder.write_history", 1, ""),
    ("before", "torch.save", 1, ""),
    ("after", "torch.serialization._save", 2, ""),  # in the middle of the file
    ("after", "torch.save", 2, ""),
    ("after", "os.fsync", 3, ""),
    ("before", REPLACE, 1, "checkpoint.pt"),
    ("after", REPLACE, 1, "checkpoint.pt"),
    ("before", REPLACE, 3, "checkpoint.pt"),
    ("before", "rnnexp.record.run_folder.RunFolder.append_history", 2, ""),
    ("after", "rnnexp.record.run_folder.RunFolder.append_history", 2, ""),
    ("after", "rnnexp.record.run_folder.RunFolder.append_history", 3, ""),
    ("before", REPLACE, 1, "model.pt"),
    ("after", REPLACE, 1, "model.pt"),
    ("before", REPLACE, 1, "test_outcomes.npz"),
    ("after", REPLACE, 1, "test_outcomes.npz"),
    ("before", REPLACE, 1, "result.json"),
    ("after", REPLACE, 1, "result.json"),
]


def named(moments):
    return [" ".join(map(str, moment)).strip() for moment in moments]


@pytest.mark.parametrize("moment", some(MOMENTS_OF_A_RUN, 6), ids=named(MOMENTS_OF_A_RUN))
def test_a_run_killed_at_its_worst_moments_ends_with_the_same_bits(train, whole_run, tmp_path, inject, moment):
    assert train(tmp_path / "run", fatal=moment) == KILLED
    inject("aimed kill of a run")
    assert train(tmp_path / "run") == 0
    assert_identical(whole_run, tmp_path / "run")
    left = [sorted(path.name for path in folder.iterdir()) for folder in (tmp_path / "run", whole_run)]
    assert left[0] == left[1]


# A sweep.

PATIENT = ("hydra.sweeper.max_attempts=1000", "hydra.sweeper.lease_seconds=2")
WALK = (*SPACE, "steps=4", "pause=0.05", budget(10), *PATIENT)
SEARCHED = (*WALK, "hydra/sweeper/pruner=median")  # each trial follows from those before it
HALVED = (*WALK, "hydra/sweeper/pruner=asha", "hydra.sweeper.pruner.reduction_factor=2")  # half of them are paused
DRAWN = (*WALK, "hydra/sweeper/sampler=random")  # by their numbers alone, however workers take turns
VICTIMS = {
    "worker": (*DRAWN, *JOBLIB),
    "sweeper": (*DRAWN, *JOBLIB),
    "both": (*DRAWN, *JOBLIB),
    "only process": (*SEARCHED, *BASIC),
    "only process, with paused trials": (*HALVED, *BASIC),
}
WHOLE = {"only process": SEARCHED, "only process, with paused trials": HALVED}  # DRAWN with the others
OF_THE_ATTEMPT = ("attempt", "seconds", "worker", "crc32")  # columns that tell of the way, or depend on those that do


@pytest.fixture(scope="module")
def whole_sweep(tmp_path_factory):
    """Returns a function from arguments to the folder of an undisturbed sweep, in a process of its own."""
    done = {}

    def whole(*arguments):
        if arguments not in done:
            start = Starter(tmp_path_factory.mktemp("whole"))
            command = start(*arguments, *BASIC)
            command.end()
            done[arguments] = command.folder
        return done[arguments]

    return whole


def assert_alike(folder, whole, n):
    """Fails unless a sweep has ended as an undisturbed one: trials, table and best, and nothing is left running."""
    assert_whole(folder, n)
    assert essence(folder, n) == essence(whole, n)
    tables = [[{k: v for k, v in row.items() if k not in OF_THE_ATTEMPT} for row in rows(f)] for f in (folder, whole)]
    assert tables[0] == tables[1]
    found = [yaml.safe_load((f / "best.yaml").read_text()) for f in (folder, whole)]
    assert [Path(best.pop("folder")) for best in found] == [f / str(found[0]["trial"]) for f in (folder, whole)]
    assert found[0] == found[1]
    attempts = {int(row["trial"]): int(row["attempt"]) for row in rows(folder)}
    assert all(times <= attempts[trial] for trial, times in runs(folder).items())


@seeds(1, 2)
@pytest.mark.parametrize("victim", some(VICTIMS, 3))  # a worker, both, and with paused trials; the others with --long
def test_a_sweep_killed_at_drawn_moments_ends_alike(start, whole_sweep, inject, victim, seed):
    draw = random.Random(f"{victim} {seed}")
    wanted, kills, number = 3 if seed == 0 else 5, 0, 0
    while kills < wanted:
        number += 1
        struck, command = kill_and_go_on(start, VICTIMS[victim], victim, wanted - kills, draw, f"sweep {number}")
        assert_alike(command.folder, whole_sweep(*WHOLE.get(victim, DRAWN)), 10)
        kills += struck
        inject(f"kill of a sweep's {victim}", struck)


def kill_and_go_on(start, arguments, victim, kills, draw, name):
    """Runs a sweep to its end, through so many kills at most. Returns how many hit, and its last command."""
    struck = 0
    while True:
        command = start(*arguments, name=name)
        while struck < kills and command.process.poll() is None:
            if draw.random() < 0.7:  # else at any moment of its beginning
                wait_for_work(command)
            try:
                command.process.wait(draw.uniform(0, 2))
            except subprocess.TimeoutExpired:
                struck += strike(command, victim, draw)
            if victim != "worker":
                break
        if struck == kills or command.process.poll() == 0:
            break
        wait_for(lambda: command.process.poll() is not None, "the command to end")  # noqa: B023
    if victim != "worker":
        command.process.wait()
        command = start(*arguments, name=name)
    command.end()
    return struck, command


STORAGE = "optuna.storages._rdb.storage.RDBStorage"
WORKER, STUDY = "hydra_sweep.trial.RunningTrial", "hydra_sweep.study.SweepStudy"
LOST = ("before", f"{WORKER}.tell", 2, "")  # a moment that leaves a trial to be taken up again
MOMENTS_OF_A_SWEEP = [
    [("after", f"{STORAGE}.create_new_study", 1, "")],
    [("before", REPLACE, 1, "sweep.yaml")],
    [("after", f"{STUDY}.claim", 2, "")],  # asked, not started
    [("before", f"{WORKER}.run", 2, "")],
    [("after", f"{WORKER}.sample", 2, "")],
    [("after", "optuna.Trial._suggest", 3, "")],  # it has one of its two parameters
    [("after", "optuna.Trial.report", 3, "")],
    [LOST],  # its result is there, but not told
    [("before", f"{STORAGE}.set_trial_state_values", 2, "COMPLETE")],  # told by half
    [("after", f"{WORKER}.tell", 2, "")],
    [LOST, ("before", f"{STUDY}.requeue_or_fail", 1, "")],
    [LOST, ("before", f"{STUDY}.release", 1, "")],
    [LOST, ("after", f"{STUDY}.release", 1, "")],  # reaped, not taken up again
    [LOST, ("after", f"{STUDY}._start", 1, "")],  # taken up again, by nobody that is known
    [("before", REPLACE, 1, "results.csv")],
    [("after", REPLACE, 1, "results.csv")],
    [("before", REPLACE, 1, "best.yaml")],
    [("after", REPLACE, 1, "best.yaml")],
]
SHORT = (*SPACE, "steps=2", "pause=0.05", budget(5), *PATIENT, "hydra/sweeper/pruner=median")


@pytest.mark.parametrize(
    "moments", some(MOMENTS_OF_A_SWEEP, 6), ids=["; then ".join(named(m)) for m in MOMENTS_OF_A_SWEEP]
)
def test_a_sweep_killed_at_its_worst_moments_ends_alike(start, whole_sweep, inject, moments):
    for moment in moments:
        start(*SHORT, *BASIC, before=(str(APPS / "fatal.py"), *map(str, moment))).end(-KILLED)
        inject("aimed kill of a sweep")
    command = start(*SHORT, *BASIC)
    command.end()
    assert_alike(command.folder, whole_sweep(*SHORT), 5)


MOMENTS_OF_A_PAUSE = [
    [("before", f"{STUDY}.pause", 2, "")],
    [("after", f"{STUDY}.pause", 2, "")],  # noted, and still running
    [("before", f"{STUDY}.release", 2, "")],
    [("after", f"{STUDY}.release", 2, "")],
    [("before", f"{STUDY}._take", 1, "")],
    [("after", f"{STUDY}._take", 1, "")],  # it is to go on, and nobody has noted it
    [("after", f"{STUDY}._take", 2, ""), ("after", f"{STUDY}._take", 1, "")],
    [("before", "hydra_sweep.sweep_folder.SweepFolder.delete", 1, "")],
    [("after", "hydra_sweep.sweep_folder.SweepFolder.delete", 1, "")],  # its end is not told
]
PAUSED = (*SPACE, "steps=4", "pause=0.05", budget(6), *PATIENT, *HALVED[-2:])


@pytest.mark.parametrize(
    "moments", some(MOMENTS_OF_A_PAUSE, 3), ids=["; then ".join(named(m)) for m in MOMENTS_OF_A_PAUSE]
)
def test_a_sweep_killed_as_it_pauses_or_goes_on_ends_alike(start, whole_sweep, inject, moments):
    for moment in moments:
        start(*PAUSED, *BASIC, before=(str(APPS / "fatal.py"), *map(str, moment))).end(-KILLED)
        inject("aimed kill of a sweep with paused trials")
    command = start(*PAUSED, *BASIC)
    command.end()
    assert_alike(command.folder, whole_sweep(*PAUSED), 6)
