"""What is recorded of the machine."""

from importlib.metadata import PackageNotFoundError

import pytest

from rnnexp import machine


@pytest.mark.parametrize("installed", [True, False])
def test_the_version_of_optuna_is_recorded_where_it_is_installed(monkeypatch, installed):
    def version(name):
        if name == "optuna" and not installed:
            raise PackageNotFoundError(name)
        return f"{name} 1"

    monkeypatch.setattr(machine, "version", version)
    versions = machine.environment()["versions"]
    assert versions.get("optuna") == ("optuna 1" if installed else None)
    assert versions["hydra-core"] == "hydra-core 1"
