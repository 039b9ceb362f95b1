"""What a source gives: where a file lies and what to call it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

Listing = Callable[[str], str]
"""Fetches a page below a source's base as text."""


@dataclass(frozen=True)
class Address:
    """A file below a source's base.

    Args:
        path: below the base, without a slash at its start.
        name: what to call it here.
        time: its moment, UTC.
        sure: it is known to exist, so that its absence is an error and not a gap.
    """

    path: str
    name: str
    time: datetime
    sure: bool = False


def clock(start: datetime, end: datetime, minutes: float) -> Iterator[datetime]:
    """The times of a regular clock (from midnight) between two times, both included."""
    step = timedelta(minutes=minutes)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + step * -((midnight - start) // step)
    while at <= end:
        yield at
        at += step
