"""Threads that work in the background for as long as a block lasts."""

from __future__ import annotations

import threading
from typing import TypeVar

B = TypeVar("B", bound="Background")


class Background(threading.Thread):
    """A thread that begins with a `with` block and is waited for at its end; its `run` ends once `done` is set."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.done = threading.Event()

    def __enter__(self: B) -> B:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()
