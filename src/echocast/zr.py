"""Between reflectivity and rain: the only place that knows a relation's numbers.

>>> import numpy as np
>>> rain_rate(np.array([23.0103])).tolist()
[1.0]
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from echocast.errors import WrongUnits

DRY_DBZ = 0.0
"""Echoes at or below this reflectivity (under 0.04 mm/h) are no rain: files write "no echo" as 0 or -32 dBZ."""


@dataclass(frozen=True, slots=True)
class ZR:
    """A relation Z = a R^b between reflectivity factor (mm6 m-3) and rain rate (mm/h)."""

    a: float
    b: float
    name: str

    def __str__(self) -> str:
        return f"Z = {self.a:g} R^{self.b:g} ({self.name})"

    def dbz(self, log10_rate: Any) -> Any:
        """Reflectivity (dBZ) from the common logarithm of a rain rate in mm/h; for NumPy arrays and tensors alike.

        Source: dBZ = 10 log10 a + 10 b log10 R.
        """
        return 10.0 * math.log10(self.a) + 10.0 * self.b * log10_rate

    def log_rate(self, dbz: Any) -> Any:
        """The natural logarithm of the rain rate in mm/h of a reflectivity (dBZ): the inverse of `dbz`."""
        return (dbz * (math.log(10.0) / 10.0) - math.log(self.a)) / self.b


MARSHALL_PALMER = ZR(200.0, 1.6, "Marshall and Palmer 1948")
ZR_RELATIONS = {
    "marshall-palmer": MARSHALL_PALMER,
    "fmi": ZR(223.0, 1.53, "FMI"),
    "meteoswiss": ZR(316.0, 1.5, "MeteoSwiss"),
    "dwd": ZR(256.0, 1.42, "DWD, mean of its classes"),
    "wsr-88d": ZR(300.0, 1.4, "WSR-88D, convective"),
    "hko-2015": ZR(118.239, 1.5241, "Shi et al. 2015"),
    "hko-7": ZR(58.53, 1.56, "Shi et al. 2017"),
}


def zr_relation(text: str) -> ZR:
    """A relation by its name (`ZR_RELATIONS`) or by its numbers, ``"200,1.6"``; raises `WrongUnits` for another."""
    if text.lower() in ZR_RELATIONS:
        return ZR_RELATIONS[text.lower()]
    try:
        a, b = (float(part) for part in text.split(","))
    except ValueError:
        a = b = 0.0
    if not (0 < a < 1e5 and 0.5 < b < 5):
        known = ", ".join(ZR_RELATIONS)
        raise WrongUnits(f"{text!r} is no Z-R relation; give a and b of Z = a R^b, as 200,1.6, or one of: {known}")
    return ZR(a, b, "as asked for")


def rain_rate(dbz: Float[np.ndarray, "*shape"], zr: ZR = MARSHALL_PALMER) -> Float[np.ndarray, "*shape"]:
    """Rain rate (mm/h, float32) of a reflectivity (dBZ); NaN stays NaN, `DRY_DBZ` and weaker is 0.

    Source: R = (10^(dBZ/10) / a)^(1/b).
    """
    values = np.asarray(dbz)
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    slope, start = values.dtype.type(np.log(10.0) / (10.0 * zr.b)), values.dtype.type(np.log(zr.a) / zr.b)
    rate = np.exp(values * slope - start).astype(np.float32, copy=False)
    return np.asarray(np.where(values <= DRY_DBZ, np.float32(0.0), rate))


def reflectivity(rate_mm_h: Float[np.ndarray, "*shape"], zr: ZR = MARSHALL_PALMER) -> Float[np.ndarray, "*shape"]:
    """Reflectivity (dBZ, float32) of a rain rate (mm/h); what is weaker than `DRY_DBZ` becomes `DRY_DBZ`."""
    rate = np.asarray(rate_mm_h, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        dbz = zr.dbz(np.log10(rate))
    return np.where(np.isnan(rate), np.nan, np.maximum(dbz, DRY_DBZ)).astype(np.float32)
