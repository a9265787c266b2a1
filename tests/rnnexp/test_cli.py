"""The command line as a user meets it: its answers, its exit status, and what it leaves behind."""

import importlib
import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra._internal.utils import get_args_parser
from omegaconf import OmegaConf

from hydra_sweep.hints import spelling
from rnnexp import COMMANDS
from rnnexp.cli import VERBS, main
from rnnexp.command_line import CommandLine, without_hydra
from rnnexp.record.result import RunResult, Status
from rnnexp.record.run_folder import RunFolder
from rnnexp.results import collect
from rnnexp.schema.config import register_schemas
from rnnexp.schema.tree import CONFIG_DIR

SMALL = (
    "train.epochs=2 data.limit=500 data.valid_size=200 model.hidden_size=8 model.num_layers=1 train.threads=1"
).split()


@pytest.fixture
def faults(tmp_path, monkeypatch):
    """Returns what the command line finds wrong with itself, in a fresh working directory."""
    monkeypatch.chdir(tmp_path)
    register_schemas()
    return lambda *arguments: CommandLine(get_args_parser().parse_args(arguments), CONFIG_DIR).problems()


@pytest.mark.parametrize("module", ["rnnexp", "rnnexp.results", "rnnexp.compare"])
def test_a_deleted_working_directory_is_one_line(tmp_path, module):
    script = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m {module}"
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (
        2,
        f"{module.replace('.', ' ')}: this working directory has been deleted; type cd to one that is there\n",
    )


def rnnexp(*arguments, cwd, module="rnnexp", **options):
    command = [sys.executable, "-W", "error", "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, **options)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("optim.lr=-1", "optim.lr must be > 0, got -1.0; try optim.lr=0.1"),
        ("optim.lr=nan", "optim.lr must be > 0, got nan; try optim.lr=0.1"),
        ("optim=sgd optim.lr=0", "optim.lr must be > 0, got 0.0; try optim.lr=0.01"),
        ("optim.lr=abc", "optim.lr must be a number, got 'abc'; try optim.lr=0.1"),
        ("model.num_layers=0", "model.num_layers must be >= 1, got 0; try model.num_layers=2"),
        ("model.hidden_size=null", "model.hidden_size must be a whole number, got null; try model.hidden_size=100"),
        ("train.epochs=0", "train.epochs must be >= 1, got 0; try train.epochs=10"),
        ("train.epochs=2.5", "train.epochs must be a whole number, got 2.5; try train.epochs=10"),
        ("train.resume=perhaps name=a", "train.resume must be true or false, got 'perhaps'; try train.resume=False"),
        ("train.threads=x", "train.threads must be a whole number or null, got 'x'"),
        (
            "data.valid_size=70000",
            "data.valid_size=70000 must leave 10 of 60,000 examples to train, one for each class",
        ),
        (
            "data.valid_size=3",
            "data.valid_size must leave 10 examples to validate, one for each class, got 3",
        ),
        (
            "data.valid_from=test",
            "data.valid_size must be 0 with data.valid_from=test, got 5000; try data.valid_size=0",
        ),
        ("data.limit=5", "data.limit must be >= 10, one for each class, got 5"),
        (
            "data.sequence=colums",
            "data.sequence must be columns or rows or pixels or permuted or patches, got colums (did yo",
        ),
        ("optim=adam optim.betas=[0.9]", "optim.betas must be two numbers, got [0.9]; try optim.betas=[0.9,0.999]"),
        ("optim=adam optim.betas=[0.9,1]", "optim.betas must be >= 0 and < 1, got 1.0; try optim.betas=[0.9,0.999]"),
        ("optim=sgd optim.nesterov=true optim.momentum=0", "optim.nesterov needs optim.momentum > 0"),
        ("optim=adam optim.fused=true optim.foreach=true", "optim.fused and optim.foreach can't both be true"),
        ("optim.lrr=1", "there is no key optim.lrr (did you mean optim.lr?); rnnexp train --help lists them"),
        ("lr=1", "there is no key lr (did you mean optim.lr?); rnnexp train --help lists them"),
        ("modle=lstm", "there is no key modle (did you mean model?); rnnexp train --help lists them"),
        ("optim.momentum=0.9", "there is no key optim.momentum; optim=sgd has it; rnnexp train --help lists them"),
        ("model.nonlinearity=relu", "there is no key model.nonlinearity; model=rnn has it"),
        ("learning_rate=1", "there is no key learning_rate (did you mean optim.lr?)"),
        ("train.lr=1", "there is no key train.lr (did you mean optim.lr?)"),
        ("n_epochs=1", "there is no key n_epochs (did you mean train.epochs?)"),
        ("sampler=bayes", "there is no key sampler (did you mean hydra/sweeper/sampler?)"),
        (
            "-m search=quick hydra/sweeper/sampler=bayes",
            "hydra/sweeper/sampler=bayes: no such hydra/sweeper/sampler (Bayesi",
        ),
        ("optim=adamw", "optim=adamw: no such optim (type optim=adam optim.decoupled_weight_decay=true)"),
        ("optim=rmsprop", "optim=rmsprop: no such optim (torch.optim.RMSprop is one YAML file away"),
        (
            "train.precision=fp16",
            "train.precision must be auto or fp32 or tf32 or bf16, got fp16; try train.precision=fp32",
        ),
        ("train.precision=tf32 train.device=cpu", "train.precision=tf32 is of NVIDIA's GPUs, and this run is on cpu"),
        ("train.device=gpu", "train.device must be auto or cpu or cuda or mps, got gpu (did you mean cuda?)"),
        ("train.epochs = 3", "no spaces around =; type train.epochs=3"),
        ("train.epochs= 3", "no spaces around =; type train.epochs=3"),
        ("train.epochs =3 seed=1", "no spaces around =; type train.epochs=3"),
        ("experiment=null", "experiment=null: Hydra leaves a group out by ~experiment; type that, or nothing"),
        (
            "model=lsmt",
            "model=lsmt: no such model (did you mean lstm?); there are gru, lru, lstm, mingru, minlstm, rglru, rnn",
        ),
        (
            "model=lstm_schema",
            "model=lstm_schema: no such model; there are gru, lru, lstm, mingru, minlstm, rglru, rnn",
        ),
        (
            "experiment=notebok",
            "experiment=notebok: no such experiment (did you mean notebook?); there are best, fast, notebook",
        ),
        ("-m launcher=slrum seed=0,1", "hydra/launcher=slrum: no such hydra/launcher (did you mean slurm?)"),
        (
            "-m storage=postgresql://me:secret@host/db seed=0,1",
            "storage postgresql://me:...@host/db: its password would be in every record; put it into PGPASSWORD",
        ),
        ("-m storage=nonsense seed=0,1", "storage 'nonsense' is no URL; try postgresql://user@host/database or redis"),
        ("+foo=1", "there is no key foo; rnnexp train --help lists them"),
        ("+optim.lrr=1", "there is no key optim.lrr (did you mean optim.lr?); rnnexp train --help lists them"),
        ("~optim", "optim has no value; type optim=..."),
        ("optim.lr", "can't read 'optim.lr'"),
        (
            "-m optim.lr=tag(log,interval(1e-4,1e-1) n_trials=9",
            "can't read 'optim.lr=tag(log,interval(1e-4,1e-1)': a closing bracket is missing; "
            "type 'optim.lr=tag(log,interval(1e-4,1e-1))'",
        ),
        (
            "optim=adam optim.betas=[0.9,0.99",
            "can't read 'optim.betas=[0.9,0.99': a closing bracket is missing; type 'optim.betas=[0.9,0.99]'",
        ),
        (
            "-m optim.lr=interval(1e-4\t1e-1) n_trials=9",
            "can't read 'optim.lr=interval(1e-4\\t1e-1)': a comma is missing between the two numbers; "
            "type 'optim.lr=interval(1e-4,1e-1)'",
        ),
        (
            "-m optim.lr=interval(0.1) n_trials=9",
            "can't read 'optim.lr=interval(0.1)': an interval has two numbers with a comma between, as interval(0.1,1)",
        ),
        ("model=rnn,gru", "model=rnn,gru names several values; add -m to run them all"),
        ("-m model=[gru,lstm]", "model=[gru,lstm]: several options are written without brackets; type model=gru,lstm"),
        ("model=[gru,lstm]", "model=[gru,lstm]: a run has one model; type model=gru, or -m model=gru,lstm to run each"),
        ("-m optim.lr=interval(0.1,1)", "a search needs a budget; type n_trials=40"),
        ("-m optim.lr=interval(0,1) n_trials=9", "optim.lr must be > 0, got 0.0; try optim.lr=0.1"),
        (
            "-m optim.lr=interval(1,0.1) n_trials=9",
            "optim.lr=interval(1,0.1): the interval is empty: its lower end 1.0",
        ),
        (
            "-m optim.lr=tag(log,interval(0,1)) n_trials=9",
            "optim.lr=tag(log,interval(0,1)): a logarithmic interval must",
        ),
        (
            "-m train.epochs=range(1,4) optim.lr=interval(0.1,1) n_trials=9",
            "train.epochs=range(1,4): range in a search",
        ),
        ("-m seed=0,1 optim.lr=interval(0.1,1) n_trials=9", "seed can't be searched; type repeats=3"),
        ("-m search=quick objective=test_accuracy", "test_accuracy would choose by the test set; try valid_accuracy"),
        ("-m search=quick objective=valid_acc", "objective must be one of valid_accuracy, valid_loss"),
        (
            "-m search=quick objective=valid_loss",
            "direction=maximize would look for the worst valid_loss; type direction=minimize",
        ),
        (
            "-m search=quick data.valid_from=test data.valid_size=0",
            "a search with data.valid_from=test would choose by the t",
        ),
        ("-m seed=range(0,100000)", "seed=range(0,100000): more than 10,000 values can't be listed; int(interval(LO"),
        ("-m seed=range(0,999) data.split_seed=range(0,999)", "a grid of 998,001 cells is more than 100,000; name few"),
        ("name=größe", "can't read 'name=größe' (token recognition error at: 'ö'); type \"name='größe'\""),
        ("-m name=a,b", "name is of the sweep and not of its runs: it can't have several values"),
        ("-m search=quick,default n_trials=3", "search is of the sweep and not of its runs: it can't have several va"),
        ("-m workers=1,2 seed=0,1", "workers is of the sweep and not of its runs: it can't have several values"),
        ("-m search=quick direction=up", "hydra.sweeper.direction must be minimize or maximize, got up"),
        ("-m search=quick resume=yes", "resume must be auto or force, got yes"),
        (
            "-m search=quick hydra/sweeper/pruner=asho",
            "hydra/sweeper/pruner=asho: no such hydra/sweeper/pruner (did you mean asha?)",
        ),
        (
            "-m search=default hydra.sweeper.prune_by=valid_loss",
            "hydra.sweeper.prune_by=valid_loss would keep the worst; type hydra.sweeper.prune_direction=minimize",
        ),
        (
            "-m search=default hydra.sweeper.prune_by=valid_los",
            "hydra.sweeper.prune_by must be one of valid_accuracy, valid_loss, ",
        ),
        (
            "-m search=default hydra.sweeper.prune_by=test_loss",
            "test_loss would choose by the test set; try valid_loss",
        ),
        ("-m model=gru,lstm seed=1,2,3 zip=[model,seed]", "zip=[model,seed]: model has 2 and seed has 3 values; they "),
        ("-m model=gru,lstm zip=[model,seed]", "zip=[model,seed]: seed has no values of its own; give it some"),
        ("-m search=quick model.hidden_size=interval(-5,5.5)", "model.hidden_size must be a whole number"),
        ("-m search=quick optim.lrr=interval(1,2)", "there is no key optim.lrr"),
        ("search=quick", "search=quick is a search over model, optim, model.hidden_size, model.num_layers; add -m"),
        ("-m optim.lr=0.1,-2", "optim.lr must be > 0, got -2.0; try optim.lr=0.1"),
        (
            "-m model=rnn,lsmt",
            "model=lsmt: no such model (did you mean lstm?); there are gru, lru, lstm, mingru, minlstm, rglru, rnn",
        ),
        (
            "-m model=rnn,gru model.nonlinearity=relu",
            "model.nonlinearity: Could not override 'model.nonlinearity'; To append",
        ),
        ("model.hidden_size=${oc.env:NO}", "model.hidden_size: KeyError raised while resolving interpolation"),
        ("model.hidden_size=${optim.lr}", "model.hidden_size: While dereferencing interpolation '${optim.lr}': Value"),
        ("optim.lr=${optim.lr}", "optim.lr: Recursive interpolation detected"),
        ("name=${no}", "name: Interpolation key 'no' not found"),
        ("hydra.run.dir=${no}", "hydra.run.dir: Interpolation key 'no' not found"),
        ("hydra.verbose=${no}", "hydra.verbose: Interpolation key 'no' not found"),
        ("optim=adam optim.betas=[${no},0.9]", "optim.betas: Interpolation key 'no' not found"),
        ("optim=adam optim.betas=${optim.lr}", "optim.betas: ${optim.lr} leads to 0.001, which is no list or mapping"),
        ("data.jitter=${optim.lr}", "data.jitter: ${optim.lr} leads to 0.1, which is no list or mapping"),
        ("-m optim.lr=${no},1", "optim.lr: Interpolation key 'no' not found"),
        ("-m seed=0,1 hydra.sweep.dir=${no}", "hydra.sweep.dir: Interpolation key 'no' not found"),
        ("train.resume=true", "train.resume=true resumes a run of a known name; type name=... too"),
        ("train.device=mps", "train.device=mps is not there on this machine; try train.device=auto"),
        (
            "name=../x",
            "name must be a folder name (letters, digits, spaces and ._,=+@%-; / between folders; no ..), got "
            "'../x'; try name=my-run",
        ),
        (
            "name=/tmp/x",
            "name must be a folder name (letters, digits, spaces and ._,=+@%-; / between folders; no ..), got "
            "'/tmp/x'; try name=my-run",
        ),
        (
            "data.root=/dev/null/x",
            "cannot write mnist into /dev/null/x/MNIST/raw: Not a directory; try data.root=FOLDER",
        ),
        (
            "-m seed=0,1 data.root=/dev/null/x",
            "cannot write mnist into /dev/null/x/MNIST/raw: Not a directory; try data",
        ),
        ("-m train.device=cpu,mps", "train.device=mps is not there on this machine; try train.device=auto"),
        ("--config-dir nowhere", "--config-dir"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(faults, tmp_path, arguments, line):
    found = faults(*arguments.split(" "))
    assert len(found) == 1
    assert found[0].startswith(line)
    assert "\n" not in found[0]
    assert not list(tmp_path.iterdir())


def test_a_taken_name_offers_to_resume_only_what_is_the_same(faults, tmp_path):
    line = CommandLine(get_args_parser().parse_args(["name=x", "data=series", "data.root=x.npz"]), CONFIG_DIR)
    recorded = tmp_path / "outputs" / "runs" / "x" / ".hydra" / "config.yaml"
    recorded.parent.mkdir(parents=True)
    recorded.write_text(OmegaConf.to_yaml(without_hydra(line.compose(line.overrides))))
    [same] = faults("name=x", "data=series", "data.root=x.npz")
    assert same.startswith("outputs/runs/x holds a run already; choose another name=, or train.resume=true to go on")
    assert faults("name=x", "data=series", "data.root=x.npz", "optim.lr=0.5") == [
        "outputs/runs/x holds a run of another configuration (optim.lr: 0.1 -> 0.5); choose another name="
    ]


def test_all_faults_of_one_command_come_together(tmp_path):
    done = rnnexp("optim.lr=-1", "model=lsmt", "train.epochs=0", "data.valid_sise=1", "seed=x", cwd=tmp_path)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.split(" ")[1] for line in lines] == [
        "model=lsmt:",
        "there",
        "seed",
        "optim.lr",
        "train.epochs",
    ]
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "experiment=notebook",
        "model=gru optim=sgd schedule=onecycle optim.nesterov=true",
        "-m model=rnn,gru,lstm optim=adadelta,adam,sgd seed=0,1,2",
        "-m seed=range(3)",
        "-m search=default",
        "-m search=quick model=lstm n_trials=3",
        "-m search=default objective=[valid_accuracy,num_parameters] direction=[maximize,minimize]"
        " hydra/sweeper/pruner=none",
        "-m 'optim.lr=tag(log,interval(1e-3,1))' n_trials=20".replace("'", ""),
        "-m search=quick train.resume=true",
        "hydra.run.dir=elsewhere",
        "name=group/run",
        "train.resume=true name=a",
        "optim.foreach=true",
        "data.root=null",
        "train.threads=1",
        "-m experiment=fast,best train.precision=auto,fp32",
        "model=gru train.precision=bf16",
    ],
)
def test_a_sound_command_has_no_faults(faults, arguments):
    assert faults(*arguments.split()) == []


def test_help_lists_every_verb_and_fits_80_columns(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["rnnexp", "--help"])
    assert main() == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.partition("Verbs;")[2].splitlines()[1 : 1 + len(VERBS)]] == [*VERBS]
    assert "  model       gru, lru, lstm, mingru, minlstm, rglru, rnn\n" in shown
    assert max(map(len, shown.splitlines())) <= 80
    for words in (["-h"], ["help"]):
        monkeypatch.setattr(sys, "argv", ["rnnexp", *words])
        assert main() == 0
        assert capsys.readouterr().out == shown


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_a_help_that_fits_80_columns_and_needs_no_torch(verb, tmp_path):
    program = f"""
import sys
sys.argv[1:] = [{verb!r}, "--help"]
from rnnexp.cli import VERBS, main
try:
    main()
except SystemExit as stop:  # argparse's
    assert not stop.code
assert "torch" not in sys.modules
"""
    environment = {**os.environ, "COLUMNS": "80"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert f"rnnexp {verb}" in done.stdout
    keys = done.stdout.index("Keys") if "Keys" in done.stdout else len(done.stdout)  # values are as long as they are
    assert max(map(len, done.stdout[:keys].splitlines())) <= 80


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("resluts outputs", "there is no verb resluts (did you mean results?); rnnexp --help lists them"),
        ("xyz", "there is no verb xyz; rnnexp --help lists them"),
    ],
)
def test_a_verb_that_is_not_there_is_a_line(typed, line, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["rnnexp", *typed.split()])
    assert main() == 2
    assert capsys.readouterr().err == f"rnnexp: {line}\n"


def test_a_verb_is_the_same_by_both_spellings_and_training_is_one(tmp_path):
    old = rnnexp("nowhere", module="rnnexp.results", cwd=tmp_path)
    new = rnnexp("results", "nowhere", cwd=tmp_path)
    assert (old.returncode, old.stderr) == (new.returncode, new.stderr)
    assert old.stderr.startswith("rnnexp results: there is no folder nowhere here")
    assert rnnexp("train", "optim.lr=-1", cwd=tmp_path).stderr == rnnexp("optim.lr=-1", cwd=tmp_path).stderr


def test_train_help_shows_groups_jobs_and_keys_without_torch(tmp_path):
    program = (
        "import sys; sys.argv[1:] = ['train', '--help']; from rnnexp.cli import main; main();"
        " assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for part in (
        "model       gru, lru, lstm, mingru, minlstm, rglru, rnn\n",
        "schedule    constant, cosine, onecycle, step\n",
        "outputs/runs/NAME",
        "rnnexp data=images --help",
    ):
        assert part in done.stdout
    for line in ("    hidden_size: 100", "    lr: 0.1", "    valid_size: 5000", "  name: TIME"):
        assert line in done.stdout.splitlines()
    assert "_schema" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--cfg", "job"], 0), (["optim.lr=-1"], 2), (["--version"], 0), (["--help", "optim.lrr=1"], 2)],
)
def test_configuration_and_faults_are_answered_without_torch(tmp_path, arguments, status):
    program = f"""
import sys
sys.argv[1:] = {arguments!r}
from rnnexp.cli import VERBS, main
try:
    found = main()
except SystemExit as stop:  # Hydra's
    found = stop.code
assert found == {status}, found
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_a_run_leaves_its_whole_record_and_says_where(tmp_path):
    done = rnnexp(*SMALL, "name=first", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bar where there is no terminal
    out = tmp_path / "outputs" / "runs" / "first"
    names = {".hydra", ".lock", "checkpoint.pt", "history.csv", "model.pt", "result.json", "run.log"}
    names |= {"test_outcomes.npz"}
    assert {p.name for p in out.iterdir()} == names
    assert "RecurrentClassifier, 1,306 parameters: (64, 28, 28) -> (64, 10)" in done.stdout
    assert [line[:9] for line in done.stdout.splitlines() if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    assert done.stdout.splitlines()[-1] == f"results in {out}"
    result = RunResult.from_json((out / "result.json").read_text())
    assert result.status is Status.COMPLETE
    assert result.choices == {
        "model": "lstm",
        "optim": "adadelta",
        "schedule": "constant",
        "data": "mnist",
        "train": "default",
    }
    assert result.metrics["num_parameters"] == 4 * 8 * (28 + 8 + 2) + 8 * 10 + 10
    again = rnnexp(*SMALL, "name=first", cwd=tmp_path)
    assert again.returncode == 2
    assert again.stderr.startswith("rnnexp: outputs/runs/first holds a run already; choose another name=")
    other = rnnexp(*SMALL, "name=first", "train.resume=true", "optim.lr=0.2", cwd=tmp_path)
    assert other.returncode == 2
    assert "another configuration (optim.lr: 0.1 -> 0.2)" in other.stderr
    assert "lr: 0.1" in (out / ".hydra" / "config.yaml").read_text()


def test_divergence_fails_a_run_alone_but_is_a_row_of_a_multirun(tmp_path):
    explode = (*SMALL, "optim=sgd", "optim.lr=1e30", "model=rnn", "model.nonlinearity=relu")
    alone = rnnexp(*explode, "name=alone", cwd=tmp_path)
    assert alone.returncode == 1
    assert "Traceback" not in alone.stderr
    assert "diverged: training loss was nan" in alone.stdout
    several = rnnexp("-m", *explode, "seed=0,1", "name=several", cwd=tmp_path)
    assert several.returncode == 0, several.stderr
    for number in ("0", "1"):
        text = (tmp_path / "outputs" / "sweeps" / "several" / number / "result.json").read_text()
        assert RunResult.from_json(text).status is Status.DIVERGED


def test_reproduce_says_whether_the_history_is_identical(tmp_path):
    assert rnnexp(*SMALL, "name=a", cwd=tmp_path).returncode == 0
    folder = tmp_path / "outputs" / "runs" / "a"
    same = rnnexp(folder, module="rnnexp.reproduce", cwd=tmp_path)
    assert same.returncode == 0, same.stderr
    assert same.stdout.splitlines()[-1].startswith("identical: ")
    record = RunFolder(folder)
    history = record.read_history()
    record.write_history([history[0], history[1] | {"train_loss": "0.5"}])
    different = rnnexp(folder, "--out", tmp_path / "again", module="rnnexp.reproduce", cwd=tmp_path)
    assert different.returncode == 1
    *rest, verdict = different.stdout.splitlines()
    assert f"epoch 2, train_loss: 0.5 -> {history[1]['train_loss']}" in rest
    assert verdict == f"not identical: {folder} did not come out as recorded"
    assert (tmp_path / "again" / "history.csv").exists()
    nothing = rnnexp(tmp_path, module="rnnexp.reproduce", cwd=tmp_path)
    assert nothing.returncode == 2
    assert nothing.stderr == f"rnnexp reproduce: {tmp_path} holds no finished run: there is no result.json\n"


OWN_MODEL = '''
from torch import nn


class Averager(nn.Module):
    """A network of a user's own: the mean over time through two linear layers."""

    def __init__(self, input_size, num_classes, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(input_size, width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, x_BTI):
        return self.layers(x_BTI.mean(1))
'''


@pytest.fixture
def own_project(tmp_path: Path) -> Path:
    """Returns a folder outside the package with one class and one YAML file."""
    (tmp_path / "mynets.py").write_text(OWN_MODEL)
    (tmp_path / "myconf" / "model").mkdir(parents=True)
    (tmp_path / "myconf" / "model" / "averager.yaml").write_text("_target_: mynets.Averager\nwidth: 12\n")
    return tmp_path


def test_a_network_of_the_users_own_is_one_class_and_one_yaml_file_away(own_project):
    small = "train.epochs=2 data.limit=500 data.valid_size=200 name=own --config-dir myconf model=averager".split()
    done = rnnexp(*small, "model.width=20", cwd=own_project)
    assert done.returncode == 0, done.stderr
    assert "mynets.Averager, 790 parameters: (64, 28, 28) -> (64, 10)" in done.stdout
    text = (own_project / "outputs" / "runs" / "own" / "result.json").read_text()
    result = RunResult.from_json(text)
    assert result.choices["model"] == "averager"
    assert result.config["model"] == {"_target_": "mynets.Averager", "width": 20}
    for arguments, line in {
        "name=b +model.depth=2": "rnnexp: model.depth is no argument of mynets.Averager",
        "name=b model.widht=2": "rnnexp: there is no key model.widht (did you mean model.width?)",
        "name=b model._target_=mynets.Averagr": "rnnexp: model._target_=mynets.Averagr can't be imported",
        "name=b ~model.width": "rnnexp: mynets.Averager needs model.width; type +model.width=...",
    }.items():
        wrong = rnnexp(*"--config-dir myconf model=averager".split(), *arguments.split(), cwd=own_project)
        assert wrong.returncode == 2, arguments
        assert wrong.stderr.startswith(line)
        assert not (own_project / "outputs" / "runs" / "b").exists()


def test_an_experiment_leaves_the_numbers_of_another_optimizer_alone(faults):
    assert faults("experiment=notebook", "optim=adam") == []
    command = CommandLine(get_args_parser().parse_args(["experiment=notebook", "optim=adam"]), CONFIG_DIR)
    cfg = command.compose(command.overrides)
    assert cfg.optim.lr == 0.001
    assert cfg.data.valid_from == "test"
    assert cfg.train.keep == "last"


def test_a_search_never_sees_the_test_set_and_its_best_command_gives_the_same_digits(tmp_path):
    few = ("data.limit=300", "data.valid_size=100", "train.epochs=2")
    done = rnnexp("-m", "search=quick", "name=look", "n_trials=3", *few, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "outputs/sweeps/look"
    table = collect(folder)
    assert table["test_accuracy"].isna().all()
    assert table["threads"].tolist() == [1, 1, 1]
    best = yaml.safe_load((folder / "best.yaml").read_text())
    assert best["command"].endswith(" name=look-best")
    again = rnnexp(*shlex.split(best["command"])[3:], cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    [run] = collect(tmp_path / "outputs/runs").to_dict("records")
    assert run["valid_accuracy"] == best["valid_accuracy"]
    assert run["test_accuracy"] > 0
    more = rnnexp("-m", "search=quick", "name=look", "n_trials=4", *few, cwd=tmp_path)
    assert "resuming: 3 of 4 trials finished" in more.stdout


def test_the_space_of_a_search_is_shown_with_its_configuration(tmp_path):
    done = rnnexp("-m", "search=quick", "--cfg", "job", cwd=tmp_path)
    assert "# search by tpe, pruner median" in done.stdout
    assert "#   model.hidden_size  tag(log, int(interval(16, 64)))" in done.stdout
    assert "\n  hidden_size: 16\n" in done.stdout  # one trial's configuration
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["slurm", "ray"])
def test_a_launcher_that_is_not_installed_is_one_line_with_its_extra(monkeypatch, option):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *args: None if "launcher" in name else find(name))
    register_schemas()
    args = get_args_parser().parse_intermixed_args(["-m", "seed=0,1", f"launcher={option}", "workers=2"])
    faults = CommandLine(args, CONFIG_DIR).problems()
    assert faults == [f"launcher={option} is an extra; type pip install 'rnnexp[{option}]'"]


@pytest.mark.parametrize(
    ("value", "better"),
    [
        ("loguniform(1e-4,1)", "tag(log,interval(1e-4,1))"),
        ("uniform(0, 1)", "interval(0,1)"),
        ("tune.randint(1,4)", "int(interval(1,4))"),
        ("quniform(0,1,0.1)", "tag(step:0.1,interval(0,1))"),
        ("suggest_float(1e-4, 1, log=True)", "tag(log,interval(1e-4,1))"),
        ("categorical([a,b])", "choice(a,b)"),
        ("choice [a,b]", "choice(a,b)"),
        ("loguniform(1)", "tag(log,interval(LOW,HIGH))"),
        ("interval(0,1)", None),
    ],
)
def test_a_distribution_of_another_tool_comes_with_its_spelling(value, better):
    assert spelling(f"optim.lr={value}") == (better and f"optim.lr={better}")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--epochs 3", "--epochs 3: options are written key=value, without dashes; type train.epochs=3"),
        ("model=gru --lr=3", "--lr=3: options are written key=value, without dashes; type optim.lr=3"),
        ("--train.batch-size 3", "--train.batch-size 3: options are written key=value, without dashes; type train.b"),
        ("--xyzzy", "--xyzzy: options are written key=value, without dashes; rnnexp train --help"),
        ("--cfg nonsense", "argument --cfg/-c: invalid choice: 'nonsense'"),
    ],
)
def test_an_option_with_dashes_is_one_line_with_the_key_that_was_meant(arguments, line, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rnnexp", *arguments.split()])
    assert main() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"rnnexp: {line}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("module", ["", *(f".{name}" for name in COMMANDS)])
def test_every_command_has_help_of_80_columns_and_one_line_for_a_mistake(module, monkeypatch, capsys):
    command = importlib.import_module(VERBS[module[1:]].module if module else "rnnexp.cli").main
    monkeypatch.setenv("COLUMNS", "80")
    for argument, status in (("--help", 0), ("--nonsense=1", 2)):
        monkeypatch.setattr(sys, "argv", [f"rnnexp{module}", argument])
        with pytest.raises(SystemExit) as left:
            sys.exit(command())
        assert (left.value.code or 0) == status
        out, err = capsys.readouterr()
        assert max(map(len, out.splitlines()), default=0) <= 80, out
        assert err.count("\n") == (1 if status else 0)
        assert "__main__" not in out + err


@pytest.mark.parametrize("module", ["rnnexp.training.loop", "rnnexp.runner", "rnnexp.report.page", "rnnexp.search"])
def test_a_module_that_is_not_a_command_says_which_one_is(module, tmp_path):
    done = rnnexp("seed=1", module=module, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{module} is not a command; type python -m rnnexp ")


def test_a_run_that_is_stopped_says_the_command_that_goes_on_with_it(tmp_path):
    command = [sys.executable, "-m", "rnnexp", *SMALL, "train.epochs=500", "name=a b"]
    typed = [text for text in command if text != "train.epochs=2"]
    process = subprocess.Popen(typed, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("epoch"):
            process.terminate()
            break
    *_, last = process.communicate()[0].splitlines()
    assert process.returncode == 143
    again = rnnexp(*typed[3:], cwd=tmp_path)
    resume = again.stderr.partition("go on with it: ")[2]
    assert shlex.split(resume) == ["python", "-m", "rnnexp", *typed[3:], "train.resume=true"]
    assert shlex.split(last) == ["resume", "python", "-m", "rnnexp", *typed[3:-1], "name=a b", "train.resume=true"]
