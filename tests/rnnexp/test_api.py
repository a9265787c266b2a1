"""`rnnexp.run` and its like beside the commands of the shell: the same checks, the same words, the same records."""

import logging
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from records import assert_identical, histories
from series_data import TINY, gestures
from sweeps import wait_for
from typed_here import problems, type_here

import rnnexp
from rnnexp import api, reproduce
from rnnexp.overrides import literal
from rnnexp.record.run_folder import RunFolder
from rnnexp.schema.tree import CONFIG_DIR

BASIC = ["workers=1", "hydra/launcher=basic"]  # in one process
TWO_EPOCHS = [text for text in TINY if not text.startswith("train.epochs")] + ["train.epochs=2"]


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Returns the overrides of a run that trains in a blink."""
    path = gestures(tmp_path_factory.mktemp("data") / "gestures.npz")
    return ["data=series", f"data.root={path}", *TWO_EPOCHS]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(folder, *replaced):
    """Returns the lines of the texts in a run's folder, by file, without checksums, times and what is replaced."""
    found = {}
    for path in sorted([*folder.glob(".hydra/*.yaml"), folder / "run.log"]):
        text = path.read_text()
        for old in replaced:
            text = text.replace(str(old), "HERE")
        whole = [line.partition("][")[2] if path.suffix == ".log" else line for line in text.splitlines()]
        found[path.name] = [line for line in whole if not line.startswith("# crc32") and " loss " not in line]
    return found


def test_a_run_leaves_the_record_that_the_shell_leaves(here, series, capsys):
    words = [*series, "model.dropout=0.1", "data.noise=0.1", "name=one", "hydra.run.dir='shell/runs/${name}'"]
    assert type_here(capsys, *words)[0] == 0
    run = rnnexp.run(words[:-2], name="one", outputs="python")
    assert run.path == here / "python" / "runs" / "one"
    assert_identical(here / "shell" / "runs" / "one", run.path)
    theirs, ours = lines(here / "shell/runs/one", here, "shell/"), lines(run.path, here, "python/")
    assert theirs.keys() == ours.keys() == {"config.yaml", "hydra.yaml", "overrides.yaml", "run.log"}
    for name, text in theirs.items():
        assert text == ours[name], name
    assert sorted(path.name for path in run.path.iterdir()) == sorted(
        path.name for path in (here / "shell/runs/one").iterdir()
    )
    assert reproduce.reproduce(run.path, here / "again").results == []


def test_a_dict_asks_for_what_a_list_asks_for(here, series):
    keys = dict(text.split("=") for text in series)
    numbers = {"model.hidden_size": 8, "optim.lr": 0.02, "train": {"epochs": 2}}
    del keys["train.epochs"]
    one, other = rnnexp.run(series, name="list"), rnnexp.run({**keys, **numbers}, name="dict")
    assert_identical(one.path, other.path)
    assert one.config == {**other.config, "name": "list"}


@pytest.mark.parametrize(
    "words",
    [
        ["model=lsmt", "optim.lr=-1", "optim.lrr=1"],
        ["train.epochs", "=", "3"],
        ["optim.lr=abc"],
        ["model=rnn,gru"],
        ["search=quick"],
        ["train.resume=true"],
        ["~optim"],
        ["name=größe"],
        ["hydra.run.dir=/proc/nowhere"],
        ["data=series", "data.root=nowhere.npz"],
        ["optim.lr=${nothing}"],
    ],
    ids=" ".join,
)
def test_a_mistake_is_raised_in_the_words_of_the_shell(here, capsys, words):
    with pytest.raises(rnnexp.UserError) as caught:
        rnnexp.run(words)
    assert caught.value.problems == problems(capsys, *words)
    assert not list(here.iterdir())


def test_a_config_folder_that_is_not_there_is_raised_in_the_words_of_the_shell(here, capsys):
    with pytest.raises(rnnexp.UserError) as caught:
        rnnexp.run(config_dir="nowhere")
    assert caught.value.problems == problems(capsys, "--config-dir", "nowhere")


def test_a_name_that_is_taken_tells_the_command_that_goes_on(here, series, capsys):
    rnnexp.run(series, name="one")
    with pytest.raises(rnnexp.UserError) as caught:
        rnnexp.run(series, name="one")
    (line,), (typed,) = caught.value.problems, problems(capsys, *series, "name=one")
    assert line.partition(": ")[0] == typed.partition(": ")[0]
    assert line.endswith(": python -m rnnexp " + " ".join([*series, "name=one", "train.resume=true"]))
    with pytest.raises(rnnexp.UserError) as caught:
        rnnexp.run([*series, "seed=3"], name="one", resume=True)
    assert caught.value.problems == problems(capsys, *series, "seed=3", "name=one", "train.resume=true")


@pytest.mark.parametrize("resumed", [False, True])
def test_a_key_that_is_an_argument_too_is_a_line(here, resumed):
    with pytest.raises(
        rnnexp.UserError, match=r"^name=b: name is an argument of the call, too; leave one of them out$"
    ):
        rnnexp.run(["name=b"], name="a", resume=resumed)


def test_a_finished_run_is_returned_as_it_is(here, series):
    first = rnnexp.run(series, name="one")
    before = first.folder.result.read_bytes()
    assert rnnexp.run(series, name="one", resume=True) == first
    assert first.folder.result.read_bytes() == before


def test_ctrl_c_leaves_a_checkpoint_from_which_it_goes_on_to_the_same_bits(here, series, monkeypatch):
    whole = rnnexp.run(series, name="whole")

    def interrupt(bar, row):
        signal.raise_signal(signal.SIGINT)
        return False

    monkeypatch.setattr(api, "_show_epoch", interrupt)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="resume=True goes on"):
        rnnexp.run(series, name="one")
    assert signal.getsignal(signal.SIGINT) is handler
    assert not GlobalHydra.instance().is_initialized()
    stopped = rnnexp.load("one")
    assert (stopped.status, len(stopped.history)) == ("unfinished", 1)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    resumed = rnnexp.run(series, name="one", resume=True)
    assert resumed.result.attempt == 2
    assert_identical(whole.path, resumed.path)


def test_sigterm_leaves_the_status_of_the_shell(here, series, monkeypatch):
    monkeypatch.setattr(api, "_show_epoch", lambda bar, row: bool(signal.raise_signal(signal.SIGTERM)))
    with pytest.raises(SystemExit) as ended:
        rnnexp.run(series, name="one")
    assert ended.value.code == 128 + signal.SIGTERM
    assert RunFolder(here / "outputs/runs/one").checkpoint.exists()


def in_threads(*calls):
    """Calls functions in threads of their own, at once, and returns what they return."""
    found = {}
    threads = [
        threading.Thread(target=lambda i=i, call=call: found.update({i: call()})) for i, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[i] for i in range(len(calls))]


def test_runs_in_threads_are_those_of_the_main_one_even_at_once(here, series):
    words = [*series, "model.dropout=0.5"]
    whole = rnnexp.run(words, name="whole")
    calls = [lambda name=name: rnnexp.run(words, name=name, progress=True) for name in ("one", "other")]
    for run in in_threads(*calls):
        assert_identical(whole.path, run.path)


def test_an_app_of_hydras_finds_its_hydra_and_its_log_as_they_were(here, series):
    root, ours = logging.getLogger(), logging.getLogger("rnnexp")
    before = (root.level, list(root.handlers), ours.level, list(ours.handlers), logging.raiseExceptions)
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        theirs = GlobalHydra.instance().hydra
        HydraConfig.instance().set_config(hydra_compose("config", return_hydra_config=True))
        config = HydraConfig.get()
        run = rnnexp.run(series, name="one")
        assert GlobalHydra.instance().hydra is theirs
        assert HydraConfig.get() == config
        assert hydra_compose("config", ["model=gru"]).model.cell == "gru"
    HydraConfig.instance().cfg = None
    assert run.status == "complete"
    assert (root.level, list(root.handlers), ours.level, list(ours.handlers), logging.raiseExceptions) == before


def test_a_run_neither_hears_nor_changes_torchs_state(here, series):
    words = [*series, "model.dropout=0.5"]
    whole = rnnexp.run(words, name="whole")
    torch.manual_seed(3)
    torch.set_default_dtype(torch.float64)
    try:
        before = torch.get_rng_state()
        with torch.no_grad():
            run = rnnexp.run(words, name="one")
        assert torch.equal(torch.get_rng_state(), before)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_identical(whole.path, run.path)


NETWORK = """
import torch
from torch import nn

class Averager(nn.Module):
    def __init__(self, input_size, num_classes, scale=1.0, fails=False):
        super().__init__()
        self.output = nn.Linear(input_size, num_classes)
        self.scale, self.fails = scale, fails

    def forward(self, x_BTI, lengths_B=None):
        if self.fails and self.training:
            raise ZeroDivisionError("mine")
        return self.output(x_BTI.mean(1)) * self.scale
"""


@pytest.fixture
def own(here, monkeypatch):
    """Returns a folder with an option of one's own, whose network is in a module of one's own."""
    (here / "api_networks.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(here)
    folder = here / "my conf" / "model"
    folder.mkdir(parents=True)
    (folder / "averager.yaml").write_text("_target_: api_networks.Averager\nscale: 1.0\nfails: false\n")
    return folder.parent


def own_words(series, *more):
    return [text for text in series if not text.startswith("model")] + ["model=averager", *more]


def test_a_network_of_ones_own_is_trained_and_trusted(series, own):
    run = rnnexp.run(own_words(series), name="mine", config_dir=own)
    assert run.predict(np.zeros((1, 4, 2))).probabilities.shape == (1, 3)
    with pytest.raises(rnnexp.UserError, match="is neither rnnexp's nor torch's"):
        rnnexp.load("mine").predict(np.zeros((1, 4, 2)))
    assert rnnexp.load("mine", trust=True).model().scale == 1


def test_a_run_that_diverges_is_a_result_and_a_bug_is_the_exception_that_it_is(series, own):
    run = rnnexp.run(own_words(series, "model.scale=1e300"), name="diverged", config_dir=own)
    assert run.status == "diverged"
    assert run.reason.startswith("training loss was nan in epoch 1")
    with pytest.raises(ZeroDivisionError, match="^mine$") as caught:
        rnnexp.run(own_words(series, "model.fails=true"), name="failed", config_dir=own)
    assert caught.traceback[-1].path.name == "api_networks.py"
    assert rnnexp.load("failed").status == "failed"
    assert not GlobalHydra.instance().is_initialized()


HOSTILE = 'it\'s <b>$HOME<b> {x}, "y" = [1]; é\\'


def test_any_folder_will_do(here, series):
    outputs = here / HOSTILE
    run = rnnexp.run(series, name="one", outputs=outputs)
    assert run.path == outputs / "runs" / "one"
    with pytest.raises(rnnexp.UserError, match="holds a run already"):
        rnnexp.run(series, name="one", outputs=outputs)
    assert "&lt;b&gt;" in run._repr_html_()
    assert "<b>" not in run._repr_html_()
    with pytest.raises(rnnexp.UserError, match=r"outputs: \$\{HOME\}: \$\{ begins an interpolation in Hydra"):
        rnnexp.run(series, outputs="${HOME}")


def test_a_name_that_no_folder_should_have_is_raised_in_the_words_of_the_shell(here, capsys):
    with pytest.raises(rnnexp.UserError) as caught:
        rnnexp.run(name=HOSTILE)
    assert caught.value.problems == problems(capsys, f"name={literal(HOSTILE, 'name')}")


def test_without_a_name_it_is_the_time(here, series):
    first, second = rnnexp.run(series), rnnexp.run(series)
    assert first.path != second.path
    assert first.path.parent == here / "outputs" / "runs"
    assert histories(first.path) == histories(second.path)


def test_bars_are_shown_to_those_who_ask(here, series, capsys):
    rnnexp.run(series, name="quiet")
    assert capsys.readouterr() == ("", "")
    rnnexp.run(series, name="one", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "one: 100%" in err
    assert "2/2" in err
    assert "valid_accuracy=" in err


class Bell(rnnexp.Callback):
    def __init__(self):
        self.told = []

    def on_epoch(self, row, run):
        self.told.append((run.name, row["epoch"]))

    def on_end(self, result, run):
        self.told.append(result.status.value)
        raise ZeroDivisionError  # which ends nothing


def test_callbacks_are_told_of_a_run_and_tags_come_back(here, series):
    bell = Bell()
    run = rnnexp.run([*series, "tags=[good,new]"], name="one", callbacks=[bell])
    assert bell.told == [("one", 1), ("one", 2), "complete"]
    assert (run.tags, run.notes) == (("good", "new"), None)
    with pytest.raises(rnnexp.UserError, match=r"callbacks must be a rnnexp.callbacks.Callback, got function"):
        rnnexp.run(series, name="other", callbacks=[lambda: None])
    assert not (here / "outputs" / "runs" / "other").exists()


def test_what_is_no_record_can_not_be_loaded(here):
    (here / "empty").mkdir()
    with pytest.raises(rnnexp.UserError, match="empty holds no run, no sweep and no comparison"):
        rnnexp.load("empty")
    with pytest.raises(rnnexp.UserError, match="there is no folder nowhere"):
        rnnexp.load("nowhere")


SEARCH = {"optim.lr": "tag(log,interval(1e-3,1))"}


def test_a_sweep_that_can_not_begin_is_raised_without_a_process(here, series, monkeypatch, capsys):
    monkeypatch.setattr("rnnexp.child.subprocess.Popen", None)
    with pytest.raises(rnnexp.UserError, match="n_trials=0 runs nothing"):
        rnnexp.sweep(series, search=SEARCH, n_trials=0)
    with pytest.raises(rnnexp.UserError, match="model=lsmt: no such model"):
        rnnexp.sweep(["model=lsmt"], search=SEARCH, n_trials=2)
    with pytest.raises(rnnexp.UserError, match="model=lsmt: no such model"):
        rnnexp.compare(["model=lsmt"], arms="optim")
    with pytest.raises(rnnexp.UserError) as caught:
        rnnexp.compare(["model=gru,lstm"])
    assert caught.value.problems == problems(capsys, "compare", "model=gru,lstm")


@pytest.fixture
def words_of(monkeypatch):
    """Returns the words that calls would start a process with."""
    started = []
    monkeypatch.setattr("rnnexp.child.completed", lambda words, look: started.append(words))
    return started


def test_sweeps_and_comparisons_are_the_commands_of_the_shell(here, series, words_of):
    sweep = rnnexp.sweep({"seed": 1}, search={"model": ["gru", "lstm"]}, name="s", workers=2, config_dir=here)
    comparison = rnnexp.compare(arms=[{"model": "gru"}, "model=rnn"], data=["mnist", "kmnist"], name="c", outputs="o")
    timed = rnnexp.sweep(search="quick")
    flags = ["--config-dir", str(here)]
    assert words_of[0] == ["rnnexp", "-m", *flags, "seed=1", "model=gru,lstm", "name=s", "workers=2"]
    arms = ["compare.arms=['model=gru','model=rnn']", "compare.data=[mnist,kmnist]"]
    assert words_of[1] == ["rnnexp", "compare", *arms, "name=c", "hydra.run.dir='o/compare/${name}'"]
    assert words_of[2] == ["rnnexp", "-m", "search=quick", f"name='{timed.name}'"]
    assert sweep.path == here / "outputs" / "sweeps" / "s"
    assert comparison.path == here / "o" / "compare" / "c"


def test_ctrl_c_says_how_a_sweep_goes_on(here, monkeypatch):
    def interrupted(words, look):
        raise KeyboardInterrupt

    monkeypatch.setattr("rnnexp.child.completed", interrupted)
    with pytest.raises(KeyboardInterrupt, match="^stopped; the same call goes on$"):
        rnnexp.sweep(search="quick", name="s")


def test_a_search_goes_on_where_it_has_stopped(here, series, capsys):
    words = [text for text in series if not text.startswith("optim.lr")]
    rnnexp.sweep([*words, *BASIC], search=SEARCH, n_trials=1, name="s")
    with pytest.raises(rnnexp.UserError) as caught:
        rnnexp.sweep([*words, *BASIC, "seed=5"], search=SEARCH, n_trials=2, name="s")
    assert caught.value.problems[0].endswith("outputs/sweeps/s holds a sweep that asked for something else:")
    assert "  seed: 0 -> 5" in caught.value.problems
    sweep = rnnexp.sweep([*words, *BASIC, "optim.lr=tag(log,interval(1e-3,1))"], n_trials=2, name="s", progress=True)
    assert sweep.table["trial"].tolist() == [0, 1]
    assert "2/2" in capsys.readouterr().err
    best = rnnexp.run([*words, *sweep.best_overrides], name="best")
    assert histories(best.path) == histories(sweep.best.path)


@pytest.mark.long
def test_a_search_in_python_is_the_search_in_a_shell(here, series):
    words = [*(text for text in series if not text.startswith("optim.lr")), *BASIC]
    typed = [*words, "optim.lr=tag(log,interval(1e-3,1))", "n_trials=3", "name=s", "hydra.sweep.dir=shell"]
    subprocess.run([sys.executable, "-m", "rnnexp", "-m", *typed], cwd=here, check=True, capture_output=True)
    sweep = rnnexp.sweep(words, search=SEARCH, n_trials=3, name="s")
    for trial in range(3):
        assert_identical(here / "shell" / str(trial), sweep.trial(trial).path)
    theirs = rnnexp.Sweep(here / "shell")
    times = ["seconds", "worker", "train_seconds"]
    assert sweep.table.drop(columns=times).equals(theirs.table.drop(columns=times))
    assert [trial.params for trial in sweep.study.trials] == [trial.params for trial in theirs.study.trials]
    assert sweep.best_overrides == theirs.best_overrides


UNGUARDED = """
import rnnexp

words = {words!r}
run = rnnexp.run(words, name="one")
sweep = rnnexp.sweep(words, search={{"seed": [0, 1]}}, name="grid", workers=2)
print(run.status, *sweep.table["state"])
"""


@pytest.mark.long
def test_a_script_needs_no_guard_for_its_main_module(here, series):
    (here / "script.py").write_text(UNGUARDED.format(words=series))
    done = subprocess.run([sys.executable, "-W", "error", "script.py"], cwd=here, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "complete complete complete\n"), done.stderr


@pytest.fixture
def kernel(here):
    """Returns a function that runs code in a notebook's kernel, and its manager."""
    manager = pytest.importorskip("jupyter_client.manager")
    running, client = manager.start_new_kernel(cwd=str(here))

    def execute(code, meanwhile=lambda: None):
        """Returns what was printed, and the name of the exception, if there was one."""
        outputs = []
        asked = client.execute(code)
        meanwhile()
        while True:
            message = client.get_iopub_msg(timeout=600)
            if message["parent_header"].get("msg_id") == asked:
                if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                    outputs.append(message["content"]["text"])
                if message["content"].get("execution_state") == "idle":
                    break
        while (reply := client.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != asked:
            continue
        return "".join(outputs), reply["content"].get("ename")

    yield execute, running
    client.stop_channels()
    running.shutdown_kernel(now=True)


@pytest.mark.long
@pytest.mark.filterwarnings("default")  # of Jupyter's own
def test_a_notebooks_stop_button_stops_a_run_and_a_sweep_so_that_they_go_on(here, series, kernel):
    execute, running = kernel
    words = [text for text in series if not text.startswith(("train.epochs", "optim.lr"))]

    def once(path):
        def interrupt():
            wait_for(path.exists, "an epoch to end")
            running.interrupt_kernel()

        return interrupt

    execute(f"import rnnexp; words = {words!r}; basic = {BASIC!r}")
    run = "run = rnnexp.run([*words, 'train.epochs=150'], name='one', resume=True); print(run.status)"
    assert execute(run, once(here / "outputs/runs/one/history.csv")) == ("", "KeyboardInterrupt")
    assert rnnexp.load("one").status == "unfinished"
    sweep = "rnnexp.sweep([*words, *basic, 'train.epochs=150'], search={'optim.lr': [0.01, 0.02]}, name='s')"
    assert execute(sweep, once(here / "outputs/sweeps/s/0/history.csv")) == ("", "KeyboardInterrupt")
    assert (here / "outputs/sweeps/s/0/checkpoint.pt").exists()
    patient = "patience = ['train.epochs=150', 'resume=force', 'hydra.sweeper.stop.steps=1']"
    shown = "sweep = rnnexp.sweep([*words, *basic, *patience], search={'optim.lr': [0.01, 0.02]}, name='s')"
    assert execute(f"{patient}; {shown}; print(len(sweep.runs))")[1] is None
