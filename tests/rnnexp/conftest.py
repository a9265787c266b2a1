"""What tests of runs share."""

import os
from pathlib import Path

import pytest
from comparisons import ALONE, TWO, compare
from filelock import FileLock
from run_fixtures import compose, one_thread, small  # noqa: F401


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Returns the folder of a comparison that nothing has disturbed, and what it printed.

    It takes minutes: so the processes of pytest-xdist, whose folders are in one folder, share it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "whole comparison"
    printed = Path(f"{folder}.txt")
    with FileLock(f"{folder}.lock"):
        if not printed.exists():
            folder.mkdir()
            printed.write_text(compare(folder, "name=c", TWO, *ALONE))
    return folder, printed.read_text()
