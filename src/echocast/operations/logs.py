"""The log of the service: a line an event, as text on a terminal, else as JSON.

>>> import io
>>> out = io.StringIO()
>>> EventLog(out, as_json=False).event(0.0, "issued", issue="19700101T000000Z-00000000", seconds=1.5)
>>> out.getvalue()
'1970-01-01T00:00:00Z info issued issue=19700101T000000Z-00000000 seconds=1.5\\n'
"""

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from echocast.operations.stamps import iso

_QUERY = re.compile(r"(\w+://[^\s?]*)\?\S*")
_PASSWORD = re.compile(r"(\w+://)[^/\s@]*@")


@runtime_checkable
class Out(Protocol):
    """A text stream."""

    def write(self, text: str, /) -> object:
        """Write a text."""

    def flush(self) -> None:
        """Let it be seen."""


@dataclass
class EventLog:
    """Writes events.

    Args:
        out: where to.
        as_json: JSON, else text.
    """

    out: Out
    as_json: bool

    def event(self, now: float, event: str, *, level: str = "info", **fields: Any) -> None:
        """Write one line: the time, the level, the event, and what belongs to it, without what is None."""
        known = {name: without_secrets(value) for name, value in fields.items() if value is not None}
        if self.as_json:
            line = json.dumps({"ts": iso(now), "level": level, "event": event} | known, ensure_ascii=False)
        else:
            line = " ".join([iso(now), level, event, *(f"{name}={value}" for name, value in known.items())])
        self.out.write(" ".join(line.split("\n")) + "\n")
        self.out.flush()


def without_secrets(value: Any) -> Any:
    """A text without the queries and passwords of URLs, which may hold keys."""
    if not isinstance(value, str):
        return value
    return _PASSWORD.sub(r"\1", _QUERY.sub(r"\1", value))


@contextmanager
def warnings_as_events(log: EventLog, now: Callable[[], float]) -> Iterator[None]:
    """Within the block warnings of the package are events too, so that the log has one form."""
    package, handler = logging.getLogger("echocast"), _ToEvents(log, now)
    propagated = package.propagate
    package.addHandler(handler)
    package.propagate = False
    try:
        yield
    finally:
        package.propagate = propagated
        package.removeHandler(handler)


class _ToEvents(logging.Handler):
    def __init__(self, log: EventLog, now: Callable[[], float]) -> None:
        super().__init__(logging.WARNING)
        self._log, self._now = log, now

    def emit(self, record: logging.LogRecord) -> None:
        """Write one event."""
        self._log.event(self._now(), "warning", level=record.levelname.lower(), reason=record.getMessage())
