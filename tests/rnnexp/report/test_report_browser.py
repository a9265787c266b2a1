"""Pages in a real browser: they run without an error, load nothing, sort, hide, and fit a phone."""

import json

import pytest
from browsers import chromium

from rnnexp.report.pages import write

pytestmark = pytest.mark.external


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def pages(whole, tmp_path_factory):
    """Returns the pages of a real comparison, of one of its searches and of one of its runs."""
    folder = tmp_path_factory.mktemp("pages")
    place = whole[0] / "outputs" / "compare" / "c"
    parts = {
        "comparison": place,
        "sweep": place / "search" / "model_gru" / "1",
        "run": next(place.glob("final/*/*/*/0")),
    }
    return {kind: write(path, folder / f"{kind}.html") for kind, path in parts.items()}


@pytest.fixture(params=["comparison", "sweep", "run"])
def page(request, pages, browser):
    """Opens a page in the browser; afterwards nothing must have gone wrong and nothing been asked for."""
    browser.get_log("performance")
    resize(browser, 1280)
    browser.get(pages[request.param].as_uri())
    yield request.param
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    asked = [of["request"]["url"] for of in sent if of["documentURL"].startswith("file:")]  # not of its own first tab
    assert pages[request.param].as_uri() in asked
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def wait(browser, seconds):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, seconds)


def resize(browser, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def test_a_legend_entry_hides_its_series_and_shows_it_again(page, browser):
    button = browser.find_element("css selector", "figure .legend button")
    series = button.get_attribute("data-series")
    parts = browser.find_elements("css selector", f"figure [id='{series}'], figure [id^='{series}.']")
    assert parts
    for is_shown in (False, True):
        button.click()
        assert button.get_attribute("aria-pressed") == str(is_shown).lower()
        assert {part.value_of_css_property("display") == "none" for part in parts} == {not is_shown}


def test_a_click_on_a_header_sorts_by_it_and_another_one_backwards(page, browser):
    table = max(browser.find_elements("css selector", "table"), key=lambda t: len(t.find_elements("tag name", "tr")))
    place, values = next(
        (i, found)
        for i in range(len(table.find_elements("css selector", "th")))
        if len(set(found := cells(table, i))) > 1 and found != sorted(found, key=natural)[::-1]
    )
    header = table.find_elements("css selector", "th")[place]
    for direction in ("ascending", "descending"):
        header.find_element("tag name", "button").click()
        assert header.get_attribute("aria-sort") == direction
    backwards = cells(table, place)
    assert sorted(backwards) == sorted(values)
    assert backwards != values
    header.find_element("tag name", "button").click()
    assert [natural(value) for value in cells(table, place)] == [natural(value) for value in backwards][::-1] or len(
        set(values)
    ) < len(values)


def cells(table, place):
    return [row.find_elements("tag name", "td")[place].text for row in table.find_elements("css selector", "tbody tr")]


def natural(text):
    try:
        return 0, float(text.replace(",", "")), ""
    except ValueError:
        return 1, 0.0, text


def test_light_and_dark_differ_and_can_be_switched(page, browser):
    def background():
        return browser.execute_script("return getComputedStyle(document.body).backgroundColor")

    for scheme, expected in (("light", "rgb(253, 254, 255)"), ("dark", "rgb(21, 24, 27)")):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        assert background() == expected
    browser.find_element("id", "theme").click()
    assert background() == "rgb(253, 254, 255)"
    browser.find_element("id", "theme").click()
    assert background() == "rgb(21, 24, 27)"
    text = browser.find_element("css selector", "figure svg text")
    assert text.value_of_css_property("fill") == "rgb(232, 234, 236)"


@pytest.mark.parametrize("width", [1280, 375])
def test_nothing_is_wider_than_the_window(page, browser, width):
    resize(browser, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_what_is_cut_says_so_until_its_end_is_seen(page, browser):
    resize(browser, 375)
    cut = "box.scrollWidth > box.clientWidth + 2 || box.scrollHeight > box.clientHeight + 2"
    told = "box.previousElementSibling.checkVisibility()"
    ask = f"return [...document.querySelectorAll('.scroll')].map((box) => [{cut}, {told}])"
    wait(browser, 5).until(lambda _: all(is_cut == is_told for is_cut, is_told in browser.execute_script(ask)))
    assert any(is_cut for is_cut, _ in browser.execute_script(ask))
    browser.execute_script("for (const box of document.querySelectorAll('.scroll')) box.scrollTo(9999, 9999)")
    wait(browser, 5).until(lambda _: not any(told for _, told in browser.execute_script(ask)))


def test_a_pointer_near_a_mark_is_told_what_it_is(page, browser):
    script = """
        const svg = document.querySelector("svg[data-marks]");
        svg.scrollIntoView({ block: "center" });
        const [x, y, , text] = JSON.parse(svg.dataset.marks)[0];
        const box = svg.getScreenCTM();
        return [box.e + x * box.a, box.f + y * box.d, text];
        """
    x, y, text = browser.execute_script(script)
    tip = browser.find_element("css selector", ".tip")
    assert not tip.is_displayed()
    move_to(browser, x + 4, y - 4)
    wait(browser, 5).until(lambda _: tip.is_displayed())
    assert tip.text == text
    assert browser.find_elements("css selector", "svg a.mark[href]") == []  # no page is there that it could lead to
    browser.find_element("css selector", "figure .legend button").click()  # whose series is hidden then
    move_to(browser, x + 4, y - 3)
    assert not tip.is_displayed() or tip.text != text
    move_to(browser, 2, 2)
    wait(browser, 5).until(lambda _: not tip.is_displayed())


def move_to(browser, x, y):
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})


def test_the_policy_stops_a_script_that_somebody_has_put_in(pages, browser, tmp_path):
    """So that an error in escaping would still run nothing."""
    text = pages["run"].read_text()
    text = text.replace(
        "</h1>", "</h1><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    )
    (tmp_path / "page.html").write_text(text)
    browser.get((tmp_path / "page.html").as_uri())
    assert browser.title != "owned"
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))
