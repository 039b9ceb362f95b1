"""What a store holds: its field, its grid, and the frames that are missing."""

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError
from echocast.io import store as stores
from echocast.io.location import Location
from echocast.io.palette import decoded

_ATTRIBUTES = ("source", "zr", "product", "transforms")


def open(store: Location) -> xr.DataArray:  # noqa: A001 (archive.open reads best)
    """The store's field, read when needed, with the coordinate ``observed(time)``: false where a frame is missing.

    Raises:
        DataError: there is no store, it is something else, or it holds no frames yet.
    """
    repository = stores.repository(store, create=False)
    with stores.errors(store):
        session = repository.readonly_session("main")
        if not stores.begun(session):
            raise DataError(f"{store}: holds no frames yet; run `echocast archive add` again")
        data = xr.open_zarr(session.store, consolidated=False, chunks=None)
    field = decoded(data)
    field.attrs |= {name: str(data.attrs[name]) for name in _ATTRIBUTES if name in data.attrs}
    if "sequences" in data.attrs:
        field.attrs["sequences"] = data.attrs["sequences"]
    return fields.check(field)


def gaps(field: xr.DataArray) -> list[tuple[np.datetime64, np.datetime64, int]]:
    """The gaps of a store's field: first and last missing time of each, and how many frames are missing."""
    missing = np.flatnonzero(~field.coords["observed"].values)
    stretches = np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1)
    return [(field.time.values[s[0]], field.time.values[s[-1]], len(s)) for s in stretches if len(s)]
