"""Folders of trials on their way between hosts that share none: whole, safe, and no more than what is missing."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from hydra_sweep import artifacts as artifact_stores
from hydra_sweep.artifacts import ArtifactStore, fetch
from hydra_sweep.errors import UserError

WALKER = Path(__file__).parents[1] / "apps" / "walker.py"


@pytest.fixture
def trial(tmp_path):
    """Returns a trial's folder with a record and a checkpoint, in a folder of the sweep's."""
    folder = tmp_path / "here" / "7"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text("seed: 1")
    (folder / "checkpoint.pt").write_bytes(b"state")
    return folder


@pytest.fixture
def artifact_store(tmp_path):
    return ArtifactStore(f"file://{tmp_path}/there/sweep")


def test_a_folder_comes_back_as_it_was(artifact_store, trial, tmp_path):
    assert artifact_store.names() == []
    assert artifact_store.put(trial) is None
    assert artifact_store.names() == ["7"]
    assert fetch(artifact_store, tmp_path / "elsewhere") == []
    fetched = tmp_path / "elsewhere" / "7"
    assert (fetched / ".hydra" / "config.yaml").read_text() == "seed: 1"
    assert (fetched / "checkpoint.pt").read_bytes() == b"state"
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["7"]


def test_what_is_left_out_stays_behind(artifact_store, trial, tmp_path):
    artifact_store.put(trial, without=["*.pt"])
    fetch(artifact_store, tmp_path / "elsewhere")
    assert sorted(path.name for path in (tmp_path / "elsewhere" / "7").iterdir()) == [".hydra"]


def test_what_is_here_already_is_not_fetched_again(artifact_store, trial):
    artifact_store.put(trial)
    (trial / "checkpoint.pt").write_bytes(b"newer")
    assert fetch(artifact_store, trial.parent) == []
    assert artifact_store.get_if_there(trial) is None
    assert (trial / "checkpoint.pt").read_bytes() == b"newer"


def test_a_later_archive_replaces_an_earlier_one(artifact_store, trial, tmp_path):
    artifact_store.put(trial)
    (trial / "checkpoint.pt").write_bytes(b"newer")
    artifact_store.put(trial)
    assert artifact_store.get_if_there(tmp_path / "elsewhere" / "7") is None
    assert (tmp_path / "elsewhere" / "7" / "checkpoint.pt").read_bytes() == b"newer"


def test_half_an_archive_is_never_seen_and_what_was_there_stays(artifact_store, trial, tmp_path, monkeypatch):
    artifact_store.put(trial)
    monkeypatch.setattr(artifact_stores.tarfile.TarFile, "add", lambda *_, **__: 1 / 0)
    assert "its folder stayed on" in artifact_store.put(trial)
    monkeypatch.undo()
    assert artifact_store.names() == ["7"]
    assert fetch(artifact_store, tmp_path / "elsewhere") == []
    assert (tmp_path / "elsewhere" / "7" / "checkpoint.pt").read_bytes() == b"state"


@pytest.mark.parametrize("name", ["../evil", "/tmp/hydra-sweep-evil", "7/../../evil"])
def test_an_archive_that_would_write_elsewhere_is_refused(artifact_store, trial, tmp_path, name):
    artifact_store.put(trial)
    with tarfile.open(tmp_path / "there" / "sweep" / "7.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    (problem,) = fetch(artifact_store, tmp_path / "elsewhere" / "deeper")
    assert problem.startswith("cannot fetch trial 7: ")
    assert not list(tmp_path.rglob("*evil*"))
    assert not Path("/tmp/hydra-sweep-evil").exists()
    assert list((tmp_path / "elsewhere" / "deeper").iterdir()) == []


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_a_damaged_archive_is_one_line_and_leaves_nothing(artifact_store, trial, tmp_path, size):
    (trial / "model.pt").write_bytes(bytes(5000))
    artifact_store.put(trial)
    archive = tmp_path / "there" / "sweep" / "7.tar"
    archive.write_bytes(archive.read_bytes()[:size])
    (problem,) = fetch(artifact_store, tmp_path / "elsewhere")
    assert problem.startswith("cannot fetch trial 7: ")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_place_of_no_known_kind_is_one_line():
    with pytest.raises(UserError, match="artifact store nowhere://there: Protocol not known: nowhere"):
        ArtifactStore("nowhere://there")
    assert "put it in the environment" in "".join(artifact_stores.problems("ftp://me:secret@host/path"))
    assert "secret" not in "".join(artifact_stores.problems("ftp://me:secret@host/path"))


def walk(*arguments, folder, artifact_store):
    words = (f"hydra.sweep.dir={folder}", f"hydra.sweeper.artifact_store={artifact_store}")
    words += ("hydra.sweeper.objective=loss",)
    command = [sys.executable, str(WALKER), "-m", "hydra/launcher=basic", "x=interval(0,4)", *words, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_trial_that_was_given_back_elsewhere_goes_on_from_its_checkpoint(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    first = walk("hydra.sweeper.n_trials=1", "poison=1", "how=stop", folder=here, artifact_store=there)
    assert first.returncode == 143, first.stdout + first.stderr
    assert ArtifactStore(f"{there}/here").names() == ["0"]
    (here / "0" / "marker").touch()
    ArtifactStore(f"{there}/here").put(here / "0")
    (here / "0").rename(tmp_path / "out of reach")
    second = walk("hydra.sweeper.n_trials=1", "hydra.sweeper.resume=force", folder=here, artifact_store=there)
    assert second.returncode == 0, second.stdout + second.stderr
    assert (here / "0" / "marker").exists()
    assert "1 trial: 1 complete" in second.stdout


def test_the_command_fetches_what_is_missing_and_says_so(tmp_path):
    folder, there = tmp_path / "sweep", tmp_path / "there"
    left_out = "hydra.sweeper.artifact_store_exclude=[checkpoint.json]"
    assert walk("hydra.sweeper.n_trials=3", left_out, folder=folder, artifact_store=there).returncode == 0
    command = [sys.executable, "-m", "hydra_sweep.fetch", f"{there}/sweep", str(tmp_path / "elsewhere")]
    fetched = subprocess.run(command, capture_output=True, text=True)
    assert fetched.returncode == 0, fetched.stderr
    assert fetched.stdout.startswith("3 trials in ")
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["0", "1", "2"]
    assert not list((tmp_path / "elsewhere").rglob("checkpoint.json"))
    empty = subprocess.run([*command[:3], f"{there}/other"], capture_output=True, text=True, cwd=tmp_path)
    assert empty.returncode == 2
    assert empty.stderr == f"hydra_sweep.fetch: there are no trials in {there}/other\n"
