"""A Hydra app whose task starts processes and threads of its own, in the way that it is told."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore

from hydra_sweep import report
from hydra_sweep.signals import Interrupted

DEFAULTS = [{"override hydra/sweeper": "optuna"}, "_self_"]
ConfigStore.instance().store("config", {"defaults": DEFAULTS, "what": "good", "x": 0.0, "place": "."})
SLEEP = [sys.executable, "-c", "import time; time.sleep(1000)"]


class Answer:
    """Travels between processes, as an object of a class of the app's own does."""

    def __init__(self, value):
        self.value = value


class Squares:
    """A map-style dataset."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return float(index**2)


def double(value):
    return Answer(2 * value)


def send(queue, value):
    queue.put(double(value))


def check_rank(rank, place):
    (Path(place) / f"rank {rank}").write_text("here")


def sleep():
    time.sleep(1000)


def load(method=None, **options):
    """Returns the sum of what two workers of a DataLoader have loaded."""
    from torch.utils.data import DataLoader

    loader = DataLoader(Squares(), batch_size=2, num_workers=2, multiprocessing_context=method, **options)
    return sum(float(batch.sum()) for _ in range(2) for batch in loader) / 2


def start(method=None):
    """Returns what a process has sent through a queue."""
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=send, args=(queue, 7.0))
    process.start()
    answer = queue.get(timeout=60)
    process.join()
    return answer.value


def pool(method=None):
    with multiprocessing.get_context(method).Pool(2) as pool:
        return sum(answer.value for answer in pool.map(double, [1.0, 2.0, 4.0]))


def ends_pool():
    """Ends a pool by SIGTERM, which its forked processes must not hear as the worker would."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(double, [1.0])
        pool.terminate()
        pool.join()
    return 14.0


def executor():
    with ProcessPoolExecutor(2) as executor:
        return sum(answer.value for answer in executor.map(double, [1.0, 2.0, 4.0]))


def torch_spawn():
    import torch.multiprocessing

    place = Path.cwd()
    torch.multiprocessing.spawn(check_rank, args=(str(place),), nprocs=2)
    return 14.0 if len(list(place.glob("rank *"))) == 2 else 0.0


def parallel(backend):
    import joblib

    return sum(answer.value for answer in joblib.Parallel(2, backend)(joblib.delayed(double)(x) for x in (1, 2, 4)))


def as_alone():
    """Returns 14 if the process looks as it does without a sweep."""
    main = sys.modules["__main__"]
    looks = {
        "method": multiprocessing.get_start_method(allow_none=True) is None,
        "name": multiprocessing.current_process().name == "MainProcess",
        "parent": multiprocessing.parent_process() is None,
        "main": main.__name__ == "__main__" and Path(main.__file__).name == "companions.py" and main.Answer is Answer,
    }
    multiprocessing.set_start_method("spawn")  # may be called once in a program
    assert all(looks.values()), looks
    return 14.0


def fork(leave):
    """Returns 14 plus the exit status of a child that leaves in some way."""
    print("before", flush=False)
    if (child := os.fork()) == 0:
        report(-100.0)
        return leave()
    _, status = os.waitpid(child, 0)
    return 14.0 + os.waitstatus_to_exitcode(status)


def fail(error):
    raise error


def leave(start):
    """Leaves what it starts to itself, and its pid to the test."""
    process = start()
    with (Path(hydra.utils.get_original_cwd()) / "left").open("a") as file:
        file.write(f"{process.pid}\n")
    return 14.0


def left_process(**options):
    process = multiprocessing.get_context("fork").Process(target=sleep, **options)
    process.start()
    return process


def left_tree():
    """Returns a process that has a child of its own in another session."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(1000)'])"
    return subprocess.Popen([sys.executable, "-c", code], start_new_session=True)


def left_thread():
    threading.Thread(target=sleep).start()
    return 14.0


def left_pool():
    global kept
    kept = multiprocessing.get_context("fork").Pool(2)
    return sum(answer.value for answer in kept.map(double, [1.0, 2.0, 4.0]))


def left_semaphores():
    global kept
    kept = [multiprocessing.get_context("spawn").Lock() for _ in range(3)]
    return 14.0


def walk(start):
    """Reports until it is stopped, which it notes, beside what it has started."""
    leave(start)
    try:
        while True:
            time.sleep(0.1)
            report(1.0)
    except Interrupted:
        (Path(hydra.utils.get_original_cwd()) / "stopped").touch()
        raise


WORKS = {
    "loader": load,
    "loader_persistent": lambda: load(persistent_workers=True),
    "loader_fork": lambda: load("fork"),
    "loader_spawn": lambda: load("spawn"),
    "loader_forkserver": lambda: load("forkserver"),
    "process": start,
    "spawn": lambda: start("spawn"),
    "forkserver": lambda: start("forkserver"),
    "pool": pool,
    "pool_spawn": lambda: pool("spawn"),
    "ends_pool": ends_pool,
    "executor": executor,
    "torch_spawn": torch_spawn,
    "subprocess": lambda: float(subprocess.check_output([sys.executable, "-c", "print(14)"])),
    "loky": lambda: parallel("loky"),
    "joblib": lambda: parallel(None),
    "threading": lambda: parallel("threading"),
    "as_alone": as_alone,
    "fork_exit": lambda: fork(sys.exit),
    "fork_return": lambda: fork(lambda: 0.0),
    "fork__exit": lambda: fork(lambda: os._exit(0)),
    "fork_exit_3": lambda: fork(lambda: sys.exit(3)),
    "fork_exit_text": lambda: fork(lambda: sys.exit("gone")),
    "fork_raise": lambda: fork(lambda: fail(ValueError("in the child"))),
}
LEAVES = {
    "thread": left_thread,
    "pool": left_pool,
    "semaphores": left_semaphores,
    "process": lambda: leave(left_process),
    "daemon": lambda: leave(lambda: left_process(daemon=True)),
    "subprocess": lambda: leave(lambda: subprocess.Popen(SLEEP)),
    "tree": lambda: leave(left_tree),
}
WALKS = {
    "walk_process": lambda: walk(left_process),
    "walk_tree": lambda: walk(left_tree),
    "walk_pool": lambda: (left_pool(), walk(lambda: left_process(daemon=True))),
    "walk_loky": lambda: (parallel("loky"), left_semaphores(), walk(left_tree)),
}
WAYS = {"good": lambda: 14.0, **WORKS, **{f"left_{name}": way for name, way in LEAVES.items()}, **WALKS}


@hydra.main(version_base="1.3", config_name="config", config_path=None)
def app(cfg):
    return WAYS[cfg.what]()


if __name__ == "__main__":
    app()
