"""A real server on loopback, and a real Chromium that looks at its map."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from echocast.server.app import create_app
from echocast.server.service import Service
from echocast.server.settings import read_settings

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [  # the map needs no WebGL
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
PATIENCE_S = 120.0


class Server:
    """A server whose clock is set by the test.

    Args:
        folder: what `echocast watch` published.
        now: the time that the server believes, in seconds since 1970.
    """

    def __init__(self, folder: Path, now: float) -> None:
        self.offset = now - time.time()
        settings = read_settings({"folder": folder, "attribution": "A <b>made</b> radar", "poll": "0.2s"})
        self.service = Service(settings, lambda: time.time() + self.offset)
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        app = create_app(settings, self.service)
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="server", daemon=True
        )

    def __enter__(self) -> "Server":
        self._thread.start()
        end = time.monotonic() + PATIENCE_S
        while not self._server.started and time.monotonic() < end:
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._listener.close()


class Visit:
    """A page of the map, and all that it asked for and complained of.

    Args:
        browser: a Chromium.
        server: the only one that may be asked.
        options: of the browser's context, as ``viewport``.
    """

    def __init__(self, browser: Browser, server: Server, **options: Any) -> None:
        given = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", "timezone_id": "Europe/Zurich"}
        self.context = browser.new_context(**{**given, "locale": "en-GB", **options})
        self.context.set_default_timeout(1000 * PATIENCE_S)
        self.page: Page = self.context.new_page()
        self.server = server
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        self.answers: list[tuple[str, int]] = []
        self.page.on("request", self._asked)
        self.page.on("console", lambda told: told.type == "error" and self.complaints.append(told.text))
        self.page.on("pageerror", lambda bad: self.complaints.append(str(bad)))
        self.context.on("response", lambda answer: self.answers.append((answer.url, answer.status)))

    def open(self, link: str = "", *, picture: bool = True) -> "Visit":
        """Open the map, and wait for the first picture."""
        self.page.goto(f"{self.server.address}/{link}")
        if picture:
            self.until("performance.getEntriesByName('first-picture').length > 0")
            self.until("document.querySelector('#legend ol, #legend .none') !== null")
        return self

    def until(self, condition: str) -> Any:
        """Wait until an expression of the page is true; polled from here, since the page allows no eval."""
        end = time.monotonic() + PATIENCE_S
        while not (found := self.page.evaluate(f"() => {condition}")):
            assert time.monotonic() < end, f"never: {condition}; the page says {self.text('body')[:600]!r}"
            self.page.wait_for_timeout(100)
        return found

    def text(self, selector: str) -> str:
        """What stands in an element."""
        return " ".join(self.page.locator(selector).first.inner_text().split())

    def violations(self) -> list[str]:
        """What axe finds wrong with the page as it is."""
        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {node['html'][:120]}" for one in found for node in one["nodes"]]

    def close(self) -> None:
        """End it; nothing may have gone wrong."""
        assert self.foreign == []
        assert self.complaints == []
        self.context.close()

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.server.address, "data:", "blob:")):
            self.foreign.append(request.url)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()
