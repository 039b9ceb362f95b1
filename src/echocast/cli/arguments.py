"""Checks of a command line before any work and any heavy import: names, inputs, and where results go."""

import glob
import importlib.util
import math
import mmap
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from echocast import models, plugins
from echocast.errors import DataError, MissingDependency, ModelError, UnreadableFile

if TYPE_CHECKING:
    import numpy as np

FORECASTS = (".nc", ".tif", ".tiff", ".zarr")
"""Suffixes of forecasts: those of `echocast.io.forecast_formats.WRITERS`."""
_PICTURES = {".png": "--png", ".gif": "--gif"}
_STORE_FILES = ("zarr.json", ".zgroup", ".zarray", ".zmetadata", "refs", "repo")

OwnArchive = Annotated[str, typer.Argument(metavar="STORE", help="The archive of your radar; a folder or a URL.")]
"""The argument of commands that make weights for one's own radar."""
NewWeights = Annotated[
    Path, typer.Option("--out", metavar="FILE.safetensors", help="The weights, for --model of other commands.")
]
"""Their option."""


def check_model(name: str) -> None:
    """Raise `ModelError` unless there is a forecaster of this name, a checkpoint, or a Python file (`my.py:Class`)."""
    if ".py:" in name:
        if not Path(name.rpartition(":")[0]).is_file():
            raise ModelError(f"{name}: there is no file {name.rpartition(':')[0]}")
        return
    if Path(name).suffix or os.sep in name:
        if not Path(name).is_file():
            raise ModelError(f"{name}: no such checkpoint; give the .safetensors file of a run")
        return
    check_name(name, plugins.names("echocast.models", skip=models.NOT_MODELS), "model", error=ModelError)


def completed_model(incomplete: str) -> list[str]:
    """The forecasters whose names go on from what was typed, also as the last of a list, for the shell."""
    before, comma, last = incomplete.rpartition(",")
    known = plugins.names("echocast.models", skip=models.NOT_MODELS)
    return [f"{before}{comma}{name}" for name in known if name.startswith(last)]


def completed_format(incomplete: str) -> list[str]:
    """The formats whose names go on from what was typed, for the shell."""
    return [name for name in plugins.names("echocast.readers") if name.startswith(incomplete)]


def check_name(name: str, known: Sequence[str], what: str, *, error: type[Exception] = DataError) -> None:
    """Raise `error`, with the nearest name, unless a name is known."""
    if name not in known:
        raise error(f"there is no {what} {name!r}; {plugins.hint(name, known)}")


def check_format(name: str | None) -> None:
    """Raise `DataError` unless there is a reader of this name."""
    if name is not None:
        check_name(plugins.full_name("echocast.readers", name), plugins.names("echocast.readers"), "format")


def check_inputs(given: Iterable[str]) -> None:
    """Raise `UnreadableFile` for a local path or glob that stands for nothing."""
    for one in given:
        if not _is_url(one) and not os.path.lexists(one) and not any(glob.iglob(one, recursive=True)):  # noqa: PTH207
            raise UnreadableFile(f"{one}: no such file or folder, and no glob that matches one")


def covariates(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The files of each covariate, of NAME=FILE; raises for another form, or a local file that does not exist."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (equals and name.strip() and path):
            raise typer.BadParameter(f"{text!r} is not NAME=FILE, as height=dem.nc", param_hint="--covariate")
        check_inputs([path])
        found[name.strip()] = (*found.get(name.strip(), ()), path)
    return found


def check_archive(store: str) -> None:
    """Raise `DataError` unless a local path is a folder, or tell how to make an archive of it."""
    path = Path(store)
    if _is_url(store) or (path.is_dir() and _is_store(path)):
        return
    if path.is_file() and _is_forecast(path):
        raise DataError(
            f"{store}: is a forecast, not an archive of observations; give an archive, and the folder of forecasts with"
            f" `echocast verify radar.zarr --forecasts {path.parent}`"
        )
    if path.exists():
        raise DataError(
            f"{store}: is no echocast archive; make one of it with `echocast archive add radar.zarr {store}`"
        )
    named = store if path.suffix == ".zarr" else path.with_suffix(".zarr")
    raise DataError(f"{store}: is not there; make an archive with `echocast archive add {named} INPUT...`")


def is_archive(path: Path) -> bool:
    """Whether a path is a folder that holds a store, and no files or pictures."""
    return path.is_dir() and _is_store(path)


def check_forecast_file(path: Path, inputs: Iterable[str] = ()) -> None:
    """Raise `DataError` unless a forecast can be written there."""
    suffix = path.suffix.lower()
    if suffix in _PICTURES:
        raise DataError(
            f"--out {path}: a picture is no forecast; give --out FILE.nc, and {_PICTURES[suffix]} {path} beside it"
        )
    check_output(path, "--out", FORECASTS, inputs)
    if suffix in (".tif", ".tiff") and importlib.util.find_spec("rasterio") is None:
        raise MissingDependency("rasterio", "geotiff")
    if suffix == ".zarr" and path.exists() and not _is_forecast_store(path):
        raise DataError(f"--out {path}: is there and is no forecast; give another name, or remove it")


def check_output(path: Path, option: str, suffixes: Sequence[str], inputs: Iterable[str] = ()) -> None:
    """Raise `DataError` unless a file, or a store, can be written there and is none of the inputs.

    Args:
        path: what is to be written.
        option: where it was given, for the message.
        suffixes: those that are written.
        inputs: what is read.
    """
    if path.suffix.lower() not in suffixes:
        raise DataError(f"{option} {path}: the name must end in {_listed(suffixes)}, which says what is written")
    if _is_url(str(path)) or ":" in str(path).partition("/")[0]:
        raise DataError(f"{option} {path}: is a URL; give a local path and copy the file")
    _check_folder(path.parent, f"{option} {path}")
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise DataError(f"{option} {path}: is a folder; give the name of a file")
    for given in inputs:
        if not _is_url(given):
            _refuse_input(path, option, given)


def check_output_folder(path: Path, option: str, inputs: Iterable[str] = ()) -> None:
    """Raise `DataError` unless files can be written into a folder that is none of the inputs; it may not exist yet."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    _check_folder(there, f"{option} {path}")
    for given in inputs:
        if not _is_url(given) and _is_same_or_inside(path, Path(given)):
            raise DataError(f"{option} {path}: is an input ({given}); write into another folder")


def check_beside(out: Path, *beside: Path) -> None:
    """Raise `DataError` for files of others where something would be written beside `out`; with `out` they are its
    own."""
    foreign = [path for path in beside if path.exists() and not out.exists()]
    if foreign:
        raise_foreign(out, foreign[0])


def raise_foreign(out: Path, path: Path) -> NoReturn:
    """Raise `DataError`: something that is not of `out` would be written over."""
    raise DataError(f"--out {out}: {path} is there and would be written over; give another name, or move it")


def check_distinct(outputs: Iterable[Path | None]) -> None:
    """Raise `DataError` if two results have one name."""
    seen: set[Path] = set()
    for path in outputs:
        if path is not None and path.resolve() in seen:
            raise DataError(f"{path}: two results cannot have one name")
        seen |= set() if path is None else {path.resolve()}


def finite(value: float | None) -> float | None:
    """A number of an option; raises for what is no number, or is infinite."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def time(text: str | None, option: str = "--at") -> "np.datetime64 | None":
    """A time in UTC as ISO 8601 spells it, with or without a zone; None if not given."""
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
    except ValueError as bad:
        raise typer.BadParameter(f"{text!r} is no time such as 2016-09-28T15:00", param_hint=option) from bad
    import numpy as np

    return np.datetime64(given.astimezone(UTC).replace(tzinfo=None) if given.tzinfo else given, "ns")


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """Whole numbers from 0 to 65535, separated by commas, none of them twice."""
    try:
        found = tuple(int(word) for word in text.split(","))
    except ValueError as bad:
        raise typer.BadParameter(f"{text!r} is not a list of whole numbers such as 0,255", param_hint=option) from bad
    if len(set(found)) < len(found) or not all(0 <= number < 2**16 for number in found):
        raise typer.BadParameter(f"{text!r}: give numbers from 0 to 65535, each once", param_hint=option)
    return found


def box(text: str | None, option: str = "--bbox") -> tuple[float, float, float, float] | None:
    """WEST,SOUTH,EAST,NORTH in degrees; None if not given."""
    if text is None:
        return None
    try:
        west, south, east, north = (float(word) for word in text.split(","))
    except ValueError as bad:
        raise typer.BadParameter(f"{text!r} is not WEST,SOUTH,EAST,NORTH in degrees", param_hint=option) from bad
    if not all(math.isfinite(n) for n in (west, south, east, north)) or south >= north or west == east:
        raise typer.BadParameter(f"{text!r} is no box: WEST,SOUTH,EAST,NORTH in degrees", param_hint=option)
    return west, south, east, north


def _refuse_input(path: Path, option: str, given: str) -> None:
    for source in (Path(given), *(Path(match) for match in glob.iglob(given, recursive=True))):  # noqa: PTH207
        if not source.exists():
            continue
        message = f"{option} {path}: is one of the inputs ({source}); write to another file"
        if path.exists() and path.samefile(source):
            raise DataError(message)
        if source.is_dir() and _is_same_or_inside(path, source) and (_is_store(source) or _is_read(path)):
            raise DataError(message)


def _is_read(path: Path) -> bool:
    """Whether a folder of radar files would be read with this file; a forecast of echocast there is none of them."""
    if not path.exists() or (path.suffix.lower() == ".png" and not (path.parent / "images.toml").is_file()):
        return False
    return not (_is_forecast_store(path) if path.is_dir() else _is_forecast(path))


def _is_forecast(path: Path) -> bool:
    """Whether a file holds the name of echocast's version, as each forecast and animation that it writes does."""
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"echocast_version") >= 0


def _is_same_or_inside(path: Path, folder: Path) -> bool:
    return path.resolve() == folder.resolve() or folder.resolve() in path.resolve().parents


def _is_store(folder: Path) -> bool:
    return any((folder / name).exists() for name in _STORE_FILES)


def _is_forecast_store(path: Path) -> bool:
    notes = path / ".zattrs"
    return notes.is_file() and "forecast_reference_time" in {child.name for child in path.iterdir()}


def _check_folder(folder: Path, what: str) -> None:
    if not folder.is_dir():
        raise DataError(f"{what}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise DataError(f"{what}: the folder {folder} cannot be written to; check its permissions")


def _is_url(text: str) -> bool:
    return "://" in text


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
