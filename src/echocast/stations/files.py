"""Station files in, station series out; and a series as a CF file.

>>> read("gauges.csv").sizes["station"]  # doctest: +SKIP
11
"""

import gzip
import inspect
import logging
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from echocast import plugins
from echocast._version import __version__
from echocast.atomic import write_bytes
from echocast.errors import DataError, UnreadableFile
from echocast.io import damage, unpacking
from echocast.io import location as locations
from echocast.io.location import Location
from echocast.stations.quality import FLAGS
from echocast.stations.series import check

log = logging.getLogger(__name__)

READERS = "echocast.stations.readers"
_HEAD_BYTES = 4096
_SECOND = np.timedelta64(1, "s")
_TIME = {"units": "seconds since 1970-01-01 00:00:00", "calendar": "standard", "units_metadata": "leap_seconds: none"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to read station files, where a file or its format leaves it open.

    Args:
        format: the reader's name; by default each file is recognised by its content.
        variable: the quantity or variable to take; by default the rain.
        units: the unit of a file that does not say it.
        interval: the minutes that an amount fell in, where the file does not say it.
        places: a CSV file with the columns station, longitude, latitude and height, for formats without places.
        month: the year and month of reports that only say the day, such as 2024-06.
    """

    format: str | None = None
    variable: str | None = None
    units: str | None = None
    interval: float | None = None
    places: Path | None = None
    month: str | None = None

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments for a reader: the options that were given."""
        given = {one.name: getattr(self, one.name) for one in fields_of(self) if one.name != "format"}
        return {name: value for name, value in given.items() if value is not None}


def formats() -> list[str]:
    """The names of the readers of stations."""
    return plugins.names(READERS)


def read(location: Location, options: Options | None = None) -> xr.DataArray:
    """The checked station series of one file.

    Args:
        location: a file, or the URL of one; it may be packed by gzip.
        options: see `Options`.

    Raises:
        UnreadableFile: it is damaged, or of no format of stations.
        DataError: what it holds is no station series, or the reader lacks an option. The message names the file.
    """
    how = options or Options()
    with locations.local_copy(location) as path, damage.renamed(path, location):
        if path.is_file() and unpacking.kind(path) == "gzip" and not _keeps_packed(path):
            with unpacking.unpacked(path, ()) as folder:
                inside = next(one for one in sorted(folder.rglob("*")) if one.is_file())
                return _read(inside, path, how)
        return _read(path, path, how)


def _keeps_packed(path: Path) -> bool:
    """Whether a packed file is read as it is, as what belongs to it lies beside it."""
    return path.name.endswith(".csv.gz")


def _read(path: Path, called: Path, options: Options) -> xr.DataArray:
    with damage.renamed(path, called):
        name = options.format or recognise(path)
        reader = plugins.load(READERS, name, error=DataError)
        with damage.named_errors(path, name):
            _check_options(name, reader, options.arguments())
            series = check(reader.read(path, **options.arguments()))
    log.info("%s: read as %s", called, name)
    return series


def recognise(path: Path) -> str:
    """The name of the reader that recognises a file; raises `UnreadableFile` if none does."""
    if not path.is_file():
        raise UnreadableFile(f"{path}: no such file")
    head = _head(path)
    for name, reader in sorted(plugins.load_all(READERS).items()):
        if _recognises(reader, head, path):
            return name
    raise UnreadableFile(f"{path}: is of no format of stations ({', '.join(formats())}); name one with --format")


def _recognises(reader: ModuleType, head: bytes, path: Path) -> bool:
    try:
        return bool(reader.recognises(head, path))
    except Exception as error:
        if not damage.is_damage(error):
            raise
        return False


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head[:2] == b"\x1f\x8b":
        with gzip.open(path, "rb") as packed:
            return packed.read(_HEAD_BYTES)
    return head


def _check_options(name: str, reader: ModuleType, arguments: dict[str, Any]) -> None:
    known = set(inspect.signature(reader.read).parameters) - {"path"}
    unknown = ", ".join(sorted(set(arguments) - known))
    if unknown:
        raise DataError(f"the reader {name!r} has no option {unknown}; it has: {', '.join(sorted(known)) or 'none'}")


def to_netcdf(series: xr.DataArray, path: Path, *, command: str = "echocast.stations.to_netcdf") -> None:
    """Write a series as CF-1.11 NetCDF-4 of the feature type timeSeries; the file appears whole or not at all.

    Args:
        series: a station series, of any quantity.
        path: the file to write, or to replace.
        command: what the history says made it.

    Raises:
        DataError: it is no station series, the disk is full or read-only, or there is no such folder.
    """
    data = dataset(check(series), command)
    packed = {"zlib": True, "complevel": 4, "shuffle": True}
    encoding: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in data.variables}
    encoding[str(series.name)] = packed | {"_FillValue": np.float32(np.nan)}
    encoding["height"] = {"_FillValue": np.nan}
    encoding["quality"] = packed | {"_FillValue": None}
    write_bytes(path, bytes(data.to_netcdf(engine="h5netcdf", encoding=encoding)))


def dataset(series: xr.DataArray, command: str) -> xr.Dataset:
    """The variables and attributes of a series' file."""
    name, times = str(series.name), _seconds(series.time.values)
    about = {key: series.attrs[key] for key in ("standard_name", "long_name", "units") if key in series.attrs}
    about |= {"coordinates": "station_name longitude latitude height", "ancillary_variables": "quality"}
    time_attrs = {"standard_name": "time", "long_name": "time", "axis": "T", **_TIME}
    variables: dict[str, Any] = {}
    if "interval" in series.coords:
        about["cell_methods"] = "time: sum"
        time_attrs |= {"bounds": "time_bounds", "long_name": "end of the interval"}
        length = int(series.interval.values / _SECOND)
        variables["time_bounds"] = (("time", "bound"), np.stack([times - length, times], axis=1))
    else:
        about["cell_methods"] = "time: point"
    flags = {
        "standard_name": "quality_flag",
        "long_name": "checks of quality control that a value did not pass",
        "flag_masks": np.array(list(FLAGS.values()), np.uint8),
        "flag_meanings": " ".join(FLAGS),
        "coordinates": about["coordinates"],
    }
    variables |= {
        name: (("station", "time"), series.values, about),
        "quality": (("station", "time"), series.quality.values, flags),
        "station_name": ("station", series.station.values, {"cf_role": "timeseries_id", "long_name": "station name"}),
        **{key: ("station", series[key].values, series[key].attrs) for key in ("longitude", "latitude", "height")},
    }
    return xr.Dataset(variables, {"time": ("time", times, time_attrs)}, _attributes(series, command))


def _attributes(series: xr.DataArray, command: str) -> dict[str, str]:
    now = np.datetime_as_string(np.datetime64("now", "s"))
    return {
        "Conventions": "CF-1.11",
        "featureType": "timeSeries",
        "title": f"Stations: {series.attrs.get('long_name', series.name)}",
        "source": str(series.attrs.get("source", "not stated")),
        "history": f"{now}Z {command} (echocast {__version__})",
    }


def _seconds(times: np.ndarray) -> np.ndarray:
    return np.asarray(times, "datetime64[s]").astype(np.int64)
