"""Hydra's own test suite for launchers, run through our sweeper.

The suite reads what each job returned. Our sweeper gives nothing back, since a launcher loses what it returns when a
worker dies; so the jobs' returns are collected here where the worker makes them.
"""

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.test_utils.launcher_common_tests import LauncherTestSuite

from hydra_sweep import task


def our_sweeper():
    return next(plugin for plugin in Plugins.instance().discover(Sweeper) if plugin.__name__ == "OptunaSweeper")


@pytest.fixture
def returns(monkeypatch):
    """Lets `OptunaSweeper.sweep` return what the jobs of this process returned."""
    jobs = []
    sweeper = our_sweeper()
    run_job, sweep = task.run_job, sweeper.sweep

    def collecting(**arguments):
        jobs.append(run_job(**arguments))
        return jobs[-1]

    def returning(self, arguments):
        sweep(self, arguments)
        return [jobs]

    monkeypatch.setattr(task, "run_job", collecting)
    monkeypatch.setattr(sweeper, "sweep", returning)


@pytest.mark.usefixtures("returns")
@pytest.mark.parametrize(("launcher_name", "overrides"), [("basic", ["hydra/sweeper=optuna", "hydra.job.chdir=true"])])
class TestSuiteThroughOurSweeper(LauncherTestSuite):
    """Every test of the suite applies."""
