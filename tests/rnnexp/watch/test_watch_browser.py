"""Watching in a real browser, while a real sweep runs: find, sort, hover, follow a dot, compare, see a trial come."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from browsers import chromium
from fake_runs import epochs, finished

pytestmark = pytest.mark.external
PATIENCE = 120  # seconds, on a machine that trains at the same time
SWEEP = (
    "-m name=s search=quick n_trials=400 workers=1 hydra/launcher=basic data.limit=300 data.valid_size=100 "
    "model.num_layers=1 train.epochs=2 train.threads=1"
).split()
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'&\u202e\u05d0"


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a folder with a sweep that has begun, and the process that runs it."""
    root = tmp_path_factory.mktemp("watched")
    process = subprocess.Popen([sys.executable, "-m", "rnnexp", *SWEEP], cwd=root, stderr=subprocess.DEVNULL)
    yield root / "outputs", process
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)


@pytest.fixture(scope="module")
def url(folder):
    """Returns the URL that the command prints first, with some finished runs in the folder as well."""
    root, _ = folder
    for number, (model, lr) in enumerate((("gru", 0.1), ("gru", 0.2), ("lstm", 0.3))):
        run = finished(root / "runs" / f"r{number}", choices__model=model, config__optim__lr=lr, seed=number)
        epochs(run, 3 + number)
    epochs(finished(root / "runs" / HOSTILE.replace("/", "_"), reason=HOSTILE, config__optim__lr=HOSTILE), 2)
    command = [sys.executable, "-m", "rnnexp.watch", str(root), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        assert process.stderr.read() == "stopped\n"


@pytest.fixture
def page(browser, url):
    """Opens the table; afterwards nothing must have gone wrong and nothing been asked for elsewhere."""
    browser.get_log("performance")
    browser.get_log("browser")
    resize(browser, 1280)
    browser.get(url)
    wait(browser, lambda: rows(browser))
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert [of for of in asked if not of.startswith((url, "data:", "chrome:", "about:"))] == []


def resize(browser, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def wait(browser, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, PATIENCE, 0.1).until(lambda _: condition())


def rows(browser):
    """Returns the texts of the rows that are shown, cell by cell, without that of the box."""
    script = (
        "return [...document.querySelectorAll('#table tbody tr:not(:has(.empty))')]"
        ".map((row) => [...row.cells].slice(1).map((cell) => cell.textContent))"
    )
    return browser.execute_script(script)


def column(browser, name):
    names = browser.execute_script("return [...document.querySelectorAll('#table th')].map((it) => it.textContent)")
    return [row[names.index(name) - 1] for row in rows(browser)]


def type_into(browser, name, text):
    field = browser.find_element("id", name)
    field.clear()
    field.send_keys(text)


def click(browser, selector, text=""):
    """Clicks, in one go, on the first element that has this text: the table may be made anew at any time."""
    script = """
        const all = [...document.querySelectorAll(arguments[0])];
        const found = all.find((it) => it.textContent.startsWith(arguments[1]));
        found?.click();
        return Boolean(found);
        """
    wait(browser, lambda: browser.execute_script(script, selector, text))


def only_runs(browser):
    browser.find_element("css selector", "#show input[value=runs] + span").click()
    type_into(browser, "text", "runs/r")
    wait(browser, lambda: len(rows(browser)) == 3)


def test_words_and_an_expression_leave_the_rows_that_are_asked_for(page):
    only_runs(page)
    type_into(page, "where", "optim.lr > 0.15 and model == 'gru'")
    wait(page, lambda: [row[0] for row in rows(page)] == ["runs/r1"])
    assert "optim.lr" in page.current_url
    type_into(page, "where", "lr > 1")
    wait(page, lambda: page.find_element("id", "problem").is_displayed())
    assert page.find_element("id", "problem").text.startswith("no column lr (did you mean optim.lr?)")
    assert [row[0] for row in rows(page)] == ["runs/r1"]  # what was there stays
    page.get(page.current_url.partition("?")[0] + "?text=runs%2Fr&where=optim.lr+%3C+0.15")
    wait(page, lambda: [row[0] for row in rows(page)] == ["runs/r0"])


def test_a_click_on_a_columns_name_sorts_by_it_and_another_one_backwards(page):
    only_runs(page)
    for way, seeds in (("descending", ["2", "1", "0"]), ("ascending", ["0", "1", "2"])):
        click(page, "#table th button", "seed")
        by = f"return document.querySelector('#table th[aria-sort={way}]')?.textContent"
        wait(page, lambda by=by: page.execute_script(by) == "seed")
        wait(page, lambda seeds=seeds: column(page, "seed") == seeds)


def test_two_clicks_at_once_on_a_columns_name_are_two(page):
    only_runs(page)
    twice = "const button = [...document.querySelectorAll('#table th button')].find((it) => it.textContent == 'seed');"
    page.execute_script(f"{twice} button.click(); button.click()")
    wait(page, lambda: column(page, "seed") == ["0", "1", "2"])


def test_a_row_that_has_not_changed_stays_the_same_element(page, folder):
    root, _ = folder
    only_runs(page)
    click(page, "#table tbody input[aria-label='choose runs/r1']")
    mark_it = "document.querySelector(`#table a[data-key='/at/runs/r1']`).closest('tr').isTheSame = true"
    page.execute_script(mark_it)
    run = finished(root / "runs" / "r9", seed=9)
    wait(page, lambda: "runs/r9" in column(page, "path"))
    is_same = "row.isTheSame && row.querySelector(':checked')"
    rest = f"return [...document.querySelectorAll('#table tbody tr')].filter((row) => {is_same}).length"
    assert page.execute_script(rest) == 1
    finished(root / "runs" / "r1", choices__model="gru", config__optim__lr=0.2, seed=77)
    wait(page, lambda: "77" in column(page, "seed"))
    assert page.execute_script(rest) == 0
    assert len(page.find_elements("css selector", "#table tbody input:checked")) == 1
    finished(root / "runs" / "r1", choices__model="gru", config__optim__lr=0.2, seed=1)
    shutil.rmtree(run.path)
    wait(page, lambda: "runs/r9" not in column(page, "path") and "77" not in column(page, "seed"))


def test_groups_are_means_and_lead_to_their_runs(page):
    only_runs(page)
    type_into(page, "group", "model")
    wait(page, lambda: [row[0] for row in rows(page)] == ["gru", "lstm"])
    assert "mixes configurations (optim.lr)" in page.find_element("id", "warning").text
    click(page, "#table tbody a", "gru")
    wait(page, lambda: "model+%3D%3D" in page.current_url and rows(page))
    wait(page, lambda: set(column(page, "model")) >= {"gru"} and "lstm" not in column(page, "model"))


def test_a_new_trial_appears_while_the_sweep_is_running(page, folder):
    _, process = folder
    type_into(page, "text", "sweeps/s")
    wait(page, lambda: {row[0].split("/")[0] for row in rows(page)} == {"sweeps"})
    page.execute_script("window.isTheSame = true")
    before = {row[0] for row in rows(page)}
    assert process.poll() is None
    wait(page, lambda: {row[0] for row in rows(page)} - before)
    assert page.execute_script("return window.isTheSame")  # nothing was loaded anew
    assert page.find_elements("css selector", "#table tr.new")
    assert page.find_element("id", "live").text == "live"


def mark(browser, figure, text):
    """Returns where in the window a figure has the mark whose text begins so, once it is in sight."""
    script = """
        const svg = document.querySelector(`figure[id="${arguments[0]}"] svg[data-marks]`);
        const found = svg && JSON.parse(svg.dataset.marks).find((mark) => mark[3].startsWith(arguments[1]));
        if (!found) return null;
        svg.scrollIntoView({ block: "center" });
        const box = svg.getScreenCTM();
        return [box.e + found[0] * box.a, box.f + found[1] * box.d, found[3], found[4]];
        """
    return wait(browser, lambda: browser.execute_script(script, figure, text))


def move_to(browser, x, y):
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})


def test_a_dot_names_its_trial_and_a_click_on_it_opens_the_trials_page(page, url):
    type_into(page, "text", "sweeps/s/0 complete")
    wait(page, lambda: rows(page))
    page.get(f"{url}at/sweeps/s")
    for _ in range(20):  # it may be replaced by a newer one just now
        x, y, text, target = mark(page, "optimization", "trial 0,")
        move_to(page, x + 3, y + 3)
        if page.find_element("css selector", ".tip").is_displayed():
            break
        time.sleep(0.5)
    tip = page.find_element("css selector", ".tip")
    wait(page, tip.is_displayed)
    assert tip.text.splitlines()[: len(text.splitlines())] == text.splitlines()
    assert "validation accuracy" in tip.text
    link = page.find_element("css selector", "svg a.mark")
    assert link.get_dom_attribute("href") == target == "/at/sweeps/s/0"
    for kind in ("mousePressed", "mouseReleased"):
        event = {"type": kind, "x": x + 3, "y": y + 3, "button": "left", "clickCount": 1}
        page.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    wait(page, lambda: page.current_url == f"{url}at/sweeps/s/0")
    assert page.find_element("css selector", "h1").text == "0"
    move_to(page, 5, 5)
    page.find_element("link text", "s").click()
    wait(page, lambda: page.current_url == f"{url}at/sweeps/s")


def test_a_finger_is_told_first_and_follows_by_its_second_touch(page, url):
    target = f"{url}chosen?run=runs/r0&run=runs/r1"
    resize(page, 390)
    page.get(target)
    mark(page, "chosen-curves", "r0")
    time.sleep(0.5)  # until the page has stopped scrolling, which takes what is told away
    x, y, text, link = mark(page, "chosen-curves", "r0")
    touch(page, x, y)
    tip = page.find_element("css selector", ".tip")
    wait(page, tip.is_displayed)
    assert tip.text.splitlines()[:2] == text.splitlines()
    assert page.current_url == target
    touch(page, x, y)
    wait(page, lambda: page.current_url == f"{url}{link[1:]}")


def touch(browser, x, y):
    for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_a_page_grows_with_its_run_and_keeps_what_is_hidden(page, url, folder):
    root, _ = folder
    run = finished(root / "runs" / "growing")
    run.result.unlink()
    epochs(run, 2)
    wait(page, lambda: "runs/growing" in {row[0] for row in rows(page)})
    page.get(f"{url}at/runs/growing")
    marks = "JSON.parse(document.querySelector('#curves svg[data-marks]').dataset.marks)"
    ends = f"return {marks}.filter((mark) => mark[2] === 's1').length"
    assert page.execute_script(ends) == 2 * 2
    page.find_element("css selector", "#curves .legend button").click()
    page.execute_script("window.isTheSame = true")
    epochs(run, 4)
    wait(page, lambda: page.execute_script(ends) == 2 * 4)
    assert page.execute_script("return window.isTheSame")
    pressed = [b.get_attribute("aria-pressed") for b in page.find_elements("css selector", "#curves .legend button")]
    assert pressed == ["false", "true"]
    assert page.find_element("css selector", "#curves [id='curves-s0.loss']").value_of_css_property("display") == "none"


def test_two_chosen_runs_are_compared_with_what_differs_marked(page):
    only_runs(page)
    for name in ("runs/r1", "runs/r2"):
        click(page, f"#table tbody input[aria-label='choose {name}']")
    assert page.find_element("css selector", "#chosen span").text == "2 runs chosen"
    page.find_element("id", "compare").click()
    wait(page, lambda: page.find_elements("css selector", "td.differs"))
    assert page.find_element("css selector", "h1").text == "2 chosen runs"
    differing = {
        row.find_element("css selector", "td").text
        for row in page.find_elements("xpath", "//tr[td[contains(@class, 'differs')]]")
    }
    assert {"optim.lr", "seed"} <= differing
    assert len(page.find_elements("css selector", "#chosen-curves .legend button")) == 2
    x, y, text, _ = mark(page, "chosen-curves", "r")
    move_to(page, x, y)
    tip = page.find_element("css selector", ".tip")
    wait(page, tip.is_displayed)
    assert tip.text.startswith(text.splitlines()[0])


def test_a_hostile_name_stays_text_in_the_table_and_on_its_page(page):
    type_into(page, "text", "owned")
    wait(page, lambda: len(rows(page)) == 1)
    assert "<script>" in rows(page)[0][0]
    assert "\u202e" not in rows(page)[0][0]
    click(page, "#table tbody input")
    click(page, "#table tbody a")
    wait(page, lambda: page.find_elements("css selector", "figure"))
    assert page.title.startswith("<script>")
    assert page.find_elements("css selector", "main img, h1 *") == []
    page.back()
    wait(page, lambda: rows(page))
    assert page.title != "owned"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("target", ["", "at/runs/r0", "chosen?run=runs/r0&run=runs/r1"])
def test_nothing_is_wider_than_the_window(page, url, width, target):
    resize(page, width)
    page.get(url + target)
    wait(page, lambda: page.execute_script("return document.readyState") == "complete")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


def test_light_and_dark_differ(page, url):
    for target in ("", "at/runs/r0"):
        page.get(url + target)
        for scheme, expected in (("light", "rgb(253, 254, 255)"), ("dark", "rgb(21, 24, 27)")):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
            assert page.execute_script("return getComputedStyle(document.body).backgroundColor") == expected


def test_runs_that_are_deleted_go_and_a_server_that_ends_is_missed(browser, tmp_path):
    finished(tmp_path / "a")
    finished(tmp_path / "b")
    command = [sys.executable, "-m", "rnnexp.watch", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        browser.get(process.stdout.readline().strip())
        wait(browser, lambda: len(rows(browser)) == 2)
        shutil.rmtree(tmp_path / "b")
        wait(browser, lambda: [row[0] for row in rows(browser)] == ["a"])
        os.kill(process.pid, signal.SIGKILL)
    wait(browser, lambda: "can't be reached" in browser.find_element("id", "live").text)
    browser.get_log("browser")
