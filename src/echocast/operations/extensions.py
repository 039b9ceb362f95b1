"""What else takes part in the service, alerts for one: told of each issue, of each turn, and of new settings.

An extension never stops a forecast: what it raises is told as an error, and the service goes on. Only a wrong new
configuration is refused as a whole, with the old one kept.

    class Alerts(Extension):
        name = "alerts"

        def published(self, issue: Issue) -> None:
            ...
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from echocast.operations.health import Health
from echocast.operations.index import Issue
from echocast.operations.settings import Settings


class Extension:
    """Takes part in the service; each method may be left as it is."""

    name = "extension"

    def published(self, issue: Issue) -> None:
        """An issue was published, and index.json names it. What is done here delays the next forecast."""

    def turn(self, state: str) -> None:
        """A turn of the loop has ended, at most some seconds after the last one; must be short.

        Args:
            state: that of status.json: ``stale`` and ``starting`` mean that there is no forecast of now.
        """

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """The configuration is read again: read what it names, and give a function that makes it count.

        Raises:
            EchocastError: it is wrong; then the whole new configuration is refused, and the old one stays.
        """
        return lambda: None

    def status(self) -> dict[str, Any]:
        """What status.json says under the extension's name."""
        return {}

    def end(self) -> None:
        """The service ends."""


@dataclass
class Extensions:
    """All that takes part.

    Args:
        health: where errors are told.
        now: the time in seconds since 1970.
        all: the extensions, in the order in which they are told.
    """

    health: Health
    now: Callable[[], float]
    all: list[Extension] = field(default_factory=list)

    def published(self, issue: Issue) -> None:
        """Tell all of an issue."""
        for one in self.all:
            with self._kept_going(one):
                one.published(issue)

    def turn(self, state: str) -> None:
        """Tell all that a turn has ended."""
        for one in self.all:
            with self._kept_going(one):
                one.turn(state)

    def prepare(self, settings: Settings) -> list[Callable[[], None]]:
        """What makes new settings count; raises `EchocastError` if one extension refuses them."""
        return [one.prepare(settings) for one in self.all]

    def status(self) -> dict[str, Any]:
        """What status.json says of each."""
        said: dict[str, Any] = {}
        for one in self.all:
            with self._kept_going(one):
                said[one.name] = one.status()
        return said

    def end(self) -> None:
        """Tell all that the service ends."""
        for one in self.all:
            with self._kept_going(one):
                one.end()

    @contextmanager
    def _kept_going(self, one: Extension) -> Iterator[None]:
        try:
            yield
        except Exception as bad:  # whatever it is, forecasts go on
            why = " ".join(f"{type(bad).__name__}: {bad}".split())
            self.health.error(self.now(), one.name, why)
