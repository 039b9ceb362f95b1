"""Units of precipitation as files spell them, and their conversion to rain rate.

>>> import numpy as np
>>> to_rain_rate(np.array([0.1], np.float32), "mm", interval_s=300).tolist()
[1.2000000476837158]
"""

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

_UNIT_ALIASES = {
    "rate": {
        "mm h-1": 1.0,
        "mm/h": 1.0,
        "mm/hr": 1.0,
        "mm hr-1": 1.0,
        "mm h^-1": 1.0,
        "mm h**-1": 1.0,
        "mm.h-1": 1.0,
        "mm hour-1": 1.0,
        "mm/hour": 1.0,
        "kg m-2 h-1": 1.0,
        "kg m-2 s-1": 3600.0,
        "kg m**-2 s**-1": 3600.0,
        "mm s-1": 3600.0,
        "mm/s": 3600.0,
        "mm day-1": 1.0 / 24.0,
        "mm/day": 1.0 / 24.0,
    },
    "reflectivity": {"dbz": 1.0, "10*log10(mm6 m-3)": 1.0},
    "amount": {
        "mm": 1.0,
        "kg m-2": 1.0,
        "kg/m2": 1.0,
        "kg m^-2": 1.0,
        "kg m**-2": 1.0,
        "0.01 mm": 0.01,
        "1/100 mm": 0.01,
    },
}


def kind_of_unit(units: str) -> str:
    """What a unit measures: ``"rate"``, ``"reflectivity"`` or ``"amount"``; raises `WrongUnits` for any other."""
    for kind, aliases in _UNIT_ALIASES.items():
        if _plain_unit(units) in aliases:
            return kind
    known = "; ".join(f"{kind}: {', '.join(sorted(aliases))}" for kind, aliases in _UNIT_ALIASES.items())
    raise WrongUnits(f"unit {units!r} is not known to echocast; it reads {known}")


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
    kind = kind_of_unit(units)
    factor = _UNIT_ALIASES[kind][_plain_unit(units)]
    if kind == "reflectivity":
        return rain_rate(values, zr)
    if kind == "amount":
        if not interval_s or interval_s <= 0:
            raise WrongUnits(f"an amount in {units!r} needs its accumulation interval; got {interval_s!r}")
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


def _plain_unit(units: str) -> str:
    return " ".join(units.strip().lower().split())
