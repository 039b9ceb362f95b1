"""Quiet hours by the clocks of a zone, where these jump too."""

from datetime import UTC, datetime

import pytest

from echocast.operations.alerts.quiet import parse


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("hours", "utc", "is_quiet"),
    [
        ("22:00-06:00 Europe/Zurich", "2026-01-10T20:59", False),
        ("22:00-06:00 Europe/Zurich", "2026-01-10T21:00", True),  # 22:00 in winter
        ("22:00-06:00 Europe/Zurich", "2026-07-10T20:00", True),  # 22:00 in summer
        ("22:00-06:00 Europe/Zurich", "2026-07-10T04:00", False),  # 06:00 in summer
        ("02:15-02:45 Europe/Zurich", "2026-03-29T01:30", False),  # 03:30: that half hour does not exist in spring
        ("02:15-02:45 Europe/Zurich", "2026-10-25T00:30", True),  # 02:30 in summer's time ...
        ("02:15-02:45 Europe/Zurich", "2026-10-25T01:30", True),  # ... and an hour later again in winter's
        ("12:00-13:00 Pacific/Kiritimati", "2026-01-10T22:30", True),
        ("12:00-13:00 UTC", "2026-01-10T13:00", False),
    ],
)
def test_quiet_hours(hours: str, utc: str, is_quiet: bool) -> None:
    assert parse(hours).holds(at(utc)) is is_quiet
