"""Sweeps on real engines that the tests start on this machine: PostgreSQL, Redis, Optuna's proxy, Slurm, Ray."""

import csv
import functools
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

import pytest
import servers
import yaml
from optuna.trial import TrialState
from servers import wait_until

from hydra_sweep.records import LOSSES, Lease, Outcome
from hydra_sweep.study import SweepStudy
from rnnexp.results import collect

pytestmark = pytest.mark.external  # one file, one process: they share an address and ports
WALKER = Path(__file__).parents[1] / "apps" / "walker.py"
CLOCK = Path(__file__).parents[1] / "clock.c"
SPACE = ("x=interval(0,4)", "y=choice(1,2,3)", "hydra.sweeper.objective=loss", "hydra.sweeper.lease_seconds=3")
JOBLIB = ("hydra/launcher=joblib",)
SLURM = (
    *("hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.max_num_timeout=100"),
    "hydra.launcher.signal_delay_s=1",
)
RAY = (
    *("hydra/launcher=ray", "+hydra.launcher.ray.remote.max_retries=0", "+hydra.launcher.ray.remote.num_cpus=1"),
    "+hydra.launcher.ray.init.include_dashboard=false",
)
ENGINES = ("postgresql", "redis", "grpc", "slurm", "ray", "ray cluster")


class Sweep:
    """Commands of one sweep of the walker."""

    def __init__(self, folder, arguments, env, host=()):
        self.folder, self.arguments, self.env, self.host = folder, arguments, env, host
        self.log = folder.parent / "log.txt"

    def start(self, *more, n_trials=24):
        place = (f"hydra.sweep.dir='{self.folder}'", f"hydra.sweeper.n_trials={n_trials}")
        words = [*SPACE, *self.arguments, *place, *more]
        with self.log.open("a") as log:
            command = [*self.host, sys.executable, str(WALKER), "-m", *words]
            self.process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)
        return self.process

    def end(self, code=0):
        try:
            status = self.process.wait(600)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it doesn't end:\n{self.text()}")
        assert status == code, self.text()
        return self.text()

    def text(self):
        return self.log.read_text()

    @functools.cached_property
    def study(self):
        wait_until((self.folder / "sweep.yaml").exists, "the study")
        recorded = yaml.safe_load((self.folder / "sweep.yaml").read_text())
        return SweepStudy(recorded["storage"], recorded["study"], 30)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        backend = getattr(self.study.storage, "_backend", None) if "study" in vars(self) else None
        if hasattr(backend, "engine"):
            backend.engine.dispose()

    def has_begun(self):
        return (self.folder / "runs.log").exists()

    def num_ended(self):
        return sum(trial.state.is_finished() for trial in self.study.trials())

    def holders(self, max_attempt=99):
        """Returns the processes that hold a trial, in one of its first attempts."""
        leases = [Lease.of(trial) for trial in self.study.trials() if trial.state is TrialState.RUNNING]
        return [lease.process.pid for lease in leases if lease and lease.process and lease.attempt <= max_attempt]

    def num_new(self):
        """Returns how many of the walker's trials are surely not about to end, at a pause of 0.3 s."""
        trials = [trial for trial in self.study.trials() if trial.state is TrialState.RUNNING]
        return sum((datetime.now() - trial.datetime_start).total_seconds() < 0.8 for trial in trials)

    def columns(self):
        return next(csv.reader(io.StringIO((self.folder / "results.csv").read_text())))

    def assert_whole(self, n=24):
        """Fails unless each trial is over, complete, in the table once, and none is left running."""
        trials = self.study.trials()
        assert [trial.state.name for trial in trials[:n]] == ["COMPLETE"] * n
        assert all(trial.state is TrialState.WAITING for trial in trials[n:])
        rows = csv.DictReader(io.StringIO((self.folder / "results.csv").read_text()))
        assert [int(row["trial"]) for row in rows] == list(range(n))

    def runs(self):
        """Returns how often each trial was begun."""
        return Counter(map(int, (self.folder / "runs.log").read_text().split()))


@contextmanager
def engine(name, folder):
    """Yields what a sweep on an engine is typed with, and its environment."""
    if name == "slurm":
        pytest.importorskip("submitit")
        with servers.slurm(folder / "slurm") as env:
            yield SLURM, env
    elif name == "ray":
        pytest.importorskip("ray")
        yield (*RAY, "hydra.launcher.ray.init.address=local", "+hydra.launcher.ray.init.num_cpus=2"), servers.RAY_ENV
    elif name == "ray cluster":
        pytest.importorskip("ray")
        with servers.ray() as (address, env):
            yield (*RAY, f"hydra.launcher.ray.init.address='{address}'"), env
    elif name == "redis":
        pytest.importorskip("redis")
        with servers.redis(folder / "redis") as url:
            yield (*JOBLIB, f"hydra.sweeper.storage='{url}'"), dict(os.environ)
    else:
        pytest.importorskip("psycopg")
        with servers.postgres() as server:
            if name == "postgresql":
                yield (*JOBLIB, f"hydra.sweeper.storage='{server.url}'"), dict(os.environ)
            else:
                pytest.importorskip("grpc")
                with servers.proxy(server.url) as url:
                    yield (*JOBLIB, f"hydra.sweeper.storage='{url}'"), dict(os.environ)


@pytest.fixture
def on(tmp_path):
    """Returns a context manager from an engine's name to a sweep of two workers."""

    @contextmanager
    def on(name):
        with engine(name, tmp_path) as (arguments, env):
            sweep = Sweep(tmp_path / "a sweep", (*arguments, "hydra.sweeper.workers=2"), env)
            with closing(sweep):
                yield sweep

    return on


@pytest.mark.long
@pytest.mark.parametrize("name", ENGINES)
def test_a_search_runs_every_trial_exactly_once_on_every_engine(on, name):
    with on(name) as sweep:
        sweep.start(n_trials=12)
        sweep.end()
        sweep.assert_whole(12)
        assert sweep.runs() == Counter(range(12))
        assert sweep.columns() == [
            *("trial", "state", "reason", "loss", "cost", "x", "y"),
            *("reports", "attempt", "seconds", "worker", "folder", "crc32"),
        ]


@pytest.mark.long
@pytest.mark.parametrize("name", ["slurm", "ray"])
def test_a_killed_worker_is_replaced_and_its_trial_goes_on(on, name):
    with on(name) as sweep:
        sweep.start("pause=0.1")
        for kill in range(3):
            # Never twice of the same trial, which three losses in the same place would fail.
            victim = wait_until(lambda: sweep.has_begun() and sweep.holders(1), "a worker at work", 90)[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda victim=victim: victim not in sweep.holders(), f"kill {kill} to be noticed")
        sweep.end()
        sweep.assert_whole()
        assert sum(sweep.runs().values()) <= 27
        assert 1 <= sum(Outcome.of(trial).attempt - 1 for trial in sweep.study.trials()) <= 3


@pytest.mark.parametrize("launcher", ["slurm", "ray", "local"])
def test_the_presets_of_launchers_run_a_search_of_networks(tmp_path, launcher):
    words = f"-m search=quick name=look n_trials=2 workers=2 launcher={launcher} data.limit=300 data.valid_size=100"
    with nullcontext(((), dict(os.environ))) if launcher == "local" else engine(launcher, tmp_path) as (_, env):
        command = [sys.executable, "-m", "rnnexp", *words.split(), "train.epochs=1"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 trials: 2 complete" in done.stdout
    assert len(collect(tmp_path / "outputs")) == 2


def jobs(env):
    """Returns the states of Slurm's jobs, by id."""
    listed = subprocess.run(["squeue", "-h", "-r", "-o", "%i %T"], env=env, capture_output=True, text=True).stdout
    return dict(line.split() for line in listed.splitlines())


def running(env):
    return [job for job, state in jobs(env).items() if state == "RUNNING"]


@pytest.mark.long
@pytest.mark.parametrize("how", ["usr2", "requeue", "cancel"])
def test_slurm_may_take_a_job_away_at_any_time(on, how):
    with on("slurm") as sweep:
        sweep.start("pause=0.3")
        wait_until(lambda: sweep.has_begun() and sweep.num_new() == 2, "both workers to have begun a trial just now")
        (job, *_) = running(sweep.env)
        commands = {"usr2": ["scancel", "--signal=USR2", job], "requeue": ["scontrol", "requeue", job]}
        subprocess.run(commands.get(how, ["scancel", job]), env=sweep.env, check=True)
        wait_until(lambda: len(sweep.holders()) < 2, "the trial to be given back")
        text = sweep.end()
        assert not any(LOSSES in trial.user_attrs for trial in sweep.study.trials())  # given back, not missed
        sweep.assert_whole()
        assert sum(sweep.runs().values()) in (25, 26)  # the trial that was given back went on
        assert ("lost worker" in text) == (how == "cancel")


@pytest.mark.long
def test_a_detached_sweep_ends_by_itself_and_can_be_looked_at_and_stopped(on, tmp_path):
    with on("slurm") as sweep:
        sweep.start("pause=0.2", "hydra.sweeper.wait=false")
        assert "2 workers on the way" in sweep.end()
        wait_until(lambda: sweep.has_begun() and len(sweep.holders()) == 2, "both workers at work")

        def status():
            command = [sys.executable, "-m", "rnnexp.status", str(sweep.folder), "--trust"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        def has_both(shown):  # not in the moment when one is between two trials
            return re.match(r"a sweep: \d+ of 24 trials finished \(.*2 running", shown) and shown.count("at work") == 2

        wait_until(lambda: has_both(status()), "a status of both workers at work")
        command = [sys.executable, "-m", "rnnexp.stop", str(sweep.folder), "--trust"]
        subprocess.run(command, check=True, capture_output=True)
        wait_until(lambda: not jobs(sweep.env), "the workers to end")
        assert not sweep.holders()
        assert 2 <= sweep.num_ended() < 24
        sweep.start("pause=0.2")
        sweep.end()
        sweep.assert_whole()
        assert sweep.runs() == Counter(range(24))


@pytest.mark.long
def test_a_worker_begins_no_trial_near_its_time_limit_and_is_queued_again(on):
    with on("slurm") as sweep:
        sweep.start("hydra.launcher.timeout_min=1", "pause=0.5", n_trials=40)
        wait_until(lambda: len(running(sweep.env)) == 2, "the workers")
        shown = subprocess.run(["scontrol", "show", "job", "-o"], env=sweep.env, capture_output=True, text=True).stdout
        assert shown.count("TimeLimit=00:01:00") == 2
        sweep.end()
        sweep.assert_whole(40)
        assert sweep.runs() == Counter(range(40))  # none was interrupted
        shown = subprocess.run(["scontrol", "show", "job", "-o"], env=sweep.env, capture_output=True, text=True).stdout
        assert shown.count("Restarts=1") == 2


@pytest.mark.long
def test_a_database_that_is_away_for_twenty_seconds_costs_time_and_nothing_else(tmp_path):
    pytest.importorskip("psycopg")
    with servers.postgres() as server:
        arguments = (*JOBLIB, "hydra.sweeper.workers=2", f"hydra.sweeper.storage='{server.url}'", "pause=0.1")
        with closing(Sweep(tmp_path / "a sweep", arguments, dict(os.environ))) as sweep:
            sweep.start()
            wait_until(lambda: sweep.has_begun() and sweep.num_ended() > 3, "some trials")
            server.stop("immediate")
            time.sleep(20)
            server.start()
            sweep.end()
            sweep.assert_whole()
            assert sweep.runs() == Counter(range(24))


@pytest.mark.long
def test_a_password_stays_in_the_environment(tmp_path):
    pytest.importorskip("psycopg")
    secret = "correct-horse"
    with servers.postgres(password=secret) as server:
        storage = f"hydra.sweeper.storage='{server.url}'"
        sweep = Sweep(tmp_path / "a sweep", (*JOBLIB, storage), os.environ | {"PGPASSWORD": secret})
        sweep.start(n_trials=3)
        sweep.end()
        files = [path for path in (*sweep.folder.rglob("*"), sweep.log) if path.is_file()]
        assert len(files) > 10
        assert not [path for path in files if secret.encode() in path.read_bytes()]
        typed = server.url.replace("rnnexp@", f"rnnexp:{secret}@")
        refused = Sweep(tmp_path / "refused", (*JOBLIB, f"hydra.sweeper.storage='{typed}'"), dict(os.environ))
        refused.log = tmp_path / "refused.txt"
        refused.start()
        text = refused.end(2)
        assert "put it into PGPASSWORD" in text
        assert secret not in text
        assert not refused.folder.exists()


@pytest.fixture
def hosts(tmp_path):
    """Yields the sweeps of two hosts that share PostgreSQL, an artifact store reached by SSH, and no folder."""
    pytest.importorskip("psycopg")
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    pytest.importorskip("paramiko")
    with (
        servers.two_hosts(folders) as (address, begin),
        servers.postgres(address=address) as server,
        servers.sftp(address, tmp_path / "home") as (files, home),
    ):
        arguments = (
            *(*JOBLIB, "hydra.sweeper.workers=2", f"hydra.sweeper.storage='{server.url}'"),
            *("hydra.sweeper.study_name=shared", f"hydra.sweeper.artifact_store='{files}{tmp_path}/artifact store'"),
        )
        with ExitStack() as stack:
            sweeps = []
            for folder, host in zip(folders, begin, strict=True):
                sweep = Sweep(folder / "a sweep", arguments, os.environ | {"HOME": str(home)}, host)
                sweeps.append(stack.enter_context(closing(sweep)))
            yield sweeps, tmp_path


def own_runs(sweep):
    """Returns which trials were begun on a host, before it fetches the others'."""
    return [int(number) for number in (sweep.folder / "runs.log").read_text().split()]


@pytest.mark.long
def test_two_hosts_that_share_no_folder_share_one_budget_and_end_with_all_runs(hosts):
    sweeps, _ = hosts
    for sweep in sweeps:
        sweep.start("pause=0.2")
    for sweep in sweeps:
        sweep.end()
        sweep.assert_whole()
    begun = [own_runs(sweep) for sweep in sweeps]
    assert all(begun)
    assert Counter([*begun[0], *begun[1]]) == Counter(range(24))
    workers = {Outcome.of(trial).worker.partition("-")[0] for trial in sweeps[0].study.trials()[:24]}
    assert workers == {"host1", "host2"}
    for sweep in sweeps:
        for number in range(24):
            assert json.loads((sweep.folder / str(number) / "checkpoint.json").read_text())
            assert (sweep.folder / str(number) / ".hydra" / "config.yaml").exists()


@pytest.mark.long
def test_a_clock_that_jumps_an_hour_neither_kills_a_living_trial_nor_keeps_a_dead_one(hosts):
    (compiler,) = servers.need("cc")
    (first, second), folder = hosts
    library, jump = folder / "clock.so", folder / "jump"
    subprocess.run([compiler, "-shared", "-fPIC", CLOCK, "-o", library, "-ldl"], check=True)
    second.env |= {"LD_PRELOAD": str(library), "CLOCK_JUMP": str(jump)}
    first.start("pause=0.6")
    second.start("pause=0.6", "hydra/launcher=basic")  # joblib's processes can't wait on a faked clock

    def ended_by(name):
        trials = [trial for trial in first.study.trials() if trial.state.is_finished()]
        return [trial for trial in trials if Outcome.of(trial).worker.startswith(f"{name}-")]

    def held_by(name):
        leases = {t.number: Lease.of(t) for t in first.study.trials() if t.state is TrialState.RUNNING}
        return {n: one for n, one in leases.items() if one and one.process and one.process.host.startswith(name)}

    def is_ahead(lease):
        return lease.seen > time.time() + 3000

    wait_until(lambda: ended_by("host1") and ended_by("host2"), "a trial of each host")
    jump.touch()
    before = len(ended_by("host2"))
    wait_until(lambda: len(ended_by("host2")) >= before + 3, "three trials of the host whose clock has jumped")
    assert {Outcome.of(trial).attempt for trial in ended_by("host2")} == {1}
    wait_until(lambda: any(map(is_ahead, held_by("host2").values())), "a trial to lose")
    second.process.kill()
    second.process.wait()
    (held,) = held_by("host2")
    first.end()
    first.assert_whole()
    trials = first.study.trials()
    lost = [trial for trial in trials if Outcome.of(trial).attempt == 2]
    assert [trial.number for trial in lost] == [held]
    assert Outcome.of(lost[0]).worker.startswith("host1-")
