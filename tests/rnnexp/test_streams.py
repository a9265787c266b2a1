"""No stream that goes away costs a trial, a run or an answer, and none keeps SIGTERM from ending them."""

import itertools
import logging
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pytest
from sweeps import APPS, SECONDS, rows, wait_for

from rnnexp.record.run_folder import RunFolder

STREAMS = {"stdin": (0,), "stdout": (1,), "stderr": (2,), "both": (1, 2)}
WAYS = ("closed", "full disk", "broken pipe")
CASES = [*itertools.product(STREAMS, WAYS)]
SMALL = ("data.limit=100", "data.valid_size=50", "train.epochs=1", "model.hidden_size=4", "model.num_layers=1")
PARABOLA = [sys.executable, str(APPS / "parabola.py"), "-m", "hydra.sweep.dir=sweep"]
RNNEXP = [sys.executable, "-m", "rnnexp"]


def broken_pipe(handle):
    """Returns one end of a pipe of which nobody has the other: to read from for standard input, else to write into."""
    ends = os.pipe()
    os.close(ends[0 if handle else 1])
    return ends[1 if handle else 0]


def started(command, streams, way, cwd):
    """Starts a command some of whose standard streams have gone away; what is left of them is read by `ended`."""
    script = {"closed": " ".join(f"{handle}>&-" for handle in STREAMS[streams]), "full disk": "", "broken pipe": ""}[
        way
    ]
    given = dict.fromkeys((0, 1, 2), subprocess.PIPE)
    for handle in STREAMS[streams]:
        if way == "full disk":
            given[handle] = os.open("/dev/full", os.O_RDWR)
        elif way == "broken pipe":
            given[handle] = broken_pipe(handle)
    command = ["sh", "-c", f'exec "$@" {script}', "sh", *command]
    process = subprocess.Popen(
        command, stdin=given[0], stdout=given[1], stderr=given[2], cwd=cwd, text=True, start_new_session=True
    )
    for handle in given.values():
        if handle != subprocess.PIPE:
            os.close(handle)
    return process


def ended(process, seconds=SECONDS):
    """Returns the exit status, and what came on the streams that are left."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    printed = (out or "") + (err or "")
    assert "Traceback" not in printed
    assert "Exception ignored" not in printed
    assert "Logging error" not in printed
    return process.returncode, printed


def says_that_it_goes_on(printed, streams, way):
    return ("continuing without it" in printed) == (streams == "stdout" and way != "closed")


@pytest.mark.parametrize(("streams", "way"), CASES)
def test_a_program_that_goes_on_prints_to_the_end_and_leaves_with_its_own_status(streams, way, tmp_path):
    program = """
import logging, sys, warnings
logging.basicConfig(stream=sys.stdout or open("log", "w"))  # holds the stream from before it was made safe
from hydra_sweep import streams
streams.protect()
streams.keep_going()
for i in range(3000):
    print("line", i)
    print("line", i, file=sys.stderr)
    logging.warning("line %d", i)
    warnings.warn(f"line {i}")
sys.stdin.read(1)
open("done", "w").close()
sys.exit(7)
"""
    status, printed = ended(started([sys.executable, "-c", program], streams, way, tmp_path))
    assert status == 7
    assert (tmp_path / "done").exists()
    assert says_that_it_goes_on(printed, streams, way)
    assert printed.count("continuing without it") <= 1
    assert printed.count("line 2999") == {"stdin": 4, "stdout": 2, "stderr": 2, "both": 0}[streams], printed[-200:]


@pytest.mark.parametrize("options", [[], ["-u"]])
def test_output_of_any_length_arrives_whole_and_in_order(options, tmp_path):
    program = "from hydra_sweep import streams; streams.protect(); print('x' * 10**6); print(*range(10**5), sep='\\n')"
    done = subprocess.run([sys.executable, *options, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "x" * 10**6 + "\n" + "".join(f"{i}\n" for i in range(10**5))


def test_a_terminal_that_lacks_a_character_shows_a_question_mark():
    program = "from hydra_sweep import streams; streams.protect(); print('0.98 \\u00b1 0.01')"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("0.98 ? 0.01\n", "")


def test_streams_that_somebody_has_replaced_stay_as_they_are(capsys):
    from hydra_sweep import streams

    before, handlers = sys.stdout, list(logging.root.handlers)
    streams.protect()
    assert sys.stdout is before
    assert logging.root.handlers == handlers


ANSWERS = {
    "help": [*RNNEXP, "--help"],
    "version": [*RNNEXP, "--version"],
    "cfg": [*RNNEXP, "--cfg", "job"],
    "info": [*RNNEXP, "--info", "plugins"],
    "results": [sys.executable, "-m", "rnnexp.results", "runs"],
    "results --help": [sys.executable, "-m", "rnnexp.results", "--help"],
    "a mistake": [*RNNEXP, "optim.lr=-1"],
}


@pytest.mark.long
@pytest.mark.parametrize(("streams", "way"), CASES)
def test_an_answer_that_nobody_reads_ends_quietly(streams, way, tmp_path):
    (tmp_path / "runs/a/.hydra").mkdir(parents=True)
    (tmp_path / "runs/a/.hydra/config.yaml").write_text("seed: 0")  # an unfinished run
    for name, command in ANSWERS.items():
        status, printed = ended(started(command, streams, way, tmp_path))
        is_unread = streams in ("stdout", "both") and name != "a mistake"
        lost = {"closed": 0, "full disk": 1, "broken pipe": 128 + signal.SIGPIPE}[way]
        assert status == (lost if is_unread else 2 if name == "a mistake" else 0), (name, printed)
        is_told = is_unread and streams == "stdout" and way == "full disk"
        assert (printed == "standard output can't be written (No space left on device)\n") == is_told, name


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["joblib", "basic"])
@pytest.mark.parametrize(("streams", "way"), CASES)
def test_a_sweep_of_any_app_goes_on_without_its_screen(launcher, streams, way, tmp_path):
    if launcher == "basic" and streams == "stdin":
        pytest.skip("no worker whose streams could differ")
    sweep = [*PARABOLA, "x=1,2,3", f"hydra/launcher={launcher}", "hydra.sweeper.workers=2"]
    status, printed = ended(started(sweep[: None if launcher == "joblib" else -1], streams, way, tmp_path))
    assert status == 0, printed
    assert says_that_it_goes_on(printed, streams, way)
    assert [row["state"] for row in rows(tmp_path / "sweep")] == ["complete"] * 3


@pytest.mark.long
@pytest.mark.parametrize(("streams", "way"), CASES)
def test_a_run_goes_on_without_its_screen(streams, way, tmp_path):
    status, printed = ended(started([*RNNEXP, *SMALL, "name=a", "train.threads=1"], streams, way, tmp_path))
    assert status == 0, printed
    assert says_that_it_goes_on(printed, streams, way)
    folder = RunFolder(tmp_path / "outputs/runs/a")
    assert folder.read_result().status == "complete"
    assert "epoch 1/1" in (folder.path / "run.log").read_text()


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_sweeps_and_comparisons_go_on_without_any_screen(way, tmp_path):
    sweep = [*RNNEXP, "-m", *SMALL, "seed=0,1", "name=a"]
    assert ended(started(sweep, "both", way, tmp_path)) == (0, "")
    assert [row["state"] for row in rows(tmp_path / "outputs/sweeps/a")] == ["complete"] * 2
    arms = ['compare.arms=["model=rnn","model=gru"]', "compare.trials=0", "compare.seeds=2"]
    arms += ["workers=1", "hydra/launcher=basic"]  # in fewer processes
    compare = [sys.executable, "-m", "rnnexp.compare", "name=c", *arms, *SMALL]
    assert ended(started(compare, "both", way, tmp_path)) == (0, "")
    assert (tmp_path / "outputs/compare/c/comparison.json").exists()


@pytest.mark.long
@pytest.mark.parametrize(("streams", "way"), [("stdin", "closed"), *itertools.product(["both"], WAYS)])
@pytest.mark.parametrize("what", ["run", "sweep"])
def test_sigterm_ends_whatever_has_no_screen(what, streams, way, tmp_path):
    run = [*RNNEXP, "name=a", "train.epochs=1000", *SMALL[:2], *SMALL[3:]]
    process = started(run if what == "run" else [*PARABOLA, "x=range(20)", "pause=0.5"], streams, way, tmp_path)
    begun = tmp_path / ("outputs/runs/a/history.csv" if what == "run" else "sweep/results.csv")
    assert_ends(process, begun)


def assert_ends(process, begun):
    """Sends SIGTERM once a file is there, and fails unless the command ends by it within seconds."""
    wait_for(lambda: begun.exists() or process.poll() is not None, "it to begin")
    told = time.monotonic()
    process.send_signal(signal.SIGTERM)
    status, _ = ended(process)
    assert status == 128 + signal.SIGTERM
    assert time.monotonic() - told < 15


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a pipe be made small")
def test_a_program_that_was_told_to_stop_waits_for_a_paused_reader_once_and_not_line_by_line(tmp_path):
    program = """
from hydra_sweep import streams
streams.protect()
streams.stop_waiting()
for i in range(10_000):
    print("line", i, flush=True)
open("done", "w").close()
"""
    with paused_pipe() as pipe:
        subprocess.run([sys.executable, "-c", program], stdout=pipe, cwd=tmp_path, timeout=SECONDS, check=True)
    assert (tmp_path / "done").exists()


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a pipe be made small")
def test_a_sweep_runs_while_its_reader_has_paused_and_sigterm_ends_it(tmp_path):
    sweep = [*PARABOLA, "x=interval(-1,1)", "hydra.sweeper.n_trials=1000"]
    with paused_pipe() as pipe:
        process = subprocess.Popen(sweep, stdout=pipe, stderr=pipe, cwd=tmp_path, start_new_session=True)
        try:
            wait_for(lambda: (tmp_path / "sweep" / "150").exists() or process.poll() is not None, "150 trials")
            told = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(SECONDS) == 128 + signal.SIGTERM
            assert time.monotonic() - told < 15
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def paused_pipe():
    """Yields the end to write into of a pipe that holds two pages and that nobody reads."""
    import fcntl

    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 2 * select.PIPE_BUF)
    try:
        yield writing
    finally:
        os.close(reading)
        os.close(writing)
