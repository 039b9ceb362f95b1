"""Instants, intervals, open ends and lists."""

import pytest
from tests.server.edr.issues import ISSUED

from echocast.server.edr.refusals import Refused, TooMuch
from echocast.server.edr.times import wanted

TIMES = [ISSUED + 300 * number for number in (1, 2, 3)]  # 05:10, 05:15, 05:20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, (0, 1, 2)),
        ("2026-11-28T05:15:00Z", (1,)),
        ("2026-11-28T05:15Z", (1,)),
        ("2026-11-28t05:15:00.000z", (1,)),
        ("2026-11-28T06:15:00+01:00", (1,)),
        ("2026-11-28T06:15:00 01:00", (1,)),
        ("2026-11-27T20:15:00-09:00", (1,)),
        ("2026-11-28T05:16:00Z", ()),
        ("2026-11-28T05:15:00Z/..", (1, 2)),
        ("../2026-11-28T05:15:00Z", (0, 1)),
        ("/2026-11-28T05:14:59Z", (0,)),
        ("2026-11-28T05:11:00Z/2026-11-28T05:19:00Z", (1,)),
        ("../..", (0, 1, 2)),
        ("2026-11-28T05:20Z,2026-11-28T05:10Z,2030-01-01T00:00Z", (0, 2)),
        ("2016-12-31T23:59:60Z/..", (0, 1, 2)),
    ],
)
def test_times_that_are_asked_for(text: str | None, expected: tuple[int, ...]) -> None:
    assert wanted(text, TIMES) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no time with a zone"),
        ("2026-11-28T05:15", "no time with a zone"),
        ("2026-11-28", "no time with a zone"),
        ("now", "no time with a zone"),
        ("2026-02-30T05:15Z", "not in the calendar"),
        ("2026-11-28T25:15Z", "not in the calendar"),
        ("2026-11-28T05:20Z/2026-11-28T05:10Z", "ends before it begins"),
        ("2026-11-28T05:20Z/2026-11-28T05:25Z/2026-11-28T05:30Z", "no interval"),
        ("P1D/..", "no time with a zone"),
        ("2026-11-28T05:20Z,", "no time with a zone"),
    ],
)
def test_what_is_no_time_is_told(text: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        wanted(text, TIMES)


def test_a_long_list_is_too_much() -> None:
    with pytest.raises(TooMuch, match="1,001 times"):
        wanted(",".join(["2026-11-28T05:20Z"] * 1001), TIMES)
