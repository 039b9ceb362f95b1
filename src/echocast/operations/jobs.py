"""What the compute process does: load the model, read radar files, make a forecast. The model stays loaded.

Each function takes one plain object and gives one, so that it can be called here or in another process.
"""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from echocast._version import __version__
from echocast.errors import ModelError, UnreadableFile
from echocast.io import location as locations
from echocast.io import reading, unpacking
from echocast.io.location import Location
from echocast.operations.disk import disk_errors
from echocast.operations.nwp import NwpWish
from echocast.products.ensemble import USUAL, Thresholds

Bbox = tuple[float, float, float, float]
PREPARE_S = 600.0
"""As long as a model may take to load."""


@dataclass(frozen=True)
class ModelInfo:
    """What the service must know of a model.

    Args:
        least_frames: how many frames it needs.
        digest: of its weights, or of its name and the version of echocast if it has none.
    """

    least_frames: int
    digest: str


@dataclass(frozen=True)
class ReadJob:
    """A file to read.

    Args:
        location: a path or URL.
        options: how to read it.
        most_bytes: a larger file is refused, and one that unpacks to more.
        newest: of a file of many frames only so many of the newest are given.
        archive_time: of an archive, the time (ns) of the one frame to read.
    """

    location: Location
    options: reading.ReadOptions
    most_bytes: int
    newest: int
    archive_time: int | None = None

    def __str__(self) -> str:
        return str(self.location)


@dataclass(frozen=True)
class ComputeJob:
    """A forecast to make.

    Args:
        frames: the files of the frames in the store, oldest first.
        filled: times (ns) of frames that are made from their neighbours.
        model: its name or path.
        minutes: how far to forecast.
        members: how many futures, None for one forecast.
        bbox: west, south, east, north in degrees, or None.
        sources: the names of the radar files, for the attributes.
        out: the file to write.
        thresholds: of the probabilities and amounts.
        nwp: the weather model to blend into; None for none.
    """

    frames: tuple[Path, ...]
    filled: tuple[int, ...]
    model: str
    minutes: float
    members: int | None
    bbox: Bbox | None
    sources: tuple[str, ...]
    out: Path
    thresholds: Thresholds = USUAL
    nwp: NwpWish | None = None

    def __str__(self) -> str:
        return self.out.name


@dataclass(frozen=True)
class Computed:
    """What was made.

    Args:
        leads: lead times in minutes.
        seconds: how long each stage took.
        grid: where the forecast lies, as index.json tells it.
        layers: what meta.json says of layers.bin, empty where there is none.
        points: what it says of points.bin.
        nwp: what it says of the weather model; None where none was asked for.
    """

    leads: tuple[float, ...]
    seconds: dict[str, float]
    grid: dict[str, Any]
    layers: dict[str, Any]
    points: dict[str, Any]
    nwp: dict[str, Any] | None = None


def prepare(asked: tuple[str, int | None]) -> ModelInfo:
    """Load a model (its name or path, the number of members) and tell about it; raises `ModelError`."""
    from echocast.models import base

    model, members = asked
    forecaster = _model(model)
    if members is not None and not isinstance(forecaster, base.EnsembleForecaster):
        known = ", ".join(n for n in base.names() if issubclass(base.forecaster_class(n), base.EnsembleForecaster))
        raise ModelError(f"--members {members}: {model} has no members; of these there are: {known}")
    return ModelInfo(max(2, forecaster.min_frames), model_digest(model))


def model_digest(model: str) -> str:
    """The digest of a model's weights; of its name and the version where it has none."""
    path = Path(model)
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    shipped = resources.files("echocast.weights") / f"{model}.safetensors"
    content = shipped.read_bytes() if shipped.is_file() else f"{model} {__version__}".encode()
    return hashlib.sha256(content).hexdigest()


def read(job: ReadJob) -> list[xr.DataArray]:
    """The frames of a radar file, each a field of one time.

    Raises:
        UnreadableFile: it is larger than allowed.
        DataError: as `echocast.io.reading.read`.
    """
    if job.archive_time is not None:
        return [_archived(job.location, job.archive_time)]
    with locations.local_copy(job.location, job.most_bytes) as path:
        if path.is_file() and path.stat().st_size > job.most_bytes:
            raise UnreadableFile(f"{job.location}: is larger than {job.most_bytes:,} bytes, the limit (--most-bytes)")
        with unpacking.bytes_limit(job.most_bytes):
            field = reading.read(path, job.options)
    if not field.sizes["time"]:
        raise UnreadableFile(f"{job.location}: holds no frame")
    newest = field[-job.newest :]
    return [newest[number : number + 1].load() for number in range(newest.sizes["time"])]


def _archived(store: Location, time_ns: int) -> xr.DataArray:
    from echocast import archive

    found = archive.open(store)
    at = int(np.flatnonzero(found.time.values == np.datetime64(time_ns, "ns"))[0])
    return found[at : at + 1].load().drop_vars("observed", errors="ignore")


def archive_times(store: Location) -> tuple[int, ...]:
    """The times (ns) of an archive's frames that are not missing; raises `DataError`."""
    from echocast import archive

    found = archive.open(store)
    return tuple(int(one) for one in found.time.values[found.observed.values].astype("datetime64[ns]").astype(np.int64))


def compute(job: ComputeJob) -> Computed:
    """Make a forecast from frames of the store and write it; raises as `echocast.nowcast` does."""
    from echocast import fields, nowcast
    from echocast.operations import filling, frames, nwp
    from echocast.samples import segments

    began = time.monotonic()
    past = filling.filled(frames.joined(job.frames), np.array(job.filled, "datetime64[ns]"))
    past = past if job.bbox is None else fields.cropped(past, job.bbox)
    past = segments.newest_segment(past, past.sizes["time"])
    forecaster, read_at = _model(job.model), time.monotonic()
    of_nwp: dict[str, Any] | None = None
    if job.nwp is None:
        forecast = nowcast.forecast_from(past, forecaster, minutes=job.minutes, members=job.members)
    else:
        forecast, of_nwp = nwp.forecast(past, forecaster, job.nwp, job.minutes, job.members)
    forecast.attrs |= {"model": job.model, "input_files": " ".join(job.sources)}
    computed_at = time.monotonic()
    products = nowcast.products_of(forecast, job.thresholds)
    products_at = time.monotonic()
    with disk_errors(job.out):
        layers, points = _written(forecast, products, job)
    seconds = {
        "read": read_at - began,
        "compute": computed_at - read_at,
        "products": products_at - computed_at,
        "write": time.monotonic() - products_at,
    }
    leads = tuple(float(lead) for lead in forecast.lead.values / np.timedelta64(1, "m"))
    return Computed(
        leads, {name: round(value, 3) for name, value in seconds.items()}, grid_of(forecast), layers, points, of_nwp
    )


def _written(
    forecast: xr.DataArray, products: xr.Dataset | None, job: ComputeJob
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the NetCDF file, layers.bin and points.bin; what meta.json says of the latter two."""
    from echocast.io import forecast_file
    from echocast.operations import issue_layers
    from echocast.operations.layer_file import write_layers
    from echocast.operations.point_file import write_points

    # No quantiles of the rates: they are in points.bin, follow from the members, and are a third of the file.
    beside = None if products is None else products.drop_dims("quantile", errors="ignore")
    write = partial(forecast_file.to_netcdf, command="echocast watch", bits=issue_layers.BITS)
    with ThreadPoolExecutor(1) as beside_it:  # parts of each file are made in one thread: two files use two
        netcdf = beside_it.submit(write, forecast, job.out, products=beside)
        layers = issue_layers.rounded(issue_layers.layers_of(forecast, products, job.thresholds.spans))
        about: tuple[dict[str, Any], dict[str, Any]] = {}, {}
        if layers:
            maps = write_layers(job.out.with_name("layers.bin"), issue_layers.of_maps(layers))
            arrivals = issue_layers.arrivals_of(forecast)
            about = maps, write_points(job.out.with_name("points.bin"), layers | arrivals)
        netcdf.result()
    return about


def grid_of(field: xr.DataArray) -> dict[str, Any]:
    """Where a field lies: its projection, the centres of its cells, and its bounds in degrees."""
    from echocast.operations.grid import Grid

    axes = {name: _axis(field[name].values) for name in ("x", "y")}
    if "crs" not in field.coords:
        return {"crs": None, **axes, "bounds_wgs84": None}
    return Grid.of({"crs": str(field.coords["crs"].attrs["crs_wkt"]), **axes}).as_dict()


def _axis(values: np.ndarray) -> dict[str, Any]:
    step = float(values[-1] - values[0]) / (values.size - 1) if values.size > 1 else 0.0
    return {"first": float(values[0]), "step": step, "size": int(values.size)}


@lru_cache(maxsize=1)
def _model(model: str) -> Any:
    from echocast.models import base

    return base.resolve(model)
