"""Whether time and memory for a frame stay the same while an archive grows, and what a year of frames costs.

- **length**: simulated archives of small frames, in files of an hour each, go through `echocast archive add`,
  `verify`, `reforecast` and `verify --forecasts` on a Dask cluster of two processes. Chunks and transactions hold as
  many frames as those of a national composite, so that what grows with the archive is as large.
- **cost**: the same on frames of 960 x 960 cells, as many as a national composite of 1226 x 760 has, in one process.
"""

import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from benchmarks import scale_worker
from echocast import archive, evaluation, fields, nowcast, parallel
from echocast._version import __version__
from echocast.errors import MissingDependency
from echocast.io import forecast_file
from echocast.io import store as stores
from echocast.models import base
from echocast.nowcast import reforecasting

_SIDE = 48
_FRAMES_A_FILE = 12
_START = np.datetime64("2016-01-01", "ns")
_STEP = np.timedelta64(5, "m")
_NATION = 960
YEAR = 105_120
"""Frames of a year, one in five minutes."""


def run(*, quick: bool = False, rounds: int = 1, device: str = "cpu") -> str:  # noqa: ARG001 (as all benchmarks)
    """Measure and give the tables as Markdown.

    Args:
        quick: few and small frames: shows that it runs.
        rounds: not used: what is compared are lengths.
        device: not used: all runs on the processor.

    Raises:
        MissingDependency: Dask is not installed.
    """
    if importlib.util.find_spec("distributed") is None:
        raise MissingDependency("distributed", "dask")
    lengths, side = ((144, 288), 96) if quick else ((1008, 4032, 16128), _NATION)
    head = f"`python -m benchmarks scale`: echocast {__version__}, {platform.machine()} CPU, {os.cpu_count()} cores."
    meaning = (line for line in (__doc__ or "").splitlines() if line.startswith(("-", "  ")))
    lines = ["# Scale: frames of a year", "", head, "", *meaning]
    with tempfile.TemporaryDirectory(prefix="echocast-benchmark-") as folder:
        lines += ["", *_lengths(Path(folder), lengths), "", *_costs(Path(folder), side)]
    return "\n".join(lines) + "\n"


def _lengths(folder: Path, lengths: tuple[int, ...]) -> list[str]:
    files = list(_files(folder, max(lengths) // _FRAMES_A_FILE, _SIDE, _FRAMES_A_FILE))
    lines = [
        "## Length of the archive",
        "",
        f"Frames of {_SIDE} x {_SIDE} cells. Milliseconds of the processors, of all processes together, for each frame"
        " that is archived and each case that is forecast or scored; MiB, the largest so far of the main process and"
        " of a worker (each length has processes of its own).",
        "",
        "| frames | stage | done | ms each | seconds by the clock | main process | worker |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for length in lengths:
        place = folder / str(length)
        place.mkdir()
        listed = place / "files.txt"
        listed.write_text("\n".join(str(path) for path in files[: length // _FRAMES_A_FILE]))
        found = _at_work(listed, place)
        for name in scale_worker.STAGES:
            one = found[name]
            each = 1000 * one["processor"] / one["done"]
            lines.append(
                f"| {length} | {name} | {one['done']} | {each:.1f} | {one['clock']:.1f} | {one['memory']:.0f} |"
                f" {one['workers']:.0f} |"
            )
        lines.append(f"| {length} | store, bytes a frame | {length} | {found['sizes']['store'] / length:.0f} | | | |")
    return lines


def _at_work(listed: Path, place: Path) -> dict[str, Any]:
    """What `scale_worker` tells of a length; its processes end with it."""
    environment = os.environ | {"CELLS": str(_SIDE**2), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-W", "ignore", "-m", "benchmarks.scale_worker", str(listed), str(place)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _files(folder: Path, count: int, side: int, frames: int) -> Iterator[Path]:
    """CF-NetCDF files of drifting showers with the levels of a radar, made from one by changing times and values."""
    place = folder / f"files{side}"
    place.mkdir()
    rain = _rain(frames, side)
    times = _START + np.arange(frames) * _STEP
    axis = np.arange(side) * 1000.0
    first = fields.make(rain, time=times, y=axis[::-1], x=axis, crs="EPSG:3035", attrs={"source": "simulated"})
    template = place / "f00000.nc"
    forecast_file.series_to_netcdf(first, template)
    content = template.read_bytes()
    for number in range(count):
        path = place / f"f{number:05d}.nc"
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            file["time"].attrs["units"] = "minutes since 2016-01-01 00:00:00"
            file["time"][:] = 5 * (number * frames + np.arange(frames))
            file["rainfall_rate"][:] = np.roll(rain, number, axis=(1, 2))
        yield path


def _rain(frames: int, side: int) -> np.ndarray:
    """Showers over a tenth of the frame, in steps of half a dBZ, that drift and change."""
    drawn = np.random.default_rng(0)
    coarse = drawn.normal(size=(2, side // 8 + 2, side // 8 + 2)).repeat(8, 1).repeat(8, 2)
    fine = drawn.normal(size=(side, side))
    share = np.linspace(0, 1, frames)[:, None, None]
    blown = (1 - share) * coarse[0, :side, :side] + share * coarse[1, :side, :side]
    dbz = np.clip(np.round(2 * (30 * (blown - 1.0) + 2 * fine)) / 2, 0, 50).astype(np.float32)
    return np.asarray(fields.rain_rate(dbz))


def _costs(folder: Path, side: int) -> list[str]:
    """What a frame or forecast of a national composite takes."""
    frames, steps = 24, 18
    files = list(_files(folder, frames, side, 1)) if side != _SIDE else []
    store, here = str(folder / "nation.zarr"), parallel.Workers(processes=1)
    rows = {"archive, a frame": _each(lambda: archive.write(files, store, workers=here).frames)}
    rain = archive.open(store)
    config = evaluation.VerificationConfig(past=6, leads=steps, stride=steps + 6)
    persistence = {"persistence": base.resolve("persistence")}
    evaluation.evaluate(rain, persistence, config)  # warm
    rows["verify, a case of 18 leads, scores"] = _each(lambda: evaluation.evaluate(rain, persistence, config).cases)
    for model in ("optical_flow", "lagrangian"):
        forecaster = base.resolve(model)
        past = rain[: 10 if side == _NATION else 6].load().drop_vars("observed")

        def forecast(past: xr.DataArray = past, forecaster: base.Forecaster = forecaster) -> int:
            nowcast.forecast_from(past, forecaster, minutes=5 * steps)
            return 1

        rows[f"forecast by {model}, 18 leads"] = _each(forecast)
    settings = reforecasting.Settings("persistence", minutes=5 * steps, frames=2, every=60)
    out = folder / "written"
    rows["write a forecast of 18 leads"] = _each(lambda: reforecasting.run(store, out, settings).made)
    made = [path.stat().st_size for path in out.rglob("*Z.nc")]
    sizes = {
        "source file, a frame": sum(path.stat().st_size for path in files) / len(files),
        "archive, a frame": (stores.size(store) or 0) / frames,
        "forecast file, 18 leads": sum(made) / len(made),
    }
    return [
        "## Cost of a frame",
        "",
        f"Frames of {side} x {side} cells, one process; PyTorch may use all cores. A year has {YEAR} frames.",
        "",
        "| what | processor seconds | processor hours a year, of every frame |",
        "|---|---:|---:|",
        *(f"| {name} | {spent:.3f} | {spent * YEAR / 3600:.0f} |" for name, spent in rows.items()),
        "",
        "| what | kB | GB a year, of every frame |",
        "|---|---:|---:|",
        *(f"| {name} | {size / 1e3:.0f} | {size * YEAR / 1e9:.0f} |" for name, size in sizes.items()),
    ]


def _each(work: Callable[[], int]) -> float:
    """Seconds of the processor for each of what the work tells that it did."""
    began = time.process_time()
    done = work()
    return (time.process_time() - began) / done
