"""What the service holds: judges the rules after each publication, and sees to it that messages are sent.

>>> alerts = AlertService(load(path), root=out, clock=clock, tell=log)  # doctest: +SKIP
>>> alerts.start()  # doctest: +SKIP
>>> alerts.evaluate(published)  # doctest: +SKIP
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from echocast.atomic import write_bytes
from echocast.errors import DataError
from echocast.operations.alerts import channels, config, evaluation, shown, state_file
from echocast.operations.alerts.cells import Cells, cells_of
from echocast.operations.alerts.channels import Surroundings
from echocast.operations.alerts.config import Alerts
from echocast.operations.alerts.delivery import Delivery
from echocast.operations.alerts.evaluation import Key
from echocast.operations.alerts.issue import Published
from echocast.operations.alerts.messages import Issued, Status
from echocast.operations.alerts.outbox import Entry, Outbox
from echocast.operations.alerts.places import Place
from echocast.operations.alerts.readings import MOST_UNKNOWN
from echocast.operations.alerts.state_file import State
from echocast.operations.clocks import Clock
from echocast.operations.disk import disk_errors
from echocast.operations.grid import Grid
from echocast.operations.stamps import seconds_of

_RECENT_S = 86_400.0
_MOST_RECENT = 200
_CAP_KEPT_S = 7 * 86_400.0


@dataclass
class AlertService:
    """Judges rules and sends messages.

    Args:
        alerts: the rules.
        root: the folder of the service.
        clock: the time.
        tell: called with each event, its level and what belongs to it; from other threads too.
        stale: seconds after an issue's time from which it says nothing of now.
        status_of_messages: ``Exercise`` where old data are played: every message says so.

    Raises:
        DataError: a secret cannot be read, or the state is of another version.
    """

    alerts: Alerts
    root: Path
    clock: Clock
    tell: Callable[..., Any] = lambda *_, **__: None
    stale: float = 1200.0
    status_of_messages: Status = "Actual"
    _places: dict[str, Place] = field(default_factory=dict)
    _cells: dict[Grid, dict[str, Cells]] = field(default_factory=dict)
    _held: list[Key] = field(default_factory=list)
    _model: str = ""

    def __post_init__(self) -> None:
        """Read what is remembered, and give the outbox what it may lack."""
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        self.state = state_file.read(self.root / "alerts-state.json")
        self.outbox = Outbox(self._folder / "outbox")
        self._is_stale = self._look_stale()
        self._next_tidy = 0.0
        self._places.update(self.alerts.places)
        self._delivery = self._made_delivery(self.alerts)
        self._hand_over()

    @property
    def counts(self) -> Counter[tuple[str, str, str]]:
        """How many messages had which outcome, by rule, channel and ``sent``, ``not_sent`` (attempts), ``expired``."""
        return self.outbox.counts

    @property
    def active(self) -> list[dict[str, Any]]:
        """What is active, for index.json."""
        return shown.brief(self.state)

    def status(self) -> dict[str, Any]:
        """How the alerts are, for status.json."""
        records = self.state.records.values()
        outcomes: Counter[str] = Counter()
        for (_, _, outcome), number in self.counts.items():
            outcomes[outcome] += number
        return {
            "active": sum(record.state == "active" for record in records),
            "pending": sum(record.state == "pending" for record in records),
            "unknown": sum(not record.is_known for record in records),
            "data": "none" if not self.state.issue else "stale" if self._is_stale else "ok",
            "issue": self.state.issue or None,
            "outbox": len(self.outbox),
            "notifications": dict(outcomes),
        }

    def start(self) -> None:
        """Begin to send."""
        self._delivery.start()

    def close(self, *, within_s: float = 5.0) -> None:
        """Send what is due, for so many seconds at most, and stop; what is left is sent after the next start."""
        self._delivery.end(within_s=within_s)

    def prepare(self, path: Path) -> Callable[[], None]:
        """Read the rules anew, and give what makes them count; the states of rules and areas that stay go on.

        Raises:
            AlertsError: the file is wrong.
            DataError: a secret cannot be read.
        """
        alerts = config.load(path)
        delivery = self._made_delivery(alerts)

        def count() -> None:
            self._delivery.end(within_s=0.5)
            self.alerts, self._delivery = alerts, delivery
            self._places.update(alerts.places)
            self._cells.clear()
            delivery.start()
            self._show()

        return count

    def evaluate(self, issue: Published) -> bool:
        """Judge the rules on an issue; whether it was judged.

        An issue that was judged already, or that is older than the newest one judged, is passed over: what is caught up
        says nothing new.

        Raises:
            DiskTrouble: the state could not be written; nothing is sent, and the issue can be judged again.
            UnreadableFile: the issue cannot be read.
        """
        if issue.id == self.state.issue or issue.time < self.state.time:
            return False
        issued = Issued(issue.id, issue.time, issue.model, issue.published, self.status_of_messages)
        found = evaluation.evaluate(
            self.alerts, self.state.records, issued, self._cells_on(issue.grid), issue.values, self._observed(issue)
        )
        new = [message.to_json() for message, _ in found.sent]
        recent = [one for one in [*new, *self.state.recent] if _is_recent(one, issue.published)]
        state = State(issue.id, issue.time, found.records, [*self.state.handed, *found.sent], recent[:_MOST_RECENT])
        state_file.save(self._state_path, state)
        self.state, self._held, self._model = state, found.held, issue.model
        self._hand_over()
        self._is_stale = self._look_stale()
        self._show()
        return True

    def tick(self) -> None:
        """To be called now and then: says so when the newest issue has become too old, and tidies."""
        if (is_stale := self._look_stale()) != self._is_stale:
            self._is_stale = is_stale
            self.tell("alerts", level="warning" if is_stale else "info", reason="no data" if is_stale else "data again")
            self._show()
        if self.clock.interval() >= self._next_tidy:
            self._next_tidy = self.clock.interval() + 3600
            self._delivery.drop_expired()
            self._remove_old_caps()

    @property
    def _folder(self) -> Path:
        return self.root / "alerts"

    @property
    def _state_path(self) -> Path:
        return self.root / "alerts-state.json"

    def _made_delivery(self, alerts: Alerts) -> Delivery:
        around = Surroundings(alerts.path.parent, self._folder, self._places.get)
        senders = {name: channels.made(channel, around) for name, channel in alerts.channels.items()}
        return Delivery(self.outbox, senders, now=self.clock.now, tell=self.tell)

    def _hand_over(self) -> None:
        """Give the outbox what the state holds for it, and only then let the state forget it."""
        if not self.state.handed:
            return
        entries = [
            Entry(message, channel, number) for number, (message, to) in enumerate(self.state.handed) for channel in to
        ]
        self.outbox.put(entries)
        self.state.handed = []
        state_file.save(self._state_path, self.state)

    def _cells_on(self, grid: Grid | None) -> Mapping[str, Cells]:
        """The cells of all areas on a grid, found once for each grid."""
        nothing = Cells(np.empty(0, int), np.empty(0, int), 1)
        if grid is None:
            return dict.fromkeys(self.alerts.places, nothing)
        if grid not in self._cells:
            found = {name: cells_of(place, grid) for name, place in self.alerts.places.items()}
            for name, cells in found.items():
                if cells.share_outside > MOST_UNKNOWN:
                    reason = f"area {name!r}: {cells.share_outside:.0%} of it lie beyond the forecast: it stays unknown"
                    self.tell("alerts", level="warning", reason=reason)
            self._cells = {grid: found}
        return self._cells[grid]

    def _observed(self, issue: Published) -> np.ndarray | None:
        """The newest observed rate, if a rule asks for it and it lies on the issue's grid."""
        if issue.grid is None or all(rule.wet_mm_h is None for rule in self.alerts.rules):
            return None
        with suppress(DataError):
            observed = issue.observed()
            if observed is not None and observed.shape == issue.grid.shape:
                return observed
        return None

    def _look_stale(self) -> bool:
        return bool(self.state.issue) and self.clock.now() > self.state.time + self.stale

    def _show(self) -> None:
        """Replace alerts.json; where the disk does not let it, the old one stays, and its times tell."""
        content = shown.content(
            self.alerts,
            self.state,
            now=self.clock.now(),
            stale_after=self.stale,
            model=self._model,
            is_stale=self._is_stale,
            held=self._held,
        )
        try:
            write_bytes(self.root / "alerts.json", json.dumps(content, ensure_ascii=False).encode() + b"\n", sync=True)
        except DataError as bad:
            self.tell("alerts", level="warning", reason=str(bad))

    def _remove_old_caps(self) -> None:
        oldest = time.time() - _CAP_KEPT_S
        for path in self._folder.glob("*.cap.xml"):
            with suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()


def _is_recent(message: dict[str, Any], now: float) -> bool:
    return seconds_of(message["sent"]) > now - _RECENT_S
