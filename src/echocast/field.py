"""The noun: a sequence of fields on a georeferenced grid.

A field is an `xarray.DataArray` named ``rainfall_rate`` with dims ``(time, y, x)``, float32, in mm/h, NaN where
nothing is observed, strictly increasing times, evenly spaced `x` and `y`, and a scalar coordinate ``crs`` that is its
CF grid mapping. A forecast has ``lead`` in place of ``time``, with ``forecast_reference_time``. `make` builds one,
`check` is its only guard; reflectivity becomes rain and back in `echocast.zr`, whose names are here too.

    >>> import numpy as np
    >>> times = np.array(["2016-09-28T14:45"], dtype="datetime64[ns]")
    >>> field = make(np.ones((1, 2, 3)), time=times, y=[2000.0, 1000.0], x=[0.0, 1e3, 2e3], crs="EPSG:3067")
    >>> check(field).attrs["units"]
    'mm h-1'
"""

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
import xarray as xr
from jaxtyping import Float

from echocast.errors import DataError, GridMismatch, WrongUnits
from echocast.zr import MARSHALL_PALMER as MARSHALL_PALMER
from echocast.zr import ZR as ZR
from echocast.zr import ZR_RELATIONS as ZR_RELATIONS
from echocast.zr import rain_rate as rain_rate
from echocast.zr import reflectivity as reflectivity
from echocast.zr import zr_relation as zr_relation

NAME = "rainfall_rate"
UNITS = "mm h-1"
MOST_RATE = 300.0
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


def quantity(units: str) -> str:
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
    kind = quantity(units)
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


def limited(field: xr.DataArray, most: float = MOST_RATE) -> tuple[xr.DataArray, int]:
    """The field with rates above `most` (mm/h) set to it and negative ones to 0, and how many cells were changed."""
    values = field.values
    if not values.size or not (np.fmax.reduce(values, axis=None) > most or np.fmin.reduce(values, axis=None) < 0):
        return field, 0
    wrong = int(np.count_nonzero((values > most) | (values < 0)))
    return field.copy(data=np.clip(values, 0.0, np.float32(most))), wrong


def through_table(raw: np.ndarray, decode: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What `decode` makes of each number of a file; of 8 and 16 bits each possible number is decoded only once."""
    bits = 8 * raw.dtype.itemsize
    if raw.dtype.kind not in "iu" or bits > 16 or raw.size < 2**bits:
        return decode(raw)
    unsigned = raw.astype(raw.dtype.newbyteorder("="), copy=False).view(f"u{raw.dtype.itemsize}")
    every = np.arange(2**bits, dtype=unsigned.dtype).view(f"{raw.dtype.kind}{raw.dtype.itemsize}")
    return np.asarray(decode(every)[unsigned])


def make(
    values: Float[np.ndarray, "time y x"],
    *,
    time: Any,
    y: Any,
    x: Any,
    crs: Any,
    attrs: dict[str, str] | None = None,
) -> xr.DataArray:
    """A checked field of rain rates (mm/h) on the grid of `y` and `x` at `time` (UTC).

    Args:
        values: rain rate in mm/h, NaN where nothing is observed.
        time: datetime64, strictly increasing: the moment (rate) or the end of the interval (amount).
        y: cell centres in the unit of `crs`, evenly spaced, either direction.
        x: the same.
        crs: whatever `pyproj.CRS` accepts, or a `pyproj.CRS`.
        attrs: more attributes, such as ``source`` or ``zr``.

    Raises:
        DataError: the result would not be a field; `check` says why.
    """
    reference, mapping = _mapping(crs if isinstance(crs, pyproj.CRS) else pyproj.CRS.from_user_input(crs))
    names = (
        ("latitude", "longitude") if reference.is_geographic else ("projection_y_coordinate", "projection_x_coordinate")
    )
    unit = ("degrees_north", "degrees_east") if reference.is_geographic else ("m", "m")
    coords: dict[str, Any] = {
        "time": ("time", np.asarray(time, "datetime64[ns]"), {"standard_name": "time", "axis": "T"}),
        "y": ("y", np.asarray(y, np.float64), {"standard_name": names[0], "units": unit[0], "axis": "Y"}),
        "x": ("x", np.asarray(x, np.float64), {"standard_name": names[1], "units": unit[1], "axis": "X"}),
    }
    coords["crs"] = ((), np.int32(0), dict(mapping))
    described = {
        "standard_name": "rainfall_rate",
        "long_name": "rain rate",
        "units": UNITS,
        "grid_mapping": "crs",
    }
    array = xr.DataArray(
        np.asarray(values, np.float32),
        dims=("time", "y", "x"),
        coords=coords,
        name=NAME,
        attrs=described | dict(attrs or {}),
    )
    return check(array)


def check(field: xr.DataArray) -> xr.DataArray:
    """Return `field` unchanged if it is one; raise what is wrong with it otherwise.

    Raises:
        WrongUnits: it is not in mm/h.
        DataError: dims, dtype, coordinates, times, spacing or grid mapping are not as the module describes.
    """
    axis = "lead" if "lead" in field.dims else "time"
    dims = tuple(d for d in field.dims if d not in ("member", "channel"))
    if dims != (axis, "y", "x"):
        raise DataError(f"a field has dims (time, y, x) or (lead, y, x); this one has {field.dims}")
    if field.attrs.get("units") != UNITS:
        raise WrongUnits(
            f"a field is in {UNITS!r}; this one is in {field.attrs.get('units')!r}: use field.to_rain_rate"
        )
    if field.dtype != np.float32:
        raise DataError(f"a field is float32; this one is {field.dtype}")
    if "crs" not in field.coords or "crs_wkt" not in field.coords["crs"].attrs:
        raise DataError("a field has a scalar coordinate 'crs' with its 'crs_wkt'; this one has none: use field.make")
    if axis == "lead" and "forecast_reference_time" not in field.coords:
        raise DataError("a forecast has the coordinate 'forecast_reference_time'; this one has none")
    _check_steps(field.coords[axis].values, axis)
    for name in ("y", "x"):
        _check_spacing(field.coords[name].values, name)
    return field


def crs(field: xr.DataArray | xr.Dataset) -> pyproj.CRS:
    """The coordinate reference system of a field."""
    return pyproj.CRS.from_wkt(field.coords["crs"].attrs["crs_wkt"])


def crs_name(field: xr.DataArray | xr.Dataset) -> str:
    """What a field's projection is called; one without a name by its kind, such as polar stereographic."""
    name = " ".join(crs(field).name.split())
    kind = str(field.coords["crs"].attrs.get("grid_mapping_name", "unknown"))
    return kind.replace("_", " ") if name == "unknown" else name


def check_same_grid(
    field: xr.DataArray | xr.Dataset, other: xr.DataArray | xr.Dataset, name: str = "the second field"
) -> None:
    """Raise `GridMismatch`, naming `name`, unless both fields lie on the same grid in the same projection."""
    for axis in ("y", "x"):
        a, b = field.coords[axis].values, other.coords[axis].values
        if a.shape != b.shape:
            raise GridMismatch(
                f"{name} has {b.size} cells along {axis}, the others have {a.size}; use one grid per command"
            )
        spacing = abs(a[1] - a[0]) if a.size > 1 else 1.0
        if np.abs(a - b).max() > 0.01 * spacing:
            raise GridMismatch(
                f"{name} lies elsewhere along {axis} ({b[0]:g} to {b[-1]:g}, the others {a[0]:g} to {a[-1]:g})"
            )
    if field.coords["crs"].attrs["crs_wkt"] != other.coords["crs"].attrs["crs_wkt"] and crs(field) != crs(other):
        raise GridMismatch(f"{name} is in projection {crs(other).name!r}, the others are in {crs(field).name!r}")


def grid_km(field: xr.DataArray) -> float:
    """The mean cell size of a field in kilometres (on the ground for geographic grids, at the grid's middle)."""
    reference = crs(field)
    y, x = field.coords["y"].values, field.coords["x"].values
    dy, dx = abs(y[-1] - y[0]) / max(y.size - 1, 1), abs(x[-1] - x[0]) / max(x.size - 1, 1)
    if reference.is_geographic:
        km_per_degree = 111.195
        return float(np.sqrt(dy * dx * np.cos(np.radians(y.mean())))) * km_per_degree
    return float(np.sqrt(dy * dx)) * reference.axis_info[0].unit_conversion_factor / 1000.0


def step(times: Sequence[np.datetime64] | np.ndarray) -> np.timedelta64:
    """The most common difference between neighbouring times; raises `DataError` for fewer than two."""
    values = np.asarray(times, "datetime64[ns]")
    if values.size < 2:
        raise DataError(f"{values.size} time gives no time step; at least two are needed")
    differences, counts = np.unique(np.diff(values), return_counts=True)
    return np.timedelta64(differences[counts.argmax()])


def clock(time: Any) -> str:
    """A time (UTC) to the minute, as people read it: ``2016-09-28 14:45``."""
    return str(np.asarray(time, "datetime64[m]")).replace("T", " ")


@lru_cache(maxsize=64)
def known_crs(text: str) -> pyproj.CRS:
    """The projection that a text describes (PROJ, WKT, EPSG), found once: it takes milliseconds."""
    return pyproj.CRS.from_user_input(text)


@lru_cache(maxsize=64)
def corner(crs: pyproj.CRS, longitude: float, latitude: float) -> tuple[float, float]:
    """A place on Earth (degrees, on the projection's own ellipsoid) as x and y of a projection; found once."""
    to_grid = pyproj.Transformer.from_crs(crs.geodetic_crs or "EPSG:4326", crs, always_xy=True)
    x, y = to_grid.transform(longitude, latitude, errcheck=True)
    return float(x), float(y)


@lru_cache(maxsize=64)
def _mapping(reference: pyproj.CRS) -> tuple[pyproj.CRS, dict[str, Any]]:
    """A projection and its CF grid mapping, which takes milliseconds to find."""
    with warnings.catch_warnings():
        # The Swiss grid's CF attributes lack an angle that its WKT, which is written too, does hold.
        warnings.filterwarnings("ignore", "angle from rectified to skew grid")
        mapping = reference.to_cf()
    if "azimuth_of_central_line" in mapping:
        # CF's name is the longer one; checkers look for the shorter.
        mapping["azimuth"] = mapping["azimuth_of_central_line"]
    return reference, mapping


def _plain_unit(units: str) -> str:
    return " ".join(units.strip().lower().split())


def _check_steps(values: np.ndarray, axis: str) -> None:
    if values.ndim != 1 or values.dtype.kind not in "mM":
        raise DataError(f"coordinate {axis!r} is not a row of times but {values.dtype} of shape {values.shape}")
    late = np.flatnonzero(np.diff(values) <= np.timedelta64(0))
    if late.size:
        a, b = values[late[0]], values[late[0] + 1]
        raise DataError(f"coordinate {axis!r} must increase; {b} follows {a}: sort the frames and drop repeated ones")


def _check_spacing(values: np.ndarray, axis: str) -> None:
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        raise DataError(f"coordinate {axis!r} is not a row of finite numbers (shape {values.shape})")
    if values.size < 2:
        return
    steps = np.diff(values)
    if steps[0] == 0 or np.abs(steps - steps.mean()).max() > 0.01 * abs(steps.mean()):
        raise DataError(f"coordinate {axis!r} is not evenly spaced (steps from {steps.min():g} to {steps.max():g})")
