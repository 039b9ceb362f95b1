"""The map in a real Chromium: tiles when zoomed in, memory, times and their zones, the viewer's position, speech."""

import re
from collections.abc import Iterator
from io import BytesIO
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser
from pyproj import Transformer
from tests.server import browser as browsers
from tests.server import issues
from tests.server.browser import Server, Visit

from echocast.operations.stamps import seconds_of
from echocast.server.tiles.palettes import DRY, FIRST, LEGENDS, PALETTES

pytestmark = [
    pytest.mark.skipif(not browsers.CHROMIUM.exists(), reason=f"there is no {browsers.CHROMIUM}"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the websockets that uvicorn may import
    pytest.mark.slow,  # each opens the page in a real browser, and waits for what it draws
]
MOST_BYTES = 120e6
SHOWN = "[...document.querySelectorAll('.leaflet-image-layer')].filter((one) => one.style.opacity > 0).length"
TILED = "document.querySelector('.leaflet-pictures-pane canvas').width > 0"
OPAQUE = "(o => { o.value = 100; o.dispatchEvent(new Event('input')); })(document.getElementById('opacity'))"
VALUE = "document.getElementById('under').textContent"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browsers.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> issues.Folder:
    """Two hours of frames, each as its number of minutes makes it, and an ensemble."""
    made = issues.Folder(tmp_path_factory.mktemp("published") / "live")
    for minutes in range(-105, 16, 5):
        made.frame(minutes, seed=minutes + 200)
    made.issue(15, 4, seed=2)
    made.index()
    return made


@pytest.fixture(scope="module")
def server(published: issues.Folder) -> Iterator[Server]:
    with Server(published.layout.root, issues.NOW) as running:
        yield running


def _tiles(visit: Visit) -> list[tuple[str, str, str]]:
    """Id, layer and lead of the tiles that were asked for."""
    paths = [urlsplit(url).path.split("/") for url, _ in visit.answers if "/v1/tiles/" in url]
    return [(path[3], path[4], path[5]) for path in paths]


def _seen(lat: float, lon: float, zoom: int, right: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes of the cells of the newest frame at pixels from the centre of a map, and where they are of one cell.

    Where a pixel is near an edge of a cell, which is of either, it is left out.
    """
    to_mercator = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    to_grid = Transformer.from_crs("EPSG:3857", issues.GRID.crs, always_xy=True)
    x0, y0 = to_mercator.transform(lon, lat)
    metres = 2 * np.pi * 6378137 / 256 / 2**zoom
    x, y = to_grid.transform(x0 + (right + 0.5) * metres, y0 - (down + 0.5) * metres)
    columns = (np.asarray(x) - issues.GRID.x.first) / issues.GRID.x.step
    rows = (np.asarray(y) - issues.GRID.y.first) / issues.GRID.y.step
    classes = LEGENDS["rate"].classes(issues.rain(1, seed=15 + 200)[0])
    is_inside = (np.abs(columns % 1 - 0.5) > 0.06) & (np.abs(rows % 1 - 0.5) > 0.06)
    is_inside &= (columns > 0) & (rows > 0) & (columns < 39) & (rows < 47)
    at = np.clip(rows.round().astype(int), 0, 47), np.clip(columns.round().astype(int), 0, 39)
    return classes[at], is_inside


def _observed(minutes: int, lat: float, lon: float) -> float:
    """The rain rate of a frame in the cell that holds a place, by pyproj."""
    x, y = Transformer.from_crs("EPSG:4326", issues.GRID.crs, always_xy=True).transform(lon, lat)
    column, row = (round((at - axis.first) / axis.step) for at, axis in ((x, issues.GRID.x), (y, issues.GRID.y)))
    return float(issues.rain(1, seed=minutes + 200)[0, row, column])


class TestZoomedIn:
    """Tiles show the cells of the grid; they never come beside the picture, and not while the loop plays."""

    def test_tiles_of_the_time_that_is_shown_alone(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server, service_workers="block").open("#11/64.000/23.000&t=+0")
        visit.until(f"{TILED} && {SHOWN} === 0")
        frame = list(server.service.snapshot.frames.values())[-1].id
        assert {(frame, "rate", "0")} == set(_tiles(visit))
        visit.page.locator("#map").focus()
        visit.page.keyboard.press("End")
        visit.until("document.getElementById('kind').textContent === 'Forecast for'")
        visit.until(f"{TILED} && {SHOWN} === 0")
        newest = next(iter(server.service.snapshot.issues))
        assert {(frame, "rate", "0"), (newest, "rate", "60")} == set(_tiles(visit))
        visit.close()

    def test_the_value_under_the_cursor_is_that_of_the_cell(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server, service_workers="block").open("#9/63.700/22.800&t=+0")
        visit.until(f"{TILED} && {SHOWN} === 0")
        seen = set()
        for x, y in product(range(420, 1200, 110), range(160, 420, 60)):
            visit.page.mouse.move(x, y)
            visit.until(f"/: /.test({VALUE})")
            found = re.fullmatch(r"(\S+), (\S+): (no rain|(\S+) to (\S+) mm/h)", visit.text("#under"))
            assert found, visit.text("#under")
            place = float(found[1]), float(found[2])
            around = [_observed(15, place[0] + a, place[1] + b) for a in (-6e-3, 6e-3) for b in (-0.013, 0.013)]
            if max(around) != min(around):
                continue  # at the edge of a cell the two decimals that are told do not say in which
            low, high = (0.0, 0.1) if found[4] is None else (float(found[4]), float(found[5]))
            assert low <= 1.001 * around[0] + 1e-6  # frames are kept in half precision
            assert around[0] <= 1.001 * high
            seen.add(found[3])
        assert len(seen) >= 2
        visit.close()

    def test_each_pixel_has_the_colour_of_its_cell(self, chromium: Browser, server: Server) -> None:
        """Of what the viewer sees: a screenshot, against the classes of the cells by pyproj."""
        lat, lon, zoom = 63.4, 23.6, 9
        visit = Visit(chromium, server, service_workers="block").open(f"#{zoom}/{lat}/{lon}&t=+0")
        visit.page.evaluate(OPAQUE)
        visit.until(f"{TILED} && {SHOWN} === 0")
        image = Image.open(BytesIO(visit.page.screenshot())).convert("RGB")
        box = visit.page.locator("#map").bounding_box()
        assert box is not None
        visit.close()
        x, y = (at.ravel() for at in np.meshgrid(np.arange(250, 900, 13), np.arange(150, 520, 13)))
        colours = np.asarray(image)[y, x]
        wanted, is_inside = _seen(lat, lon, zoom, x - box["x"] - box["width"] // 2, y - box["y"] - box["height"] // 2)
        palette = np.array(PALETTES["cvd"].colours(LEGENDS["rate"]))
        is_rain = wanted >= FIRST
        right = (colours == palette[np.maximum(wanted.astype(int) - FIRST, 0)]).all(axis=1)
        # Coasts, borders and names of places are drawn above the rain.
        assert (is_rain & is_inside).sum() > 200
        assert right[is_rain & is_inside].mean() > 0.95
        is_dry = is_inside & (wanted == DRY)
        assert (colours[is_dry][:, None] == palette).all(axis=-1).any(axis=-1).mean() < 0.01

    def test_none_while_the_loop_plays(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server, service_workers="block").open("#11/64.000/23.000&t=+0")
        visit.until(f"{TILED} && {SHOWN} === 0")
        visit.page.locator("#play").click()
        visit.until("document.getElementById('kind').textContent === 'Forecast for'")
        asked = len(_tiles(visit))
        clock = visit.text("#clock")
        visit.until(f"document.getElementById('clock').textContent !== '{clock}'")
        assert (visit.page.evaluate(SHOWN), visit.page.evaluate(TILED)) == (1, False)
        assert len(_tiles(visit)) == asked
        visit.page.locator("#play").click()
        visit.until(f"{TILED} && {SHOWN} === 0")
        visit.close()


class TestMemory:
    """Pictures and tiles together hold at most 120 MB."""

    def test_of_pictures(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server, service_workers="block").open()
        count = 25 + issues.LEADS
        visit.until(f"document.querySelectorAll('#track i:not(.waiting)').length === {count}")
        images = "[...document.querySelectorAll('.leaflet-image-layer')]"
        held = f"{images}.map((one) => 4 * one.naturalWidth * one.naturalHeight)"
        for layer in ("prob.rate.1", "rate.p90", "rate"):
            visit.page.evaluate(f"document.querySelector('#layers input[value=\"{layer}\"]').click()")
            visit.until(f"document.querySelectorAll('#track i:not(.waiting)').length === {count}")
            sizes = visit.page.evaluate(held)
            assert count <= len(sizes) <= count + 1
            assert 0.3 * MOST_BYTES < sum(sizes) <= MOST_BYTES - 20e6
        visit.close()

    def test_of_tiles(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server, service_workers="block").open()
        address = visit.page.locator("script[src$='main.js']").get_attribute("src") or ""
        most = visit.page.evaluate(
            """async (address) => {
              const { Detail } = await import(address);
              const detail = new Detail({ onChange() {} });
              const image = { naturalWidth: 256 }; // which nothing draws
              detail.use({ url: "u", id: "none", layer: "rate", lead: 0, image, bounds: [20, 62, 25, 65] }, "cvd");
              let most = 0;
              for (let at = 0; at < 60; at += 1) {
                const [x, y] = [148000 + 300 * at, 69000];
                const context = { clearRect() {}, drawImage() {} };
                const view = { zoom: 10, scale: 256 * 2 ** 10, ratio: 1, x, y, width: 1280, height: 800 };
                detail.draw(context, { ...view, seen: [x, y, x + 1280, y + 800] });
                const held = [...detail.kept.values()];
                held.forEach((entry) => Object.assign(entry, { isReady: true }));
                most = Math.max(most, held.length);
              }
              detail.use(null);
              return most;
            }""",
            address.replace("main.js", "detail.js"),
        )
        assert 20 < most <= 20e6 / (4 * 256 * 256)
        visit.complaints.clear()  # the tiles of the test do not exist
        visit.close()


class TestTimes:
    """Times stand in the viewer's zone, with its name, or in UTC."""

    def test_the_switch_to_utc_is_kept(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server, service_workers="block").open("#6/64/23&t=+0&p=63.9,23.0")
        visit.until("document.querySelector('#chart-rate canvas') !== null")
        assert visit.text("#clock") == "02:15"
        visit.page.keyboard.press("l")
        visit.page.locator("#zone").select_option("utc")
        visit.until("document.getElementById('clock').textContent === '00:15'")
        assert visit.text("#detail").startswith("UTC, ")
        assert "00:15 UTC" in visit.text("#freshness")
        visit.until("document.querySelector('#panel h3').textContent.includes('times in UTC')")
        ticks = visit.page.locator("#ticks span").all_inner_texts()
        assert ticks[-1] in ("01:00", "01:15")
        visit.page.reload()
        visit.until("document.getElementById('clock').textContent === '00:15'")
        visit.close()

    def test_twelve_hours_where_the_viewer_counts_so(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server, locale="en-US", timezone_id="America/New_York").open("#6/64/23&t=+0")
        assert visit.text("#clock").endswith("08:15 PM")
        assert visit.text("#detail").startswith("EDT, ")
        visit.close()

    def test_when_summer_time_ends_both_hours_can_be_told_apart(
        self, chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(issues, "START", np.datetime64("2026-10-25T00:30", "ns"))
        now = seconds_of("2026-10-25T00:47:00Z")
        made = issues.Folder(tmp_path / "live", now)
        for minutes in (5, 10, 15):
            made.frame(minutes, seed=minutes)
        made.issue(15, 4, seed=2)
        made.index()
        with Server(tmp_path / "live", now) as server:
            visit = Visit(chromium, server, locale="en-US").open("#6/64/23&t=+30&p=63.9,23.0")
            visit.until("document.querySelector('#panel h3')?.textContent.includes('GMT+2, then GMT+1')")
            assert visit.text("#clock").endswith("02:15 AM")  # 30 minutes after 02:45 AM
            assert visit.text("#detail").startswith("GMT+1, in 28 min, issued")
            rows = visit.page.locator("#panel .scroll table").last.locator("tbody th")
            texts = [" ".join((text or "").split()) for text in rows.all_text_contents()]
            assert (texts[0], texts[-1]) == ("02:50 AM GMT+2", "02:45 AM GMT+1")
            assert len(set(texts)) == issues.LEADS
            visit.close()


class TestPosition:
    """The viewer's position: only when asked for, and only where the browser gives it."""

    def test_it_is_asked_for_by_the_button_alone(self, chromium: Browser, server: Server) -> None:
        place = {"latitude": 63.9, "longitude": 23.0}
        visit = Visit(chromium, server, geolocation=place, permissions=["geolocation"])
        visit.page.add_init_script(
            "{ const real = navigator.geolocation.getCurrentPosition.bind(navigator.geolocation); globalThis.asked = 0;"
            " navigator.geolocation.getCurrentPosition = (...all) => { globalThis.asked += 1; real(...all); }; }"
        )
        visit.open()
        assert visit.page.evaluate("globalThis.asked") == 0
        visit.page.get_by_role("button", name="Show my position").click()
        visit.until("document.querySelector('#panel h2')?.textContent === 'My position 63.90, 23.00'")
        assert visit.page.evaluate("globalThis.asked") == 1
        visit.close()

    def test_a_refusal_is_told(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server, permissions=[]).open()
        visit.page.get_by_role("button", name="Show my position").click()
        visit.until("document.getElementById('banner').textContent.startsWith('The browser does not tell')")
        assert visit.violations() == []
        visit.page.get_by_role("button", name="Close", exact=True).click()
        visit.until("document.getElementById('banner').hidden")
        visit.close()


class TestSpeech:
    """What a screen reader says by itself, and that everything has a name."""

    def test_it_tells_what_was_done_and_what_is_wrong_but_not_that_time_goes_by(
        self, chromium: Browser, published: issues.Folder
    ) -> None:
        with Server(published.layout.root, issues.NOW) as server:
            visit = Visit(chromium, server, service_workers="block").open()
            said = "document.getElementById('live').textContent"
            assert visit.page.evaluate(said) == ""
            visit.page.keyboard.press("End")
            visit.until(f"{said} === 'Forecast for 03:15'")
            visit.page.locator("#query").fill("63.9, 23.0")
            visit.page.keyboard.press("Enter")
            visit.until("document.activeElement.id === 'panel'")
            visit.page.keyboard.press("Escape")
            server.offset += 3600
            visit.page.evaluate("window.dispatchEvent(new Event('online'))")
            visit.page.route("**/v1/index.json", lambda route: route.fulfill(status=500))
            visit.page.evaluate("window.dispatchEvent(new Event('online'))")
            visit.until(f"{said}.startsWith('The server has a problem')")
            visit.page.evaluate(
                "(globalThis.spoken = 0, new MutationObserver(() => { globalThis.spoken += 1; })"
                ".observe(document.getElementById('live'), { childList: true, characterData: true, subtree: true }))"
            )
            visit.page.evaluate("window.dispatchEvent(new Event('online'))")
            visit.page.wait_for_timeout(4500)  # two beats of the page, in which ages are told anew
            assert visit.page.evaluate("globalThis.spoken") == 0
            others = visit.page.locator("[aria-live]:not(#live), [role=status]:not(#live)")
            assert set(others.evaluate_all("(all) => all.map((one) => one.id)")) == {"when", "shared"}
            visit.complaints.clear()  # the browser tells of the 500 itself
            visit.close()

    def test_every_control_has_a_name(self, chromium: Browser, server: Server) -> None:
        visit = Visit(chromium, server, service_workers="block").open("#6/64/23&t=+0&p=63.9,23.0")
        visit.until("document.querySelector('#chart-rate canvas') !== null")
        visit.page.keyboard.press("l")
        tree = visit.page.locator("body").aria_snapshot()
        controls = re.findall(r"- (button|textbox|combobox|slider|radio|link|dialog|table)(?: (\".+?\"))?", tree)
        assert len(controls) > 40
        assert [kind for kind, name in controls if not name] == []
        visit.close()
