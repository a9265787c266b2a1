"""TensorBoard's event files, read by TensorBoard."""

import os

import pytest
from records import SMALL
from tracked import assert_equal, read

from hydra_sweep.signals import Interrupted
from rnnexp.runner import run

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorBoard's own


def stop_after_two(row):
    if row["epoch"] == 2:
        raise Interrupted(15)
    return False


@pytest.mark.parametrize("torn", [0, 1, 9, 60, 200])
def test_it_shows_each_epoch_once_though_the_run_was_stopped_and_its_file_torn(compose, tmp_path, torn):
    tracked = [*SMALL, "name=first", "tracker=tensorboard", f"tracker.folder={tmp_path}/tensorboard"]
    with pytest.raises(Interrupted):
        run(compose(*tracked), tmp_path / "run", on_epoch=stop_after_two)
    (file,) = (tmp_path / "tensorboard" / "first").iterdir()
    os.truncate(file, file.stat().st_size - torn)
    run(compose(*tracked, "train.resume=true"), tmp_path / "run")
    run(compose(*tracked, "train.resume=true"), tmp_path / "run")
    assert len(list((tmp_path / "tensorboard" / "first").iterdir())) == 2
    found = read("tensorboard", tmp_path)
    assert found.keys() == {"first"}
    assert_equal(found["first"], tmp_path / "run", is_exact=False)


def test_another_run_of_the_same_name_has_a_folder_beside(compose, tmp_path):
    tracked = [*SMALL, "name=first", "tracker=tensorboard", f"tracker.folder={tmp_path}/tensorboard"]
    run(compose(*tracked, "train.epochs=1"), tmp_path / "one")
    run(compose(*tracked, "train.epochs=1", "seed=1"), tmp_path / "two")
    first, second = sorted(read("tensorboard", tmp_path).items())
    assert first[0] == "first"
    assert second[0].startswith("first_")
    assert_equal(first[1], tmp_path / "one", is_exact=False)
    assert_equal(second[1], tmp_path / "two", is_exact=False)
