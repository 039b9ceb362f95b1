"""Files whose truth is known by construction: what is read wrong without an error is found here.

A module of this folder is named like a reader and has ``write(folder, drawn) -> Known``: it writes one file, packed in
one of the ways that the format allows (drawn at random: number type, scale, order of rows, projection, unit, times,
special values, ...), and tells what must be read from it: one bright cell at a known place on Earth, time and rate, a
dry cell, and a cell that is not observed. Some are then compressed or put into an archive. `judge` reads the file as a
user would and compares.

    python -m tests.known --files 5000 --readers odim,grib
"""

import argparse
import bz2
import gzip
import importlib
import lzma
import pkgutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError
from echocast.io import reading


@dataclass(frozen=True)
class Cell:
    """A cell by the longitude and latitude of its centre (degrees), and its rain rate (mm/h, NaN: not observed)."""

    longitude: float
    latitude: float
    rate: float


@dataclass(frozen=True)
class Known:
    """What a file must be read as.

    Args:
        path: the file (or folder of a store) to read.
        times: of all frames, in order (UTC).
        cells: cells of the last frame: one brighter than all others, and where the format allows a dry one and one that
            is not observed. Cells that are not named are dry or not observed.
        shape: rows and columns.
        options: how to read it.
        refused: it must be refused instead, with this text in the message.
        tolerance: relative error of a rate that the packing allows.
    """

    path: Path
    times: Sequence[np.datetime64] = ()
    cells: Sequence[Cell] = ()
    shape: tuple[int, int] = (0, 0)
    options: reading.ReadOptions | None = None
    refused: str | None = None
    tolerance: float = 1e-3


_SHARE_PACKED = 0.15
_COMPRESSED = {
    "gz": lambda data: gzip.compress(data, 1),
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
}
_ARCHIVED = ("zip", "tar", "tar.gz", "tar.bz2")
_MOST_CELLS_OFF = 0.05
"""How far from where it should be the centre of a cell may come out, in cells."""


def names() -> list[str]:
    """The readers for which such files are written."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def judge(known: Known) -> str:
    """What is wrong with how a file is read; empty if nothing is."""
    try:
        field = reading.read(known.path, known.options)
    except DataError as refusal:
        if known.refused is None:
            return f"refused: {refusal}"
        return "" if known.refused in str(refusal) else f"refused without {known.refused!r}: {refusal}"
    if known.refused is not None:
        return f"read, but must be refused with {known.refused!r}"
    return "; ".join(_differences(fields.check(field), known))


def _differences(field: xr.DataArray, known: Known) -> Iterator[str]:
    if (field.sizes["y"], field.sizes["x"]) != known.shape:
        yield f"{field.sizes['y']} x {field.sizes['x']} cells, not {known.shape}"
        return
    times = [str(time) for time in field.time.values.astype("datetime64[s]")]
    expected = [str(time) for time in np.asarray(known.times, "datetime64[s]")]
    if times != expected:
        yield f"times {times}, not {expected}"
    last = field.values[-1]
    for cell in known.cells:
        row, column, off = _place(field, cell)
        if off > _MOST_CELLS_OFF:
            yield f"no cell centre at {cell.longitude:.4f} E {cell.latitude:.4f} N: the nearest is {off:.2f} cells off"
            continue
        found = float(last[row, column])
        if not np.isclose(found, cell.rate, rtol=known.tolerance, atol=1e-4, equal_nan=True):
            yield f"{found:g} mm/h at {cell.longitude:.4f} E {cell.latitude:.4f} N, not {cell.rate:g}"
    brightest = max(cell.rate for cell in known.cells if np.isfinite(cell.rate))
    if np.nanmax(last) > brightest * (1 + known.tolerance) + 1e-4:
        yield f"a cell of {np.nanmax(last):g} mm/h; the brightest has {brightest:g}"
    if int((last > brightest * 0.99).sum()) > 1:
        yield f"{int((last > brightest * 0.99).sum())} cells as bright as the brightest"


def _place(field: xr.DataArray, cell: Cell) -> tuple[int, int, float]:
    """Row and column of the cell at a place, and how many cells its centre is off."""
    reference = fields.crs(field)
    if fields.in_degrees(reference):
        x, y = cell.longitude, cell.latitude
        x += 360.0 * round((float(field.x.values.mean()) - x) / 360.0)
    else:
        x, y = fields.corner(reference, cell.longitude, cell.latitude)
    found = []
    for axis, at in (("y", y), ("x", x)):
        centres = field.coords[axis].values
        along = centres if centres.size > 1 else field.coords["x" if axis == "y" else "y"].values
        spacing = abs(along[1] - along[0])
        index = int(np.abs(centres - at).argmin())
        found.append((index, abs(centres[index] - at) / spacing))
    (row, row_off), (column, column_off) = found
    return row, column, max(row_off, column_off)


def packed(known: Known, drawn: np.random.Generator, folder: Path) -> Known:
    """The same file, some of the time compressed, or in an archive with all that lies in its folder."""
    path = known.path
    if not path.is_file() or drawn.random() > _SHARE_PACKED:
        return known
    kind = str(drawn.choice([*(_COMPRESSED if path.parent == folder else ()), *_ARCHIVED]))
    if kind in _COMPRESSED:
        made = path.with_name(f"{path.name}.{kind}")
        made.write_bytes(_COMPRESSED[kind](path.read_bytes()))
        path.unlink()
        return replace(known, path=made)
    made, members = folder / f"packed.{kind}", [one for one in folder.rglob("*") if one.is_file()]
    if kind == "zip":
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in members:
                archive.write(member, member.relative_to(folder))
    else:
        with tarfile.open(made, f"w:{kind.partition('.')[2]}") as tar:
            for member in members:
                tar.add(member, member.relative_to(folder))
    for member in members:
        member.unlink()
    return replace(known, path=made)


def run(reader: str, files: int, start: int = 0) -> list[str]:
    """Write and read files of one format; what was read wrong, each with its seed."""
    writer = importlib.import_module(f"tests.known.{reader}")
    findings = []
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        for seed in range(start, start + files):
            folder = Path(place) / str(seed)
            folder.mkdir()
            drawn = np.random.default_rng(seed)
            wrong = judge(packed(writer.write(folder, drawn), drawn, folder))
            if wrong:
                findings.append(f"{reader} seed {seed}: {wrong}")
            for path in sorted(folder.rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000, help="of each reader")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--readers", default=",".join(names()), help="only these, separated by commas")
    given = parser.parse_args()
    bad = 0
    for reader in given.readers.split(","):
        findings = run(reader, given.files, given.start)
        print(f"{reader}: {len(findings)} of {given.files} files read wrong", flush=True)
        print("".join(f"  {finding}\n" for finding in findings[:20]), end="", flush=True)
        bad += len(findings)
    return int(bad > 0)
