"""How well a rule warned: alerts against what was observed.

- *alert*: from the issue that raised it until the last issue at which it was active. It speaks of the times from its
  raising, and its first lead, until its last active issue and its last lead.
- *event*: a stretch of observed times at which the rule's event happened (`truth`); stretches less than `gap` minutes
  apart are one. One that began before the first issue, when nobody could warn, is left out.
- *hit*: an event that an alert speaks of which was raised before its onset; *late*: only at its onset or after;
  *miss*: no alert speaks of it.
- *false alarm*: an alert in whose time no event happened; *open*: the same, but part of that time was not observed.
- POD = hits / (hits + late + misses), FAR = false alarms / (alerts - open); warning time = onset - raising.
- Issue by issue, as forecasts are verified: whether the rule was met, against whether the event happened within its
  leads; an issue that is not known on either side is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from statistics import median

import numpy as np

Span = tuple[float, float]
"""Begin and end in minutes, both with it."""


@dataclass
class Score:
    """Counts of a rule, in an area or in all of them."""

    issues: int = 0
    unknown: int = 0
    alerts: int = 0
    false_alarms: int = 0
    open: int = 0
    events: int = 0
    hits: int = 0
    late: int = 0
    misses: int = 0
    issue_hits: int = 0
    issue_false_alarms: int = 0
    issue_misses: int = 0
    issue_correct_negatives: int = 0
    warning_min: list[float] = field(default_factory=list)

    def __add__(self, other: "Score") -> "Score":
        return Score(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    @property
    def pod(self) -> float | None:
        """Probability of detection: the share of the events that were hit."""
        return _ratio(self.hits, self.hits + self.late + self.misses)

    @property
    def far(self) -> float | None:
        """False alarm ratio: the share of the alerts after which nothing came."""
        return _ratio(self.false_alarms, self.alerts - self.open)

    @property
    def csi(self) -> float | None:
        """Critical success index, issue by issue."""
        return _ratio(self.issue_hits, self.issue_hits + self.issue_false_alarms + self.issue_misses)

    @property
    def warning(self) -> float | None:
        """The median warning time of the hits, in minutes."""
        return median(self.warning_min) if self.warning_min else None


def events_of(times: Sequence[float], happened: Sequence[float], gap_min: float) -> list[Span]:
    """The stretches at which the event happened; those less than `gap_min` apart are one."""
    found: list[Span] = []
    for time, one in zip(times, happened, strict=True):
        if one != 1:
            continue
        if found and time - found[-1][1] <= gap_min:
            found[-1] = (found[-1][0], time)
        else:
            found.append((time, time))
    return found


@dataclass(frozen=True)
class Judged:
    """A rule in an area at an issue.

    Args:
        time: of the issue, in minutes.
        is_active: whether the alert was active.
        incident: its id.
        is_met: whether the rule was met; None where that is not known.
    """

    time: float
    is_active: bool
    incident: str
    is_met: bool | None


def score(
    judged: Sequence[Judged], times: Sequence[float], happened: Sequence[float], leads: Span, *, gap_min: float
) -> Score:
    """The counts of a rule in an area.

    Args:
        judged: at each issue, oldest first.
        times: of what was observed, in minutes.
        happened: 1, 0 or NaN at each time.
        leads: the first and last lead, in minutes.
        gap_min: events that are less apart are one.
    """
    found = Score(issues=len(judged), unknown=sum(one.is_met is None for one in judged))
    if not judged:
        return found
    alerts = _alerts(judged, leads)
    events = [one for one in events_of(times, happened, gap_min) if one[0] >= judged[0].time]
    end = judged[-1].time + leads[1]
    events = [one for one in events if one[0] <= end]
    truth = np.array(happened, float), np.array(times, float)
    _count_alerts(found, alerts, *truth)
    _count_events(found, alerts, events)
    for one in judged:
        _count_issue(found, one, *truth, leads)
    return found


def _alerts(judged: Sequence[Judged], leads: Span) -> list[tuple[float, Span]]:
    """When each alert was raised, and of which times it speaks."""
    spans: dict[str, list[float]] = {}
    for one in judged:
        if one.is_active:
            spans.setdefault(one.incident, []).append(one.time)
    return [(times[0], (times[0] + leads[0], times[-1] + leads[1])) for times in spans.values()]


def _count_alerts(found: Score, alerts: list[tuple[float, Span]], happened: np.ndarray, times: np.ndarray) -> None:
    for _, (begin, end) in alerts:
        within = happened[(times >= begin) & (times <= end)]
        found.alerts += 1
        if (within == 1).any():
            continue
        is_whole = times.size > 0 and times[-1] >= end and not np.isnan(within).any()
        found.false_alarms += is_whole
        found.open += not is_whole


def _count_events(found: Score, alerts: list[tuple[float, Span]], events: list[Span]) -> None:
    for begin, end in events:
        raised = [at for at, (first, last) in alerts if first <= end and last >= begin]
        found.events += 1
        if not raised:
            found.misses += 1
        elif min(raised) < begin:
            found.hits += 1
            found.warning_min.append(begin - min(raised))
        else:
            found.late += 1


def _count_issue(found: Score, one: Judged, happened: np.ndarray, times: np.ndarray, leads: Span) -> None:
    within = happened[(times > one.time + leads[0] - 1e-6) & (times > one.time) & (times <= one.time + leads[1] + 1e-6)]
    is_seen = bool((within == 1).any())
    is_whole = times.size > 0 and times[-1] >= one.time + leads[1] and not np.isnan(within).any()
    if one.is_met is None or not (is_seen or (is_whole and within.size)):
        return
    found.issue_hits += one.is_met and is_seen
    found.issue_false_alarms += one.is_met and not is_seen
    found.issue_misses += not one.is_met and is_seen
    found.issue_correct_negatives += not one.is_met and not is_seen


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
