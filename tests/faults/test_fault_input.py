"""Command lines of all kinds, 10,000 of them: what is valid composes to what was asked, all else is one line each."""

import contextlib
import io
import os
import string

import pytest
from configurations import GROUPS, TEXT, examples, invalid_overrides, text_of, valid_overrides
from hydra._internal.utils import get_args_parser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from hydra_sweep.commands import show
from hydra_sweep.compose import Composer
from rnnexp.command_line import CommandLine, without_hydra
from rnnexp.schema.config import register_schemas
from rnnexp.schema.tree import CONFIG_DIR

NUM_VALID, NUM_INVALID, NUM_HOSTILE = 200, 200, 100  # four times as many with --long


class QuickCommandLine(CommandLine):
    """A command line that is used for many, and composes each combination of groups but once.

    With Hydra's own result, as tests/hydra_sweep/test_compose.py has it. Data are not unpacked.
    """

    def __init__(self):
        super().__init__(get_args_parser().parse_args([]), CONFIG_DIR)
        self.quick = Composer(self.hydra.config_loader, super().compose([]))
        self.presets = {}

    def compose(self, overrides):
        key = tuple(overrides)
        self.composed = self.presets[key] if key in self.presets else self.quick(overrides)
        if all(text.partition("=")[0] in GROUPS for text in overrides):
            self.presets[key] = self.composed
        return self.composed

    def environment_errors(self, full):
        return []


@pytest.fixture(scope="module")
def command():
    register_schemas()
    return QuickCommandLine()


@pytest.fixture
def faults(tmp_path, monkeypatch, command):
    """Returns a function from overrides to what is wrong with them, and the command line that composes them."""
    monkeypatch.chdir(tmp_path)

    def faults(texts):
        command.overrides = list(texts)
        return command.problems(), command

    return faults


def test_what_is_valid_composes_to_exactly_what_was_asked(faults, inject, tmp_path, scale):
    seen = []

    @examples(NUM_VALID * scale)
    @given(valid_overrides())
    def check(drawn):
        groups, values = drawn
        seen.append(drawn)
        texts = [f"{key}={text_of(value)}" for key, value in {**groups, **values}.items()]
        found, command = faults(texts)
        assert found == [], texts
        cfg = without_hydra(command.composed)
        for key, value in values.items():
            composed = OmegaConf.select(cfg, key)
            assert composed == value, texts
            assert type(composed) is type(value) or isinstance(composed, float), texts
        assert cfg.data.name == groups["data"]
        assert cfg.model.cell == groups["model"]

    check()
    inject("configuration, valid", len(seen))
    assert list(tmp_path.iterdir()) == []


def test_what_is_invalid_is_one_line_about_the_key_and_leaves_nothing(faults, inject, tmp_path, scale):
    seen = []

    @examples(NUM_INVALID * scale)
    @given(invalid_overrides())
    def check(drawn):
        key, texts = drawn
        seen.append(drawn)
        found, _ = faults(texts)
        assert len(found) == 1, (texts, found)
        assert key in found[0], texts
        assert len(found[0].splitlines()) == 1, texts

    check()
    inject("configuration, invalid", len(seen))
    assert list(tmp_path.iterdir()) == []


def printed(found):
    """Returns the lines that faults are on the screen, if there are any."""
    if not found:
        return []
    with contextlib.redirect_stderr(io.StringIO()) as screen:
        show("rnnexp", found)
    return screen.getvalue().removesuffix("\n").split("\n")


def test_hostile_text_is_refused_in_lines_or_taken_as_it_is(faults, inject, tmp_path, scale):
    seen = []

    @examples(NUM_HOSTILE * scale)
    @given(st.sampled_from(["name", "optim.lr", "data.root", "model", "objective", "", "+x", "~train", "name@x"]), TEXT)
    def check(key, text):
        seen.append(text)
        override = f"{key}={text}"
        found, command = faults([override])
        shown = printed(found)
        assert len(shown) == len(found), override
        assert all(line.isprintable() for line in shown), override
        if not found and key == "name":
            cfg = command.composed
            assert set(str(cfg.name)) <= set(string.printable) or str(cfg.name).isprintable()
            assert ".." not in cfg.name, override
            assert not os.path.isabs(cfg.name), override

    check()
    inject("hostile text", len(seen))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["a" * 256, "ü" * 128, "a/" * 20 + "b" * 300, "x" * 100_000, "..", "../x", "/tmp/x", "a/../b", "a\x00b", ""]
)
def test_a_name_that_no_folder_can_have_is_one_line(faults, name, inject, tmp_path):
    inject("hostile text")
    found, _ = faults([f"name='{name}'"])
    (line,) = printed(found)
    assert line.startswith("rnnexp: name must be ") or "can't read" in line
    assert len(line) < 1100
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a" * 255, "ü" * 127, "with space", "a/b/c", "größe-1.0", "run=1,2"])
def test_a_name_that_a_folder_can_have_is_taken(faults, name):
    found, command = faults([f"name='{name}'"])
    assert found == []
    assert command.compose([f"name='{name}'"]).name == name
