"""The table of runs: every folder is a row, whatever state it is in, and every line fits."""

import csv
import io
import itertools
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from fake_runs import HISTORY, HYDRA_CONFIG, RESULT, begun, finished

from hydra_sweep.errors import UserError
from rnnexp.record.result import HISTORY_COLUMNS, METRICS, Status
from rnnexp.record.run_folder import RunFolder
from rnnexp.results import collect, histories, where
from rnnexp.results.collecting import HEAD, TAIL
from rnnexp.results.command import main


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def only(root):
    """Returns the only row as a dictionary, without what is missing."""
    frame = collect(root)
    assert len(frame) == 1
    return frame.iloc[0].dropna().to_dict()


def shown(capsys, *argv):
    assert main([str(arg) for arg in argv]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out.splitlines()


def test_a_complete_run_is_a_row_with_every_figure_of_its_result(tmp_path):
    finished(tmp_path / "runs" / "a")
    row = only(tmp_path)
    assert row == {
        "path": os.path.join("runs", "a"),
        "status": "complete",
        **RESULT.choices,
        "seed": 3,
        "attempt": 1,
        **RESULT.metrics,
        "num_train": 55_000,
        "num_valid": 5_000,
        "num_test": 10_000,
        "model._target_": "rnnexp.models.RecurrentClassifier",
        "model.cell": "lstm",
        "model.hidden_size": 100,
        "model.dropout": 0.0,
        "optim._target_": "torch.optim.Adam",
        "optim.lr": 0.001,
        "optim.betas": "[0.9, 0.999]",
        "data.name": "mnist",
        "data.sequence": "columns",
        "data.jitter.degrees": 10.0,
        "train.epochs": 10,
        "fingerprint": "0123456789abcdef",
        "device": "cpu",
        "threads": 2,
        "precision": "fp32",
        "git.commit": "be6e008",
        "git.dirty": True,
        "started": "2026-01-02T03:04:05+00:00",
        "ended": "2026-01-02T03:05:06+00:00",
        "host": "node7",
        "versions.rnnexp": "0.1.0",
        "versions.torch": "2.14.1",
    }


def test_columns_keep_their_order_and_absent_ones_are_there(tmp_path):
    finished(tmp_path / "a", metrics={}, environment__git=None)
    columns = list(collect(tmp_path))
    config = [name for name in columns if name.startswith(("model.", "optim.", "data.", "train."))]
    assert columns == [*HEAD, *config, *TAIL, "versions.rnnexp", "versions.torch"]
    assert config[0] == "model._target_"
    assert config[-1] == "train.patience"


def test_a_key_that_only_a_later_run_has_stays_with_its_group(tmp_path):
    finished(tmp_path / "1")
    finished(tmp_path / "2", config__model={"nonlinearity": "relu"})
    columns = list(collect(tmp_path))
    assert columns.index("model.nonlinearity") < columns.index("optim.lr")
    assert collect(tmp_path)["model.nonlinearity"].dropna().tolist() == ["relu"]


def test_root_itself_may_be_the_run(tmp_path):
    finished(tmp_path)
    assert only(tmp_path)["path"] == "."


def test_run_2_comes_before_run_10_and_folders_inside_a_run_are_not_runs(tmp_path):
    for number in (10, 2, 1):
        finished(tmp_path / "sweep" / str(number))
    finished(tmp_path / "sweep" / "2" / "copy")
    finished(tmp_path / ".trash" / "1")
    assert collect(tmp_path)["path"].tolist() == [os.path.join("sweep", n) for n in ("1", "2", "10")]


def test_hydras_folder_of_a_sweep_is_no_run(tmp_path):
    (tmp_path / "sweep" / "empty").mkdir(parents=True)
    (tmp_path / "sweep" / "multirun.yaml").write_text(HYDRA_CONFIG)
    assert collect(tmp_path).empty


def test_a_complete_run_is_read_without_its_yaml_and_history(tmp_path):
    folder = begun(tmp_path, config="{{{", choices="[", history="\0")
    folder.write_result(RESULT)
    assert only(tmp_path)["status"] == "complete"


def test_an_unfinished_run_shows_its_last_epoch(tmp_path):
    begun(tmp_path / "a")
    assert only(tmp_path) == {
        "path": "a",
        "status": "unfinished",
        "model": "gru",
        "optim": "sgd",
        "seed": 5,
        "train_loss": 0.3,
        "train_accuracy": 0.9,
        "valid_loss": 0.25,
        "valid_accuracy": 0.91,
        "epochs": 2,
        "model.hidden_size": 32,
        "optim.lr": 0.1,
    }


def test_a_torn_history_ends_with_its_last_whole_line(tmp_path):
    begun(tmp_path, history=HISTORY[:-9])
    row = only(tmp_path)
    assert (row["status"], row["epochs"], row["train_loss"], row["valid_accuracy"]) == ("unfinished", 1, 0.5, 0.85)


def test_a_number_that_cannot_be_read_is_missing_alone(tmp_path):
    begun(tmp_path, history=HISTORY.replace("0.25", "0.2.5"))
    row = only(tmp_path)
    assert "valid_loss" not in row
    assert (row["train_loss"], row["valid_accuracy"]) == (0.3, 0.91)


def test_a_claimed_folder_is_running_until_its_process_lets_go(tmp_path):
    folder = begun(tmp_path)
    with folder.claim():
        assert only(tmp_path)["status"] == "running"
    assert only(tmp_path)["status"] == "unfinished"


def test_a_run_that_is_deleted_while_the_others_are_read_is_no_row(tmp_path, monkeypatch):
    for name in "abcd":
        (finished if name in "ab" else begun)(tmp_path / name)
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "checkpoint.pt").touch()  # all that there is
    read_result = RunFolder.read_result

    def delete_then_read(self):
        if self.path.name in "bd":
            shutil.rmtree(self.path, ignore_errors=True)
        return read_result(self)

    monkeypatch.setattr(RunFolder, "read_result", delete_then_read)
    frame = collect(tmp_path)
    assert frame["path"].tolist() == ["a", "c", "e"]
    assert frame["status"].tolist() == ["complete", "unfinished", "unfinished"]
    shutil.rmtree(tmp_path / "c")
    assert histories(tmp_path, ["path"], frame).empty


def test_a_sweep_is_read_while_it_is_written(tmp_path):
    """Every look has whole rows only, and the last look has every run."""
    writer = """
import itertools, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fake_runs import HISTORY, RESULT, begun
for number in itertools.count():
    if Path(sys.argv[2], "enough").exists():
        break
    folder = begun(Path(sys.argv[2]) / str(number), history="")
    with folder.claim(), open(folder.history, "w") as history:
        for character in HISTORY:
            history.write(character)
            history.flush()
        folder.write_result(RESULT)
"""
    command = [sys.executable, "-c", writer, str(Path(__file__).parents[2]), str(tmp_path)]
    states = set()
    with subprocess.Popen(command) as writing:
        while not ({"complete", "running"} <= states and (tmp_path / "20").exists()) and writing.poll() is None:
            frame = collect(tmp_path)
            assert frame.loc[frame["status"] == "complete", "test_accuracy"].notna().all()
            assert set(frame["epochs"].dropna()) <= {1, 2, 10}
            assert set(histories(tmp_path, ["path"], frame)["valid_accuracy"]) <= {0.85, 0.91}
            states |= set(frame["status"])
        (tmp_path / "enough").touch()
    assert writing.returncode == 0
    assert set(collect(tmp_path)["status"]) == {"complete"}


def test_a_run_that_ends_while_it_is_looked_at_is_complete(tmp_path, monkeypatch):
    folder = begun(tmp_path)

    def is_claimed(self):
        folder.write_result(RESULT)
        return False

    monkeypatch.setattr(RunFolder, "is_claimed", is_claimed)
    assert only(tmp_path)["status"] == "complete"


@pytest.mark.parametrize("status", ["pruned", "diverged", "failed"])
def test_a_run_that_went_bad_is_a_row_with_its_reason(tmp_path, status):
    finished(tmp_path, status=Status(status), reason="the loss is nan", metrics={"train_loss": math.nan, "epochs": 1})
    row = only(tmp_path)
    assert (row["status"], row["reason"], row["epochs"]) == (status, "the loss is nan", 1)
    assert "train_loss" not in row


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.7, 0.99])
def test_a_truncated_result_is_a_corrupt_row_with_the_rest_of_the_folder(tmp_path, share):
    whole = RESULT.to_json()
    folder = begun(tmp_path)
    folder.result.write_text(whole[: int(len(whole) * share)])
    row = only(tmp_path)
    assert row["status"] == "corrupt"
    assert row["reason"].startswith("result.json: ")
    assert (row["model"], row["seed"], row["epochs"], row["optim.lr"]) == ("gru", 5, 2, 0.1)


def changed(**changes):
    return json.dumps(json.loads(RESULT.to_json()) | changes).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe\x00", "result.json: 'utf-8' codec can't decode"),
        (b"[]", "result.json: not a result of rnnexp"),
        (b'{"status": "complete"}', "result.json: not a result of rnnexp"),
        (b"[" * 200_000, "result.json: nested too deeply"),
        (changed(status="great"), "result.json: 'great' is not a valid Status"),
        (changed(status=[]), "result.json: "),
        (changed(metrics=[1]), "result.json: metrics"),
        (changed(metrics={"test_loss": "low"}), "result.json: metrics"),
        (changed(metrics={"epochs": 10**400}), "result.json: metrics"),
        (changed(choices=None), "result.json: choices"),
        (changed(config="x"), "result.json: config"),
        (changed(environment=7), "result.json: environment"),
        (changed(seed="three"), "result.json: seed"),
    ],
)
def test_a_result_that_is_none_says_why(tmp_path, content, reason):
    (tmp_path / "a").mkdir()
    RunFolder(tmp_path / "a").result.write_bytes(content)
    row = only(tmp_path)
    assert set(row) == {"path", "status", "reason"}
    assert row["status"] == "corrupt"
    assert row["reason"].startswith(reason)


def test_a_file_that_cannot_be_opened_says_so(tmp_path):
    begun(tmp_path).result.mkdir()  # a folder where a file should be
    row = only(tmp_path)
    assert (row["status"], row["reason"], row["epochs"]) == ("corrupt", "result.json can't be read: Is a directory", 2)


def test_a_folder_that_may_not_be_listed_is_a_row(tmp_path, monkeypatch):
    finished(tmp_path / "b")
    (tmp_path / "a").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path) == str(tmp_path / "a"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    frame = collect(tmp_path)
    assert frame["path"].tolist() == ["a", "b"]
    assert frame["status"].tolist() == ["corrupt", "complete"]
    assert frame["reason"][0] == "Permission denied"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"config": "model: [1"}, "config.yaml is not YAML"),
        ({"config": ""}, "config.yaml is empty or not a mapping"),
        ({"config": "model: {a: 2024-13-45}"}, "config.yaml is not YAML"),
        ({"choices": "\x01"}, "hydra.yaml is not YAML"),
        ({"choices": "hydra:"}, "hydra.yaml"),
        ({"choices": "hydra: {runtime: 1}"}, "hydra.yaml has no runtime"),
        ({"history": f"epoch\n{'1' * 200_000}\n"}, "history.csv can't be read: field larger than field limit"),
    ],
)
def test_a_damaged_file_of_an_unfinished_run_is_named(tmp_path, damage, reason):
    begun(tmp_path, **damage)
    limit = csv.field_size_limit(131_072)  # Python's own, which packages raise for a whole process
    row = only(tmp_path)
    csv.field_size_limit(limit)
    assert row["status"] == "corrupt"
    assert row["reason"].startswith(reason)
    assert ("model" in row) == ("choices" not in damage)
    assert ("optim.lr" in row) == ("config" not in damage)
    assert ("valid_loss" in row) == ("history" not in damage)


def test_every_fault_of_a_folder_is_told(tmp_path):
    begun(tmp_path, config="", choices="").result.write_text("{}")
    assert only(tmp_path)["reason"].split("; ") == [
        "result.json: not a result of rnnexp",
        "config.yaml is empty or not a mapping",
        "hydra.yaml is empty or not a mapping",
    ]


def test_yaml_of_any_shape_is_no_exception(tmp_path):
    begun(tmp_path / "1", config="seed: {a: 1}\nmodel: [1, {2020-01-01: x}]\noptim: {1: {2: 3}, b: !!set {x}}\n")
    begun(tmp_path / "2", config="a: &a {b: *a}\n")
    begun(tmp_path / "3", config="1.5: 2\noptim: {lr: 2020-01-01, k: 0x" + "f" * 200 + "}\n")
    begun(tmp_path / "4", config="optim: {k: 0.5}\n")
    frame = collect(tmp_path)
    assert frame["status"].tolist() == ["unfinished", "corrupt", "unfinished", "unfinished"]
    assert frame["optim.1.2"][0] == 3
    assert frame["optim.lr"][2] == "2020-01-01"


@pytest.mark.parametrize(
    "name", ["a b", "it's", 'say "x"', "two\nlines", "tab\t", "a,b", "日本", "\x1b[31mred", "%s{}"]
)
def test_a_nasty_path_stays_whole_in_the_table_and_on_one_line_on_screen(tmp_path, capsys, name):
    finished(tmp_path / name)
    begun(tmp_path / f"{name}2")
    assert collect(tmp_path)["path"].tolist() == [name, f"{name}2"]
    lines = shown(capsys, tmp_path, "--csv", tmp_path / "all.csv")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert lines[-1] == "2 runs: 1 complete, 1 unfinished"
    assert pd.read_csv(tmp_path / "all.csv")["path"].tolist() == [name, f"{name}2"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' file names are text")
def test_bytes_that_are_no_text_are_spelled_out(tmp_path, capsys):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(path)
    finished(tmp_path / os.fsdecode(b"caf\xe9"), choices__optim="lone \ud800", reason="\udcff")
    assert only(tmp_path)["path"] == r"caf\udce9"
    assert only(tmp_path)["optim"] == r"lone \ud800"
    assert shown(capsys, tmp_path, "--csv", tmp_path / "a.csv", "--parquet", tmp_path / "a.parquet")


def test_a_folder_that_is_not_there_is_one_line(tmp_path, capsys):
    with pytest.raises(UserError, match=re.escape(f"no folder {tmp_path / 'x'}; type the folder that holds the runs")):
        collect(tmp_path / "x")
    assert main([str(tmp_path / "x")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert (
        printed.err
        == f"rnnexp results: no folder {tmp_path / 'x'}; type the folder that holds the runs, such as outputs\n"
    )


def test_a_folder_without_runs_is_an_empty_table(tmp_path, capsys):
    frame = collect(tmp_path)
    assert frame.empty
    assert list(frame) == [*HEAD, *TAIL]
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"rnnexp results: no runs below {tmp_path}\n"


def test_numbers_are_shown_as_people_write_them(tmp_path, capsys):
    finished(tmp_path / "a", config__optim__lr=1e-05)
    finished(tmp_path / "b", config__optim__lr=0.1, metrics={"epochs": 3, "valid_loss": 123456.789}, threads=None)
    columns = "path,test_accuracy,valid_loss,train_seconds,epochs,optim.lr,model.dropout,git.dirty,threads"
    assert shown(capsys, tmp_path, "--columns", columns) == [
        "path  test_accuracy  valid_loss  train_seconds  epochs  optim.lr  model.dropout  git.dirty  threads",
        "a            0.9786      0.0654           71.3      10     1e-05              0  true             2",
        "b                 -   1.235e+05              -       3       0.1              0  true             -",
        "2 runs: 2 complete",
    ]


def sweep(root):
    """Writes 27 runs of three cells, three optimizers and three seeds, of which one diverged and one is unfinished."""
    for number in range(25):
        model, optim = ("rnn", "gru", "lstm")[number % 3], ("adadelta", "adam", "sgd")[number // 3 % 3]
        choices = RESULT.choices | {"model": model, "optim": optim}
        folder = root / "sweeps" / "a rather long name of a sweep" / str(number)
        finished(
            folder, choices=choices, config__model__cell=model, config__optim__lr=0.01 * (number + 1), seed=number // 9
        )
    reason = "train loss is nan in epoch 3, batch 127, after the gradient's norm was 1e12; try a lower optim.lr"
    finished(root / "sweeps" / "x" / "25", status=Status.DIVERGED, reason=reason, metrics={"epochs": 2})
    begun(root / "sweeps" / "x" / "26")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(tmp_path, capsys, monkeypatch, width):
    sweep(tmp_path)
    monkeypatch.setenv("COLUMNS", str(width))
    lines = shown(capsys, tmp_path)
    assert max(map(len, lines)) <= width
    assert lines[0].split()[:2] == ["path", "status"]
    assert " ".join(lines[28:]) == "27 runs: 25 complete, 1 diverged, 1 unfinished"
    if width >= 60:
        assert {"test_accuracy", "valid_accuracy"} <= set(lines[0].split())
        assert lines[2].split("  ")[0].endswith("sweep/1")
    if width >= 80:
        assert lines[0].split()[2] == "model"
        assert lines[0].split()[-1] == "reason"
        assert "train" in lines[26]
    columns = shown(capsys, tmp_path, "--columns", "reason,path,status,optim.lr,fingerprint,model._target_")
    assert max(map(len, columns)) <= width


def test_a_narrow_terminal_loses_what_all_runs_share_and_keeps_the_metrics(tmp_path, capsys, monkeypatch):
    metrics = {"test_accuracy": 0.9, "valid_accuracy": 0.8}
    for number in range(4):
        choices = {"optim": ("adam", "sgd")[number % 2]}
        epochs = 1 + number // 2
        finished(tmp_path / str(number), metrics=metrics, choices__optim=choices["optim"], config__train__epochs=epochs)
    monkeypatch.setenv("COLUMNS", "60")
    header = shown(capsys, tmp_path)[0].split()
    assert header == ["path", "optim", "test_accuracy", "valid_accuracy", "train.epochs"]
    monkeypatch.setenv("COLUMNS", "80")
    header = shown(capsys, tmp_path)[0].split()
    assert {"status", "model", "optim", "seed", "test_accuracy", "valid_accuracy"} <= set(header)


def test_a_number_is_never_cut_and_a_column_without_room_is_named(tmp_path, capsys, monkeypatch):
    finished(tmp_path / ("run" * 10), metrics__test_accuracy=0.9786, metrics__valid_accuracy=0.98)
    monkeypatch.setenv("COLUMNS", "40")
    lines = shown(capsys, tmp_path, "--columns", "path,test_accuracy,valid_accuracy,optim.lr")
    assert lines[0].split() == ["path", "test_accuracy", "valid_accuracy"]
    assert lines[1].split()[1:] == ["0.9786", "0.9800"]
    assert " ".join(lines[2:]).endswith("; too narrow here for optim.lr: --csv - prints it")
    lines = shown(capsys, tmp_path, "--rows", "path", "--columns", "model")
    assert lines[1].endswith("0.9786 (1)")


def test_the_columns_that_differ_come_before_those_that_do_not(tmp_path, capsys, monkeypatch):
    sweep(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    header = shown(capsys, tmp_path)[0].split()
    assert header[:5] == ["path", "status", "model", "optim", "seed"]
    assert header[5:9] == ["test_accuracy", "valid_accuracy", "model.hidden_size", "optim.lr"]
    assert "best_epoch" in header
    assert not {"experiment", "optim._target_", "optim.foreach", "train.patience"} & set(header)


def test_keys_that_repeat_their_groups_choice_are_not_shown(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    for cell in ("gru", "lstm"):
        finished(tmp_path / cell, choices__model=cell, config__model__cell=cell, config__model___target_=f"my.{cell}")
    header = shown(capsys, tmp_path)[0].split()
    assert not {"model.cell", "model._target_", "reason", "schedule.x"} & set(header)
    assert header[:6] == ["path", "status", "model", "optim", "seed", "test_accuracy"]


def test_a_key_that_some_runs_lack_gives_way_to_figures_unless_it_is_what_was_tried(tmp_path, capsys):
    finished(tmp_path / "1", config__optim__momentum=0.0, choices__optim="sgd")
    finished(tmp_path / "2")
    finished(tmp_path / "3", config__train__patience=5)
    header = shown(capsys, tmp_path)[0].split()
    assert "train.patience" in header
    assert "best_epoch" in header
    assert "optim.momentum" not in header


def paths(lines):
    return [line.split()[0] for line in lines[1:-1]]


def test_rows_are_sorted_by_numbers_and_by_text_with_missing_ones_last(tmp_path, capsys):
    for name, accuracy in (("1", 0.5), ("2", 0.9), ("10", None), ("11", 0.7)):
        metrics = {} if accuracy is None else {"valid_accuracy": accuracy}
        finished(tmp_path / name, metrics=metrics, config__optim__lr="ten" if name == "2" else int(name))
    assert paths(shown(capsys, tmp_path, "--sort", "valid_accuracy")) == ["1", "11", "2", "10"]
    assert paths(shown(capsys, tmp_path, "--sort=-valid_accuracy")) == ["2", "11", "1", "10"]
    assert paths(shown(capsys, tmp_path, "--sort=-path")) == ["11", "10", "2", "1"]
    assert paths(shown(capsys, tmp_path, "--sort", "optim.lr")) == ["1", "10", "11", "2"]
    assert paths(shown(capsys, tmp_path, "--sort=-seed")) == ["1", "2", "10", "11"]


@pytest.mark.parametrize("option", ["--sort", "--sort=-", "--columns"])
def test_an_unknown_column_names_the_nearest(tmp_path, capsys, option):
    finished(tmp_path)
    typed = [f"{option}test_acuracy"] if option.endswith("-") else [option, "test_acuracy"]
    assert main([str(tmp_path), *typed]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("rnnexp results: no column test_acuracy")
    assert "did you mean test_accuracy?" in printed.err
    assert printed.err.count("\n") == 1


def test_an_unknown_column_like_no_other_says_where_to_find_them(tmp_path, capsys):
    finished(tmp_path)
    assert main([str(tmp_path), "--columns", "zzz"]) == 2
    assert capsys.readouterr().err == "rnnexp results: no column zzz; --csv FILE writes them all\n"


def same(read, frame):
    """Whether two tables hold the same, be a missing value None or NaN."""
    assert list(read) == list(frame)
    for name in frame:
        for ours, theirs in zip(frame[name].tolist(), read[name].tolist(), strict=True):
            is_close = (
                isinstance(theirs, float) and isinstance(ours, float) and math.isclose(ours, theirs, rel_tol=1e-14)
            )  # as read_csv rounds
            assert is_close or ours == theirs or (pd.isna(ours) and pd.isna(theirs)), name


def test_csv_read_back_equals_the_table(tmp_path, capsys):
    sweep(tmp_path)
    frame = collect(tmp_path)
    shown(capsys, tmp_path, "--csv", tmp_path / "all.csv")
    same(pd.read_csv(tmp_path / "all.csv"), frame)
    shown(capsys, tmp_path, "--csv", tmp_path / "all.csv", "--columns", "seed, path,seed", "--sort=-optim.lr")
    best = frame.sort_values("optim.lr", ascending=False)[["seed", "path"]]
    same(pd.read_csv(tmp_path / "all.csv").head(5), best.head(5))
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["all.csv"]


def test_parquet_read_back_equals_the_table_and_mixed_columns_are_text(tmp_path, capsys):
    pytest.importorskip("pyarrow", reason="pip install 'rnnexp[parquet]'")
    sweep(tmp_path)
    frame = collect(tmp_path)
    shown(capsys, tmp_path, "--parquet", tmp_path / "all.parquet")
    same(pd.read_parquet(tmp_path / "all.parquet"), frame)
    finished(tmp_path / "odd", seed=2**70, config__optim__lr="high", config__train__patience=True)
    shown(capsys, tmp_path, "--parquet", tmp_path / "all.parquet")
    read = pd.read_parquet(tmp_path / "all.parquet")
    assert read["optim.lr"][0] == "high"
    assert float(read["optim.lr"][1]) == 0.01
    assert read["seed"][0] == str(2**70)


def test_parquet_without_pyarrow_names_the_extra(tmp_path, capsys, monkeypatch):
    finished(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main([str(tmp_path), "--parquet", str(tmp_path / "a.parquet")]) == 2
    assert "pip install 'rnnexp[parquet]'" in capsys.readouterr().err
    assert not (tmp_path / "a.parquet").exists()


@pytest.mark.parametrize("target", ["missing/all.csv", ".", os.devnull])
def test_a_file_that_cannot_be_written_is_one_line(tmp_path, capsys, target):
    finished(tmp_path)
    assert main([str(tmp_path), "--csv", str(tmp_path / target)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"rnnexp results: cannot write {tmp_path / target}: ")
    assert error.count("\n") == 1


def test_neither_the_table_nor_its_command_imports_torch(tmp_path):
    finished(tmp_path / "a")
    begun(tmp_path / "b")
    code = "import sys; from rnnexp.results import command; assert 'torch' not in sys.modules; "
    code += "status = command.main(sys.argv[1:]); assert 'torch' not in sys.modules; sys.exit(status)"
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("2 runs: 1 complete, 1 unfinished\n")


def test_a_terminal_without_unicode_gets_its_table(tmp_path):
    finished(tmp_path / ("é" * 100))
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
    command = [sys.executable, "-m", "rnnexp.results", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].startswith("????????????  complete")


def test_a_reader_that_leaves_early_causes_no_traceback(tmp_path):
    finished(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "rnnexp.results", str(tmp_path)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_the_metrics_of_the_table_are_those_of_a_result():
    assert set(METRICS) == set(RESULT.metrics)
    assert not set(METRICS) & set(TAIL)


def test_histories_are_one_row_a_run_and_epoch(tmp_path):
    finished(tmp_path / "a").append_history(dict.fromkeys(HISTORY_COLUMNS, 0.5) | {"epoch": 1})
    (tmp_path / "a" / "history.csv").write_text(HISTORY)
    begun(tmp_path / "b", history=HISTORY + "3,0.1,0.2")  # a line that is just being written
    begun(tmp_path / "c", history="")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "history.csv").write_text("epoch,lr\n1,0.1\n")  # of something else
    found = histories(tmp_path)
    assert found["path"].tolist() == ["a", "a", "b", "b"]
    assert found["epoch"].tolist() == [1, 2, 1, 2]
    assert found["model"].tolist() == ["lstm", "lstm", "gru", "gru"]
    assert found["valid_accuracy"].tolist() == [0.85, 0.91, 0.85, 0.91]
    chosen = histories(tmp_path, ["seed", "valid_loss"], frame=where(collect(tmp_path), "model == 'lstm'"))
    assert list(chosen.columns) == ["seed", "run_valid_loss", *HISTORY_COLUMNS]
    assert chosen["run_valid_loss"].tolist() == [RESULT.metrics["valid_loss"]] * 2
    with pytest.raises(UserError, match="no column sed .did you mean seed"):
        histories(tmp_path, ["sed"])
    assert histories(tmp_path / "c").empty


@pytest.fixture
def grid(tmp_path):
    """Returns a folder of eight runs: two models, two optimizers, two seeds; one has failed."""
    for number, (model, optim, seed) in enumerate(itertools.product(("gru", "lstm"), ("adam", "sgd"), (0, 1))):
        accuracy = 0.9 + 0.05 * (model == "lstm") + 0.02 * (optim == "adam") + 0.01 * seed
        status = Status.FAILED if number == 7 else Status.COMPLETE
        choices = RESULT.choices | {"model": model, "optim": optim}
        finished(tmp_path / f"{number}", status=status, seed=seed, choices=choices, metrics__test_accuracy=accuracy)
    return tmp_path


def test_the_command_shows_means_of_groups(grid, capsys):
    lines = shown(capsys, grid, "--group", "model,optim")
    assert [re.split(r"\s{2,}", line) for line in lines] == [
        ["model", "optim", "value", "mean ± std (n)", "best"],
        ["gru", "adam", "test_accuracy", "0.9250 ± 0.0071 (2)", "0.9300"],
        ["gru", "sgd", "test_accuracy", "0.9050 ± 0.0071 (2)", "0.9100"],
        ["lstm", "adam", "test_accuracy", "0.9750 ± 0.0071 (2)", "0.9800"],
        ["lstm", "sgd", "test_accuracy", "0.9500 (1)", "0.9500"],
        ["8 runs: 7 complete, 1 failed; 1 not complete, left out"],
    ]
    assert main([str(grid), "--group", "model", "--any-status", "--sort=-mean"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["model", "lstm", "gru", "8"]
    assert lines[1].split()[-2] == "(4)"
    assert lines[-1] == "8 runs: 7 complete, 1 failed"
    assert main([str(grid), "--group", "model", "--csv", "-"]) == 0
    rows = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert rows["std"][0] == pytest.approx(statistics.stdev([0.92, 0.93, 0.9, 0.91]), rel=1e-12)


@pytest.mark.parametrize(
    ("shape", "typed"),
    [
        (["--group", "model"], "--group model,optim"),
        (["--rows", "model", "--columns", "seed"], "--rows model,optim"),
    ],
)
def test_means_over_several_configurations_come_with_a_warning_and_what_to_type(grid, capsys, shape, typed):
    assert main([str(grid), *shape]) == 0
    assert capsys.readouterr().err == (
        "rnnexp results: warning: a group mixes configurations (optim): its spread is not that of seeds alone; "
        f"type {typed}, or choose by --where \"optim == 'adam'\"\n"
    )
    assert main([str(grid), *typed.split(), *shape[2:]]) == 0
    assert capsys.readouterr().err == ""


def test_a_search_which_never_tests_is_told_which_value_it_has(tmp_path, capsys):
    finished(tmp_path, metrics={"valid_accuracy": 0.9})
    lines = shown(capsys, tmp_path, "--group", "model")
    assert lines[1].split() == ["lstm", "test_accuracy", "-", "-"]
    assert lines[-1] == "1 run: 1 complete; none has test_accuracy, try --values valid_accuracy"
    assert shown(capsys, tmp_path, "--group", "model", "--values", "valid_accuracy")[-1] == "1 run: 1 complete"
    assert shown(capsys, tmp_path, "--group", "model", "--where", "seed < 0")[-1] == "0 runs: none of which that holds"


@pytest.mark.parametrize("shape", [[], ["--group", "model,optim"], ["--rows", "model", "--columns", "optim"]])
@pytest.mark.parametrize(
    ("suffix", "name"),
    [(".csv", "csv"), (".md", "markdown"), (".tex", "latex"), (".html", "html"), (".parquet", "parquet")],
)
def test_a_file_has_the_format_that_its_name_says(grid, capsys, suffix, name, shape):
    if name == "parquet":
        pytest.importorskip("pyarrow", reason="pip install 'rnnexp[parquet]'")
    by_suffix, by_option = grid / f"by suffix{suffix}", grid / "by option"
    shown(capsys, grid, *shape, "--output", by_suffix, f"--{name}", by_option)
    assert by_suffix.read_bytes() == by_option.read_bytes()
    if name != "parquet":
        printed = shown(capsys, grid, *shape, "--format", name)
        assert printed == shown(capsys, grid, *shape, f"--{name}", "-")
        starts = {"csv": r"\w+,", "markdown": r"\| \w", "latex": "% needs", "html": "<table>"}
        assert re.match(starts[name], printed[0])
        if shape:
            assert printed == by_suffix.read_text().splitlines()
    assert shown(capsys, grid, *shape, "--format", "table") == shown(capsys, grid, *shape)


def test_the_command_shows_a_table_of_two_dimensions(grid, capsys):
    lines = shown(capsys, grid, "--rows", "model", "--columns", "optim", "--values", "test_accuracy")
    assert [re.split(r"\s{2,}", line) for line in lines[:3]] == [
        ["model", "adam", "sgd"],
        ["gru", "0.9250 ± 0.0071 (2)", "0.9050 ± 0.0071 (2)"],
        ["lstm", "0.9750 ± 0.0071 (2)", "0.9500 (1)"],
    ]
    text = shown(capsys, grid, "--rows", "model", "--columns", "optim", "--markdown", "-")
    assert text[2] == "| gru | 0.9250 ± 0.0071 (2) | 0.9050 ± 0.0071 (2) |"
    shown(capsys, grid, "--rows", "model", "--columns", "optim", "--csv", grid / "p.csv", "--latex", grid / "p.tex")
    assert pd.read_csv(grid / "p.csv").loc[1, "adam mean"] == pytest.approx(0.975)
    assert "0.9250 $\\pm$ 0.0071 (2)" in (grid / "p.tex").read_text()


def test_the_command_shows_the_rows_of_which_an_expression_holds(grid, capsys):
    lines = shown(capsys, grid, "--where", "model == 'gru' and test_accuracy > 0.91", "--columns", "path,seed")
    assert [line.split() for line in lines] == [["path", "seed"], ["0", "0"], ["1", "1"], "2 runs: 2 complete".split()]
    assert shown(capsys, grid, "--where", "seed > 7")[-1] == "0 runs: none of which that holds"
    text = shown(capsys, grid, "--where", "seed == 0", "--columns", "path", "--html", "-")
    assert sum("<tr>" in line for line in text) == 5


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--rows", "model"], "--rows wants one column across and one value; try --rows model --columns optim"),
        (["--group", "modle"], "no column modle (did you mean model?)"),
        (["--group", "model", "--rows", "optim"], "--group goes without --rows and --columns"),
        (["--group", "model", "--values", "optim"], "optim is no number, so it has no mean; try test_accuracy"),
        (["--group", "model", "--sort", "path"], "no column path"),
        (["--where", "modle == 1"], "no column modle (did you mean model?)"),
        (["--group", ","], "a group needs at least one column"),
        (["--rows", "model", "--columns", "optim", "--sort", "model"], "--sort is for the plain table and --group"),
        (["--values", "test_loss"], "--values and --any-status are for means"),
        (["--any-status"], "--values and --any-status are for means"),
        (["--parquet", "-"], "--parquet can't be printed"),
        (["--output", "table.txt"], "--output table.txt must end with one of .csv .md .tex .html .parquet"),
    ],
)
def test_what_the_command_cannot_shape_is_one_line_and_no_file(grid, capsys, argv, line):
    assert main([str(grid), *argv, "--csv", str(grid / "all.csv")]) == 2
    assert not (grid / "all.csv").exists()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"rnnexp results: {line}")
    assert printed.err.count("\n") == 1
