"""What a source gives: the address of a file and the name to save it by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

Listing = Callable[[str], str]
"""Downloads a page below a source's base as text."""


@dataclass(frozen=True)
class Address:
    """A file below a source's base.

    Args:
        path: below the base, without a slash at its start.
        name: the name to save it by.
        time: its time, UTC.
        listed: the server listed it, so that its absence is a failure; any other absent file counts as missing.
    """

    path: str
    name: str
    time: datetime
    listed: bool = False


def regular_times(start: datetime, end: datetime, minutes: float) -> Iterator[datetime]:
    """Times at regular steps, counted from midnight, between two times, both included."""
    step = timedelta(minutes=minutes)
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + step * -((midnight - start) // step)
    while at <= end:
        yield at
        at += step
