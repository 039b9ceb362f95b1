"""Gauges of OpenMRG (Gothenburg) and OpenRainER (Emilia-Romagna), NetCDF in the names of OPENSENSE.

Both hold ``rainfall_amount`` in mm by station and time, with ``lat`` and ``lon``. OpenMRG says no unit: its paper does
(mm), and its interval is the step of its times, 1 min for the city's gauges and 15 min for that of SMHI. OpenRainER
holds amounts of 15 min. Times are UTC and the end of the interval: of all shifts, the amounts of the SMHI gauge agree
best with those of the city's nearest gauges so.

Source: Andersson et al. 2022, doi:10.5194/essd-14-5411-2022; OpenRainER, doi:10.5281/zenodo.10593848.
"""

from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError
from echocast.stations.converting import converted
from echocast.stations.series import make

SUFFIXES = (".nc",)
_OPENMRG = "quantization"
_MINUTE = np.timedelta64(1, "m")


def recognises(head: bytes, path: Path) -> bool:
    """By the variables of either, in a file that names no feature type of CF."""
    if not head.startswith(b"\x89HDF"):
        return False
    with h5py.File(path) as file:
        has_names = {"rainfall_amount", "lat", "lon", "time"} <= set(file) and bool({"id", "station_id"} & set(file))
        return has_names and "featureType" not in file.attrs and bool({_OPENMRG, "elevation"} & set(file))


def read(path: Path, *, interval: float | None = None) -> xr.DataArray:
    """All stations of a file.

    Args:
        path: the file.
        interval: minutes that an amount fell in; by default the step of the times.
    """
    with xr.open_dataset(path, engine="h5netcdf") as data:
        station = "id" if "id" in data.dims else "station_id"
        if station not in data.dims:
            raise DataError("the amounts have no dimension id or station_id; is it of OpenMRG or OpenRainER?")
        rain = data["rainfall_amount"].transpose(station, "time")
        units = str(rain.attrs.get("units", "mm" if _OPENMRG in data.variables else ""))
        step = fields.time_step(data.time.values) / _MINUTE
        return make(
            converted(rain.values, units, "rainfall_amount"),
            time=data.time.values,
            station=[str(name) for name in data[station].values],
            longitude=data.lon.values,
            latitude=data.lat.values,
            height=data.elevation.values if "elevation" in data.variables else None,
            interval=interval or float(step),
            attrs={"source": "OpenMRG" if _OPENMRG in data.variables else "OpenRainER"},
        )
