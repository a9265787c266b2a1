"""A terminal for commands in processes of their own: what they draw, line by line."""

import fcntl
import os
import pty
import struct
import termios
import threading

import pyte


class RealTerminal:
    """A terminal of the system's, emulated, in a `with` block.

    What scrolls out of it at the top is kept.
    """

    def __init__(self, columns=80, rows=24):
        self.shown = pyte.HistoryScreen(columns, rows, history=1000, ratio=0.001)
        self.stream = pyte.ByteStream(self.shown)
        self.lock = threading.Lock()
        self.ours, self.theirs = pty.openpty()
        self.resize(columns, rows)
        self.modes = termios.tcgetattr(self.theirs)
        self.reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self.reader.start()
        return self

    def __exit__(self, *_):
        os.close(self.theirs)
        self.reader.join(10)
        os.close(self.ours)

    def options(self):
        """Returns what starts a process in it: its standard streams, and its Ctrl-C."""
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), self.theirs)
        return {**streams, "preexec_fn": lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)}

    def _read(self):
        while True:
            try:
                content = os.read(self.ours, 65536)
            except OSError:  # nobody has the other end any more
                return
            if not content:
                return
            with self.lock:
                self.stream.feed(content)

    def lines(self):
        """Returns what it shows, without the empty lines at the end."""
        with self.lock:
            return "\n".join(line.rstrip() for line in self.shown.display).rstrip().split("\n")

    def text(self):
        """Returns everything that it has shown and that was not overwritten."""
        with self.lock:
            above = [
                "".join(line[x].data for x in range(self.shown.columns)).rstrip() for line in self.shown.history.top
            ]
        return "\n".join([*above, *self.lines()])

    def type(self, keys):
        os.write(self.ours, keys)

    def resize(self, columns, rows):
        with self.lock:
            fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            self.shown.resize(rows, columns)

    def is_sane(self):
        """Whether nothing of it is otherwise than at first."""
        with self.lock:
            return not self.shown.cursor.hidden and termios.tcgetattr(self.theirs) == self.modes
