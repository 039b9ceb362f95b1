"""Alerts against what was observed: counts worked by hand."""

from pathlib import Path

import numpy as np
import pytest
from tests.operations.alerts import made

from echocast.operations.alerts import scoring, truth
from echocast.operations.alerts.cells import Cells
from echocast.operations.alerts.scoring import Judged, Score, events_of

NAN = float("nan")


def judged(active: str, met: str) -> list[Judged]:
    """An issue every five minutes: a letter names the incident, ``.`` none; ``1``, ``0``, ``?`` tell whether met."""
    pairs = enumerate(zip(active, met, strict=True))
    known = {"1": True, "0": False, "?": None}
    return [Judged(5.0 * n, a != ".", "" if a == "." else a, known[m]) for n, (a, m) in pairs]


def score(active: str, met: str, happened: str, *, gap: float = 5) -> Score:
    """The counts with leads up to 10 min, for what was observed from 0 on."""
    truth_of = {"1": 1.0, "0": 0.0, "?": NAN}
    times = [5.0 * n for n in range(len(happened))]
    return scoring.score(judged(active, met), times, [truth_of[one] for one in happened], (5, 10), gap_min=gap)


def test_stretches_close_to_each_other_are_one_event() -> None:
    happened = [1, 0, 1, 0, 0, 1, NAN, 1]
    times = [5.0 * n for n in range(8)]
    assert events_of(times, happened, 10) == [(0, 10), (25, 35)]
    assert events_of(times, happened, 5) == [(0, 0), (10, 10), (25, 25), (35, 35)]


@pytest.mark.parametrize(
    ("active", "happened", "told"),
    [
        # Raised at 5, speaks of 10 to 20; it rains from 15 to 20.
        (".aa...", "000110000", {"alerts": 1, "events": 1, "hits": 1, "warning_min": [10.0]}),
        (".aa...", "000000000", {"alerts": 1, "false_alarms": 1}),
        (".aa...", "0000?0000", {"alerts": 1, "open": 1}),
        ("......", "000110000", {"events": 1, "misses": 1}),
        # It rains from 5 on, the alert is of 10.
        ("..aa..", "011110000", {"alerts": 1, "events": 1, "late": 1}),
        # Two alerts, the second for nothing.
        ("a..b..", "001000000", {"alerts": 2, "false_alarms": 1, "events": 1, "hits": 1, "warning_min": [10.0]}),
    ],
)
def test_alerts_and_events(active: str, happened: str, told: dict[str, object]) -> None:
    found = score(active, "0" * len(active), happened)
    names = ("alerts", "false_alarms", "open", "events", "hits", "late", "misses")
    assert {name: getattr(found, name) for name in names} == dict.fromkeys(names, 0) | {
        name: value for name, value in told.items() if name in names
    }
    assert found.warning_min == told.get("warning_min", [])


def test_rain_that_began_before_the_first_issue_is_left_out() -> None:
    found = scoring.score(judged("aa", "11"), [-5.0, 0.0, 5.0, 10.0, 15.0], [1, 1, 0, 0, 0], (5, 10), gap_min=5)
    assert (found.events, found.alerts, found.false_alarms) == (0, 1, 1)


def test_issue_by_issue() -> None:
    # Leads 5 and 10 min after each issue: what is observed then.      0  5 10 15 20 25 30
    found = score("......", "1100?1", "0001?00" + "00")
    # Issue 0: met; 5, 10 dry: false alarm. 5: met; wet at 15: hit. 10: not met; wet: miss. 15: not met; 20 unknown, 25
    # dry: left out. 20: unknown. 25: met, dry: false alarm.
    assert (found.issue_hits, found.issue_false_alarms, found.issue_misses, found.issue_correct_negatives) == (
        1,
        2,
        1,
        0,
    )
    assert (found.issues, found.unknown) == (6, 1)
    assert found.csi == 0.25
    assert (found + found).issue_false_alarms == 4


def test_ratios_that_are_not_defined_are_none() -> None:
    nothing = Score()
    assert (nothing.pod, nothing.far, nothing.csi, nothing.warning) == (None, None, None, None)
    some = Score(alerts=5, open=1, false_alarms=1, hits=2, late=1, misses=1)
    assert (some.pod, some.far) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("rule", "happened"),
    [
        ('quantity = "rate"\nthreshold = 6', [1, 1, NAN, 0]),
        ('quantity = "rate"\nthreshold = 4\nstatistic = "mean"', [0, 1, NAN, 0]),
        ('quantity = "rate"\nstatistic = "share>5"\nat_least = 0.5', [0, 1, NAN, 0]),
        ('quantity = "probability_rate"\nthreshold = 6\nat_least = 0.9', [1, 1, NAN, 0]),
        ('quantity = "probability_rate"\nthreshold = 6\nat_least = 0.5\nstatistic = "mean"', [0, 1, NAN, 0]),
        ('quantity = "arrival"\nthreshold = 6', [1, 1, NAN, 0]),
        # 2 x 6 mm/h for 5 min: one mm over ten minutes; the first and what follows the unknown are not known.
        ('quantity = "amount"\nspan = 10\nthreshold = 1', [NAN, 1, NAN, NAN]),
    ],
)
def test_what_happened(tmp_path: Path, rule: str, happened: list[float]) -> None:
    alerts = made.alerts(tmp_path, f'id = "r"\nareas = ["*"]\nseverity = "Minor"\n{rule}')
    observed = np.array([[6, 0, 0, 0], [6, 6, 2, 2], [NAN, 0, 0, 0], [0, 0, 0, 0]], np.float32)
    found = truth.happened(alerts.rules[0], Cells(np.zeros(4, int), np.arange(4), 0), observed, 5.0)
    np.testing.assert_array_equal(found, happened)
