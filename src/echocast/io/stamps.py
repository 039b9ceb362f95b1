"""Times as names and tags of files spell them, the year first, and as a pattern of `strptime` describes them.

A time with an offset (``+02:00``, ``+0200``) is moved to UTC; ``Z``, ``UTC`` and ``GMT`` are UTC, as is a time without
a zone. The name of any other zone is refused, as are two different times in one text: nobody can tell which is meant.

>>> str(time_in("201609281445_fmi.pgm"))[:16], time_in("AQC151351825F_00005.801.gif")
('2016-09-28T14:45', None)
>>> str(time_in("2016-09-28T16:45:00+02:00"))[:16]
'2016-09-28T14:45'
>>> str(time_in("20161231235960.h5"))[:16]  # a leap second
'2017-01-01T00:00'
>>> str(by_pattern("rain_280916-1445.tif", "rain_%d%m%y-%H%M.tif"))[:16]
'2016-09-28T14:45'
"""

import re
from datetime import UTC, datetime, timedelta

import numpy as np

from echocast.errors import UnreadableFile

_STAMP = re.compile(
    r"(?<!\d)(?P<year>\d{4})(?P<d>[-:_./]?)(?P<month>\d\d)(?P=d)(?P<day>\d\d)(?P<between>[T_ -]?)"
    r"(?P<hour>\d\d)(?P<t>[-:_.]?)(?P<minute>\d\d)(?:(?P=t)(?P<second>\d\d))?(?!\d)(?:(?<=:\d\d)\.\d{1,9})?"
)
_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>\d\d)(?::?(?P<minutes>\d\d))?(?![\d:])")
_UTC = re.compile(r"[ _-]?(?:Z|UTC|GMT)(?:\+?0+(?::?00)?)?(?![A-Za-z0-9])", re.IGNORECASE)
_ZONES = (
    "A?CST ACDT A?EST AEDT AWST AKST AKDT AST ADT BRT BST CAT CDT CEST CET CST EAT EDT EEST EET EST HKT HST ICT IST JST"
    " KST LOCAL LT MDT MESZ MEZ MSK MST NDT NST NZDT NZST PDT PHT PKT PST SAST SGT WAT WEST WET WIB"
)
_ZONE = re.compile(rf"[ _-]?(?:{_ZONES.replace(' ', '|')})(?![A-Za-z0-9])")
_MORE = re.compile(r"[_-](\d{6}|\d{4})(?![\dA-Za-z])")
_YEARS = range(1940, 2100)
_REMEDY = "--time-pattern tells how the name of the file spells it"
_PACKED = (".gz", ".bz2", ".xz", ".zip", ".tar", ".tgz")


def time_in(text: str, *, whole: bool = False) -> np.datetime64 | None:
    """The time (UTC) that a text spells, to the second or the minute; None if it spells none.

    Args:
        text: the name of a file, or the text of a tag.
        whole: the text is a time and nothing else, so that what follows the time must be its zone.

    Raises:
        UnreadableFile: it spells two different times, or one of a zone that is not known.
    """
    found = dict.fromkeys(_times_in(text, whole=whole))
    if len(found) > 1:
        listed = " and ".join(str(time)[:19] for time in found)
        raise UnreadableFile(f"{text!r} holds two different times, {listed}; {_REMEDY}")
    return next(iter(found), None)


def by_pattern(text: str, pattern: str) -> np.datetime64:
    """The time (UTC) of a file's name by a pattern in the signs of `strptime`, in which ``*`` stands for anything.

    The pattern describes the whole name, the name without its suffix, or a part of the name in which it fits only one
    time. A sign may come twice, as in ``%Y/%m/%d/%Y%m%d%H%M.png``; both must then say the same.

    Raises:
        UnreadableFile: the pattern is none, the name is not as it says, or the time does not exist.
    """
    signs, form = _compiled(pattern)
    plain = text
    while plain.lower().endswith(_PACKED):
        plain = plain.rpartition(".")[0]
    for name in dict.fromkeys((text, plain, plain.rpartition(".")[0])):
        if found := form.fullmatch(name):
            return _moment(found, signs, pattern, text)
    inside = {_moment(found, signs, pattern, text) for found in re.finditer(rf"(?<!\d)(?:{form.pattern})(?!\d)", text)}
    if len(inside) == 1:
        return inside.pop()
    why = "it fits several times in it" if inside else "it is not spelt so"
    raise UnreadableFile(f"the time pattern {pattern!r} does not tell the time of {text!r}: {why}")


def _times_in(text: str, *, whole: bool) -> list[np.datetime64]:
    found: list[np.datetime64] = []
    for stamp in _STAMP.finditer(text):
        year, month, day = (int(stamp[name]) for name in ("year", "month", "day"))
        hour, minute, second = (int(stamp[name] or 0) for name in ("hour", "minute", "second"))
        is_leap = (hour, minute, second) == (23, 59, 60)  # the first second of the next day, as computers have it
        try:
            time = datetime(year, month, day, hour, minute, 59 if is_leap else second) + timedelta(seconds=is_leap)
        except ValueError:
            continue
        if time.year in _YEARS:
            rest = text[stamp.end() :]
            offset = _offset(rest, text, dated=stamp["between"] in ("T", " ") or whole, whole=whole)
            found.append(np.datetime64(time - offset, "ns"))
    return found


def _offset(rest: str, text: str, *, dated: bool, whole: bool) -> timedelta:
    """How far a time is ahead of UTC by what follows it; raises `UnreadableFile` for what is not understood."""
    if _UTC.match(rest) or not rest.strip():
        return timedelta()
    found = _OFFSET.match(rest.lstrip() if whole else rest)
    if found and (found["sign"] == "+" or dated):
        ahead = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
        if ahead <= timedelta(hours=14) and int(found["minutes"] or 0) in (0, 30, 45):
            return ahead if found["sign"] == "+" else -ahead
    if whole or rest.startswith("+") or _ZONE.match(rest):
        raise UnreadableFile(
            f"{text!r}: the time zone {rest.strip()[:20]!r} is not known; only UTC, Z and offsets such as +02:00 are:"
            f" {_REMEDY}, or correct the tag"
        )
    more = _MORE.match(rest)
    if more and _is_time_of_day(more[1]):
        raise UnreadableFile(f"{text!r}: {more[0]!r} after the time may be a second time or an offset; {_REMEDY}")
    return timedelta()


def _is_time_of_day(digits: str) -> bool:
    return int(digits[:2]) < 24 and int(digits[2:4]) < 60 and int(digits[4:] or 0) < 60


_SIGNS = dict.fromkeys("mdHIMS", r"\d\d?") | dict.fromkeys("ab", r"[A-Za-z]{3}") | dict.fromkeys("AB", r"[A-Za-z]{3,9}")
_SIGNS |= {"Y": r"\d{4}", "y": r"\d\d", "j": r"\d{1,3}", "f": r"\d{1,6}", "z": r"Z|[+-]\d\d:?\d\d", "p": r"[AaPp][Mm]"}
_DATE = ({"d", "m"}, {"d", "b"}, {"d", "B"}, {"j"})


def _compiled(pattern: str) -> tuple[list[str], re.Pattern[str]]:
    """The signs of a pattern, each once, and a regular expression with a group for each."""
    signs: list[str] = []
    form = ""
    for part in re.findall(r"%.?|\*|[^%*]+", pattern):
        sign = part[1:]
        if part == "*":
            form += ".*"
        elif part == "%%" or not part.startswith("%"):
            form += re.escape(part.replace("%%", "%"))
        elif sign not in _SIGNS:
            raise UnreadableFile(
                f"the time pattern {pattern!r} has the sign {part!r}; known are: %{', %'.join(sorted(_SIGNS))}"
            )
        elif sign in signs:
            form += f"(?P={sign})"
        else:
            signs.append(sign)
            form += f"(?P<{sign}>{_SIGNS[sign]})"
    if not ({"Y", "y"} & set(signs)) or not any(date <= set(signs) for date in _DATE):
        raise UnreadableFile(f"the time pattern {pattern!r} tells no date; it needs %Y or %y, and %m and %d, or %j")
    return signs, re.compile(form)


def _moment(found: re.Match[str], signs: list[str], pattern: str, text: str) -> np.datetime64:
    try:
        time = datetime.strptime(" ".join(found[sign] for sign in signs), " ".join(f"%{sign}" for sign in signs))
    except ValueError as bad:
        raise UnreadableFile(f"the time pattern {pattern!r} makes no time of {text!r} ({bad})") from bad
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time, "ns")
