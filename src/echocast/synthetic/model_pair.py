"""A simulated storm as a radar sees it, and as a weather model forecasts it: a pair of one day.

The model's storm is the same one, but out of place, late, too weak, on coarse cells of degrees, and known as hourly
running sums alone. So it is worse than a nowcast at first and better later. What a blend gains on it says nothing of
real models.

    >>> pair = generate(past=3, leads=6, size=24, margin=6, time_step_minutes=20.0)
    >>> pair.radar.sizes["time"], pair.run.dims, pair.truth.sizes["time"]
    (3, ('lead', 'y', 'x'), 6)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast.synthetic import storms

_HOUR = np.timedelta64(3600 * 10**9, "ns")
_DEGREES = 0.1


@dataclass(frozen=True)
class Pair:
    """Radar and model of one storm.

    Args:
        radar: the frames that are known, (time, y, x), NaN where the radar does not look.
        run: the model's rain, hourly means, (lead, y, x), on cells of 0.1 degrees.
        truth: the rain after the newest frame, everywhere.
    """

    radar: xr.DataArray
    run: xr.DataArray
    truth: xr.DataArray


def generate(
    *,
    past: int = 10,
    leads: int = 72,
    size: int = 100,
    margin: int = 20,
    grid_km: float = 2.0,
    time_step_minutes: float = 5.0,
    seed: int = 0,
    displaced_km: tuple[float, float] = (12.0, -8.0),
    late_minutes: float = 10.0,
) -> Pair:
    """A storm, the radar's frames of it, and a run that began in the hour before the first of these.

    Args:
        past: frames that the radar has.
        leads: frames after the newest.
        size: cells along y and along x.
        margin: cells around them that the model also covers.
        grid_km: the size of a cell.
        time_step_minutes: the time between two frames, a part of an hour.
        seed: what the storm is drawn from.
        displaced_km: by how much the model's rain lies to the north and to the east of the true one.
        late_minutes: by how much it comes late.
    """
    hour = round(60.0 / time_step_minutes)
    late = round(late_minutes / time_step_minutes)
    hours = -(-(past + leads) // hour) + 1
    whole = storms.generate(
        frames=late + hour * (hours + 1), size=size + 2 * margin, grid_km=grid_km,
        time_step_minutes=time_step_minutes, seed=seed, whole=True,
    )  # fmt: skip
    inner = slice(margin, margin + size)
    near = whole.isel(y=inner, x=inner)
    first = late + hour
    radar = near.isel(time=slice(first, first + past))
    truth = near.isel(time=slice(first + past, first + past + leads))
    return Pair(_seen(radar), _run(whole, late, hour, displaced_km), truth)


def to_netcdf(run: xr.DataArray, path: Path) -> None:
    """Write the run as models do: running sums (mm) since it began, with the bounds of their times."""
    hours = run.lead.values / _HOUR
    sums = np.cumsum(run.values * np.diff(hours, prepend=0.0)[:, None, None], axis=0, dtype=np.float32)
    period = {"standard_name": "forecast_period", "units": "hours", "bounds": "lead_bounds"}
    data = xr.Dataset(
        {
            "precipitation": (
                ("lead", "y", "x"),
                sums,
                {"standard_name": "precipitation_amount", "units": "kg m-2", "grid_mapping": "crs"},
            ),
            "lead_bounds": (("lead", "edge"), np.stack([np.zeros_like(hours), hours], axis=1)),
            "forecast_reference_time": (
                (),
                run.forecast_reference_time.values.astype("datetime64[s]").astype(np.int64),
                {"standard_name": "forecast_reference_time", "units": "seconds since 1970-01-01"},
            ),
            "crs": ((), np.int32(0), run.crs.attrs),
        },
        coords={
            "lead": ("lead", hours, period),
            "y": ("y", run.y.values, run.y.attrs),
            "x": ("x", run.x.values, run.x.attrs),
        },
        attrs={"source": "a simulated model"},
    )
    data.to_netcdf(path, engine="h5netcdf")


def _seen(field: xr.DataArray) -> xr.DataArray:
    """What a radar in the middle sees: a disk."""
    y, x = np.meshgrid(field.y.values, field.x.values, indexing="ij")
    reach = 0.49 * (field.x.values[-1] - field.x.values[0])
    return field.where(xr.DataArray(np.hypot(y - y.mean(), x - x.mean()) <= reach, dims=("y", "x"))).astype(np.float32)


def _run(whole: xr.DataArray, late: int, hour: int, displaced_km: tuple[float, float]) -> xr.DataArray:
    """Hourly means of the storm out of place, on cells of degrees; frame `late` is where the run begins."""
    hours = (whole.sizes["time"] - late) // hour
    # The model takes for the rain of an hour what fell `late` frames before it.
    values = np.stack([whole.values[n * hour : (n + 1) * hour].mean(axis=0) for n in range(hours)])
    began = whole.time.values[late]
    ends = began + np.arange(1, hours + 1) * _HOUR
    moved = whole.isel(time=slice(0, hours)).copy(data=0.8 * values)
    moved = moved.assign_coords(
        time=("time", ends), y=moved.y + 1000.0 * displaced_km[0], x=moved.x + 1000.0 * displaced_km[1]
    )
    coarse = fields.regridded(moved, _degrees(whole)).fillna(0.0)
    return xr.DataArray(
        coarse.values,
        dims=("lead", "y", "x"),
        coords={
            "lead": ("lead", ends - began),
            "lead_start": ("lead", ends - began - _HOUR),
            "forecast_reference_time": ((), began),
            "time": ("lead", ends),
            **{name: coarse.coords[name] for name in ("y", "x", "crs")},
        },
        name=fields.NAME,
        attrs=fields.RAINFALL_RATE.attributes() | {"grid_mapping": "crs", "source": "a simulated model"},
    )


def _degrees(whole: xr.DataArray) -> xr.DataArray:
    """A grid of degrees around a field, from north to south; without values."""
    longitude, latitude = fields.degrees(whole)
    y = np.arange(np.ceil(latitude.max() / _DEGREES), np.floor(latitude.min() / _DEGREES) - 1, -1) * _DEGREES
    x = np.arange(np.floor(longitude.min() / _DEGREES), np.ceil(longitude.max() / _DEGREES) + 1) * _DEGREES
    return fields.make(np.zeros((1, y.size, x.size)), time=whole.time.values[:1], y=y, x=x, crs="EPSG:4326")
