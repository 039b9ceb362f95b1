"""A folder as `echocast watch` leaves it, made at once: no model, no radar."""

import json
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast.io import forecast_file
from echocast.operations import issue_layers
from echocast.operations.frames import FrameStore
from echocast.operations.grid import Axis, Grid
from echocast.operations.index import Issue
from echocast.operations.layer_file import write_layers
from echocast.operations.layout import Layout
from echocast.operations.point_file import write_points
from echocast.operations.publishing import Publisher
from echocast.operations.stamps import NS, iso, name_stamp, seconds_of
from echocast.products import ensemble

NOW = seconds_of("2026-05-01T00:17:00Z")
START = np.datetime64("2026-05-01T00:00", "ns")
GRID = Grid("EPSG:3067", Axis(2.0e5, 5000, 40), Axis(7.2e6, -5000, 48))
LEADS = 12


def rain(*before: int, seed: int = 0) -> np.ndarray:
    """Rain rates with large dry areas, and a corner that is not known."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(48)[:, None] / 7 + seed) + np.cos(np.arange(40) / 5)
    values = np.exp(rng.normal(0, 0.5, (*before, 48, 40)) + 2 * waves).astype(np.float32)
    values[values < 0.8] = 0
    values[..., :9, :11] = np.nan
    return values


def field(values: np.ndarray, times: np.ndarray, grid: Grid = GRID) -> xr.DataArray:
    """Frames (time, y, x)."""
    y, x = (axis.coordinate(np.arange(axis.size) + 0.5) for axis in (grid.y, grid.x))
    return fields.make(values, time=times, y=y, x=x, crs=grid.crs_wkt)


def forecast(members: int | None, issued: np.datetime64, seed: int = 0) -> xr.DataArray:
    """A forecast (lead, y, x), or (member, lead, y, x)."""
    leads = np.arange(1, LEADS + 1) * np.timedelta64(5, "m")
    values = rain(*([] if members is None else [members]), LEADS, seed=seed)
    like = field(rain(1), np.array([issued]))
    coords = {name: like.coords[name] for name in ("y", "x", "crs")}
    coords |= {"lead": leads.astype("timedelta64[ns]"), "time": ("lead", issued + leads)}
    dims = ("lead", "y", "x") if members is None else ("member", "lead", "y", "x")
    made = xr.DataArray(values, dims=dims, coords=coords, name=fields.NAME, attrs=dict(like.attrs))
    return made.assign_coords(forecast_reference_time=issued)


class Folder:
    """The folder of a service, and what stands in it.

    Args:
        root: the folder.
        now: of the publisher.
    """

    def __init__(self, root: Path, now: float = NOW) -> None:
        self.layout, self.now = Layout(root), now
        root.mkdir(parents=True, exist_ok=True)
        self.publisher, self.store = Publisher(self.layout, now), FrameStore(self.layout)
        self.forecasts: dict[str, xr.DataArray] = {}

    def frame(self, minutes: int, seed: int = 0, grid: Grid = GRID) -> xr.DataArray:
        """Add an observed frame so many minutes after the start."""
        one = field(rain(1, seed=seed), np.array([START + np.timedelta64(minutes, "m")]), grid)
        self.store.add(one, source=f"{minutes}.h5", arrived=self.now, late=False)
        return one

    def issue(self, minutes: int, members: int | None = None, seed: int = 0, *, bare: bool = False) -> Issue:
        """Publish a forecast, but for the index; a bare one tells of no layers, as those of old versions."""
        issued = START + np.timedelta64(minutes, "m")
        made = forecast(members, issued, seed)
        time_ns = int(issued.astype(np.int64))
        products = None if members is None else ensemble.products(made)
        work = self.publisher.work_folder()
        forecast_file.to_netcdf(
            made, work / f"echocast_nowcast_{made.name}_{name_stamp(time_ns)}.nc", products=products
        )
        layers = issue_layers.layers_of(made, products)
        about = write_layers(work / "layers.bin", layers)
        points = write_points(work / "points.bin", layers | issue_layers.arrivals_of(made))
        leads = [5.0 * number for number in range(1, LEADS + 1)]
        meta = {
            "time": iso(time_ns / NS),
            "revision": 0,
            "published": iso(self.now),
            "expires": iso(time_ns / NS + 60 * leads[-1]),
            "leads": leads,
            "layers": list(layers),
            "degraded": False,
            "frames": [],
            "model": {"name": "test", "digest": "0"},
            "grid": GRID.as_dict(),
            "layer_file": about,
            "point_file": points,
        }
        if bare:
            meta = {name: value for name, value in meta.items() if not name.endswith("_file")} | {"layers": []}
        issue = self.publisher.publish(work, f"{name_stamp(time_ns)}-{seed:08x}", meta)
        self.forecasts[issue.id] = made
        return issue

    def index(self) -> None:
        """Write index.json."""
        self.publisher.write_index(now=self.now, frames=self.store.all(), step=300.0, grid=GRID.as_dict())

    def change_index(self, **changes: object) -> None:
        """Write index.json with other keys."""
        content = json.loads(self.layout.index.read_bytes())
        self.layout.index.write_text(json.dumps(content | changes))


def filled(root: Path, members: int | None = 4) -> Folder:
    """Three frames and two forecasts."""
    folder = Folder(root)
    for minutes in (0, 5, 10, 15):
        folder.frame(minutes, seed=minutes)
    folder.issue(10, members, seed=1)
    folder.issue(15, members, seed=2)
    folder.index()
    return folder
