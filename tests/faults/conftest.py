"""Counts the faults that this suite injects; the table of them is made in tests/conftest.py."""

import pytest
from run_fixtures import compose, one_thread, small  # noqa: F401


@pytest.fixture
def inject(record_property):
    """Returns a function that counts faults of a kind, called before what they must not harm is looked at."""

    def inject(kind, times=1):
        record_property("fault", (kind, times))

    return inject


@pytest.fixture(params=[1, pytest.param(4, marks=pytest.mark.long)], ids=["some", "many"])
def scale(request):
    """Returns how many times the usual number of generated cases a test is to see."""
    return request.param


def pytest_collection_modifyitems(items):
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.faults)
