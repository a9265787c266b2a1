"""What work inside somebody else's process leaves as it has found it."""

import logging

import optuna
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from rnnexp import guest
from rnnexp.schema.tree import CONFIG_DIR

LOGGING = OmegaConf.create(
    {
        "formatters": {"simple": {"format": "[%(name)s][%(levelname)s] %(message)s"}},
        "handlers": {"file": {"formatter": "simple", "filename": "???"}},
        "root": {"level": "INFO"},
    }
)


def test_hydra_is_empty_meanwhile_and_then_as_it_was():
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        theirs = GlobalHydra.instance().hydra
        HydraConfig.instance().set_config(compose("config", return_hydra_config=True))
        config = HydraConfig.get()
        with pytest.raises(ZeroDivisionError), guest.composing():
            assert not GlobalHydra.instance().is_initialized()
            HydraConfig.instance().cfg = None
            raise ZeroDivisionError
        assert GlobalHydra.instance().hydra is theirs
        assert HydraConfig.get() == config
    HydraConfig.instance().cfg = None


def test_torch_is_fresh_meanwhile_and_then_as_it_was():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), guest.running():
            assert torch.ones(1, requires_grad=True).sum().requires_grad
            assert torch.ones(1).dtype == torch.float32
            assert torch.ones(1).device.type == "cpu"
            torch.manual_seed(9)
            torch.set_num_threads(2)
        assert torch.get_num_threads() == 1
        assert torch.get_default_device().type == "meta"
        assert torch.ones(1).dtype == torch.float64
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.rand(3), wanted)


class Heard(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.mark.parametrize(("level", "heard"), [("INFO", ["info", "warning"]), ("WARNING", ["warning"]), ("ERROR", [])])
@pytest.mark.parametrize("whose", [None, "rnnexp"])
def test_a_run_writes_its_log_and_others_hear_what_they_would_have_heard(tmp_path, level, heard, whose):
    asked = LOGGING.copy()
    asked.handlers.file.filename = str(tmp_path / "run.log")
    theirs, handler, log = logging.getLogger(whose), Heard(), logging.getLogger("rnnexp")
    before = theirs.level
    theirs.setLevel(level)
    theirs.addHandler(handler)
    try:
        state = log.level, list(log.handlers), log.propagate, logging.raiseExceptions
        with guest.logging_to_file(asked):
            log.debug("debug")
            log.info("info")
            log.warning("warning")
        assert (log.level, log.handlers, log.propagate, logging.raiseExceptions) == state
        log.info("later")
    finally:
        theirs.removeHandler(handler)
        theirs.setLevel(before)
    assert handler.lines == heard + ["later"] * (level == "INFO")
    assert (tmp_path / "run.log").read_text() == "[rnnexp][INFO] info\n[rnnexp][WARNING] warning\n"


def test_without_a_file_to_log_to_there_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with guest.logging_to_file(OmegaConf.create({"root": None, "handlers": {}})):
        logging.getLogger("rnnexp").warning("heard by others")
    assert list(tmp_path.iterdir()) == []


def test_optunas_log_is_silenced_for_ourselves_alone():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        with guest.optuna_as_found():
            optuna.logging.set_verbosity(optuna.logging.ERROR)
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(before)
