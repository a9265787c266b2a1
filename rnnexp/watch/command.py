"""`rnnexp watch [PATH]`: the runs, sweeps and comparisons of a folder in a browser, as they go on. No torch."""

from __future__ import annotations

import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra_sweep import streams
from hydra_sweep.commands import Parser, command
from hydra_sweep.errors import UserError
from rnnexp.record.places import OUTPUTS, find

if TYPE_CHECKING:
    from rnnexp.watch.server import Server

PORT = 8420
TRIES = 50  # ports from there on
MAX_PORT = 65535


@command("rnnexp watch")
def main(argv: Sequence[str] | None = None) -> int:
    """Serves the folder until Ctrl-C."""
    parser = Parser("rnnexp watch", description="Show the runs, sweeps and comparisons of a folder in a browser, live.")
    parser.add_argument("path", nargs="?", help="folder that holds them, or the name of one (default: outputs)")
    parser.add_argument("--port", type=int, help=f"on 127.0.0.1 (default: {PORT}, or the next one that is free)")
    parser.add_argument("--open", action="store_true", help="open it in the browser, too")
    args = parser.parse_args(argv)
    if args.port is not None and not 0 <= args.port <= MAX_PORT:
        raise UserError(f"--port must be between 0 and {MAX_PORT}, got {args.port}")
    root = find(args.path) if args.path else OUTPUTS  # which the first run makes: watching may begin before it
    with make_server(root, args.port) as server:
        print(server.url)
        if args.port is None and not server.url.endswith(f":{PORT}/"):
            print(f"port {PORT} is taken, so this is another one", file=sys.stderr)
        print(f"shows {root} as it changes; Ctrl-C ends it", flush=True)
        streams.keep_going()
        if args.open:
            threading.Thread(
                target=_open, args=(server.url,), daemon=True
            ).start()  # a browser in a terminal stays there
        server.serve_forever()
    return 0


def _open(url: str) -> None:
    if not webbrowser.open(url):
        print(f"no browser could be started; open {url} in one", file=sys.stderr)


def make_server(root: Path, port: int | None = None) -> Server:
    """Returns a server that listens; the next free port is taken if none was asked for and the usual one is not free.

    Raises:
        UserError: there is no such folder, or no port.
    """
    from rnnexp.watch.server import ADDRESS, Server

    if not root.is_dir() and root != OUTPUTS:
        raise UserError(f"{root} is not a folder; type the one that holds the runs, such as outputs")
    problem = ""
    for number in range(PORT, PORT + TRIES) if port is None else [port]:
        try:
            return Server(root, number)
        except OSError as error:
            problem = f"cannot listen on {ADDRESS}:{number} ({error.strerror or error})"
    raise UserError(f"{problem}; choose another --port{', or leave it out' if port else ''}")


if __name__ == "__main__":
    sys.exit(main())
