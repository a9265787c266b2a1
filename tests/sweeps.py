"""Sweeps in processes of their own, for tests that kill, stop, race or starve them."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml
from optuna.trial import TrialState

from hydra_sweep.study import SweepStudy

APPS = Path(__file__).parent / "apps"
WALKER = APPS / "walker.py"
BASIC = ("hydra/launcher=basic",)
JOBLIB = ("hydra/launcher=joblib", "hydra.sweeper.workers=2")
SPACE = ("x=interval(0,4)", "y=choice(1,2,3)")
SECONDS = 180.0  # that anything may take, at the very most


@dataclass
class Command:
    """A command in a session of its own, so that whatever it leaves behind can be found."""

    folder: Path
    process: subprocess.Popen
    log: Path

    def members(self):
        """Returns the living processes of the session."""
        found = []
        for process in psutil.process_iter():
            try:
                is_ours = os.getsid(process.pid) == self.process.pid
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, ProcessLookupError):
                pass
        return found

    def workers(self):
        """Returns the pids of joblib's workers."""
        found = []
        for process in self.members():
            try:
                command = " ".join(process.cmdline())
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            if "popen_loky" in command and "resource_tracker" not in command:
                found.append(process.pid)
        return found

    def end(self, code=0):
        """Waits for the command and for all of its processes. Returns what it printed."""
        found = self.process.wait(SECONDS)
        wait_for(lambda: not self.members(), f"no process of the sweep to be left: {self.members()}")
        text = self.log.read_text()
        assert found == code, text
        return text

    def signal(self, signum):
        os.kill(self.process.pid, signum)

    def signal_group(self, signum):
        os.killpg(self.process.pid, signum)


class Starter:
    """Starts sweeps in a folder, and knows them all.

    Args:
        folder: in which commands run and sweeps land.
    """

    def __init__(self, folder):
        self.folder, self.started = folder, []

    def __call__(self, *arguments, name="a sweep", app=WALKER, folder=None, before=(), environment=None, terminal=None):
        """Starts a sweep of an app. `before` is what comes between the interpreter and the app."""
        folder = folder or self.folder / name
        place = str(folder).replace("\\", "\\\\").replace("'", "\\'")
        command = [sys.executable, *before, str(app), "-m", f"hydra.sweep.dir='{place}'"]
        if app.name == WALKER.name:
            command.append("hydra.sweeper.objective=loss")
        return self.run([*command, *arguments], folder, environment, terminal)

    def run(self, command, folder, environment=None, terminal=None):
        """Starts any command, in a terminal if there is one."""
        log = self.folder / f"{len(self.started)}.out"
        environment = {**(os.environ if environment is None else environment), "PYTHONFAULTHANDLER": "1"}
        with log.open("w") as out:
            options = terminal.options() if terminal else {"stdout": out, "stderr": out}
            process = subprocess.Popen(command, cwd=self.folder, start_new_session=True, env=environment, **options)
        self.started.append(Command(folder, process, log))
        return self.started[-1]

    def kill(self):
        """Kills what is left running, once it has told where it was: pytest shows that if the test has failed."""
        for command in self.started:
            left = command.members()
            for process in left:
                print(process.pid, *process.as_dict(["ppid", "status", "cmdline"]).values())
                process.send_signal(signal.SIGABRT)
            if left:
                psutil.wait_procs(left, timeout=2)
                for log in (command.log, *sorted(command.folder.glob("workers/*.log"))):
                    print(f"{log}:\n{log.read_text(errors='replace')[-5000:]}")
            for process in command.members():
                process.kill()
            command.process.wait()


@dataclass(frozen=True)
class Swept:
    """What a command said, and what it has left in its sweep's folder."""

    folder: Path
    code: int
    out: str
    err: str

    def rows(self):
        return rows(self.folder)

    def column(self, name):
        return [row[name] for row in self.rows()]

    def best(self):
        return yaml.safe_load((self.folder / "best.yaml").read_text())

    def trials(self):
        """Returns the study's trials; that none is left running holds for every sweep that has ended."""
        made = trials(self.folder)
        assert not [trial.number for trial in made if trial.state is TrialState.RUNNING]
        while made and made[-1].state is TrialState.WAITING:  # made by two workers at once, beyond the budget
            made.pop()
        return made

    def states(self):
        return [trial.state.name for trial in self.trials()]

    def params(self):
        return [trial.params for trial in self.trials()]


def typed(command, cwd):
    """Returns a command's result; `python` is the one that runs the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONWARNINGS": "error"}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, env=environment)


def swept(cwd, app, *arguments, launcher=BASIC, name="a sweep", code=0):
    """Runs an app's sweep to its end, in a folder with a space in its name; `code` must be its status."""
    place = [f"hydra.sweep.dir='{cwd / name}'", *launcher]
    done = typed([sys.executable, "-W", "error", str(app), "-m", *place, *arguments], cwd)
    assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
    return Swept(cwd / name, done.returncode, done.stdout, done.stderr)


def wait_for(condition, what):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def budget(n):
    return f"hydra.sweeper.n_trials={n}"


def opened(folder):
    return SweepStudy(f"sqlite:///{folder / 'study.db'}", folder.name, 10)


def trials(folder):
    return opened(folder).trials()


def rows(folder):
    return list(csv.DictReader(io.StringIO((folder / "results.csv").read_text())))


def runs(folder):
    """Returns how often each trial of the walker was run, by number."""
    return Counter(map(int, (folder / "runs.log").read_text().split()))


def assert_whole(folder, n):
    """Fails unless each trial of the budget is over and in the table once, and no more than those."""
    found = trials(folder)
    assert [int(row["trial"]) for row in rows(folder)] == list(range(n))
    assert all(trial.state.is_finished() for trial in found[:n])
    assert not any(trial.state.is_finished() for trial in found[n:])


def essence(folder, n):
    """Returns what an interruption must not change."""
    return [(t.number, t.state.name, t.params, t.values, t.intermediate_values) for t in trials(folder)[:n]]


def has_begun(command):
    return (command.folder / "runs.log").exists()


def num_runs(command):
    return len((command.folder / "runs.log").read_text().split()) if has_begun(command) else 0


def wait_for_work(command):
    """Waits until the command begins another trial, or ends."""
    before = num_runs(command)
    wait_for(lambda: num_runs(command) > before or command.process.poll() is not None, "a trial to begin")


def strike(command, victim, draw):
    """Kills a worker, the sweeper or the whole group. Returns how many processes it was that were hit."""
    if victim == "worker":
        if not (pids := command.workers()):
            return 0
        try:
            os.kill(draw.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return 0
    elif victim == "sweeper":
        command.signal(signal.SIGKILL)
    else:
        command.signal_group(signal.SIGKILL)
    return 1
