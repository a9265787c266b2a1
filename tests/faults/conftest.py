"""Counts the faults that this suite injects. A table of them, by kind, ends the test run."""

from collections import Counter

import pytest

FAULT = "fault"


@pytest.fixture
def inject(record_property):
    """Returns a function that counts faults of a kind, called before what they must not harm is looked at."""

    def inject(kind, times=1):
        record_property(FAULT, (kind, times))

    return inject


def pytest_collection_modifyitems(items):
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.faults)


def pytest_terminal_summary(terminalreporter):
    injected, lost = Counter(), Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, fault in getattr(report, "user_properties", []) if report.when == "call" else []:
                if name == FAULT:
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
