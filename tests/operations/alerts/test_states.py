"""Series of values and the states and messages that follow, as tables."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.operations.alerts import made
from tests.operations.alerts.made import STEP_S, T0

from echocast.operations.alerts.readings import Reading
from echocast.operations.alerts.rule_config import Rule
from echocast.operations.alerts.states import Record, Told, closed, decide, from_json, step, to_json

X = None
"""Not known."""


def rule_of(**more: Any) -> Rule:
    given = {"id": "r", "areas": ["*"], "severity": "Moderate", "quantity": "rate", "threshold": 10, "clear_below": 5}
    return Rule(**(given | more))


def run(rule: Rule, values: list[float | None], *, lead: float = 15, wet: set[int] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """The first letter of the state after each issue, with that of the message that it led to."""
    record, told = Record(), []
    for number, value in enumerate(values):
        time = T0 + number * STEP_S
        meets = value is not None and value >= rule.raise_at
        reading = Reading(
            value, onset=lead if meets else None, end=lead if meets else None, why="x" if value is X else ""
        )
        record = step(rule, record, reading, time=time, raining=number in wet, incident=f"i{number}")
        wish = decide(rule, record, time)
        if wish is not None:
            record = replace(record, told=Told((), record.severity, record.onset, time + 7200, time, {}))
        letter = record.state[0] + ("" if record.is_known else "?")
        told.append(letter + (f"+{wish.kind[0]}:{wish.reason}" if wish else ""))
        record = closed(record, is_told=wish is not None and wish.kind == "Cancel")
        assert from_json(to_json(record)) == record
    return told


@pytest.mark.parametrize(
    ("more", "values", "states"),
    [
        ({}, [0, 12, 7, 4, 12], "i a+A:raised a i+C:cleared a+A:raised"),  # between the levels nothing changes
        ({"for": 2}, [12, 7, 12, 12, 0], "p i p a+A:raised i+C:cleared"),  # in a row
        ({"for": 2}, [12, X, 12, X, 12], "p p? a+A:raised a? a"),  # not known changes nothing
        ({"keep": 3}, [12, 4, 4, 6, 4, 4, 4], "a+A:raised a a a a a i+C:cleared"),
        ({"keep": 2}, [12, 4, X, 4], "a+A:raised a a? i+C:cleared"),
        ({"for": 2, "keep": 2}, [X, X, 0], "i? i? i"),
        ({"clear_below": None}, [10, 9.9, 10], "a+A:raised i+C:cleared a+A:raised"),  # no hysteresis: it flickers
        ({"repeat": "10min"}, [12] * 6, "a+A:raised a a+U:repeat a a+U:repeat a"),
        (
            {"levels": [{"severity": "Severe", "threshold": 20}, {"severity": "Extreme", "threshold": 40}]},
            [12, 25, 12, 25, 50],
            "a+A:raised a+U:worse a a a+U:worse",  # what was told once is not told again
        ),
    ],
)
def test_states_and_messages(more: dict[str, Any], values: list[float | None], states: str) -> None:
    assert run(rule_of(**more), values) == states.split()


def test_where_it_rains_already_nothing_is_raised() -> None:
    rule = rule_of(suppress_if_raining=True)
    assert run(rule, [12, 12, 12, 12], wet={0, 1}) == ["i", "i", "a+A:raised", "a"]
    assert run(rule, [12, 12, 12], wet={1, 2}) == ["a+A:raised", "a", "a"]


def test_earlier_by_more_than_ten_minutes_is_told() -> None:
    rule, record = rule_of(), Record()
    kinds = []
    for number, lead in enumerate([60, 50, 40, 20, 15]):
        time = T0 + number * STEP_S
        record = step(rule, record, Reading(12.0, onset=lead, end=lead), time=time, raining=False, incident="i")
        wish = decide(rule, record, time)
        if wish:
            record = replace(record, told=Told((), "Moderate", record.onset, time + 7200, time, {}))
        kinds.append(wish.reason if wish else "")
    # Onsets 60, 55, 50, 35 and 35 min after the first issue; 50 is just ten minutes earlier.
    assert kinds == ["raised", "", "", "earlier", ""]


def test_before_receivers_think_it_is_over_they_are_told_that_it_is_not() -> None:
    rule = rule_of()
    record = Record(state="active", incident="i", time=T0, severity="Moderate", onset=T0, value=12.0)
    record = replace(record, told=Told((), "Moderate", T0, T0 + 1800, T0, {}))
    assert decide(rule, record, T0 + 1100) is None
    wish = decide(rule, record, T0 + 1300)
    assert wish is not None
    assert (wish.kind, wish.reason) == ("Update", "extended")


QUIET = {"quiet": "18:00-18:20 UTC"}
"""From two to six steps after T0."""


@pytest.mark.parametrize(
    ("more", "values", "states"),
    [
        # Began in quiet hours and lasts: told when they are over.
        (QUIET, [0, 0, 12, 12, 12, 12, 12, 12], "i i a a a a a+A:raised a"),
        # Began and ended in them: never told.
        (QUIET, [0, 0, 12, 12, 0, 0, 0, 0], "i i a a i i i i"),
        # Told before, ended in them: the end is told afterwards.
        (QUIET, [12, 12, 12, 0, 0, 0, 0, 0], "a+A:raised a a i i i i+C:cleared i"),
        # Told before, ended and began again in them: one incident, nothing to tell.
        (QUIET, [12, 12, 0, 0, 12, 12, 12, 0], "a+A:raised a i i a a a i+C:cleared"),
        (QUIET | {"quiet_except": "Moderate"}, [0, 0, 12, 0, 0, 0, 0], "i i a+A:raised i i i i+C:cleared"),
    ],
)
def test_quiet_hours_hold_back_and_forget_nothing(
    more: dict[str, Any], values: list[float | None], states: str
) -> None:
    assert run(rule_of(**more), values) == states.split()


def one(rule: Rule, record: Record, value: float, number: int) -> Record:
    reading = Reading(value, onset=15 if value >= rule.raise_at else None, end=15)
    return step(rule, record, reading, time=T0 + number * STEP_S, raining=False, incident=f"i{number}")


def test_a_revision_takes_the_place_of_its_forerunner() -> None:
    rule = rule_of(**{"for": 2, "keep": 2})
    first = one(rule, Record(), 12, 0)
    assert one(rule, one(rule, first, 12, 1), 12, 1).state == "active"
    assert one(rule, one(rule, first, 0, 1), 12, 1).state == "active"
    assert one(rule, one(rule, first, 12, 0), 12, 0).count == 1  # not counted twice
    told = replace(one(rule, first, 12, 1), told=Told((), "Moderate", T0, T0 + 7200, T0, {}))
    revised = one(rule, told, 0, 1)
    assert (revised.state, revised.count) == ("active", 1)  # what was told is not unsaid at once


def test_levels_are_compared_as_issues_hold_them(tmp_path: Path) -> None:
    """8 of 20 members are 0.4, which half precision writes as 0.39990."""
    rule = rule_of(quantity="probability_rate", threshold=5, at_least=0.4, clear_below=0.2)
    assert run(rule, [0.39990234375]) == ["a+A:raised"]
    assert made.alerts(tmp_path).rules[0].raise_at == 10.0
