"""Stations: series of rain gauges and other instruments at places, beside the fields of a radar.

A station series is an `xarray.DataArray` named after its quantity (``rainfall_amount`` in mm, ``air_temperature`` in K,
...: see `echocast.fields.QUANTITIES`) with dims ``(station, time)``, float32, NaN where nothing was measured. Each
station has a name, ``longitude`` and ``latitude`` (degrees, WGS 84) and perhaps a ``height`` (m). An amount has the
scalar coordinate ``interval``, the time that it fell in, and its time is the end of that interval. ``quality(station,
time)`` holds flags of quality control, 0 where nothing is wrong; a flagged value stays where it is. Times are UTC.

    >>> import numpy as np
    >>> rain = make(
    ...     np.array([[0.2, 0.0]]), time=np.array(["2024-06-01T00:10", "2024-06-01T00:20"], "datetime64[ns]"),
    ...     station=["Kew"], longitude=[-0.29], latitude=[51.48], quantity="rainfall_amount", interval=10.0,
    ... )
    >>> rain.dims, rain.attrs["units"]
    (('station', 'time'), 'mm')
"""

from echocast.stations.accumulating import amounts, every
from echocast.stations.files import read, to_netcdf
from echocast.stations.quality import FLAGS, Limits, flagged, trusted
from echocast.stations.series import check, interval_minutes, joined, make

__all__ = [
    "FLAGS",
    "Limits",
    "amounts",
    "check",
    "every",
    "flagged",
    "interval_minutes",
    "joined",
    "make",
    "read",
    "to_netcdf",
    "trusted",
]
