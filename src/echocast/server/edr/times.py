"""Which valid times a `datetime` asks for: an instant, an interval with or without ends, or a list.

Times follow RFC 3339, with a zone; seconds may be left out. An instant asks for the valid time that it is, not for the
nearest: an answer never looks as if it were of another time.

>>> wanted("2026-11-28T05:10Z/..", [1795842300.0, 1795842600.0, 1795842900.0])
(1, 2)
"""

import math
import re
from collections.abc import Sequence
from datetime import datetime

from echocast.server.edr.refusals import Refused, TooMuch, shown

MOST_IN_A_LIST = 1000
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d)(:\d\d)?([.,]\d{1,9})?([Zz]|[+ -]\d\d:?\d\d)", re.ASCII)
_EXAMPLE = "2026-11-28T05:10:00Z, 2026-11-28T05:10:00Z/2026-11-28T06:00:00Z, ../2026-11-28T06:00:00Z"


def wanted(text: str | None, times: Sequence[float]) -> tuple[int, ...]:
    """Numbers of the times (seconds since 1970) that a `datetime` asks for; all for none.

    Raises:
        Refused: it is no time, interval or list of times, or an interval ends before it begins.
        TooMuch: a list of more than `MOST_IN_A_LIST` times.
    """
    if text is None:
        return tuple(range(len(times)))
    text = text.strip()
    if "/" in text:
        start, end = _interval(text)
        return tuple(number for number, time in enumerate(times) if start <= time <= end)
    parts = text.split(",")
    if len(parts) > MOST_IN_A_LIST:
        raise TooMuch(f"datetime lists {len(parts):,} times; the most is {MOST_IN_A_LIST:,}; give an interval")
    asked = {round(_instant(part)) for part in parts}
    return tuple(number for number, time in enumerate(times) if round(time) in asked)


def _interval(text: str) -> tuple[float, float]:
    ends = [end.strip() for end in text.split("/")]
    if len(ends) != 2:
        raise Refused(f"datetime: {shown(text)} is no interval; examples: {_EXAMPLE}")
    start = -math.inf if ends[0] in ("", "..") else _instant(ends[0])
    end = math.inf if ends[1] in ("", "..") else _instant(ends[1])
    if start > end:
        raise Refused(f"datetime: {shown(text)} ends before it begins")
    return start, end


def _instant(text: str) -> float:
    """Seconds since 1970."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise Refused(f"datetime: {shown(text)} is no time with a zone; examples: {_EXAMPLE}")
    day, minute, second, _, zone = match.groups()
    # A plus sign that a client did not escape arrives as a space; the 60th second of a leap second counts as the 59th.
    zone = "+00:00" if zone in "Zz" else zone.replace(" ", "+")
    try:
        return datetime.fromisoformat(f"{day}T{minute}{(second or ':00').replace(':60', ':59')}{zone}").timestamp()
    except (ValueError, OverflowError) as bad:
        raise Refused(f"datetime: {shown(text)} is not in the calendar ({bad})") from bad
