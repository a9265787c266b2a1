"""Seconds until `rnnexp watch` answers, over HTTP, with 10,000 runs in its folder.

The runs are those of `collect.py`. The first answer waits for all of them to be read; each later one must come within a
second: a question that changes nothing, filters, sorting, means, and whatever is asked just when runs have come.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from bench import Row
from collect import MANY, TINY, copy_run
from tqdm import tqdm

QUESTIONS = {
    "unchanged": {},
    "the newest 200": {},
    "filtered by an expression and a word": {"where": "seed > 5000 and optim.lr < 10", "text": "lstm 77"},
    "sorted by accuracy, 1,000 rows": {"sort": "-test_accuracy", "limit": "1000"},
    "means by model and optimizer": {"group": "model, optim"},
}


def measure(rounds: int = 10) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "outputs"
        command = [sys.executable, "-m", "rnnexp", *TINY.split(), f"hydra.run.dir={root / 'first'}", "name=first"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for number in tqdm(range(1, MANY), f"making {MANY} runs", disable=None):
            copy_run(root / "first", root / f"{number // 100}" / f"{number}", number)
        server = subprocess.Popen(
            [sys.executable, "-m", "rnnexp.watch", str(root), "--port", "0"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout
            yield from ask(server.stdout.readline().strip(), root, rounds)
        finally:
            server.terminate()
            server.wait()


def ask(url: str, root: Path, rounds: int) -> Iterator[Row]:
    first, _, _ = answered(url, {})
    seconds: dict[str, list[float]] = {what: [] for what in QUESTIONS}
    arrivals: list[float] = []
    for number in tqdm(range(rounds), "questions", disable=None):
        _, tag, _ = answered(url, {})
        for what, query in QUESTIONS.items():
            taken, _, body = answered(url, query, tag if what == "unchanged" else "")
            assert (body == b"") == (what == "unchanged")
            seconds[what].append(taken)
        copy_run(root / "first", root / "new" / str(number), MANY + number)
        arrivals += until_it_is_there(url, f"new/{number}")
    yield Row(f"first answer with {MANY:,} runs", "", "s", [first])
    for what, taken in seconds.items():
        yield Row(what, "1 s", "s", taken, goal=1)
    yield Row("the slowest answer while a run comes", "1 s", "s", arrivals, goal=1)


def until_it_is_there(url: str, path: str) -> Iterator[float]:
    """Asks every half second, as a browser might, until a run is in the table; yields the slowest answer."""
    slowest = 0.0
    for _ in range(200):
        taken, _, body = answered(url, {"limit": "20"})
        slowest = max(slowest, taken)
        if f'"{path}"'.encode() in body:
            yield slowest
            return
        time.sleep(0.5)
    raise SystemExit(f"{path} has not appeared")


def answered(url: str, query: dict[str, str], tag: str = "") -> tuple[float, str, bytes]:
    """Returns the seconds that an answer took, its tag, and what it holds: nothing if that is as it was."""
    request = urllib.request.Request(f"{url}api/table?{urlencode(query)}")
    if tag:
        request.add_header("If-None-Match", tag)
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request) as response:
            body, tag = response.read(), response.headers["ETag"]
    except urllib.error.HTTPError as error:
        if error.code != 304:
            raise
        body = b""
    return time.perf_counter() - began, tag, body
