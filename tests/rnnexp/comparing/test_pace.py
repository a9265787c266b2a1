"""How long a comparison will take: the arithmetic by values, and the steps that it is made from."""

import io
import json
import re
import statistics
import sys

import numpy as np
import pytest
import torch

from rnnexp.comparing import pace
from rnnexp.comparing.command import main
from rnnexp.comparing.pace import Estimate, Pace, Unmeasured, chains, makespan, timed
from rnnexp.comparing.protocol import Cost
from rnnexp.comparing.sweeps import Sweeps
from rnnexp.schema.config import plain_config

SEARCHES, AGAIN, FINALS = Cost("searches", 20, 10), Cost("best of each, again", 3, 10), Cost("final runs", 5, 50)
SMALL = (
    "data.limit=300 data.valid_size=100 model.num_layers=1 train.batch_size=50 train.threads=1 model.hidden_size=8"
).split()


def test_searches_are_paced_by_what_they_may_try_and_the_runs_of_winners_as_far_from_the_presets():
    arm = Pace([2.0, 1.0, 6.0], final=4.0)
    assert [arm.of(cost, statistics.fmean) for cost in (SEARCHES, AGAIN, FINALS)] == [600.0, 180.0, 1500.0]
    assert [arm.of(cost, min) for cost in (SEARCHES, FINALS)] == [200.0, 500.0]
    assert [arm.of(cost, max) for cost in (SEARCHES, FINALS)] == [1200.0, 3000.0]
    assert Pace([], final=4.0).of(FINALS, max) == 1000.0


def test_each_search_of_an_arm_is_a_chain_whose_sweeps_have_to_start():
    work = [(Pace([1.0], 1.0), [SEARCHES, FINALS]), (Pace([3.0], 1.0), [SEARCHES])]
    assert chains(work, statistics.fmean, 5, start_seconds=4.0) == [98.0, 124.0] * 5


@pytest.mark.parametrize(
    ("seconds", "workers", "end"),
    [
        ([60], 1, 60),
        ([60, 60, 60], 1, 180),
        ([60, 60, 60], 2, 120),  # the third one waits for a worker
        ([60, 20, 20], 2, 60),
        ([60, 60], 4, 30),  # two workers for each chain
        ([60, 60], 3, 60),  # the second chain has one
        ([60], 8, 7.5),
    ],
)
def test_chains_are_shared_out_among_the_workers(seconds, workers, end):
    assert makespan(seconds, workers) == end


def test_the_line_says_the_range_where_it_is_wide():
    assert (
        Estimate(480, 2, 7100.0, 7000.0, 7200.0).line()
        == "480 runs: about 2 h on 2 workers, by a few steps of each arm"
    )
    assert Estimate(1, 1, 600.0, 170.0, 7100.0).line() == (
        "1 run: about 10 min on 1 worker; 3 min to 2 h, depending on what the searches favor"
    )


@pytest.fixture
def stopped_clock(monkeypatch):
    """Lets a batch of training take 2 s and one of validation 3 s, by the clock of what times them."""
    now = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])

    class Timed:
        class cfg:
            batch_size = 50

        class model:
            @staticmethod
            def train():
                pass

        seed = 0

        def __init__(self, data):
            self.data, self.steps = data, []

        def train_batch(self, index, step, num_batches):
            self.steps.append(len(index))
            now[0] += 1000.0 if step < pace.WARM_UP else 2.0  # the first ones have to warm up

        def outputs(self, part, title):
            for index in torch.split(torch.arange(len(part)), 25):
                now[0] += 3.0
                yield None, index

    return Timed


def test_an_epoch_is_that_many_batches_and_the_first_ones_do_not_count(stopped_clock, compose):
    from rnnexp.data.dataset import Dataset
    from rnnexp.data.splitting import Part, Parts

    def part(count):
        images, labels = np.zeros((count, 2, 2), np.uint8), np.zeros(count, int)
        return Part.of(Dataset.of_images(images, labels, classes="0").train, torch.device("cpu"))

    trainer = stopped_clock(Parts(part(500), part(100), None))
    assert pace._train_seconds(trainer) == pytest.approx(10 * 2.0)
    assert trainer.steps == [50] * (pace.WARM_UP + 1)
    assert pace._valid_seconds(trainer) == pytest.approx(4 * 3.0)
    assert pace._valid_seconds(stopped_clock(Parts(part(500), None, None))) == 0.0


def test_a_configuration_is_timed_by_its_own_network(compose):
    seconds, num_valid = timed(compose(*SMALL))
    assert 0 < seconds < 60
    assert num_valid == 100
    assert timed(compose(*SMALL, "data.folds=3"))[1] is None


def test_the_process_answers_that_it_has_started_then_each_configuration_and_what_it_could_not(
    compose, monkeypatch, capsys
):
    good, bad = compose(*SMALL), compose(*SMALL, "optim.lr=-1")
    asked = json.dumps([plain_config(cfg) for cfg in (good, bad, good)])
    monkeypatch.setattr(sys, "stdin", io.StringIO(asked))
    pace.main()
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answers[0] == {"seconds": None}
    assert answers[1]["seconds"] > 0
    assert answers[1]["num_valid"] == 100
    assert "Error: " in answers[2]["problem"]
    assert len(answers) == 3


ARMS = (
    """compare.arms=["model=gru","model=rnn"]""",
    "search=quick",
    "compare.searches=2",
    "compare.seeds=2",
    "workers=2",
)


def begun(tmp_path, monkeypatch, capsys, *arguments):
    """Types a comparison that is stopped before its first sweep, and returns what it said."""

    class Begun(Exception):
        pass

    def run(*_):
        raise Begun

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Sweeps, "run", run)
    monkeypatch.setattr(sys, "argv", ["rnnexp.compare", "name=c", *ARMS, *arguments])
    with pytest.raises((Begun, SystemExit)):
        main()
    return capsys.readouterr().out


def test_a_comparison_says_how_many_runs_and_how_long_before_it_starts(tmp_path, monkeypatch, capsys):
    asked = []

    def measured(configs):
        asked.extend(configs)
        print("measured")
        return 2.0, [1.0 if cfg.model.cell == "gru" else 3.0 for cfg in configs], 36

    monkeypatch.setattr(pace, "measure", measured)
    monkeypatch.setattr(pace, "seconds_so_far", lambda: 3.0)
    printed = begun(tmp_path, monkeypatch, capsys, "compare.trials=10", "train.epochs=10", "compare.top=1")
    # Two chains of each arm, with 11 runs of 10 epochs and two sweeps, whose command takes 3 s to start and whose
    # worker 2 s: 120 s and 340 s.
    # One worker has both of the first arm and one of the second.
    assert re.search(r"^44 runs: about 10 min on 2 workers, by a few steps of each arm$", printed, re.M), printed
    assert "timing a few steps of each arm; compare.estimate=false begins at once\nmeasured\n" in printed
    assert printed.count("36 examples validate, fewer than 100: what they choose is mostly chance; in a search or") == 1
    assert {cfg.train.threads for cfg in asked} == {1}
    assert len({cfg.model.hidden_size for cfg in asked}) > 2  # of the presets, and as drawn


def test_a_comparison_whose_pace_cannot_be_measured_says_so_and_begins(tmp_path, monkeypatch, capsys):
    def unmeasured(configs):
        raise Unmeasured("it takes longer than 120 s")

    monkeypatch.setattr(pace, "measure", unmeasured)
    assert "how long it takes can't be measured: it takes longer than 120 s" in begun(tmp_path, monkeypatch, capsys)


def test_a_comparison_that_is_not_to_estimate_begins_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pace, "measure", lambda configs: pytest.fail("it measures"))
    printed = begun(tmp_path, monkeypatch, capsys, "compare.estimate=false")
    assert "about" not in printed
    assert "timing" not in printed


@pytest.mark.long
def test_a_real_process_measures_and_one_that_is_killed_is_a_line(compose, monkeypatch):
    start_seconds, found, num_valid = pace.measure([compose(*SMALL), compose(*SMALL, "model=rnn")])
    assert start_seconds > 0
    assert len(found) == 2
    assert num_valid == 100
    assert min(found) > 0
    with pytest.raises(Unmeasured, match="Error: "):
        pace.measure([compose(*SMALL, "optim.lr=-1")])
    monkeypatch.setattr(pace, "CHILD", "import os; os._exit(1)")
    with pytest.raises(Unmeasured, match="its process was killed"):
        pace.measure([compose(*SMALL)])
    monkeypatch.setattr(pace, "CHILD", "import time; time.sleep(60)")
    monkeypatch.setattr(pace, "MOST_SECONDS", 1)
    with pytest.raises(Unmeasured, match="it takes longer than 1 s"):
        pace.measure([compose(*SMALL)])
