"""How a field is built, and the only guard of what a field is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyproj
import xarray as xr
from jaxtyping import Float

from echocast.errors import DataError, WrongUnits
from echocast.fields.grid import grid_mapping, in_degrees
from echocast.fields.quantities import QUANTITIES, RAINFALL_RATE, Quantity

_UNITS = {"metre": "m", "kilometre": "km", "foot": "ft", "US survey foot": "US_survey_foot", "degree": "degrees"}


def make(
    values: Float[np.ndarray, "time *channel y x"],
    *,
    time: Any,
    y: Any,
    x: Any,
    crs: Any = None,
    quantity: Quantity | str = RAINFALL_RATE,
    channels: Sequence[str] = (),
    attrs: dict[str, str] | None = None,
) -> xr.DataArray:
    """A checked field on the grid of `y` and `x` at `time` (UTC).

    Args:
        values: in the unit of `quantity`, NaN where nothing is observed.
        time: datetime64, strictly increasing: the moment (rate) or the end of the interval (amount).
        y: cell centres in the unit of `crs`, or in pixels without one; evenly spaced, either direction.
        x: the same.
        crs: whatever `pyproj.CRS` accepts, or a `pyproj.CRS`; None for a picture that lies nowhere on Earth.
        quantity: what the numbers are; one of `QUANTITIES` by its name, or any other.
        channels: the names of the channels, for values (time, channel, y, x).
        attrs: more attributes, such as ``source`` or ``zr``.

    Raises:
        DataError: the result would not be a field; `check` says why.
    """
    what = _known(quantity) if isinstance(quantity, str) else quantity
    names, units, georeference = _axes(crs)
    coords: dict[str, Any] = {
        "time": ("time", np.asarray(time, "datetime64[ns]"), {"standard_name": "time", "axis": "T"}),
        "y": ("y", np.asarray(y, np.float64), {**names[0], "units": units[0], "axis": "Y"}),
        "x": ("x", np.asarray(x, np.float64), {**names[1], "units": units[1], "axis": "X"}),
        **georeference,
    }
    if channels:
        coords["channel"] = ("channel", list(channels), {"long_name": "channel"})
    described = what.attributes() | ({"grid_mapping": "crs"} if georeference else {})
    array = xr.DataArray(
        np.asarray(values, np.float32),
        dims=("time", "channel", "y", "x") if channels else ("time", "y", "x"),
        coords=coords,
        name=what.name,
        attrs=described | dict(attrs or {}),
    )
    return check(array)


def check(field: xr.DataArray, *, quantity: str | None = None) -> xr.DataArray:
    """Return `field` unchanged if it is one; raise what is wrong with it otherwise.

    Args:
        field: dims (time, y, x) or (time, channel, y, x); a forecast has ``lead`` in place of ``time``, and may have
            ``member`` first.
        quantity: the quantity that it must hold; any if None.

    Raises:
        WrongUnits: it is not in the unit of its quantity, or holds another quantity than asked for.
        DataError: dims, dtype, coordinates, times, spacing or grid mapping are not as the package describes.
    """
    if not isinstance(field, xr.DataArray):
        raise DataError(
            f"a field is an xarray.DataArray; this is a {type(field).__module__}.{type(field).__name__}: make one of it"
            " with echocast.make_field(values, time=..., y=..., x=..., crs='EPSG:3067')"
        )
    axis = "lead" if "lead" in field.dims else "time"
    dims = tuple(d for d in field.dims if d not in ("member", "channel"))
    if dims != (axis, "y", "x"):
        raise DataError(f"a field has dims (time, y, x) or (lead, y, x); this one has {field.dims}")
    _check_quantity(field, quantity)
    if field.dtype != np.float32:
        raise DataError(f"a field is float32; this one is {field.dtype}")
    _check_place(field)
    if axis == "lead" and "forecast_reference_time" not in field.coords:
        raise DataError("a forecast has the coordinate 'forecast_reference_time'; this one has none")
    _check_times(field.coords[axis].values, axis)
    for name in ("y", "x"):
        _check_spacing(field.coords[name].values, name)
    return field


def is_whole(field: xr.DataArray) -> bool:
    """Whether a field's numbers are whole, as the class numbers of a label map are."""
    known = QUANTITIES.get(str(field.name))
    return known is not None and known.whole


def _known(name: str) -> Quantity:
    if name not in QUANTITIES:
        raise DataError(f"there is no quantity {name!r}; there are: {', '.join(QUANTITIES)}; or give a Quantity")
    return QUANTITIES[name]


def _axes(crs: Any) -> tuple[tuple[dict[str, str], dict[str, str]], tuple[str, str], dict[str, Any]]:
    """Names and units of y and x, and the coordinate with the grid mapping, if there is one."""
    if crs is None:
        return ({"long_name": "row"}, {"long_name": "column"}), ("1", "1"), {}
    reference, mapping = grid_mapping(crs if isinstance(crs, pyproj.CRS) else pyproj.CRS.from_user_input(crs))
    georeference = {"crs": ((), np.int32(0), dict(mapping))}
    if in_degrees(reference):
        named = ({"standard_name": "latitude"}, {"standard_name": "longitude"})
        return named, ("degrees_north", "degrees_east"), georeference
    if reference.is_geographic:
        return ({"standard_name": "grid_latitude"}, {"standard_name": "grid_longitude"}), ("degrees",) * 2, georeference
    named = ({"standard_name": "projection_y_coordinate"}, {"standard_name": "projection_x_coordinate"})
    return named, (_unit(reference),) * 2, georeference


def _unit(reference: pyproj.CRS) -> str:
    """The unit of a projection's axes as UDUNITS spells it."""
    if not reference.axis_info:
        return "m"
    axis = reference.axis_info[0]
    return _UNITS.get(axis.unit_name) or f"{axis.unit_conversion_factor:.15g} m"


def _check_quantity(field: xr.DataArray, wanted: str | None) -> None:
    known = QUANTITIES.get(str(field.name))
    units = field.attrs.get("units")
    if wanted is not None and field.name != wanted:
        raise WrongUnits(f"{QUANTITIES[wanted].long_name} is needed here; this field holds {field.name!r} in {units!r}")
    if known is None and not units:
        raise WrongUnits(f"a field says its unit; this one, {field.name!r}, has no attribute 'units': use fields.make")
    if known is not None and units != known.units:
        raise WrongUnits(
            f"a field of {known.name} is in {known.units!r}; this one is in {units!r}: convert it, as"
            " fields.to_rain_rate does for rain"
        )


def _check_place(field: xr.DataArray) -> None:
    if "crs" in field.coords:
        if "crs_wkt" not in field.coords["crs"].attrs:
            raise DataError(
                "a field's coordinate 'crs' has the attribute 'crs_wkt'; this one has none: use fields.make"
            )
        return
    known = QUANTITIES.get(str(field.name))
    if known is None or known.georeferenced:
        raise DataError("a field has a scalar coordinate 'crs' with its 'crs_wkt'; this one has none: use fields.make")


def _check_times(values: np.ndarray, axis: str) -> None:
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
