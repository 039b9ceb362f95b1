"""Values of stations in the units that files have, converted to the unit of their quantity.

>>> import numpy as np
>>> converted(np.array([32.0, 212.0]), "degF", "air_temperature").round(2).tolist()
[273.15, 373.15]
>>> converted(np.array([0.1]), "in", "rainfall_amount").round(2).tolist()
[2.54]
"""

import numpy as np
from jaxtyping import Float

from echocast import fields
from echocast.errors import WrongUnits
from echocast.fields.quantities import QUANTITIES

_SCALES: dict[str, dict[str, tuple[float, float]]] = {
    "air_temperature": {
        **dict.fromkeys(("k", "kelvin"), (1.0, 0.0)),
        **dict.fromkeys(("degc", "c", "celsius", "°c", "deg c", "degree_celsius", "degrees_celsius"), (1.0, 273.15)),
        **dict.fromkeys(("degf", "f", "fahrenheit", "°f", "deg f"), (5 / 9, 273.15 - 32 * 5 / 9)),
    },
    "air_pressure": {
        "pa": (1.0, 0.0),
        **dict.fromkeys(("hpa", "mb", "mbar", "millibar", "millibars"), (100.0, 0.0)),
        "kpa": (1000.0, 0.0),
        **dict.fromkeys(("inhg", "in hg"), (3386.389, 0.0)),
    },
    "relative_humidity": {"1": (1.0, 0.0), "%": (0.01, 0.0), "percent": (0.01, 0.0)},
}
_SPEEDS = {
    **dict.fromkeys(("m s-1", "m/s", "ms-1"), (1.0, 0.0)),
    **dict.fromkeys(("kt", "kn", "knot", "knots"), (1852 / 3600, 0.0)),
    **dict.fromkeys(("km/h", "km h-1"), (1 / 3.6, 0.0)),
    **dict.fromkeys(("mph", "mile/h", "mi/h"), (0.44704, 0.0)),
}
_SCALES |= {"eastward_wind": _SPEEDS, "northward_wind": _SPEEDS}


def converted(values: Float[np.ndarray, "*shape"], units: str, quantity: str) -> Float[np.ndarray, "*shape"]:
    """Values in the unit of their quantity, float64.

    Raises:
        WrongUnits: the unit is not one of the quantity, or the quantity has no units that stations report in.
    """
    if quantity == "rainfall_amount":
        if fields.kind_of_unit(units) != "amount":
            raise WrongUnits(f"unit {units!r} is not an amount of rain; mm, kg m-2, 0.01 mm, cm and in are")
        return np.asarray(fields.to_rain_rate(values, units, interval_s=3600.0), np.float64)
    if quantity == "rainfall_rate":
        if fields.kind_of_unit(units) != "rate":
            raise WrongUnits(f"unit {units!r} is not a rain rate; mm/h and mm/5min are")
        return np.asarray(fields.to_rain_rate(values, units), np.float64)
    known = _SCALES.get(quantity)
    if known is None:
        raise WrongUnits(f"stations of {quantity!r} are not read; those of {', '.join((*_RAIN, *_SCALES))} are")
    if units.strip().lower() not in known:
        raise WrongUnits(f"unit {units!r} is not known for {quantity}; it may be: {', '.join(sorted(known))}")
    factor, offset = known[units.strip().lower()]
    return np.asarray(values, np.float64) * factor + offset


_RAIN = ("rainfall_amount", "rainfall_rate")


def quantity_of(name: str) -> str:
    """The quantity that a variable's name means; raises `WrongUnits` for one that is not known."""
    for quantity in QUANTITIES.values():
        if name in (quantity.name, quantity.standard_name):
            return quantity.name
    raise WrongUnits(f"{name!r} is no quantity of stations; there are: {', '.join((*_RAIN, *_SCALES))}")
