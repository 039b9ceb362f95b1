"""What the service counts and remembers for its status."""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from echocast.operations.logs import EventLog, without_secrets
from echocast.operations.measures import Measures
from echocast.operations.stamps import iso


@dataclass
class Health:
    """Counts, the last errors, and why the last issue failed.

    Args:
        log: where events are told.
        measures: what Prometheus is shown.
    """

    log: EventLog
    measures: Measures = field(default_factory=Measures)
    frames: Counter[str] = field(default_factory=Counter)
    issues: Counter[str] = field(default_factory=Counter)
    errors: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=10))
    failing: str = ""
    newest: dict[str, Any] = field(default_factory=dict)

    def error(self, now: float, reason: str, message: str) -> None:
        """Remember an error and tell it."""
        text = " ".join(message.split())
        self.errors.append({"ts": iso(now), "reason": reason, "message": without_secrets(text)})
        self.log.event(now, "error", level="error", reason=reason, message=text)

    def frame(
        self, now: float, outcome: str, *, source: str, origin: str, time: str | None = None, reason: str = ""
    ) -> None:
        """Count what became of a frame and tell it.

        Args:
            now: the time in seconds since 1970.
            outcome: what became of it.
            source: the name of its file.
            origin: the source that it came from.
            time: its time, if it is known.
            reason: why.
        """
        self.frames[outcome] += 1
        self.measures.count("echocast_frames", source=origin, outcome=outcome)
        level = "info" if outcome in ("used", "late", "corrected", "duplicate", "old") else "warning"
        self.log.event(now, "frame", level=level, outcome=outcome, frame=time, source=source, reason=reason or None)
