"""Alerts as a part of `echocast watch`: judged after each publication, read again on SIGHUP, told in status.json."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from echocast.errors import DataError
from echocast.operations import frames
from echocast.operations.alerts import config, issue
from echocast.operations.alerts.needs import lacking, needs_of
from echocast.operations.alerts.service import AlertService
from echocast.operations.extensions import Extension
from echocast.operations.frames import FrameStore
from echocast.operations.index import Issue
from echocast.operations.issuing import Issuing
from echocast.operations.settings import Settings, SettingsError
from echocast.operations.stamps import NS
from echocast.products.ensemble import Thresholds

_LOOK_S = 30.0


@dataclass
class AlertsExtension(Extension):
    """Judges the rules of `--alerts FILE`.

    Args:
        issuing: the issues; index.json is told what is active.
        store: the observed frames.
        file: the rules.

    Raises:
        AlertsError: the rules are wrong.
        DataError: a secret cannot be read, or the state is of another version.
    """

    issuing: Issuing
    store: FrameStore
    file: Path
    name = "alerts"

    def __post_init__(self) -> None:
        """Read the rules; send what is left; judge the newest issue if that was not done."""
        chosen, health, clock = self.issuing.settings, self.issuing.health, self.issuing.clock
        self._alerts = AlertService(
            config.load(self.file),
            self.issuing.layout.root,
            clock,
            tell=lambda event, **more: health.log.event(clock.now(), event, **more),
            stale=chosen.stale,
            status_of_messages="Actual" if chosen.replay is None else "Exercise",
        )
        self._ask()
        self._counted: dict[tuple[str, str, str], int] = {}
        self._is_begun = False
        self._look_again = self.issuing.clock.interval()

    def published(self, issue: Issue) -> None:
        """Judge the rules on an issue, and tell index.json what is active."""
        self._judge(issue)

    def turn(self, state: str) -> None:
        """Look whether the newest issue is too old, and count what was sent."""
        if not self._is_begun:
            self._is_begun = True
            self._alerts.start()
        if self.issuing.clock.interval() >= self._look_again:
            self._look_again = self.issuing.clock.interval() + _LOOK_S
            newest = next(iter(self.issuing.publisher.newest_first()), None)
            if newest is not None:  # judged already, unless the service or the disk failed just then
                self._judge(newest)
        self._alerts.tick()
        self._measure()

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """Read the rules again."""
        if settings.alerts is None:  # refused before, in `reloading.changed`
            return lambda: None
        count = self._alerts.prepare(settings.alerts)

        def counts() -> None:
            self._alerts.stale = settings.stale
            count()
            self._ask()
            self._tell_index()

        return counts

    def status(self) -> dict[str, Any]:
        """How the alerts are."""
        return self._alerts.status()

    def end(self) -> None:
        """Stop sending; what is left is sent after the next start."""
        self._alerts.close()

    def _ask(self) -> None:
        """Let issues hold what the rules judge, and tell what no setting of theirs can add."""
        needed, chosen = needs_of(self._alerts.alerts), self.issuing.settings
        self.issuing.needed = Thresholds(needed.rates, needed.amounts, needed.spans)
        wide = self.issuing.thresholds
        for lack in lacking(self._alerts.alerts, chosen.minutes, chosen.members, wide):
            self.issuing.health.log.event(self.issuing.clock.now(), "alerts", level="warning", reason=lack)

    def _judge(self, made: Issue) -> None:
        if made.id == self._alerts.state.issue:
            return
        folder = self.issuing.layout.root / made.path
        if self._alerts.evaluate(issue.of_folder(folder, lambda: self._observed(made))):
            self._tell_index()

    def _observed(self, made: Issue) -> np.ndarray | None:
        """The observed frame of an issue's time, if the issue was made on its whole grid."""
        time = round(made.seconds * NS)
        if time not in self.store.times or self.issuing.settings.bbox is not None:
            return None
        return np.asarray(frames.load(self.store[time].path).values[0])

    def _tell_index(self) -> None:
        if self.issuing.publisher.alerts != self._alerts.active:
            self.issuing.publisher.alerts = self._alerts.active
            self.issuing.index_is_old = True

    def _measure(self) -> None:
        """Set what Prometheus is shown."""
        measures = self.issuing.health.measures
        for key, number in list(self._alerts.counts.items()):
            rule, channel, outcome = key
            if more := number - self._counted.get(key, 0):
                measures.count("echocast_notifications", more, rule=rule, channel=channel, outcome=outcome)
                self._counted[key] = number
        measures.clear("echocast_alerts_active")
        for (rule, severity), number in Counter((one["rule"], one["severity"]) for one in self._alerts.active).items():
            measures.set("echocast_alerts_active", number, rule=rule, severity=severity)


def extension_of(issuing: Issuing, store: FrameStore) -> list[AlertsExtension]:
    """The alerts of a service, if it was told of rules.

    Raises:
        DataError: the rules or a secret are wrong; the message says what.
    """
    if issuing.settings.alerts is None:
        return []
    try:
        return [AlertsExtension(issuing, store, issuing.settings.alerts)]
    except SettingsError as bad:
        raise DataError(str(bad)) from bad
