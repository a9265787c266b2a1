"""Who may ask a watching server, what, and how it answers.

It serves one person on one machine, and files that may be a stranger's. So it listens on 127.0.0.1 alone; answers GET
and HEAD; refuses names other than this machine's own in `Host`, since a page elsewhere can have its name point here;
refuses requests that other sites' pages make; sends no file of the folder as it is, only pages and tables made of
records; and its policy lets a page run and load nothing but what this module has in ASSETS.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

from hydra_sweep.errors import UserError
from rnnexp.report.page import ASSETS as REPORT
from rnnexp.watch.pages import NotFound, Pages
from rnnexp.watch.table import Query, answer
from rnnexp.watch.watcher import Watcher

HERE = Path(__file__).parent
ADDRESS = "127.0.0.1"
OWN_NAMES = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)  # any port: `ssh -L` has another one
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HTML, JSON = "text/html; charset=utf-8", "application/json"
ASSETS = {
    "style.css": (REPORT, "text/css; charset=utf-8"),
    "watch.css": (HERE, "text/css; charset=utf-8"),
    "script.js": (REPORT, "text/javascript; charset=utf-8"),
    "live.js": (HERE, "text/javascript; charset=utf-8"),
    "watch.js": (HERE, "text/javascript; charset=utf-8"),
}
LEAST_ZIPPED_BYTES = 2000
MAX_TARGET = 16_000  # characters of a URL


class Server(ThreadingHTTPServer):
    """Serves a folder.

    Raises:
        OSError: the port is taken.
    """

    allow_reuse_address = os.name == "posix"  # on Windows it would take a port that another program has

    def __init__(self, root: Path, port: int) -> None:
        self.watcher = Watcher(root)
        self.pages = Pages(root, self.watcher.start_token)
        super().__init__((ADDRESS, port), Handler)
        self.watcher.start()

    def server_bind(self) -> None:
        """Binds the socket. HTTPServer would ask the DNS for the name of 127.0.0.1, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_address[1]}/"

    def server_close(self) -> None:
        self.watcher.done.set()
        super().server_close()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "rnnexp", ""
    error_message_format, error_content_type = "%(code)d %(message)s\n", "text/plain; charset=utf-8"
    timeout = 60  # seconds that a connection may be idle

    def do_GET(self) -> None:
        try:
            self._answer()
        except (BrokenPipeError, ConnectionResetError):  # the browser has gone to another page
            self.close_connection = True
        except Exception:  # a bug, whose traceback the terminal shows
            self.close_connection = True
            self._send_text(HTTPStatus.INTERNAL_SERVER_ERROR, "this went wrong; the terminal shows how")
            raise

    do_HEAD = do_GET

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):  # of any other method
            return self._refuse_method
        raise AttributeError(name)

    def _refuse_method(self) -> None:
        self.close_connection = True  # what it brought is not read
        self._send_text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are answered", Allow="GET, HEAD")

    def _answer(self) -> None:
        if not OWN_NAMES.fullmatch(self.headers.get("Host", "")):
            self._send_text(HTTPStatus.FORBIDDEN, "this server answers to 127.0.0.1 and localhost alone")
            return
        if len(self.path) > MAX_TARGET:
            self._send_text(HTTPStatus.REQUEST_URI_TOO_LONG, "the address is too long")
            return
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # what it brought is not read
        target = urlsplit(self.path)
        is_page = target.path in ("/", "/chosen") or target.path.startswith("/at/")
        if not is_page and self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            self._send_text(HTTPStatus.FORBIDDEN, "another site's page asks for this")
            return
        try:
            self._route(target.path, _asked(target.query))
        except NotFound as error:
            self._send_text(HTTPStatus.NOT_FOUND, str(error))
        except UserError as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"problem": "; ".join(error.problems)})

    def _route(self, path: str, asked: dict[str, list[str]]) -> None:
        if path == "/":
            self._send(HTTPStatus.OK, HTML, (HERE / "watch.html").read_bytes())
        elif (asset := path.removeprefix("/assets/")) in ASSETS and path != asset:
            folder, kind = ASSETS[asset]
            self._send(HTTPStatus.OK, kind, (folder / asset).read_bytes())
        elif path == "/api/table":
            self._send_table(asked)
        elif path.startswith("/at/"):
            name = os.fsdecode(unquote_to_bytes(path.removeprefix("/at/"))).rstrip("/").replace("/", os.sep)
            drawn = self.server.pages.folder(self.server.watcher.table(), name)
            self._send(HTTPStatus.OK, HTML, drawn.html, drawn.tag)
        elif path == "/chosen":
            drawn = self.server.pages.chosen(self.server.watcher.table(), list(dict.fromkeys(asked.get("run", []))))
            self._send(HTTPStatus.OK, HTML, drawn.html, drawn.tag)
        else:
            raise NotFound("there is no such page; / has the table")

    def _send_table(self, asked: dict[str, list[str]]) -> None:
        """Sends the rows that a query asks for; that nothing has changed since, if so, which costs next to nothing."""
        query = Query.of({name: values[-1] for name, values in asked.items()})
        table = self.server.watcher.table()
        tag = f"{table.version}-{hash(query):x}"
        if self._is_known(tag):
            self._send(HTTPStatus.NOT_MODIFIED, JSON, b"", tag)
            return
        try:
            found = answer(table, query)
        except UserError as error:  # somebody is typing: an answer like any other
            found = {"problem": "; ".join(error.problems)}
        self._send_json(HTTPStatus.OK, found, tag)

    def _is_known(self, tag: str) -> bool:
        return f'"{tag}"' in self.headers.get("If-None-Match", "")

    def _send_json(self, status: HTTPStatus, content: Any, tag: str = "") -> None:
        self._send(status, JSON, json.dumps(content, allow_nan=False).encode(), tag)

    def _send_text(self, status: HTTPStatus, text: str, **headers: str) -> None:
        self._send(status, "text/plain; charset=utf-8", f"{text}\n".encode(errors="backslashreplace"), **headers)

    def _send(self, status: HTTPStatus, kind: str, body: bytes, tag: str = "", **headers: str) -> None:
        if tag and self._is_known(tag):
            status, body = HTTPStatus.NOT_MODIFIED, b""
        if len(body) > LEAST_ZIPPED_BYTES and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"  # pages of a megabyte are for ssh, too
        self.send_response(status)
        headers |= {"Connection": "close"} if self.close_connection else {}
        headers |= {"ETag": f'"{tag}"'} if tag else {}
        if status != HTTPStatus.NOT_MODIFIED:
            headers |= {"Content-Type": kind, "Content-Length": str(len(body))}
        headers |= {
            "Content-Security-Policy": POLICY,
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
        }
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the terminal shows the URL, and whatever goes wrong."""


def _asked(query: str) -> dict[str, list[str]]:
    """Raises: UserError: there are too many parts."""
    try:
        return parse_qs(query, keep_blank_values=True, errors="surrogateescape", max_num_fields=100)
    except ValueError as error:
        raise UserError(f"can't read the address ({error})") from None
