"""A watching server answers this machine's own browser, of the folder that it was given: nobody and nothing else."""

import gzip
import json
import os
import shutil
import socket

import psutil
import pytest
import yaml
from fake_runs import begun, finished

from hydra_sweep.files import check_place, read_bytes, reading_below
from hydra_sweep.sweep_folder import SweepFolder
from rnnexp.record.run_folder import RunFolder
from rnnexp.watch import server as server_module

SECRET = "a secret of somebody"
HOSTILE = "<script>document.title='owned'</script>\"'&\n\u202eevil"


@pytest.fixture
def outside(tmp_path):
    """Returns a run with a secret, beside the folder that is served."""
    folder = finished(tmp_path / "outside" / "run", reason=SECRET, status="failed", config__optim__lr=SECRET)
    begun(tmp_path / "outside" / "begun", config=f"optim:\n  lr: {SECRET}\n")
    return folder.path


@pytest.fixture
def root(tmp_path, outside):
    finished(tmp_path / "outputs" / "runs" / "a")
    return tmp_path / "outputs"


@pytest.fixture
def ask(root, serve):
    return serve(root)


def test_it_listens_on_this_machines_own_address_alone(ask):
    assert ask.server.socket.getsockname()[0] == "127.0.0.1"
    addresses = [
        found.address
        for of in psutil.net_if_addrs().values()
        for found in of
        if found.family == socket.AF_INET and not found.address.startswith("127.")
    ]
    for address in addresses:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, ask.port), timeout=5).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000", "LOCALHOST", "[::1]:8420"])
def test_it_answers_to_this_machines_own_names_at_any_port(ask, host):
    assert ask("/", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "evil.example:8420", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0"],
)
@pytest.mark.parametrize("target", ["/", "/api/table", "/at/runs/a", "/assets/script.js"])
def test_a_foreign_host_is_refused(ask, host, target):
    """A page elsewhere can let its own name point to 127.0.0.1, and would then read all that is here."""
    answer = ask(target, headers={"Host": host})
    assert answer.status == 403
    assert answer.text == "this server answers to 127.0.0.1 and localhost alone\n"


def test_what_another_sites_page_asks_for_is_refused_but_for_a_link_to_a_page(ask):
    for site in ("cross-site", "same-site"):  # of the same site is any other port of this machine
        headers = {"Sec-Fetch-Site": site}
        assert ask("/api/table", headers=headers).status == 403
        assert ask("/assets/style.css", headers=headers).status == 403
        assert ask("/at/runs/a", headers=headers).status == 200
    for site in ("same-origin", "none"):
        assert ask("/api/table", headers={"Sec-Fetch-Site": site}).status == 200
    assert "Access-Control-Allow-Origin" not in ask("/api/table").headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_other_methods_than_get_and_head_are_refused(ask, method):
    answer = ask("/api/table", method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("target", ["/", "/api/table", "/at/runs/a", "/nowhere"])
def test_a_head_has_the_headers_of_a_get_and_no_body(ask, target):
    get, head = ask(target), ask(target, "HEAD")
    assert head.body == b""
    assert get.body
    assert head.status == get.status
    assert dict(head.headers) | {"Date": ""} == dict(get.headers) | {"Date": ""}


@pytest.mark.parametrize(
    ("target", "status"),
    [
        *((target, 200) for target in ("/", "/at/runs/a", "/chosen?run=runs/a", "/assets/live.js", "/api/table")),
        *((target, 404) for target in ("/nowhere", "/at/nowhere", "/assets/nowhere", "/chosen?run=nowhere")),
        ("/api/table?where=(", 200),
        ("/api/table?limit=x", 400),
    ],
)
def test_every_answer_has_a_policy_that_runs_and_loads_nothing_from_elsewhere(ask, target, status):
    answer = ask(target)
    assert answer.status == status
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    if answer.headers["Content-Type"].startswith("text/html"):
        assert "http-equiv" not in answer.text
        assert "://" not in answer.text.replace("http://www.w3.org/", "")


@pytest.mark.parametrize(
    "target",
    [
        "/at/../outside/run",
        "/at/%2e%2e/outside/run",
        "/at/..%2foutside%2frun",
        "/at/runs/../../outside/run",
        "/at/runs/a/../../../outside/run",
        "/at//etc",
        "/at/runs/a/result.json",
        "/at/runs/a%00",
        "/assets/../server.py",
        "/assets/%2e%2e/server.py",
        "/assets/server.py",
        "/assets//etc/passwd",
        "/chosen?run=../outside/run",
        "/chosen?run=OUTSIDE",
        "/chosen",
    ],
)
def test_no_path_leads_out_of_the_folder_or_to_a_file(ask, outside, target):
    answer = ask(target.replace("OUTSIDE", str(outside)))
    assert answer.status == 404
    assert SECRET not in answer.text
    assert "import" not in answer.text


def test_a_link_to_a_folder_elsewhere_is_not_followed(ask, root, outside):
    (root / "link").symlink_to(outside)
    (root / "runs" / "above").symlink_to(outside.parent)
    assert ask.paths() == ["runs/a"]
    for target in ("/at/link", "/at/runs/above", "/at/runs/above/run", "/chosen?run=link"):
        assert ask(target).status == 404


@pytest.mark.parametrize("name", ["result.json", "history.csv", ".hydra", ".hydra/config.yaml", "test_outcomes.npz"])
def test_a_link_to_a_file_elsewhere_is_not_read(ask, root, outside, name):
    folder = begun(root / "b").path
    begun_outside = outside.parent / "begun"
    RunFolder(begun_outside).test_outcomes.write_bytes(b"PK")
    target = {"result.json": outside}.get(name, begun_outside) / name
    link = folder / name
    shutil.rmtree(link) if link.is_dir() else link.unlink(missing_ok=True)
    link.symlink_to(target)
    shown = ask("/api/table?columns=path,status,reason,optim.lr&sort=path").text + ask("/at/b").text
    assert SECRET not in shown
    assert "it is outside of the folder that is read" in shown


def test_a_comparison_shows_nothing_of_runs_that_are_elsewhere(ask, root, outside, tmp_path):
    (root / "c").mkdir()
    for run in (str(outside), "../../outside/run"):
        (root / "c" / "comparison.json").write_text(json.dumps({"arms": [{"runs": [run]}], "pairs": [], "version": 0}))
        assert SECRET not in ask("/at/c").text
    with reading_below(root), pytest.raises(ValueError, match="outside of the folder"):
        RunFolder(root / "c" / "../../outside/run").read_result()
    assert RunFolder(root / "c" / "../../outside/run").read_result().reason == SECRET


def test_what_may_be_read_ends_at_the_folder_itself(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "file").write_text("x")
    (tmp_path / "a" / "file").write_text("y")
    (tmp_path / "a" / "inside").symlink_to(tmp_path / "a" / "file")
    with reading_below(tmp_path / "a"):
        assert read_bytes(tmp_path / "a" / "inside") == b"y"
        with pytest.raises(ValueError, match="outside"):
            check_place(tmp_path / "ab" / "file")
    check_place(tmp_path / "ab" / "file")


def test_a_study_that_is_a_link_to_elsewhere_is_not_opened(ask, root, tmp_path):
    sweep = SweepFolder(root / "s")
    finished(sweep.trial(0))
    (root / "s" / "sweep.yaml").write_text(
        yaml.safe_dump({"n_trials": 1, "study": "s", "request": {"space": {"x": "interval(0,1)"}}})
    )
    row = {"trial": 0, "state": "complete", "value": 1.0, "folder": "0"}
    sweep.write_table(list(row), [row])
    (tmp_path / "elsewhere.db").write_bytes(b"SQLite format 3\x00")
    sweep.database.symlink_to(tmp_path / "elsewhere.db")
    assert "No parameter importance: it is outside of the folder that is read" in ask("/at/s").text


def test_a_lock_that_is_a_link_is_not_opened(root, outside):
    folder = begun(root / "b")
    folder.lock.symlink_to(outside / "result.json")
    before = (outside / "result.json").read_bytes()
    assert not folder.is_claimed()
    assert (outside / "result.json").read_bytes() == before


@pytest.mark.parametrize(
    "name", [HOSTILE, "a b&c=d#e?f%20+g", "\u05d0\u05d1\u05d2", "$x^2$ `id`", os.fsdecode(b"bytes \xff")]
)
def test_any_name_is_text_and_has_a_page(ask, root, name):
    try:
        finished(root / name / "0", config__optim__name=name.encode(errors="replace").decode(), reason="why <b>")
    except OSError:
        pytest.skip("this system has no such names")
    rows = ask.table(columns="path,reason,optim.name")["rows"]
    [row] = [row for row in rows if row["path"] != "runs/a"]
    page = ask(row["url"])
    assert page.status == 200
    assert "<script>document" not in page.text
    assert "why <b>" not in page.text
    assert ask(row["url"].rpartition("/")[0]).status == 200
    chosen = ask(f"/chosen?run=runs/a&run={row['url'].removeprefix('/at/')}")
    assert chosen.status == 200
    assert "<script>document" not in chosen.text


def test_what_is_as_it_was_is_not_sent_again(ask, root):
    for target in ("/api/table", "/api/table?sort=path", "/at/runs", "/at/runs/a", "/chosen?run=runs/a"):
        first = ask(target)
        again = ask(target, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, again.body) == (304, b""), target
        assert again.headers["ETag"] == first.headers["ETag"]
    before = {target: ask(target).headers["ETag"] for target in ("/api/table", "/at/runs", "/chosen?run=runs/a")}
    assert ask("/api/table?sort=path").headers["ETag"] != before["/api/table"]
    finished(root / "runs" / "b")
    assert ask("/api/table", headers={"If-None-Match": before["/api/table"]}).status == 200
    assert ask("/at/runs", headers={"If-None-Match": before["/at/runs"]}).status == 200
    assert ask("/chosen?run=runs/a", headers={"If-None-Match": before["/chosen?run=runs/a"]}).status == 304


def test_a_large_answer_is_packed_for_who_takes_that(ask):
    plain, packed = ask("/at/runs/a"), ask("/at/runs/a", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 2


def test_a_bug_is_a_line_in_the_browser_and_a_traceback_in_the_terminal(ask, monkeypatch, capsys):
    def wrong(*args):
        raise RuntimeError("a path of ours")

    monkeypatch.setattr(server_module, "answer", wrong)
    answer = ask("/api/table")
    assert (answer.status, answer.text) == (500, "this went wrong; the terminal shows how\n")
    said = ""
    while "RuntimeError: a path of ours" not in said:  # in a thread of its own
        said += capsys.readouterr().err
    monkeypatch.undo()
    assert ask("/").status == 200


def test_what_is_no_request_is_a_line(ask):
    with socket.create_connection(("127.0.0.1", ask.port), timeout=30) as raw:
        raw.sendall(b"<script>alert(1)</script> nonsense\r\n\r\n")
        [line] = raw.makefile("rb").read().decode().splitlines()
    assert line.startswith("400 Bad HTTP/0.9 request type")
    assert "<script>" not in line
    assert ask(f"/{'x' * 20_000}").status == 414
    assert ask(f"/api/table?{'a=1&' * 200}").status == 400
