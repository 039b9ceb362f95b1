"""When a message of GRIB is valid, and the interval of its amount, from the numbers of both editions.

Source: WMO manual on codes I.2, code tables 4, 5 (edition 1), 4.4 and 4.10 (edition 2).
"""

from dataclasses import dataclass

import numpy as np

from echocast.errors import UnreadableFile
from echocast.readers._eccodes import Message

_SECONDS = {0: 60, 1: 3600, 2: 86400, 10: 3 * 3600, 11: 6 * 3600, 12: 12 * 3600}
_SECONDS_1 = _SECONDS | {13: 900, 14: 1800, 254: 1}
_SECONDS_2 = _SECONDS | {13: 1}
_INSTANT_1, _INTERVAL_1, _MEAN_1 = (0, 1, 10), (2, 4, 5), 3
_MEAN, _ACCUMULATION, _DIFFERENCE, _NOT_TOLD = 0, 1, 4, 255
_PROCESSES = {2: "a maximum", 3: "a minimum", 5: "a root mean square", 6: "a standard deviation"}
_SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True)
class Interval:
    """From when to when a message holds: the same moment twice if at a moment, or if it does not say from when."""

    start: np.datetime64
    end: np.datetime64
    is_mean: bool = False

    @property
    def seconds(self) -> float:
        return float((self.end - self.start) / _SECOND)


def interval(message: Message) -> Interval:
    """The interval of a message; raises `UnreadableFile` for a maximum and the like, which is no rain."""
    return _edition_1(message) if message.whole("edition") == 1 else _edition_2(message)


def run_began(message: Message) -> np.datetime64:
    """When the run of a model began; of an analysis or an observation its own time.

    Raises:
        UnreadableFile: its date is none.
    """
    return _reference(message)


def _edition_1(message: Message) -> Interval:
    kind, unit = message.whole("timeRangeIndicator"), _unit(message, "indicatorOfUnitOfTimeRange", _SECONDS_1)
    first, last = message.whole("P1"), message.whole("P2")
    if kind in _INSTANT_1:
        at = _reference(message) + (256 * first + last if kind == 10 else first) * unit
        return Interval(at, at)
    if kind != _MEAN_1 and kind not in _INTERVAL_1:
        raise UnreadableFile(f"its time range is of kind {kind} of code table 5; 0 to 5 and 10 are read")
    if last < first:
        raise ValueError(f"an interval from step {first} to {last}")
    return Interval(_reference(message) + first * unit, _reference(message) + last * unit, kind == _MEAN_1)


def _edition_2(message: Message) -> Interval:
    start = _reference(message)
    if message.has("forecastTime"):
        start += message.whole("forecastTime") * _unit(message, "indicatorOfUnitOfTimeRange", _SECONDS_2)
    if not message.has("typeOfStatisticalProcessing"):
        return Interval(start, start)
    process = message.whole("typeOfStatisticalProcessing")
    if process not in (_MEAN, _ACCUMULATION, _DIFFERENCE, _NOT_TOLD):
        name = _PROCESSES.get(process, f"statistic {process} of code table 4.10")
        raise UnreadableFile(f"holds {name} over time, neither a mean nor an amount; name another with --variable")
    return Interval(start, _end(message, start), process == _MEAN)


def _end(message: Message, start: np.datetime64) -> np.datetime64:
    """By the length of the interval; the end that the message also gives must be the same, where it is one."""
    keys = ("year", "month", "day", "hour", "minute", "second")
    year, month, day, *clock = (message.whole(f"{key}OfEndOfOverallTimeInterval") for key in keys)
    given = _moment(year, month, day, *clock) if 1 <= month <= 12 and 1 <= day <= 31 else start
    if message.whole("numberOfTimeRange") != 1:
        return given
    unit = _unit(message, "indicatorOfUnitForTimeRange", _SECONDS_2)
    end = start + message.whole("lengthOfTimeRange") * unit
    if given > start and given != end:
        raise ValueError(f"its interval ends at {end} by its length and at {given} by its end")
    return end


def _unit(message: Message, key: str, seconds: dict[int, int]) -> np.timedelta64:
    code = message.whole(key)
    if code not in seconds:
        raise UnreadableFile(f"its steps are in unit {code} of code table 4; minutes, hours, days and seconds are read")
    return np.timedelta64(seconds[code], "s")


def _reference(message: Message) -> np.datetime64:
    date, clock = message.whole("dataDate"), message.whole("dataTime")
    if not 1 <= date // 100 % 100 <= 12 or not 1 <= date % 100 <= 31 or not 1000 <= date // 10000 <= 9999:
        raise UnreadableFile(
            f"its dataDate is {date}, which is no date (YYYYMMDD); set the right one, of a field that does not change"
            " any one, as ecCodes' grib_set does: grib_set -s dataDate=20180501 IN.grib OUT.grib"
        )
    second = message.whole("second") if message.has("second") else 0
    return _moment(date // 10000, date // 100 % 100, date % 100, clock // 100, clock % 100, second)


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int) -> np.datetime64:
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
    return np.datetime64(text, "ns")
