"""A variable of CF data that is no rain: temperature, height of the ground, wind, ..., with times or without.

>>> from pathlib import Path
>>> from echocast.io import netcdf
>>> with netcdf.opened(Path("heights.nc")) as data:  # doctest: +SKIP
...     field(data, "heights.nc", "surface_altitude").dims
('time', 'y', 'x')

Source: CF conventions 1.11.
"""

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.fields.conversions import converted
from echocast.fields.times import NO_TIME
from echocast.readers import _cf_choice, _cf_numbers, _cf_place, _cf_time
from echocast.readers._cf_choice import text


def field(
    data: xr.Dataset, source: str, quantity: str, variable: str | None = None, units: str | None = None
) -> xr.DataArray:
    """The field of one quantity.

    Args:
        data: as xarray opens it, not decoded.
        source: the name of the file.
        quantity: of `echocast.fields.QUANTITIES`, but no rain.
        variable: its variable; else the one of its standard name, or the only one on a grid.
        units: its unit, where the file does not say it.

    Returns:
        (time, y, x); what has no time is one frame of `echocast.fields.times.NO_TIME`.

    Raises:
        UnreadableFile: there is no such variable, or it has more dims than time, y and x.
        WrongUnits: its unit is not one of the quantity.
    """
    name = variable or _of_quantity(data, quantity)
    if name not in data.variables:
        raise UnreadableFile(f"has no variable {name!r}; it holds {_cf_choice.listed(data)}")
    whole = data.variables[name]
    time = _cf_time.name_of_time(data, whole)
    along = str(data.variables[time].dims[0]) if time and data.variables[time].ndim else None
    along = along if along in whole.dims else None
    y, x = _cf_place.axes(data, whole, name, along)
    other = [d for d in whole.dims if d not in (along, y, x)]
    if any(whole.sizes[d] != 1 for d in other):
        raise UnreadableFile(f"{name!r} has dims {whole.dims}; it needs time, y and x: select one level first")
    numbers = whole.isel(dict.fromkeys(other, 0)).transpose(*([along] if along else []), y, x)
    rows, columns, crs = _cf_place.grid(data, numbers, y, x)
    how = _cf_numbers.packing(numbers)
    values = how.values(_cf_numbers.as_meant(np.asarray(numbers.values), how.kind), np.nan)
    values = values.reshape(-1, rows.size, columns.size)
    times = np.array([NO_TIME]) if time is None else _cf_time.moments(data.variables[time], time)[: len(values)]
    order = np.argsort(times, kind="stable")
    return fields.make(
        converted(values[order], text(numbers.attrs, "units") or units or "", quantity, name=repr(name)).astype(
            np.float32
        ),
        time=times[order],
        y=rows,
        x=columns,
        crs=crs,
        quantity=quantity,
        attrs={"source": text(data.attrs, "source") or text(data.attrs, "title") or source},
    )


def _of_quantity(data: xr.Dataset, quantity: str) -> str:
    """The variable of a quantity: by its standard name, else the only one on a grid."""
    on_grid = [str(n) for n, v in data.data_vars.items() if v.ndim >= 2 and v.dtype.kind in "iuf"]
    names = (quantity, fields.QUANTITIES[quantity].standard_name)
    named = [n for n in on_grid if text(data.variables[n].attrs, "standard_name") in names or n in names]
    found = named or on_grid
    if len(found) != 1:
        raise UnreadableFile(
            f"holds {'several variables' if found else 'none'} that may be {quantity} ({_cf_choice.listed(data)}): name"
            " one with variable"
        )
    return found[0]
