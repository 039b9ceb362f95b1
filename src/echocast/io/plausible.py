"""What every field that was read must satisfy, whichever reader it came from.

Its corners lie on Earth, its cells are as large as those of a radar or a model, its times are ones that a radar can
have; what rain can hardly be is told as a warning. A file that was understood wrongly most often fails here.
"""

import logging

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError, GridMismatch
from echocast.io.location import Location

log = logging.getLogger(__name__)

CELL_KM = (0.05, 100.0)
"""Cells smaller or larger than this, in km, are taken for a misunderstood grid."""
TIMES = (np.datetime64("1940-01-01", "ns"), np.datetime64("2100-01-01", "ns"))
"""Weather radar is younger than the first; a number without a unit most often comes out as 1970-01-01."""
_EPOCH = (np.datetime64("1970-01-01", "ns"), np.datetime64("1970-01-03", "ns"))
_WET_SHARE, _WET_MM_H, _ENOUGH_CELLS = 0.9, 0.1, 1000


def check(field: xr.DataArray, location: Location) -> xr.DataArray:
    """Return a field unchanged; tell in the log what is hardly rain.

    Args:
        field: as a reader gave it, checked by `echocast.fields.check`.
        location: named in warnings.

    Raises:
        GridMismatch: a corner is not on Earth, or its cells are smaller than 50 m or larger than 100 km.
        DataError: a time is missing or out of range.
    """
    _check_times(field)
    if "crs" in field.coords:
        _check_corners(field)
        _check_cells(field)
    if field.name == fields.NAME:
        _tell_wet_share(field, location)
    return field


def _check_times(field: xr.DataArray) -> None:
    times = field.coords["time"].values
    if np.isnat(times).any():
        raise DataError(f"frame {int(np.flatnonzero(np.isnat(times))[0])} of {times.size} has no time; remove it")
    first, last = times.min(), times.max()
    if first < TIMES[0] or last >= TIMES[1] or _EPOCH[0] <= first < _EPOCH[1]:
        raise DataError(
            f"its times run from {first} to {last}, which no radar has seen; the time has no unit or another one than"
            " the file says: give --time-pattern if the name of the file holds it"
        )


def _check_corners(field: xr.DataArray) -> None:
    """Corners are on Earth; of a picture from a geostationary satellite, which shows the rim, at least one cell is."""
    corners = fields.corners(field)
    bad = {name: at for name, at in corners.items() if not _on_earth(*at)}
    if field.coords["crs"].attrs.get("grid_mapping_name") == "geostationary" and _some_on_earth(field):
        return
    for name, (lon, lat) in bad.items():
        raise GridMismatch(
            f"its {name} corner comes out at {lon:g} E, {lat:g} N, which is not on Earth; the projection"
            f" ({fields.crs_name(field)}) and the unit of x and y do not belong together"
        )


def _some_on_earth(field: xr.DataArray) -> bool:
    """Whether a tenth of the cells of a coarse selection, and so a good part of the field, is on Earth."""
    coarse = field[0, :: max(1, field.sizes["y"] // 20), :: max(1, field.sizes["x"] // 20)]
    longitude, _ = fields.degrees(coarse)
    return bool(np.isfinite(longitude).mean() >= 0.1)


def _on_earth(longitude: float, latitude: float) -> bool:
    return bool(np.isfinite([longitude, latitude]).all() and -90.01 <= latitude <= 90.01 and abs(longitude) <= 540.0)


def _check_cells(field: xr.DataArray) -> None:
    if min(field.sizes["y"], field.sizes["x"]) < 2:
        return
    size = fields.grid_km(field)
    if not CELL_KM[0] <= size <= CELL_KM[1]:
        raise GridMismatch(
            f"its cells come out {size:.3g} km wide, outside {CELL_KM[0]:g} to {CELL_KM[1]:g} km; is the unit of x and"
            " y the one that the file says?"
        )


def _tell_wet_share(field: xr.DataArray, location: Location) -> None:
    values = field.values
    observed = int(np.count_nonzero(np.isfinite(values)))
    wet = int(np.count_nonzero(values >= _WET_MM_H))
    if observed >= _ENOUGH_CELLS and wet > _WET_SHARE * observed:
        log.warning(
            "%s: %.0f %% of the observed cells are wet, up to %.1f mm/h; are variable, unit and missing value right?",
            location,
            100.0 * wet / observed,
            float(np.nanmax(values)),
        )
