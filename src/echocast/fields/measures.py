"""Lengths, angles and durations as files spell them.

>>> length_m("km"), length_m("100 m"), angle_rad("rad"), length_m("furlong")
(1000.0, 100.0, 1.0, None)
>>> [duration_s(words) for words in ("PT15M", "15min accumulated rainfall", "( 300 s )", "hourly rain", "rain")]
[900.0, 900.0, 300.0, 3600.0, None]
"""

import re

import numpy as np

_METRES = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
    **dict.fromkeys(("ft", "foot", "feet", "international foot"), 0.3048),
    **dict.fromkeys(("us_survey_foot", "us survey foot", "us_survey_feet", "us-ft", "us_ft", "ftus"), 1200 / 3937),
    **dict.fromkeys(("mi", "mile", "miles"), 1609.344),
    **dict.fromkeys(("nmi", "nautical_mile", "nautical mile"), 1852.0),
}
_RADIANS = {
    **dict.fromkeys(("rad", "radian", "radians"), 1.0),
    **dict.fromkeys(("mrad", "milliradian", "milliradians"), 1e-3),
    **dict.fromkeys(("urad", "microradian", "microradians", "1e-6 rad", "1e-06 rad"), 1e-6),
}
_SECONDS = (
    ("d", 86400.0),
    ("h", 3600.0),
    ("mil", 1e-3),
    ("mi", 60.0),
    ("ms", 1e-3),
    ("s", 1.0),
    ("u", 1e-6),
    ("n", 1e-9),
)
_DURATION = re.compile(
    r"(\d+(?:\.\d+)?)[\s_-]*(s|sec|seconds?|min|minutes?|h|hr|hrs|hours?|d|days?)(?![a-z])", re.IGNORECASE
)
_ISO = re.compile(r"\bP(?:(\d+)D)?(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?(?![A-Za-z])")


def length_m(unit: str) -> float | None:
    """The metres of a unit of length in lower case, such as ``km`` or ``100 m``; None for any other."""
    number = re.fullmatch(r"(\d+(?:\.\d*)?(?:e[-+]?\d+)?) ?\*? ?([a-z_ -]+)", unit)
    times, word = (float(number[1]), number[2]) if number else (1.0, unit)
    return times * _METRES[word] if word in _METRES else None


def angle_rad(unit: str) -> float | None:
    """The radians of a unit of angle in lower case, such as ``degrees_east`` or ``rad``; None for any other."""
    if unit.startswith(("deg", "°", "arc_deg", "arcdeg")):
        return float(np.pi / 180.0)
    return _RADIANS.get(unit)


def second_s(unit: str) -> float:
    """The seconds of a unit of time (days, h, min, s, ms, ...); 1 for any other."""
    return next((seconds for start, seconds in _SECONDS if unit.lower().startswith(start)), 1.0)


def duration_s(words: str) -> float | None:
    """The seconds of the first duration in a text: ``15 minutes``, ``0.25 hr``, ``PT5M``, ``hourly``; else None."""
    iso = _ISO.search(words)
    if iso and any(iso.groups()):
        return sum(float(n or 0) * s for n, s in zip(iso.groups(), (86400.0, 3600.0, 60.0, 1.0), strict=True))
    found = _DURATION.search(words)
    if found:
        return float(found[1]) * second_s(found[2])
    return next((s for word, s in (("hourly", 3600.0), ("daily", 86400.0)) if word in words.lower()), None)
