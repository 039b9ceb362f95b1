"""Quiet hours: from a time of day to another one in a time zone, whatever its clocks do in spring and autumn.

>>> night = parse("22:00-06:00 Europe/Zurich")
>>> night.holds(1_774_731_600.0), night.holds(1_774_778_400.0)  # 22:00 on 28 March 2026, 12:00 on 29 March
(True, False)
"""

import re
from dataclasses import dataclass
from datetime import time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from echocast.operations.stamps import utc

_FORM = re.compile(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s+(\S+)\s*")


@dataclass(frozen=True)
class QuietHours:
    """Each day from `begin` until `end`, by the clocks of a zone; across midnight where the end is the earlier one."""

    begin: time
    end: time
    zone: ZoneInfo

    def holds(self, seconds: float) -> bool:
        """Whether a time, in seconds since 1970, is in the quiet hours: the clocks of the zone tell."""
        now = utc(seconds).astimezone(self.zone).time()
        if self.begin <= self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end


def parse(text: str) -> QuietHours:
    """The quiet hours of ``22:00-06:00 Europe/Zurich``; raises `ValueError`."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError("is not like '22:00-06:00 Europe/Zurich'")
    hours = [int(one) for one in found.groups()[:4]]
    try:
        begin, end = time(hours[0], hours[1]), time(hours[2], hours[3])
    except ValueError as bad:
        raise ValueError("holds a time of day that does not exist; give 00:00 to 23:59") from bad
    if begin == end:
        raise ValueError("begins and ends at the same time; leave it out, or give two times")
    return QuietHours(begin, end, zone_of(found[5]))


def zone_of(name: str) -> ZoneInfo:
    """The time zone of a name such as ``Europe/Zurich``; raises `ValueError`."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as bad:
        raise ValueError(
            f"there is no time zone {name!r} here; give a name such as Europe/Zurich or UTC (a machine without time"
            " zones needs the package tzdata)"
        ) from bad
