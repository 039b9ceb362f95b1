"""Ingest, size and reading of archives, on real files of the folder ECHOCAST_DATA.

- **decoding**: the files' own library alone (h5py, ecCodes, Pillow, zlib), in two processes that are up already, the
  numbers thrown away.
- **archive**: `echocast archive add` of the same files into a new store, by one process and by two, with their start.
- **windows**: random training windows (28 frames) from a store, against what the fastest shipped network takes.
- **squares**: the same with squares cut out of a large grid, from a store and from memory.
"""

import gzip
import multiprocessing
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
import zarr
from PIL import Image

from echocast import archive, fields
from echocast._version import __version__
from echocast.errors import DataError
from echocast.io import store as stores
from echocast.models import base
from echocast.samples import segments, sources
from echocast.samples.batches import Batches
from echocast.samples.data import Data
from echocast.training import wet_cells

PAST, FUTURE = 10, 18
_BATCH = 16
_SOURCES = {
    "FMI PGM.gz": "fmi/20160928",
    "KNMI HDF5": "knmi/20100826",
    "MeteoSwiss GIF": "mch/20150515",
    "OPERA ODIM_H5": "opera/20180824",
    "BoM NetCDF": "bom/20180616",
    "RADOLAN RW": "radolan/rw",
    "TAASRAD19 NetCDF": "taasrad19/train",
    "MRMS GRIB2": "mrms/20190610",
}


def run(*, quick: bool = False, rounds: int = 3, device: str = "cpu") -> str:
    """Measure and give the table as Markdown.

    Args:
        quick: synthetic frames instead of real files, and few: shows that it runs.
        rounds: turns; the table has the medians.
        device: for the network that windows are read for.

    Raises:
        DataError: the folder of real files is not named by ECHOCAST_DATA.
    """
    head = f"`python -m benchmarks archive`: echocast {__version__}, {platform.machine()} CPU, {os.cpu_count()} cores"
    lines = ["# Archives: ingest, size, reading", "", f"{head}, {rounds} turns.", "", *_meaning(), ""]
    with tempfile.TemporaryDirectory(prefix="echocast-benchmark-") as folder:
        if not quick:
            lines += [*_ingest(_kit(), Path(folder), rounds), ""]
        lines += _windows(Path(folder), 400 if quick else 4000, rounds, device, batch=2 if quick else 16)
        lines += ["", *_squares(Path(folder), quick=quick, rounds=rounds)]
    return "\n".join(lines) + "\n"


def _meaning() -> list[str]:
    return [line for line in (__doc__ or "").splitlines() if line.startswith(("-", "  "))]


def _kit() -> Path:
    kit = Path(os.environ.get("ECHOCAST_DATA", ""))
    if not os.environ.get("ECHOCAST_DATA") or not kit.is_dir():
        raise DataError("ECHOCAST_DATA names no folder of real radar files; this benchmark needs them (or --quick)")
    return kit


def _ingest(kit: Path, folder: Path, rounds: int) -> list[str]:
    lines = [
        "## Ingest",
        "",
        "| files | number | decoding, 2 processes | archive, 1 process | archive, 2 processes | best to decoding |"
        " store to files | largest memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, where in _SOURCES.items():
        paths = sorted(path for path in (kit / where).iterdir() if path.is_file())
        bare: list[float] = []
        one: list[float] = []
        two: list[float] = []
        memory = 0.0
        for _ in range(rounds):
            bare.append(_decoding(paths))
            for workers, spent in ((1, one), (2, two)):
                shutil.rmtree(folder / "s.zarr", ignore_errors=True)
                seconds, mebibytes = _archived(kit / where, folder / "s.zarr", workers)
                spent.append(seconds)
                memory = max(memory, mebibytes)
        size = stores.size(folder / "s.zarr") or 0
        source = sum(path.stat().st_size for path in paths)
        best = min(statistics.median(one), statistics.median(two))
        lines.append(
            f"| {name} | {len(paths)} | {_spread(bare)} | {_spread(one)} | {_spread(two)} |"
            f" {best / statistics.median(bare):.1f}x | {size / source:.2f} | {memory:.0f} MiB |"
        )
    return [*lines, "", "Seconds: median (least to most). Memory: of the main process."]


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f})"


def _decoding(paths: list[Path]) -> float:
    """Seconds of two processes that are up and have their libraries loaded."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(decode, paths[:8]))
        return _timed(lambda: list(pool.map(decode, paths)))


def decode(path: Path) -> float:
    """The sum of a file's numbers, by the format's own library and nothing else."""
    head = path.open("rb").read(8)
    if head.startswith(b"\x89HDF"):
        with h5py.File(path) as file:
            found: list[h5py.Dataset] = []
            file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
            largest = max(found, key=lambda item: item.size)
            return float(largest[...].sum())
    if head.startswith(b"GRIB"):
        import eccodes

        with path.open("rb") as stream:
            handle = eccodes.codes_grib_new_from_file(stream)
            total = float(eccodes.codes_get_values(handle).sum())
            eccodes.codes_release(handle)
            return total
    if head.startswith(b"GIF"):
        with Image.open(path) as picture:
            return float(np.asarray(picture).sum())
    return float(np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8).sum())


_ARCHIVE = """
import re, sys, time
from pathlib import Path
from echocast import archive
from echocast import parallel
if __name__ == "__main__":
    begun = time.perf_counter()
    archive.write([sys.argv[1]], sys.argv[2], workers=parallel.Workers(processes=int(sys.argv[3])))
    spent = time.perf_counter() - begun
    status = Path("/proc/self/status")
    peak = re.findall(r"VmHWM:\\s+(\\d+) kB", status.read_text()) if status.exists() else ["0"]
    print(spent, int(peak[0]) / 1024)
"""


def _archived(source: Path, store: Path, workers: int) -> tuple[float, float]:
    """Seconds and MiB of a process that archives a folder (its imports not counted)."""
    script = store.with_name("ingest.py")  # a file, as processes of its own import it
    script.write_text(_ARCHIVE)
    command = [sys.executable, "-W", "ignore", str(script), str(source), str(store), str(workers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, mebibytes = re.findall(r"[\d.]+", done.stdout)[-2:]
    return float(seconds), float(mebibytes)


def _windows(folder: Path, frames: int, rounds: int, device: str, batch: int) -> list[str]:
    """Random windows from a store and from one ten times as large, against those that the network takes."""
    rates = {count: _read_rate(made_store(folder, count), rounds) for count in (frames, 10 * frames)}
    forecaster = base.resolve("encoder_forecaster").to(device)
    assert isinstance(forecaster, base.LearnedForecaster)  # of the shipped ones with weights
    training, inference = _network_rate(forecaster, device, rounds, batch)
    lines = [
        "## Random windows",
        "",
        f"Windows of {PAST + FUTURE} frames of 64x64 of a store of drifting rain; the network is `encoder_forecaster`.",
        "",
        "| store | windows a second | to training | to inference |",
        "|---|---|---|---|",
    ]
    for count, rate in rates.items():
        lines.append(f"| {count} frames | {rate:.0f} | {rate / training:.0f}x | {rate / inference:.1f}x |")
    small, large = rates.values()
    lines += [
        "",
        f"The network takes {training:.1f} windows a second in training (forward and backward, batches of {batch}) and"
        f" {inference:.0f} in inference. Ten times the frames: {large / small:.2f} times the rate.",
    ]
    return lines


def _squares(folder: Path, *, quick: bool, rounds: int) -> list[str]:
    """Squares drawn by rain from a store whose frames are read when they are needed, and from memory."""
    scale, frames = (2, 60) if quick else (12, 400)
    place, side = made_store(folder, frames, scale), 64 * scale
    field = archive.open(place)
    known, found = wet_cells.of_archive(place, field), segments.segments(field)
    lines = [
        "## Squares to learn from",
        "",
        f"Batches of {_BATCH} squares of 64x64 of windows of {PAST + FUTURE} frames, drawn by their rain from {frames}"
        f" frames of {side}x{side}.",
        "",
        "| frames | windows a second |",
        "|---|---|",
    ]
    for name, memory_gb in (("in memory", np.inf), ("read from the store", 0.0)):
        data = Data(
            train=place, past=PAST, future=FUTURE, min_wet_fraction=0.0, crop=True, crop_size=64, memory_gb=memory_gb
        )
        source = sources.of_archive(field, found, data, 1, "training", known)
        batches = Batches([source], size=_BATCH, seed=0)
        batches[0]  # what is to be in memory is read now
        spent = statistics.median(_timed(partial(batches.__getitem__, number)) for number in range(1, rounds + 1))
        lines.append(f"| {name} | {_BATCH / spent:.0f} |")
    return lines


def made_store(folder: Path, frames: int, scale: int = 1) -> Path:
    """A store of rain with the levels of a radar, written straight into its arrays; of 64 x 64 cells times `scale`."""
    place, side = folder / f"w{frames}x{scale}.zarr", 64 * scale
    drawn = np.random.default_rng(0)
    levels = fields.rain_rate(np.arange(100, dtype=np.float32) / 2)
    coarse = drawn.normal(size=(frames // 8 + 2, 10, 10))
    times = np.datetime64("2016-01-01", "ns") + np.arange(2) * np.timedelta64(5, "m")
    axis = np.arange(side) * 4000.0
    template = fields.make(np.zeros((2, side, side), np.float32), time=times, y=axis, x=axis, crs="EPSG:3035")
    repository = stores.repository(place, create=True)
    session = repository.writable_session("main")
    group = zarr.open_group(session.store, mode="a")
    grid = archive.grid_of(template)
    stores.create(group, grid, times[0], times[1] - times[0], {})
    known = stores.palette(group)
    if known is None:
        raise DataError("a new store has no palette")
    stores.extend(group, frames)
    for start in range(0, frames, 288):
        stretch = np.arange(start, min(start + 288, frames))
        share = (stretch % 8 / 8)[:, None, None]
        blown = coarse[stretch // 8] * (1 - share) + coarse[stretch // 8 + 1] * share
        number = np.clip(20 + 30 * blown.repeat(7 * scale, 1).repeat(7 * scale, 2)[:, :side, :side], 0, 99).astype(int)
        stores.put(group, dict(zip(map(int, stretch), known.encode(levels[number]), strict=True)))
    stores.keep_palette(group, known)
    session.commit("rain")
    return place


def _read_rate(place: Path, rounds: int, windows: int = 100) -> float:
    field = archive.open(place)
    drawn = np.random.default_rng(1)

    def read() -> None:
        for start in drawn.integers(0, field.sizes["time"] - PAST - FUTURE, windows):
            torch.from_numpy(field[int(start) : int(start) + PAST + FUTURE].values)

    read()
    return windows / statistics.median(_timed(read) for _ in range(rounds))


def _network_rate(forecaster: base.LearnedForecaster, device: str, rounds: int, batch: int) -> tuple[float, float]:
    """Windows a second that the network takes in training and in inference."""
    past = torch.rand(batch, PAST, 1, 64, 64, device=device)

    def train() -> None:
        forecaster.zero_grad()
        forecaster(past, FUTURE).sum().backward()

    def infer() -> None:
        with torch.inference_mode():
            forecaster(past, FUTURE)

    spent = []
    for work in (train, infer):
        work()
        spent.append(statistics.median(_timed(work) for _ in range(rounds)))
    return batch / spent[0], batch / spent[1]
