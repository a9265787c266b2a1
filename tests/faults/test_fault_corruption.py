"""Whatever is damaged on disk is named, or does no harm: never a wrong number, a traceback or another run."""

import gc
import json
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from hydra_sweep import status
from hydra_sweep.errors import UserError
from hydra_sweep.files import read_json, read_yaml, with_json_checksum, yaml_text
from hydra_sweep.records import Outcome
from hydra_sweep.resume import open_checked
from hydra_sweep.signals import Interrupted
from rnnexp.data import idx
from rnnexp.record.comparison_folder import ComparisonFolder
from rnnexp.record.result import HISTORY_COLUMNS, Status
from rnnexp.record.run_folder import HydraFiles, RunFolder
from rnnexp.record.tensors import load_tensors
from rnnexp.report import pages
from rnnexp.reproduce import reproduce
from rnnexp.results.collecting import collect, histories
from rnnexp.runner import run
from rnnexp.verdict.values import VERSION

SEED = 7  # of all random damage
TINY = "data.limit=300 data.valid_size=100 model.hidden_size=4 model.num_layers=1 train.threads=1 optim=adam".split()
OTHERS = {  # what might be in a file's place, of another version or program
    "empty": b"",
    "zeros": bytes(4096),
    "a page": b"<html>403</html>\n",
    "an object": b"{}\n",
    "a list": b"[1, 2]\n",
    "null": b"null\n",
    "bytes": bytes(range(256)),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, compose):
    """Returns the folder of a run of two epochs, as the command line leaves it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    cfg = compose(*TINY, "train.epochs=2")
    run(cfg, folder, hydra_files=hydra_files(cfg))
    return folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, compose):
    """Returns the folder of a run that was stopped after two of three epochs."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    cfg = compose(*TINY, "train.epochs=3")

    def stop(row):
        if row["epoch"] == 2:
            raise Interrupted(15)
        return False

    with pytest.raises(Interrupted):
        run(cfg, folder, hydra_files=hydra_files(cfg), on_epoch=stop)
    return folder


def hydra_files(cfg):
    """Returns what the command line has a run leave in `.hydra/`."""
    choices = "hydra:\n  runtime:\n    choices:\n      model: lstm\n      optim: adam\n"
    return HydraFiles(OmegaConf.to_yaml(cfg), choices)


def flips(whole, times):
    """Yields the content with one bit flipped, at random places drawn from SEED."""
    draw = random.Random(SEED)
    places = range(len(whole)) if times >= len(whole) else sorted(draw.sample(range(len(whole)), times))
    for place in places:
        yield place, whole[:place] + bytes([whole[place] ^ (1 << draw.randrange(8))]) + whole[place + 1 :]


def cuts(whole, times):
    """Yields the content cut short: at the first and last bytes, at line ends, and at random places."""
    draw = random.Random(SEED)
    ends = [i for i, byte in enumerate(whole[:100_000]) if byte == 10]
    places = {*range(3), len(whole) - 1, len(whole) - 2, len(whole) // 2, *draw.sample(ends, min(len(ends), times))}
    for place in sorted(places | {draw.randrange(len(whole)) for _ in range(times)}):
        yield place, whole[:place]


def damages(whole, times):
    """Yields so many damaged contents of a file, and some that others might have left there, with their names."""
    yield from ((f"bit flipped at {place} (seed {SEED})", content) for place, content in flips(whole, times))
    yield from ((f"cut at {place}", content) for place, content in cuts(whole, times // 4))
    draw = random.Random(SEED)
    for _ in range(times // 8):  # a sector that reads as zeros, or as another file's
        place, size = draw.randrange(len(whole)), draw.choice((16, 512, 4096))
        noise = draw.choice((bytes(size), draw.randbytes(size)))
        yield f"{size} bytes at {place}", (whole[:place] + noise + whole[place + size :])[: len(whole)]
    yield from OTHERS.items()


def same(one, other):
    """Whether two trees of tensors and plain values are equal, types included."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return isinstance(other, type(one)) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and one == other


def answer(call, *args):
    """Returns what a call returns and None, or None and the text with which it refuses."""
    try:
        return call(*args), None
    except ValueError as error:
        return None, str(error)


def assert_never_wrong(file, read, inject, times, is_known=lambda before, after: False):
    """Damages a file in many ways: `read` must give what it gave before, or refuse in one line.

    Args:
        is_known: whether another answer is as good: an earlier state of the file.
    """
    whole = file.read_bytes()
    before = read()
    refused = 0
    for name, content in damages(whole, times):
        if content == whole:
            continue
        inject(f"{file.name} damaged")
        file.write_bytes(content)
        after, line = answer(read)
        if line is None:
            assert same(before, after) or is_known(before, after), name
        else:
            refused += 1
            assert len(line.splitlines()) == 1, name
    file.write_bytes(whole)
    assert same(before, read())
    assert refused > times / 4


@pytest.mark.parametrize("name", ["checkpoint.pt", "model.pt"])
def test_damaged_tensors_are_refused_or_the_same(finished, name, scale, inject):
    file = finished / name
    assert_never_wrong(file, lambda: load_tensors(file, "cpu"), inject, 100 * scale)


def test_a_damaged_result_is_refused_or_the_same(finished, scale, inject):
    folder = RunFolder(finished)
    assert_never_wrong(folder.result, lambda: vars(folder.read_result()), inject, 100 * scale)


def test_damaged_outcomes_are_refused_or_the_same(finished, scale, inject):
    folder = RunFolder(finished)
    assert_never_wrong(folder.test_outcomes, lambda: vars(folder.read_test_outcomes()), inject, 100 * scale)


def test_a_damaged_history_is_refused_or_ends_earlier(finished, scale, inject):
    folder = RunFolder(finished)

    def ends_earlier(before, after):
        return after == before[: len(after)]

    assert_never_wrong(folder.history, folder.read_history, inject, 100 * scale, ends_earlier)


def is_nothing(before, after):
    return after == {}


@pytest.mark.parametrize("name", ["config.yaml", "hydra.yaml"])
def test_damaged_files_of_hydra_are_refused_or_the_same(stopped, name, scale, inject):
    file = stopped / ".hydra" / name
    assert_never_wrong(file, lambda: read_yaml(file), inject, 30 * scale, is_nothing)


def test_damaged_yaml_and_json_of_ours_is_refused_or_the_same(tmp_path, scale, inject):
    content = {"trial": 12, "valid_accuracy": 0.98125, "overrides": ["optim.lr=0.1", "name='ü'"], "folder": "a\nb"}
    yaml_file, json_file = tmp_path / "best.yaml", tmp_path / "comparison.json"
    yaml_file.write_text(yaml_text(content))
    json_file.write_text(with_json_checksum(json.dumps(content, indent=1) + "\n"))
    assert read_yaml(yaml_file) == content
    assert read_json(json_file) == content | {"crc32": read_json(json_file)["crc32"]}
    assert_never_wrong(yaml_file, lambda: read_yaml(yaml_file), inject, 30 * scale, is_nothing)

    def read():
        loaded = read_json(json_file)
        if not isinstance(loaded, dict) or not content.keys() <= loaded.keys():
            raise ValueError("no comparison")
        return {name: loaded[name] for name in content}

    assert_never_wrong(json_file, read, inject, 30 * scale)


def cells(frame):
    """Returns the numbers of a table, by path."""
    return {row["path"]: {k: v for k, v in row.items() if v == v} for row in frame.to_dict("records")}


@pytest.mark.parametrize("name", ["result.json", "history.csv", ".hydra/config.yaml", ".hydra/hydra.yaml"])
def test_the_table_has_no_wrong_number_whatever_is_damaged(stopped, finished, tmp_path, name, scale, inject):
    kind = finished if name == "result.json" else stopped
    shutil.copytree(kind, tmp_path / "run")
    file = tmp_path / "run" / name
    whole = file.read_bytes()
    before, epochs = cells(collect(tmp_path))["run"], histories(tmp_path).to_dict("records")
    for damage, content in damages(whole, 8 * scale):
        inject(f"{file.name} damaged, in the table")
        file.write_bytes(content)
        row = cells(collect(tmp_path))["run"]
        is_earlier = name == "history.csv" and row["status"] == "unfinished"
        if row["status"] == Status.CORRUPT.value:
            assert row["reason"].startswith(file.name), damage
        elif is_earlier:
            assert row.get("epochs", 0) <= before["epochs"], damage
        else:
            known = {k for k, v in row.items() if v is not None}
            assert {k: before[k] for k in known} == {k: row[k] for k in known}, damage
            assert known == {k for k, v in before.items() if v is not None} or damage == "an object", damage
        if not is_earlier:
            numbers = {k: v for k, v in row.items() if k not in ("status", "reason", "attempt")}
            assert all(v is None or before.get(k) == v for k, v in numbers.items()) or name == "result.json", damage
        found = histories(tmp_path).to_dict("records")
        if name == "history.csv":
            known = [{k: row[k] for k in HISTORY_COLUMNS} for row in epochs]
            assert [{k: row[k] for k in HISTORY_COLUMNS} for row in found] == known[: len(found)], damage


def test_a_resumed_run_is_the_same_run_or_refused(stopped, tmp_path, compose, scale, inject):
    cfg = compose(*TINY, "train.epochs=3", "train.resume=true")
    shutil.copytree(stopped, tmp_path / "whole")
    expected = RunFolder(tmp_path / "whole")
    run(cfg, expected.path)
    history = [{k: v for k, v in row.items() if k != "epoch_seconds"} for row in expected.read_history()]
    weights = load_tensors(expected.model, "cpu")
    going_on = 0
    for name in ("checkpoint.pt", "history.csv", ".hydra/config.yaml"):
        whole = (stopped / name).read_bytes()
        for damage, content in damages(whole, 2 if scale == 1 else 6):
            inject(f"{name.rpartition('/')[2]} damaged, then resumed")
            folder = RunFolder(tmp_path / "damaged")
            shutil.rmtree(folder.path, ignore_errors=True)
            shutil.copytree(stopped, folder.path)
            (folder.path / name).write_bytes(content)
            _, line = answer(run, cfg, folder.path)
            if line is not None:
                assert "checkpoint.pt is corrupt" in line, damage
                assert len(line.splitlines()) == 1, damage
                assert folder.read_result() is None
                continue
            going_on += 1
            again = [{k: v for k, v in row.items() if k != "epoch_seconds"} for row in folder.read_history()]
            assert again == history, damage
            assert same(weights, load_tensors(folder.model, "cpu")), damage
    assert going_on > 10


@pytest.mark.parametrize(
    "content",
    [
        {"trainer": {}, "attempt": 1},
        {"weight": torch.zeros(3)},
        {"trainer": {"progress": {}}, "attempt": 1, "config": {}, "more": 1},
    ],
    ids=["older", "a model", "newer"],
)
def test_a_checkpoint_of_another_version_is_refused(tmp_path, compose, content, inject):
    inject("another version's file")
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="checkpoint.pt is corrupt .it is no checkpoint of this version of rnnexp"):
        run(compose(*TINY, "train.resume=true"), tmp_path)


def test_a_checkpoint_of_another_network_is_refused(stopped, tmp_path, compose, inject):
    inject("another version's file")
    folder = RunFolder(shutil.copytree(stopped, tmp_path / "run"))
    checkpoint = torch.load(folder.checkpoint, weights_only=True)
    del checkpoint["trainer"]["model"]["output.bias"]
    torch.save(checkpoint, folder.checkpoint)
    with pytest.raises(UserError, match=r"checkpoint.pt is of another network or version \(.*output.bias"):
        run(compose(*TINY, "train.epochs=3", "train.resume=true"), folder.path)


def test_a_record_without_sums_is_read_as_it_was(finished, tmp_path):
    folder = RunFolder(shutil.copytree(finished, tmp_path / "run"))
    result, rows = folder.read_result(), folder.read_history()
    folder.result.write_text(result.to_json())
    lines = [",".join(row) for row in ([*HISTORY_COLUMNS], *(row.values() for row in rows))]
    folder.history.write_text("\n".join(lines) + "\n")
    assert "crc32" not in folder.result.read_text() + folder.history.read_text()
    assert (folder.read_result(), folder.read_history()) == (result, rows)


def test_reproducing_a_damaged_record_is_refused_in_one_line(finished, tmp_path, inject):
    folder = RunFolder(shutil.copytree(finished, tmp_path / "run"))
    text = folder.history.read_text()
    digit = text.index("0.", text.index("\n")) + 2
    for file, content in (
        (folder.history, text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :]),
        (folder.result, folder.result.read_text().replace('"seed": 0', '"seed": 1', 1)),
    ):
        inject(f"{file.name} damaged, then reproduced")
        whole = file.read_bytes()
        file.write_text(content)
        with pytest.raises(UserError, match=r"run is corrupt \(.*checksum mismatch.*\)$"):
            reproduce(folder.path, tmp_path / "again")
        file.write_bytes(whole)
    assert not (tmp_path / "again").exists()


def test_a_page_of_a_damaged_run_shows_no_wrong_number(finished, tmp_path, inject):
    folder = RunFolder(shutil.copytree(finished, tmp_path / "run"))
    text = folder.history.read_text()
    folder.history.write_text(text.replace(text.splitlines()[1].split(",")[2], "1.5"))
    inject("history.csv damaged, then on a page")
    html = pages.gather(folder.path).html()
    assert "history.csv can&#39;t be read: checksum mismatch in row 1" in html
    assert "learning curves" in html


IDX = ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "train-images-idx3-ubyte")


@pytest.mark.parametrize("name", IDX)
def test_images_that_were_damaged_in_the_cache_are_unpacked_again_or_refused(tmp_path, name, inject):
    raw = idx.ensure("mnist", str(tmp_path)) / "MNIST" / "raw"
    good = idx.read(tmp_path, "mnist", name)
    whole = (raw / name).read_bytes()
    draw = random.Random(SEED)
    places = [0, 3, 4, 7, 8, len(whole) - 1, *(draw.randrange(len(whole)) for _ in range(3))]
    contents = [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in places]
    contents += [whole[: len(whole) // 2], b"", bytes(len(whole)), whole[:-1]]
    for content in contents:
        inject("IDX file damaged")
        (raw / name).write_bytes(content)
        idx.ensure("mnist", str(tmp_path))  # unpacks it again, if its size is another one
        found, line = answer(idx.read, tmp_path, "mnist", name)
        assert found == (None if line else good)
        assert line is None or re.fullmatch(f"cannot read .*; delete .*|.*/{name} is not MNIST's, .*; delete .*", line)


def test_a_comparison_that_was_damaged_is_one_line(tmp_path, scale, inject):
    folder = ComparisonFolder(tmp_path)
    folder.verdict.write_text(
        with_json_checksum(
            json.dumps({"arms": [], "pairs": [], "metric": "test_accuracy", "version": VERSION}, indent=1)
        )
    )
    for _, content in damages(folder.verdict.read_bytes(), 8 * scale):
        inject("comparison.json damaged, then on a page")
        folder.verdict.write_bytes(content)
        with pytest.raises(UserError, match="comparison.json is damaged") as refused:
            pages.gather(tmp_path)
        assert "\n" not in str(refused.value)


WALKER = Path(__file__).parent.parent / "apps" / "walker.py"
SEARCH = ("x=interval(0,4)", "y=choice(1,2,3)", "hydra/launcher=basic", "hydra.sweeper.objective=loss")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Returns the folder of a search of eight trials."""
    folder = tmp_path_factory.mktemp("sweep") / "walk"
    assert walk(folder, 8).returncode == 0
    return folder


def walk(folder, n_trials):
    command = [sys.executable, "-W", "error", str(WALKER), "-m", *SEARCH, f"hydra.sweep.dir='{folder}'"]
    command.append(f"hydra.sweeper.n_trials={n_trials}")
    return subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, timeout=300)


def trials(folder):
    """Returns what a sweep that goes on would know of its trials.

    Raises:
        UserError: it would not go on.
    """
    study = open_checked(f"sqlite:///{folder / 'study.db'}", folder.name, 0)
    study.storage._backend.engine.dispose()
    kept = ("params", "values", "intermediate_values", "distributions")
    if not study.exists:
        return []
    known = [(t.number, t.state, *(getattr(t, name) for name in kept), vars(Outcome.of(t))) for t in study.trials()]
    study.storage._backend.engine.dispose()
    return known


def test_a_damaged_study_is_refused_or_the_same(sweep, tmp_path, scale, inject):
    folder = Path(shutil.copytree(sweep, tmp_path / "walk"))
    file = folder / "study.db"

    def read():
        gc.collect()  # what was refused is not open any more
        for leftover in folder.glob("study.db-*"):
            leftover.unlink()
        return trials(folder)

    def is_earlier(before, after):
        return after == []  # a study that is not there; the trials' folders keep a sweep from beginning again

    assert_never_wrong(file, read, inject, 8 * scale, is_earlier)


def test_what_was_found_in_a_study_cannot_change_unseen(sweep, tmp_path, inject):
    """Each number that a table is made of, changed as a flipped bit in a page of SQLite would change it."""
    changes = {
        "trial_values": "UPDATE trial_values SET value = value + 0.25 WHERE trial_id = 3",
        "params": "UPDATE trial_params SET param_value = param_value + 0.25 WHERE trial_id = 3 AND param_name = 'x'",
        "reports": "UPDATE trial_intermediate_values SET intermediate_value = 2 * intermediate_value",
        "metrics": "UPDATE trial_user_attributes SET value_json = replace(value_json, '\"cost\": ', '\"cost\": 1')"
        " WHERE key = 'outcome'",
        "a choice": "UPDATE trial_params SET param_value = 2 - param_value WHERE param_name = 'y'",
    }
    for what, statement in changes.items():
        inject("study.db damaged")
        folder = Path(shutil.copytree(sweep, tmp_path / what / "walk"))
        with closing(sqlite3.connect(folder / "study.db")) as database:
            assert database.execute(statement).rowcount > 0, what
            database.commit()
        _, line = answer(trials, folder)
        assert re.fullmatch(r"the study in .*study.db can't be read \(checksum mismatch in trial \d.*", line or ""), (
            what
        )
        _, line = answer(status.RecordedSweep, folder)
        assert "checksum mismatch" in line, what


def test_a_sweep_whose_study_is_damaged_says_so_in_one_line_and_leaves_it(sweep, tmp_path, inject):
    folder = Path(shutil.copytree(sweep, tmp_path / "walk"))
    whole = (folder / "study.db").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", bytes(len(whole))):
        inject("study.db damaged, then resumed")
        (folder / "study.db").write_bytes(damaged)
        done = walk(folder, 10)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        assert len([line for line in done.stderr.splitlines() if "study" in line]) == 1, done.stderr
        for leftover in folder.glob("study.db-*"):
            leftover.unlink()
    (folder / "study.db").write_bytes(whole)
    done = walk(folder, 10)
    assert done.returncode == 0, done.stderr
    assert len(trials(folder)) == 10
    assert trials(folder)[:8] == trials(sweep)


@pytest.mark.parametrize("name", ["sweep.yaml", "best.yaml", "results.csv"])
def test_a_damaged_file_of_a_sweep_is_one_line_or_the_same_page(sweep, tmp_path, name, scale, inject):
    folder = Path(shutil.copytree(sweep, tmp_path / "walk"))
    file = folder / name

    def read():
        page = pages.gather(folder)
        rows = [{k: cell.text for k, cell in zip(t.columns, row, strict=True)} for t in page.tables for row in t.rows]
        return page.tiles, page.commands, rows

    def is_less(before, after):  # without best.yaml, with fewer rows, or with the sums as a column of their own
        tiles = {name: text for name, text in after[0] if name not in ("trials", "complete")}
        are_known = [any(all(one.get(k, v) == v for k, v in row.items()) for one in before[2]) for row in after[2]]
        return tiles.items() <= dict(before[0]).items() and all(are_known)

    assert_never_wrong(file, read, inject, 8 * scale, is_less)
