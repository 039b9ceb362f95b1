"""Units of precipitation as files spell them, and their conversion to rain rate.

A rate is a depth of water, or its mass on a square metre, over a time (``mm/h``, ``m s-1``, ``kg m-2 s-1``,
``mm/5min``, ``in/hr``); an amount is the same without the time (``mm``, ``kg m-2``, ``0.01 mm``, ``in``).

>>> import numpy as np
>>> to_rain_rate(np.array([0.1], np.float32), "mm", interval_s=300).tolist()
[1.2000000476837158]
>>> to_rain_rate(np.array([0.1], np.float32), "mm/5min").tolist()
[1.2000000476837158]
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import xarray as xr
from jaxtyping import Float

from echocast.errors import WrongUnits
from echocast.zr import MARSHALL_PALMER, ZR, rain_rate

MAX_RATE = 300.0
"""Rates above this (mm/h) are taken for errors and clipped by `limited`, unless another limit is asked for.

Of what falls on a square kilometre in five minutes no gauge has measured more; what files hold above it are hail,
bright bands, or damage (the OPERA composites that the tests read go up to 2,734 mm/h).
"""

_REFLECTIVITY = ("dbz", "10*log10(mm6 m-3)")
_DEPTHS_MM = {
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres", "l m-2", "l/m2"), 1.0),
    **dict.fromkeys(("kg m-2", "kg/m2", "kg/m-2"), 1.0),  # a litre of water
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("in", "inch", "inches"), 25.4),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
}
_TIMES_S = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
_EXAMPLES = "rates such as mm/h, kg m-2 s-1, m s-1, mm/5min and in/hr, amounts such as mm, kg m-2 and 0.01 mm, and dBZ"
_SUPERSCRIPTS = str.maketrans("⁻¹²", "-12")


def _one_of(words: dict[str, float]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_UNIT = re.compile(
    rf"(?:(?P<factor>\d+(?:\.\d+)?(?:e[-+]?\d+)?)(?:/(?P<divisor>\d+))? ?\*? ?)?(?P<depth>{_one_of(_DEPTHS_MM)})"
    rf"(?:(?: ?/ ?| per )\(?(?P<number>\d+)? ?(?P<time>{_one_of(_TIMES_S)})\)?"
    rf"| \(?(?P<number_>\d+)? ?(?P<time_>{_one_of(_TIMES_S)})\)?-1)?"
)


@dataclass(frozen=True, slots=True)
class _Unit:
    """What a unit measures, and by what its values are multiplied to be mm/h, dBZ or mm."""

    kind: str
    factor: float


def kind_of_unit(units: str) -> str:
    """What a unit measures: ``"rate"``, ``"reflectivity"`` or ``"amount"``; raises `WrongUnits` for any other."""
    return _parsed(units).kind


def agreed_unit(own: str, asked: str | None) -> str:
    """The unit of a file, or the one asked for where the file says none of rain.

    Raises:
        WrongUnits: they contradict each other.
    """
    try:
        said = _parsed(own)
    except WrongUnits:
        return asked or own
    if asked is not None and _parsed(asked) != said:
        raise WrongUnits(f"says itself that it is in {own!r}, which --units {asked} contradicts; leave out --units")
    return own


def to_rain_rate(
    values: Float[np.ndarray, "*shape"],
    units: str,
    *,
    zr: ZR = MARSHALL_PALMER,
    interval_s: float | None = None,
) -> Float[np.ndarray, "*shape"]:
    """Values in dBZ, mm/h or mm as rain rate (mm/h, float32).

    Args:
        values: the numbers of a file, NaN where nothing is observed.
        units: their unit, in any of the usual spellings.
        zr: the relation to use for reflectivity.
        interval_s: the accumulation interval in seconds, needed for amounts (mm).

    Raises:
        WrongUnits: the unit is unknown, or an amount comes without its interval.
    """
    unit = _parsed(units)
    factor = unit.factor
    if unit.kind == "reflectivity":
        return rain_rate(values, zr)
    if unit.kind == "amount":
        if not interval_s or not interval_s > 0:
            raise WrongUnits(
                f"an amount in {units!r} needs its accumulation interval; got {interval_s!r}: give the minutes with"
                " --interval"
            )
        factor *= 3600.0 / interval_s
    if factor == 1.0:
        return np.asarray(values, np.float32)
    return (np.asarray(values, np.float64) * factor).astype(np.float32)


def limited(field: xr.DataArray, max_rate: float = MAX_RATE) -> tuple[xr.DataArray, int]:
    """The field with rates above `max_rate` (mm/h) set to it, negative ones to 0; and how many cells were changed."""
    values = field.values
    if not values.size or not (np.fmax.reduce(values, axis=None) > max_rate or np.fmin.reduce(values, axis=None) < 0):
        return field, 0
    wrong = int(np.count_nonzero((values > max_rate) | (values < 0)))
    return field.copy(data=np.clip(values, 0.0, np.float32(max_rate))), wrong


@lru_cache(maxsize=256)
def _parsed(units: str) -> _Unit:
    plain = _plain_unit(units)
    if plain in _REFLECTIVITY:
        return _Unit("reflectivity", 1.0)
    found = _UNIT.fullmatch(plain)
    if found is None:
        raise WrongUnits(f"unit {units!r} is not known to echocast; it reads {_EXAMPLES}")
    factor = float(found["factor"] or 1.0) / float(found["divisor"] or 1.0) * _DEPTHS_MM[found["depth"]]
    time, number = found["time"] or found["time_"], float(found["number"] or found["number_"] or 1.0)
    if time is None:
        return _Unit("amount", factor)
    if number <= 0:
        raise WrongUnits(f"unit {units!r} is an amount over no time; it reads {_EXAMPLES}")
    return _Unit("rate", factor * 3600.0 / (number * _TIMES_S[time]))


def _plain_unit(units: str) -> str:
    """Lower case, exponents without a sign of their own (``m^-2``, ``m**-2``, ``m⁻²``), products by spaces."""
    plain = units.strip().lower().translate(_SUPERSCRIPTS).replace("**", "").replace("^", "").replace("·", " ")
    plain = plain.replace("(-1)", "-1").replace("(-2)", "-2")
    return " ".join(re.sub(r"(?<=[a-z0-9])\.(?=[a-z])", " ", plain).split())
