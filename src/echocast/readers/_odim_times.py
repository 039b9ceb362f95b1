"""Moments as ODIM_H5 files spell them, strictly: ``20241126`` and ``120500``, and what real files write instead."""

import re

import numpy as np

from echocast.errors import UnreadableFile


def stamp(date: str, time: str, *, is_text: bool = True) -> np.datetime64:
    """A moment from its date and its time.

    Args:
        date: eight digits, with or without separators.
        time: six digits (HHMMSS), four (HHMM), or five (HMMSS, the first zero is lost); with or without separators,
            parts of a second and a Z.
        is_text: not a number, whose zeros are lost.

    Raises:
        UnreadableFile: it has another number of digits.
        ValueError: it is no time of a day.

    The leap second, 23:59:60, is the first second of the next day, as clocks of computers have it.
    """
    digits = _digits(time.partition(".")[0])
    if not is_text:
        digits = _of_number(digits)
    if len(digits) not in (4, 5, 6):
        raise UnreadableFile(f"the time {time!r} is not of the form HHMMSS; write it with six digits")
    whole = f"{digits:0>6}" if len(digits) >= 5 else f"{digits}00"
    day = _digits(date.partition(".")[0])
    if len(day) != 8:
        raise ValueError(f"the date {date!r} is not of the form YYYYMMDD")
    is_leap = whole == "235960"
    second = "59" if is_leap else whole[4:]
    found = np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}T{whole[:2]}:{whole[2:4]}:{second}", "ns")
    return found + np.timedelta64(int(is_leap), "s")


def _of_number(digits: str) -> str:
    """Zeros before a number are lost: 0 is midnight and 90500 is 9:05; 1205 could be 0:12:05 or 12:05."""
    if 0 < len(digits.lstrip("0")) <= 4:
        raise UnreadableFile(
            f"the time is the number {digits}, which may be HHMM or MMSS; write it as text of six digits"
        )
    return f"{digits:0>6}"


def _digits(text: str) -> str:
    """A date or time without the signs between its parts; each part has two digits or more."""
    plain = text.strip().removesuffix("Z").strip()
    if not re.fullmatch(r"\d+(?:[-:/]\d\d)*", plain):
        raise ValueError(f"{text!r} is no date or time")
    return re.sub(r"\D", "", plain)
