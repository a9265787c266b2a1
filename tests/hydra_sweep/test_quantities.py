"""Times and numbers as people read them."""

import math

import pytest

from hydra_sweep.errors import counted
from hydra_sweep.quantities import about, duration, number_text, short_number


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.6, "1 min"), (3661, "1 h 1 min"), (90000, "1 d 1 h"), (725, "12 min 5 s")]
)
def test_a_duration_is_in_its_two_largest_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "5 s"),
        (17, "15 s"),
        (52, "1 min"),
        (95, "2 min"),
        (725, "12 min"),
        (3500, "1 h"),
        (4000, "1 h 10 min"),
        (8000, "2 h 10 min"),
        (20_000, "6 h"),
        (200_000, "2 d 6 h"),
        (2e6, "23 d"),
    ],
)
def test_an_estimate_is_told_no_more_exactly_than_it_is(seconds, text):
    assert about(seconds) == f"about {text}"


def test_one_thing_is_not_a_plural():
    assert [counted(n, "trial") for n in (0, 1, 5420)] == ["0 trials", "1 trial", "5,420 trials"]


def test_a_number_that_is_none_stays_a_word_and_a_long_one_is_cut_where_it_says_nothing():
    assert [number_text(value) for value in (0.123456789, 12, math.inf)] == ["0.123457", "12", "inf"]
    assert [short_number(text) for text in ("0.0031622776601683794", "1e-3", "relu", "a_long_word")] == [
        "0.003162",
        "1e-3",
        "relu",
        "a_long_word",
    ]
