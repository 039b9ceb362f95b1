"""Values of quantities other than rain in the unit of their quantity.

>>> import numpy as np
>>> converted(np.array([20.0]), "degC", "air_temperature").tolist()
[293.15]
>>> converted(np.array([2.0]), "km", "surface_altitude").tolist()
[2000.0]
"""

import numpy as np
from jaxtyping import Float

from echocast.errors import WrongUnits
from echocast.fields.quantities import QUANTITIES

_UNITS: dict[str, dict[str, tuple[float, float]]] = {
    "K": {
        **dict.fromkeys(("k", "kelvin"), (1.0, 0.0)),
        **dict.fromkeys(("degc", "c", "celsius", "°c", "degree_celsius", "degrees_celsius"), (1.0, 273.15)),
        **dict.fromkeys(("degf", "f", "fahrenheit", "°f"), (5 / 9, 273.15 - 32 * 5 / 9)),
    },
    "Pa": {"pa": (1.0, 0.0), **dict.fromkeys(("hpa", "mbar", "mb", "millibar"), (100.0, 0.0))},
    "1": {"1": (1.0, 0.0), "0-1": (1.0, 0.0), **dict.fromkeys(("%", "percent"), (0.01, 0.0))},
    "m": {
        **dict.fromkeys(("m", "metre", "metres", "meter", "meters", "gpm"), (1.0, 0.0)),
        **dict.fromkeys(("km", "kilometre", "kilometres"), (1000.0, 0.0)),
        **dict.fromkeys(("ft", "foot", "feet"), (0.3048, 0.0)),
    },
    "m s-1": {
        **dict.fromkeys(("m s-1", "m/s", "m s**-1"), (1.0, 0.0)),
        **dict.fromkeys(("kt", "kn", "knot", "knots"), (1852 / 3600, 0.0)),
        **dict.fromkeys(("km/h", "km h-1"), (1 / 3.6, 0.0)),
    },
    "m2 s-2": dict.fromkeys(("m2 s-2", "m**2 s**-2", "m^2 s^-2", "j kg-1"), (1.0, 0.0)),
    "degree": dict.fromkeys(("degree", "degrees", "deg", "°"), (1.0, 0.0)),
}
"""By the unit of a quantity: what other units are multiplied by, and what is added."""


def converted(
    values: Float[np.ndarray, "*shape"], units: str, quantity: str, *, name: str = "it"
) -> Float[np.ndarray, "*shape"]:
    """Values in the unit of their quantity.

    Args:
        values: in `units`.
        units: as a file spells them.
        quantity: one of `echocast.fields.QUANTITIES`.
        name: what messages call the values.

    Raises:
        WrongUnits: the unit is not one of the quantity.
    """
    own = QUANTITIES[quantity].units
    known = {own.lower(): (1.0, 0.0)} | _UNITS.get(own, {})
    if not units.strip():
        raise WrongUnits(f"{name} has no unit; give that of its numbers, such as units = {own!r}")
    if units.strip().lower() not in known:
        raise WrongUnits(
            f"{name} is in {units.strip()!r}, which is no unit of {quantity}; it may be: {', '.join(sorted(known))}"
        )
    factor, offset = known[units.strip().lower()]
    return values * factor + offset
