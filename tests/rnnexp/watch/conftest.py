"""What tests of `rnnexp watch` share: a server in this process, and questions to it."""

import http.client
import json
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from rnnexp.results import following
from rnnexp.watch import pages, watcher
from rnnexp.watch.command import make_server


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Asker:
    """Asks a server."""

    def __init__(self, server):
        self.server, self.port = server, server.server_address[1]

    def __call__(self, target, method="GET", headers=None):
        """Returns the answer. Headers that are None are not sent."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in ({"Host": f"127.0.0.1:{self.port}"} | (headers or {})).items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def table(self, **query):
        answer = self(f"/api/table?{urlencode(query)}")
        assert answer.status == 200, answer.text
        return answer.json

    def paths(self, **query):
        return [row["path"] for row in self.table(**query)["rows"]]


@contextmanager
def serving(root):
    with make_server(root, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield Asker(server)
        finally:
            server.shutdown()
    server.watcher.join()


@pytest.fixture
def serve(monkeypatch):
    """Returns a function from a folder to what asks a server of it, which looks at it and draws at once."""
    monkeypatch.setattr(watcher, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(watcher, "SHARE", 0)
    monkeypatch.setattr(watcher, "RECENT_SECONDS", -1.0)  # so that each question waits for a new look
    monkeypatch.setattr(watcher, "PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(pages, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(pages, "SHARE", 0)
    monkeypatch.setattr(following, "RACY_SECONDS", -1.0)
    with ExitStack() as stack:
        yield lambda root: stack.enter_context(serving(root))
