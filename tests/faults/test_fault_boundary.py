"""A stranger's folder is safe to open: nothing of it runs, reaches out of it, or is taken for markup."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from hydra_sweep import status
from hydra_sweep.errors import UserError
from hydra_sweep.files import read_yaml
from rnnexp import predict
from rnnexp.record.run_folder import RunFolder
from rnnexp.record.tensors import load_tensors
from rnnexp.record.trust import trust_problems
from rnnexp.report import pages
from rnnexp.reproduce import main as reproduce_main
from rnnexp.reproduce import reproduce
from rnnexp.results.collecting import collect, histories
from rnnexp.runner import run
from rnnexp.schema.config import SWEEPS, plain_config

TINY = (
    "data.limit=300 data.valid_size=100 model.hidden_size=4 model.num_layers=1 train.threads=1 train.epochs=1".split()
)
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "secret-of-aws",
    "WANDB_API_KEY": "secret-of-wandb",
    "PGPASSWORD": "secret-of-postgres",
    "REDISCLI_AUTH": "secret-of-redis",
    "SECRET_IN_NAME": "secret-of-nobody",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory, compose):
    folder = tmp_path_factory.mktemp("finished") / "run"
    run(compose(*TINY), folder)
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """Returns a copy of a finished run, to be made hostile."""
    return RunFolder(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def malice(tmp_path):
    """Returns an object whose pickle makes a folder when it is loaded, and that folder."""

    class Malice:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    return Malice(), tmp_path / "owned"


def edit(folder, **changes):
    """Changes a result as a stranger would, without a sum."""
    loaded = json.loads(folder.result.read_text())
    loaded.pop("crc32", None)
    folder.result.write_text(json.dumps(loaded | changes, indent=1))


def with_model(folder, model):
    edit(folder, config=folder.read_result().config | {"model": model})


def open_everything(folder, has_page):
    """Opens a run in every way there is without --trust, but to run it again; each may refuse in one line."""
    calls = (
        lambda: pages.gather(folder.path) if has_page else None,
        lambda: collect(folder.path),
        lambda: histories(folder.path),
        lambda: predict.load(folder.path),
        lambda: load_tensors(folder.checkpoint, "cpu"),
        lambda: load_tensors(folder.model, "cpu"),
        folder.read_test_outcomes,
    )
    refusals = []
    for call in calls:
        try:
            call()
        except ValueError as error:
            refusals.append(str(error))
    assert all(len(text.splitlines()) == 1 and "weights_only" not in text for text in refusals)


def hostile_pickles(malice):
    """Yields what holds a pickle that runs code, as any of the programs would write it."""
    yield "a pickle", pickle.dumps(malice)
    yield "an old one", pickle.dumps(malice, 0)
    saved = io.BytesIO()
    torch.save({"weight": malice, "trainer": malice, "config": malice, "attempt": 1}, saved)
    yield "torch's", saved.getvalue()
    saved = io.BytesIO()
    torch.save({"weight": malice}, saved, _use_new_zipfile_serialization=False)
    yield "torch's old ones", saved.getvalue()
    saved = io.BytesIO()
    objects = np.array([malice], dtype=object)
    np.savez(saved, labels=objects, predicted=objects, losses=objects)
    yield "numpy's", saved.getvalue()
    yield "YAML's", b"!!python/object/apply:os.mkdir [owned]\n"
    yield "YAML's own kind", b"model: !!python/object/apply:os.mkdir [owned]\n"


def test_no_pickle_is_loaded_from_any_file(folder, malice, inject, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile, owned = malice
    (folder.path / ".hydra").mkdir(exist_ok=True)
    files = [*(f for f in folder.path.iterdir() if f.is_file()), folder.hydra_config, folder.hydra_choices]
    assert {file.name for file in files} >= {"checkpoint.pt", "model.pt", "result.json", "test_outcomes.npz"}
    for file in files:
        before = file.read_bytes() if file.exists() else None
        for kind, content in hostile_pickles(hostile):
            inject("hostile pickle")
            file.write_bytes(content)
            open_everything(folder, has_page=kind == "numpy's")
            assert not owned.exists(), file
        file.unlink() if before is None else file.write_bytes(before)


TARGETS = {
    "a function": {"_target_": "os.mkdir", "path": "OWNED"},
    "through torch": {"_target_": "torch.nn.modules.module.os.mkdir", "path": "OWNED"},
    "through rnnexp": {"_target_": "rnnexp.runner.os.mkdir", "path": "OWNED"},
    "nested": {"_target_": "rnnexp.models.RecurrentClassifier", "cell": {"_target_": "os.mkdir", "path": "OWNED"}},
    "in a list": {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "os.mkdir", "path": "OWNED"}]},
    "a list": [{"_target_": "os.mkdir", "path": "OWNED"}],
    "unpickler": {"_target_": "torch.load", "f": "OWNED"},
    "no name": {"_target_": "torch.nn."},
    "an environment": {"_target_": "rnnexp.models.RecurrentClassifier", "cell": "${oc.env:AWS_SECRET_ACCESS_KEY}"},
    "a private one": {"_target_": "posix.mkdir", "path": "OWNED"},
}


@pytest.mark.parametrize("kind", TARGETS)
def test_a_class_of_a_strangers_own_is_built_only_when_it_is_trusted(folder, kind, inject, tmp_path, capsys):
    inject("hostile _target_")
    owned = tmp_path / "owned"
    with_model(folder, json.loads(json.dumps(TARGETS[kind]).replace("OWNED", str(owned))))
    for call in (lambda: predict.load(folder.path), lambda: reproduce(folder.path, tmp_path / "again")):
        with pytest.raises(UserError, match="is neither rnnexp's nor torch's; if you trust who wrote it, add --trust"):
            call()
    pages.gather(folder.path).html()
    collect(folder.path)
    assert reproduce_main([str(folder.path)]) == 2
    assert predict.main([str(folder.path), "x.png"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert not owned.exists()
    assert not (tmp_path / "again").exists()


def test_trust_builds_what_the_record_names(folder, tmp_path):
    with_model(folder, {"_target_": "os.mkdir", "path": str(tmp_path / "owned")})
    with pytest.raises(UserError):
        predict.load(folder.path, trust=True)
    # os.mkdir takes no input_size, so that it is not even called; what counts is that it is asked.
    with pytest.raises(UserError, match=r"cannot build os\.mkdir: TypeError"):
        predict.load(folder.path, trust=True)


@pytest.mark.parametrize("group", ["model", "optim", "schedule"])
def test_what_rnnexp_itself_names_needs_no_trust(compose, group):
    from rnnexp.schema.tree import CONFIG_DIR

    for option in sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml")):
        assert trust_problems(plain_config(compose(f"{group}={option}"))) == []


def bomb(depth=30):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, depth)]
    return "\n".join(lines) + "\n"


BOMBS = {
    "aliases": bomb(),
    "merge keys": "a: &a {x: 1}\n" + "".join(f"b{i}:\n  <<: *a\n" for i in range(3)),
    "itself": "a: &a [*a]\n",
    "depth": "[" * 100_000,
    "size": "a: " + "x" * (5 << 20),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_yaml_that_would_grow_is_refused(folder, kind, inject, tmp_path):
    (folder.path / ".hydra").mkdir(exist_ok=True)
    (tmp_path / "sweep").mkdir()
    for file in (folder.hydra_config, folder.hydra_choices, tmp_path / "sweep" / "sweep.yaml"):
        inject("YAML bomb")
        file.write_text(BOMBS[kind])
        with pytest.raises(ValueError, match=r"is not YAML|at most .* are read") as refused:
            read_yaml(file)
        assert "\n" not in str(refused.value)
    folder.result.unlink()
    row = collect(folder.path).iloc[0]
    assert row["status"] == "corrupt"
    for call in (lambda: pages.gather(tmp_path / "sweep"), lambda: status.RecordedSweep(tmp_path / "sweep")):
        with pytest.raises(UserError, match="sweep.yaml"):
            call()


def test_zips_that_unpack_to_more_than_a_test_set_are_refused(folder, inject):
    inject("zip bomb", 2)
    for file, name in ((folder.test_outcomes, "labels.npy"), (folder.model, "archive/data.pkl")):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(name, bytes(300 << 20))
        assert file.stat().st_size < 1 << 20
    with pytest.raises(ValueError, match="unpacks to more than"):
        folder.read_test_outcomes()
    with pytest.raises(ValueError, match="unpacks to more than"):
        load_tensors(folder.model, "cpu")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names: Linux or macOS")
@pytest.mark.parametrize("name", ["result.json", "history.csv", "test_outcomes.npz", ".hydra/config.yaml"])
def test_a_pipe_or_a_device_in_a_files_place_is_not_waited_for(folder, name, inject):
    for make in (os.mkfifo, lambda path: os.symlink("/dev/zero", path)):
        inject("pipe or device")
        file = folder.path / name
        file.parent.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)
        make(file)
        if name == ".hydra/config.yaml":
            folder.result.unlink(missing_ok=True)
        frame = collect(folder.path)
        assert len(frame) == 1
        pages.gather(folder.path)
        assert frame["status"][0] == ("complete" if name in ("history.csv", "test_outcomes.npz") else "corrupt")


@pytest.mark.parametrize(
    "url",
    ["redis://evil.example/0", "postgresql://evil.example/db", "grpc://evil.example:1", "sqlite+pysqlite:////tmp/x.db"],
)
def test_a_server_that_a_stranger_names_is_not_asked(tmp_path, url, inject, monkeypatch):
    inject("hostile storage")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "sweep.yaml").write_text(f"study: x\nstorage: {url}\nn_trials: 3\n")
    (tmp_path / "outputs" / "sweeps").mkdir(parents=True)
    monkeypatch.setattr("hydra_sweep.study.open_storage", lambda *args: pytest.fail("it was opened"))
    for name in (str(folder), "../../sweep", "sweep"):
        with pytest.raises(UserError, match=r"has its study at .*; if you trust that server, add --trust"):
            status.open_sweep(name, SWEEPS, trust=False)


def test_a_folder_for_data_that_a_stranger_names_is_not_filled(folder, tmp_path, inject):
    inject("path out of the folder")
    elsewhere = tmp_path / "elsewhere"
    config = folder.read_result().config
    edit(folder, config=config | {"data": config["data"] | {"root": str(elsewhere)}})
    page = pages.gather(folder.path)
    assert page.missing == []
    assert reproduce(folder.path, tmp_path / "again").results == []
    assert not elsewhere.exists()


HOSTILE = [
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "</title></style></script><svg onload=\"document.title='owned'\">",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:document.title='owned'",
    "\x1b]0;owned\x07\x1b[2J",
    "$\\frac{x}$ & < > ' \"",
]


def hostile_page(folder):
    """Returns the page of a run whose every text is hostile."""
    result = folder.read_result()
    text = " ".join(HOSTILE)
    config = result.config | {"name": text, text: text, "optim": result.config["optim"] | {text: text, "lr": text}}
    edit(
        folder,
        reason=text,
        choices=dict.fromkeys(result.choices, text),
        config=config,
        fingerprint=text,
        device=text,
        environment={"versions": {text: text}, "host": text, "started": text},
    )
    target = folder.path.rename(folder.path.parent / "run <b>'\"&{{7*7}}")
    return pages.gather(target).html()


def test_hostile_text_is_text_on_a_page_and_in_a_terminal(folder, inject, tmp_path):
    inject("hostile text on a page", len(HOSTILE))
    html = hostile_page(folder)
    assert "<script>document" not in html
    assert "<img src=x" not in html
    assert "<svg onload" not in html
    assert "&lt;script&gt;document" in html
    assert "{{ 7 * 7 }}" in html
    assert ">49<" not in html
    command = [sys.executable, "-m", "rnnexp.results", str(tmp_path), "--columns", "path,status,reason,model,host"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "\x1b" not in shown.stdout + shown.stderr
    assert "\x07" not in shown.stdout + shown.stderr


@pytest.mark.external
def test_hostile_text_runs_nothing_in_a_browser(folder, inject, tmp_path):
    from browsers import chromium

    with chromium() as browser:
        inject("hostile text on a page", len(HOSTILE))
        (tmp_path / "page.html").write_text(hostile_page(folder))
        browser.get((tmp_path / "page.html").as_uri())
        assert browser.title.endswith("· rnnexp")
        assert browser.title.startswith("run <b>'\"&{{7*7}}")
        assert browser.find_elements("css selector", "img, b, iframe, object") == []
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_secrets_of_the_environment_are_in_no_file_and_in_no_output(tmp_path, inject):
    inject("secret in the environment", len(SECRETS))
    program = [sys.executable, "-m"]
    commands = (
        ["rnnexp", *TINY, "name=a"],
        ["rnnexp", "-m", *TINY, "seed=0,1", "name=b", "hydra/launcher=basic"],
        ["rnnexp.results", "outputs", "--csv", "table.csv"],
        ["rnnexp.report", "outputs/runs/a"],
        ["rnnexp.report", "outputs/sweeps/b"],
        ["rnnexp.status"],
    )
    printed = ""
    for command in commands:
        done = subprocess.run(
            [*program, *command], cwd=tmp_path, env={**os.environ, **SECRETS}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        printed += done.stdout + done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 30
    for secret in SECRETS.values():
        assert secret not in printed
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret-word@host/db", "redis://:secret-word@host", "mysql://a:secret-word@h/d"]
)
def test_a_password_in_a_storage_url_is_refused_and_not_repeated(tmp_path, url, inject):
    inject("secret in a URL")
    command = [sys.executable, "-m", "rnnexp", "-m", "seed=0,1", f"storage={url}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "secret-word" not in done.stdout + done.stderr
    assert "its password would be in every record" in done.stderr
    assert list(tmp_path.iterdir()) == []
