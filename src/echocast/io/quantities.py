"""Files of any quantity become a field: temperature, wind, height of the ground; rain too.

>>> read(["era5.grib"], "air_temperature", variable="2t").dims  # doctest: +SKIP
('time', 'y', 'x')
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields, plugins
from echocast.errors import DataError, WrongUnits
from echocast.io import damage, listing, reading
from echocast.io import location as locations
from echocast.io.location import Location

_READERS = "echocast.readers"


def read(
    inputs: Iterable[Location], quantity: str, *, variable: str | None = None, units: str | None = None
) -> xr.DataArray:
    """The field of a quantity, of all files, folders and globs, in the order of time.

    Args:
        inputs: one location, or several.
        quantity: a name of `echocast.fields.QUANTITIES`.
        variable: the variable, parameter or band of the files.
        units: its unit, where the files do not say it.

    Raises:
        UnreadableFile: a file cannot be read.
        WrongUnits: it holds another quantity, or a unit that is none of it.
        GridMismatch: two files lie on different grids.
        DataError: two files hold the same time, or there is no such quantity.
    """
    if quantity not in fields.QUANTITIES:
        raise DataError(f"quantity {quantity!r}: {plugins.hint(quantity, list(fields.QUANTITIES))}")
    places = listing.find(list(inputs))
    parts = [_of_file(place, quantity, variable, units) for place in places]
    for place, part in zip(places, parts, strict=True):
        fields.check_same_grid(parts[0], part, str(place))
    if len(parts) == 1:
        return parts[0]
    whole = xr.concat(parts, dim="time", coords="minimal", compat="override", join="override").sortby("time")
    twice = np.flatnonzero(np.diff(whole.time.values) <= np.timedelta64(0))
    if twice.size:
        raise DataError(f"two files hold {quantity} of {whole.time.values[twice[0]]}; give each file once")
    return fields.check(whole)


def _of_file(place: Location, quantity: str, variable: str | None, units: str | None) -> xr.DataArray:
    if quantity == fields.NAME:
        return reading.read(place, reading.ReadOptions(variable=variable, units=units))
    with locations.local_copy(place) as path, damage.renamed(path, place):
        name = reading.recognise(path)
        module = plugins.load(_READERS, name, error=DataError)
        given: dict[str, Any] = {"variable": variable} if variable is not None else {}
        with damage.named_errors(path, name, partial(str, "is it whole? fetch it again")):
            if hasattr(module, "of_quantity"):
                found: xr.DataArray = module.of_quantity(path, quantity, units=units, **given)
            else:
                found = module.read(path, **given)
            if found.name != quantity:
                raise WrongUnits(
                    f"holds {found.name}, not {quantity}; name the variable that is {quantity}, or set the quantity"
                )
            return fields.check(found)
