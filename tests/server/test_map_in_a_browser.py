"""The map in a real Chromium, on a real server: what it shows, its keys, its words, and what axe says of it."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.server import browser as browsers
from tests.server import issues
from tests.server.browser import Server, Visit

pytestmark = [
    pytest.mark.skipif(not browsers.CHROMIUM.exists(), reason=f"there is no {browsers.CHROMIUM}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the websockets that uvicorn may import
]
ISSUED = issues.NOW - 120
"""The newest issue of `issues.filled` is of 00:15 UTC, 02:15 in Zurich; now it is 00:17."""


def _wait_for_issues(server: Server, count: int) -> None:
    """Until the server has seen so many issues."""
    end = time.monotonic() + browsers.PATIENCE_S
    while len(server.service.snapshot.issues) != count:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published") / "live"
    issues.filled(root, members=4).index()
    return root


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with Server(folder, issues.NOW) as running:
        yield running


def test_the_map_opens_with_the_latest_observed_picture(chromium: Browser, server: Server) -> None:
    visit = Visit(chromium, server).open()
    assert (visit.text("#kind"), visit.text("#clock")) == ("Observed", "02:15")
    assert visit.text("#detail").startswith(("CEST, ", "GMT+2, "))
    assert "Latest radar picture" in visit.text("#freshness")
    assert visit.text("#credit").startswith("A <b>made</b> radar")  # the text, not markup
    assert visit.violations() == []
    visit.close()


@pytest.mark.slow  # a minute: it plays, drags and clicks through everything that the map can do
class TestWalk:
    """Everything that people do with the map."""

    def test_time_by_keys_slider_and_play(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server).open()
        page = visit.page
        page.keyboard.press("End")
        visit.until("document.getElementById('clock').textContent === '03:15'")
        assert visit.text("#kind") == "Forecast for"
        assert "issued 02:15" in visit.text("#detail")
        assert re.search(r"t=\+60", page.url)
        page.keyboard.press("ArrowLeft")
        visit.until("document.getElementById('clock').textContent === '03:10'")
        page.keyboard.press("Home")
        visit.until("document.getElementById('kind').textContent === 'Observed'")
        box = page.locator("#slider").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 0.85 * box["width"], box["y"] + box["height"] / 2)
        visit.until("document.getElementById('kind').textContent === 'Forecast for'")
        shown = visit.text("#clock")
        page.keyboard.press("Tab")
        page.locator("#map").focus()
        page.keyboard.press("Space")
        visit.until(f"document.getElementById('clock').textContent !== '{shown}'")
        assert page.locator("#play").get_attribute("aria-label") == "Pause"
        visible = "[...document.querySelectorAll('.leaflet-image-layer')].filter((one) => one.style.opacity > 0).length"
        for _ in range(20):
            assert page.evaluate(visible) == 1  # never blank, never two
            page.wait_for_timeout(50)
        page.keyboard.press("Space")
        assert page.locator("#play").get_attribute("aria-label") == "Play"
        visit.close()

    def test_layers_legend_and_the_value_under_the_cursor(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server).open()
        page = visit.page
        page.keyboard.press("l")
        assert page.evaluate("document.getElementById('layers').contains(document.activeElement)")
        assert visit.violations() == []
        page.locator("input[value='prob.rate.1']").check()
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.id") == "layers-button"
        page.locator("#map").focus()
        page.keyboard.press("End")
        visit.until("document.querySelector('#legend .title').textContent.endsWith('in %')")
        assert "layer=prob.rate.1" in page.url
        assert page.locator("#legend .swatch svg").count() == 5  # hatched from 50 % on
        assert visit.violations() == []
        page.mouse.move(640, 330)
        visit.until("!document.getElementById('under').hidden")
        assert re.search(r"-?\d+\.\d\d, -?\d+\.\d\d: (no rain|not known|\d+ to \d+ %)", visit.text("#under"))
        visit.close()

    def test_a_click_opens_the_meteogram_of_the_point(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server).open()
        page = visit.page
        page.mouse.click(640, 330)
        visit.until("document.querySelector('#chart-rate canvas') !== null")
        link = page.locator("#panel a", has_text="CSV").get_attribute("href") or ""
        found = re.search(r"lat=(-?[\d.]+)&lon=(-?[\d.]+)", link)
        assert found
        with urllib.request.urlopen(f"{server.address}{link.replace('f=csv', 'f=json')}") as answer:
            told = json.load(answer)
        page.get_by_role("button", name="Show as a table").click()
        rows = page.locator("#panel .scroll table").last.locator("tbody tr")
        assert rows.count() == len(told["series"]) == issues.LEADS
        median = rows.first.locator("td").first.inner_text()
        rate = told["series"][0]["rate"]
        assert median == (f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}")
        assert "02:20" in rows.first.inner_text()
        assert visit.violations() == []
        assert f"p={float(found[1]):.4f},{float(found[2]):.4f}" in page.url
        page.go_back()
        visit.until("document.getElementById('panel').hidden")
        visit.close()

    def test_places_are_found_by_name_and_by_coordinates(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server).open()
        page = visit.page
        visit.until("performance.getEntriesByType('resource').some((one) => one.name.endsWith('basemap.json'))")
        page.locator("#query").fill("")
        page.locator("#query").press_sequentially("oul")
        visit.until("document.querySelectorAll('#found li').length > 0")
        assert page.locator("#found li").first.inner_text() == "Oulu"
        assert visit.violations() == []
        page.keyboard.press("Enter")
        visit.until("document.querySelector('#panel h2')?.textContent.startsWith('Oulu 65.0')")
        page.locator("#query").fill("63.9, 23.0")
        page.keyboard.press("Enter")
        visit.until("document.querySelector('#panel h2')?.textContent.endsWith('63.90, 23.00')")
        visit.close()

    def test_a_link_opens_what_it_was_made_of(self, chromium: Browser, server: Server) -> None:
        link = "#7/63.900/23.000&t=+30&layer=prob.rate.1&p=63.9000,23.0000&pal=grey"
        visit = Visit(chromium, server).open(link)
        page = visit.page
        visit.until("document.getElementById('clock').textContent === '02:45'")
        visit.until("document.querySelector('#panel h2') !== null")
        assert page.url.endswith(link)
        page.reload()
        visit.until("document.getElementById('clock').textContent === '02:45'")
        assert all("palette=grey" in url for url, _ in visit.answers if "/v1/overview/" in url)
        visit.close()

    def test_a_link_to_a_forecast_that_is_gone_says_so(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server).open("#6/64/26&i=20200101T000000Z-00000000")
        visit.until("!document.getElementById('banner').hidden")
        assert "no longer kept" in visit.text("#banner")
        assert visit.text("#clock") == "02:15"
        assert visit.violations() == []
        visit.page.get_by_role("button", name="Close", exact=True).click()
        visit.until("document.getElementById('banner').hidden")
        visit.close()

    def test_an_older_forecast_is_told_to_be_one(self, chromium: Browser, server: Server) -> None:
        older = list(server.service.snapshot.issues)[1]
        visit = Visit(chromium, server).open(f"#6/64/26&t=+30&i={older}")
        visit.until("!document.getElementById('banner').hidden")
        assert "issued 02:10, not the newest" in visit.text("#banner")
        visit.until("document.getElementById('clock').textContent === '02:40'")
        visit.page.get_by_role("button", name="Show the newest").click()
        visit.until("document.getElementById('banner').hidden")
        visit.close()

    def test_by_keys_alone_everything_is_reached(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server).open()
        page = visit.page
        seen: list[str] = []
        for _ in range(40):
            page.keyboard.press("Tab")
            about = page.evaluate(
                """() => { const one = document.activeElement; const style = getComputedStyle(one);
                return [one.id || one.className || one.tagName, style.outlineStyle !== 'none']; }"""
            )
            if about[0] == "BODY" or about[0] in seen:
                break
            assert about[1], f"the focus on {about[0]} cannot be seen"
            seen.append(about[0])
        wanted = {
            "map",
            "query",
            "layers-button",
            "help-button",
            "back",
            "play",
            "forward",
            "latest",
            "speed",
            "slider",
        }
        assert wanted <= set(seen)
        page.locator("#map").focus()
        page.keyboard.press("p")
        visit.until("document.querySelector('#chart-rate canvas') !== null")
        assert page.evaluate("document.activeElement.id") == "panel"
        page.keyboard.press("Escape")
        visit.until("document.getElementById('panel').hidden")
        assert page.evaluate("document.activeElement.id") == "map"
        page.keyboard.press("?")
        assert page.locator("#help").is_visible()
        assert visit.violations() == []
        page.keyboard.press("Escape")
        assert not page.locator("#help").is_visible()
        visit.close()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_contrast_in_both_themes(self, chromium: Browser, server: Server, scheme: str) -> None:
        visit = Visit(chromium, server, color_scheme=scheme).open("#6/64/26&t=+30&p=63.9,23.0")
        visit.until("document.querySelector('#chart-rate canvas') !== null")
        visit.page.keyboard.press("l")
        assert visit.violations() == []
        palette = "night" if scheme == "dark" else "cvd"
        assert any(f"palette={palette}" in url for url, _ in visit.answers)
        visit.close()

    def test_on_a_phone_and_at_200_per_cent(self, chromium: Browser, server: Server) -> None:
        phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
        visit = Visit(chromium, server, **phone).open()
        sizes = visit.page.evaluate(
            """() => [...document.querySelectorAll('#time button, #time select, #top button, #query')]
            .map((one) => one.getBoundingClientRect()).filter((box) => box.width > 0)
            .map((box) => [box.width, box.height])"""
        )
        assert min(min(pair) for pair in sizes) >= 44
        visit.page.touchscreen.tap(200, 330)
        visit.until("document.querySelector('#chart-rate canvas') !== null")
        assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert visit.violations() == []
        visit.close()
        zoomed = Visit(chromium, server, viewport={"width": 640, "height": 400}, device_scale_factor=2).open()
        assert zoomed.violations() == []
        assert zoomed.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        zoomed.close()


@pytest.mark.slow  # half a minute: it waits for the timer of the page
class TestFreshness:
    """What the page says when data get old, are not there, or the server is not."""

    def test_nothing_is_asked_twice_and_a_new_issue_appears(self, chromium: Browser, tmp_path: Path) -> None:
        made = issues.filled(tmp_path / "live", members=None)
        made.index()
        with Server(tmp_path / "live", issues.NOW) as server:
            visit = Visit(chromium, server, service_workers="block").open("#6/64/26&t=+30")
            visit.until("document.getElementById('clock').textContent === '02:45'")
            visit.page.evaluate("window.dispatchEvent(new Event('online'))")
            end = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('index.json')).length > 1"
            visit.until(end)
            visit.page.wait_for_timeout(500)
            assert [status for url, status in visit.answers if url.endswith("index.json")][-1] == 304
            made.frame(20, seed=20)
            made.now += 300
            made.issue(20, None, seed=3)
            made.index()
            server.offset += 300
            visit.until(
                "fetch('/v1/index.json', {cache: 'no-store'}).then((a) => a.json()).then((c) => c.issues.length === 3)"
            )
            visit.page.evaluate("window.dispatchEvent(new Event('online'))")
            visit.until("document.getElementById('detail').textContent.includes('issued 02:20')")
            assert visit.text("#clock") == "02:45"  # the time that was chosen is kept
            pictures = [url for url, _ in visit.answers if "/v1/overview/" in url]
            assert len(pictures) == len(set(pictures))
            visit.close()

    def test_old_data_are_told_to_be_old(self, chromium: Browser, folder: Path) -> None:
        with Server(folder, issues.NOW + 3600) as server:
            visit = Visit(chromium, server).open()
            visit.until("!document.getElementById('banner').hidden")
            assert "Old data: the latest radar picture is 62 min old" in visit.text("#banner")
            shown = "[...document.querySelectorAll('.leaflet-image-layer')].map((one) => +one.style.opacity)"
            assert max(visit.page.evaluate(shown)) == pytest.approx(0.4)  # half of 0.8
            assert visit.violations() == []
            visit.page.mouse.click(640, 330)
            visit.until("document.querySelector('#panel .note') !== null")
            assert "too old" in visit.text("#panel .note")
            visit.close()

    def test_without_a_forecast_the_map_says_so_and_waits(self, chromium: Browser, tmp_path: Path) -> None:
        (tmp_path / "live").mkdir()
        with Server(tmp_path / "live", issues.NOW) as server:
            visit = Visit(chromium, server).open(picture=False)
            visit.until("document.getElementById('banner').textContent.startsWith('There is no forecast yet')")
            assert visit.violations() == []
            issues.filled(tmp_path / "live", members=None).index()
            _wait_for_issues(server, 2)
            visit.page.evaluate("window.dispatchEvent(new Event('online'))")
            visit.until("document.getElementById('clock').textContent === '02:15'")
            assert visit.page.locator("#banner").is_hidden()
            visit.close()

    def test_an_error_of_the_server_keeps_the_picture(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server, service_workers="block").open()
        visit.page.route("**/v1/index.json", lambda route: route.fulfill(status=500))
        visit.page.evaluate("window.dispatchEvent(new Event('online'))")
        visit.until("document.getElementById('banner').textContent.includes('status 500')")
        assert visit.text("#clock") == "02:15"
        assert visit.violations() == []
        visit.complaints.clear()  # the browser tells of the 500 itself
        visit.close()

    def test_without_a_network_it_opens_again_with_its_age(self, chromium: Browser, folder: Path) -> None:
        with Server(folder, issues.NOW) as server:
            visit = Visit(chromium, server).open()
            visit.until("navigator.serviceWorker.controller !== null")
            kept = "caches.open('echocast-1').then((store) => store.keys()).then((all) => all.map((one) => one.url))"
            visit.until(f"{kept}.then((urls) => urls.filter((url) => url.includes('/overview/')).length >= 16)")
            for path in ("/", "/v1/index.json", "/v1/basemap.json"):
                visit.until(f"caches.match('{path}').then((found) => found !== undefined)")
        # The server has ended: there is no network any more.
        visit.page.reload()
        visit.until("document.getElementById('banner').textContent.includes('No connection')")
        visit.until("document.getElementById('clock').textContent.endsWith('02:15')")
        assert "ago" in visit.text("#freshness")
        assert visit.violations() == []
        visit.complaints.clear()  # the browser tells of what it could not reach
        visit.close()
