"""What all tests share: the option for the long ones, sweeps in processes of their own, the table of faults."""

import logging
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from sweeps import Starter, swept


def pytest_configure(config):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells have ignored by what they start with &


def pytest_addoption(parser):
    parser.addoption(
        "--long",
        action="store_true",
        help="run the tests marked long, too: most kills, thousands of damaged files and generated command lines",
    )
    parser.addoption("--slowest", metavar="FILE", help="write the fifty slowest tests of this session to a file")


def pytest_collection_modifyitems(config, items):
    """Leaves the long tests out, unless they are asked for."""
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_terminal_summary(terminalreporter, config):
    if file := config.getoption("--slowest"):
        write_slowest(terminalreporter, Path(file), " ".join(config.invocation_params.args))
    show_faults(terminalreporter)


def write_slowest(terminalreporter, file, arguments):
    """Writes the fifty slowest tests with their seconds, setup and teardown included."""
    seconds = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "nodeid") and hasattr(report, "duration"):
                seconds[report.nodeid] += report.duration
    lines = [f"{value:6.1f} s  {name}" for name, value in seconds.most_common(50)]
    total = (
        f"# {len(seconds)} tests, {sum(seconds.values()):.0f} s in all processes together; python -m pytest {arguments}"
    )
    file.write_text("\n".join([total, *lines]) + "\n")


def show_faults(terminalreporter):
    """Ends the test run with a table of the faults that tests/faults has injected, by kind."""
    injected, lost = Counter(), Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, fault in getattr(report, "user_properties", []) if report.when == "call" else []:
                if name == "fault":
                    kind, times = fault
                    injected[kind] += times
                    lost[kind] += times * (outcome == "failed")
    if not injected:
        return
    terminalreporter.section("faults injected")
    width = max(map(len, injected))
    for kind, times in sorted(injected.items()):
        terminalreporter.write_line(f"{kind:<{width}}  {times:>6}  survived {times - lost[kind]:>6}  lost {lost[kind]}")
    total, all_lost = sum(injected.values()), sum(lost.values())
    terminalreporter.write_line(f"{'all':<{width}}  {total:>6}  survived {total - all_lost:>6}  lost {all_lost}")


@pytest.fixture(autouse=True)
def logging_as_before():
    """Undoes what a Hydra app that a test runs in this process does to the root logger."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.setLevel(level)
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()


@pytest.fixture
def start(tmp_path):
    """Returns a function that starts a sweep of the walker; what the test leaves running is killed."""
    starter = Starter(tmp_path)
    yield starter
    starter.kill()


@pytest.fixture
def sweep(tmp_path):
    """Returns a function from an app and its arguments to what its sweep said and left, once it has ended."""
    return partial(swept, tmp_path)
