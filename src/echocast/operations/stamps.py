"""How operations write times: frames are in whole nanoseconds since 1970 (UTC), files and logs in ISO 8601.

>>> name_stamp(1_480_000_000_000_000_000), iso(1480000000.25)
('20161124T150640Z', '2016-11-24T15:06:40Z')
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

NS = 1_000_000_000
"""Nanoseconds in a second."""
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


def utc(seconds: float) -> datetime:
    """Seconds since 1970 as a date, in UTC. The system is not asked: with ``TZ=right/UTC`` it counts leap seconds."""
    return _BEGIN + timedelta(seconds=seconds)


def name_stamp(time_ns: int) -> str:
    """A time in the name of a file, as ``20161124T150640Z``; names sort as times do."""
    return utc(time_ns // NS).strftime("%Y%m%dT%H%M%SZ")


def iso(seconds: float) -> str:
    """Seconds since 1970 as ``2016-11-24T15:06:40Z``."""
    return utc(int(seconds // 1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_ns(time_ns: int) -> str:
    """Nanoseconds since 1970 as ``2016-11-24T15:06:40Z``."""
    return iso(time_ns // NS)


def seconds_of_name(text: str) -> float:
    """The seconds since 1970 of a time that `name_stamp` wrote; raises `ValueError` for any other text."""
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


@lru_cache(maxsize=4096)  # the server asks for the same few with every request
def seconds_of(text: str) -> float:
    """The seconds since 1970 of a time that `iso` wrote; raises `ValueError` for any other text."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
