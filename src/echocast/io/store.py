"""The arrays of an archive inside an Icechunk repository, and how it is reached: local, S3 or GCS.

A field of any quantity is kept as 16-bit indices into a palette of its values (`echocast.io.palette`), bit for bit what
it was; where a store meets more different values than that, as the values themselves, in an array named after the
quantity. Nothing here knows of radar files; `echocast.archive` does. A change is made in a session and becomes true by
its commit, whole or not at all. A local folder, unlike an object store, cannot tell two commits apart by
itself, so local writers take turns by a lock; writers to an object store that meet find a conflict, and the later one
does its batch again.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import filelock
import icechunk
import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from echocast import fields
from echocast._version import __version__
from echocast.errors import DataError
from echocast.io import location as locations
from echocast.io.location import Location
from echocast.io.palette import CHANNELS, INDEX, PALETTE, QUANTITY, Palette

CHUNK_BYTES = 4 * 2**20
MAX_CHUNK_FRAMES = 288
_SLAB_CHUNKS = 4
_CHUNKS_A_LIST = 1024
"""Chunks along time that one of Icechunk's lists holds."""
_SECOND = np.timedelta64(1, "s")

icechunk.set_logs_filter("icechunk=error")  # its warning of concurrent writers is answered by `alone`


def repository(location: Location, *, create: bool) -> icechunk.Repository:
    """The repository at a place; a new one if there is none and `create`.

    Raises:
        DataError: there is none, it is something else, or it cannot be reached.
    """
    location = locations.normalise(location)
    if isinstance(location, Path):
        return _local(location, create=create)
    with errors(location):
        storage = _remote(location)
        if icechunk.Repository.exists(storage):
            return icechunk.Repository.open(storage)
        if create:
            return icechunk.Repository.create(storage, _config())
    raise DataError(f"{location}: is no echocast archive; make one with `echocast archive add {location} INPUT...`")


def begun(session: icechunk.Session) -> bool:
    """Whether a first batch was ever committed."""
    try:
        return "observed" in zarr.open_group(session.store, mode="r")
    except (zarr.errors.GroupNotFoundError, FileNotFoundError):
        return False


def there(location: Location) -> bool:
    """Whether a location holds an archive with frames."""
    location = locations.normalise(location)
    if isinstance(location, Path):
        if not location.is_dir() or not any(location.iterdir()):
            return False
        return begun(_local(location, create=False).readonly_session("main"))
    with errors(location):
        storage = _remote(location)
        return icechunk.Repository.exists(storage) and begun(icechunk.Repository.open(storage).readonly_session("main"))


@contextmanager
def alone(location: Location) -> Iterator[None]:
    """One writer at a time, where the storage itself cannot tell two apart."""
    location = locations.normalise(location)
    with filelock.FileLock(location / "writer.lock") if isinstance(location, Path) else nullcontext():
        yield


@contextmanager
def errors(location: Location) -> Iterator[None]:
    """What the storage says becomes a `DataError` that names the store."""
    try:
        yield
    except icechunk.ConflictError as bad:
        raise DataError(f"{location}: another process wrote to it at the same time; run the command again") from bad
    except (icechunk.IcechunkError, OSError) as bad:
        why = " ".join(str(bad).split())[:160]
        remedy = (
            "is the disk full or read-only?" if not locations.is_url(location) else "check address, rights and network"
        )
        raise DataError(f"{location}: cannot be read or written ({why}); {remedy}") from bad


def version(location: Location) -> str:
    """What changes whenever something is written to the store at a location."""
    with errors(location):
        return str(repository(location, create=False).readonly_session("main").snapshot_id)


def size(location: Location) -> int | None:
    """The bytes of a local store on the disk; None for a remote one."""
    location = locations.normalise(location)
    if not isinstance(location, Path):
        return None
    return sum(path.stat().st_size for path in location.rglob("*") if path.is_file())


def create(
    group: zarr.Group, template: xr.Dataset, start: np.datetime64, step: np.timedelta64, notes: dict[str, str]
) -> None:
    """The empty arrays of a store, with an empty palette.

    Args:
        group: of a new store.
        template: grid, attributes and quantity, as `echocast.io.palette.grid_of` gives them. The grid mapping ``crs``
            may be missing.
        start: the first time.
        step: between the frames.
        notes: more attributes of the store.
    """
    dims = tuple(axis for axis in ("channel", "y", "x") if axis in template.sizes)
    shape = tuple(template.sizes[axis] for axis in dims)
    attrs = {name: value for name, value in template.attrs.items() if name != "clipped_cells"}
    indices = (INDEX, (0, *shape), np.uint16, _chunks(shape, 2), ("time", *dims), _index_attrs(attrs), 0)
    _array(group, *indices)
    _array(group, PALETTE, (1,), np.float32, (2**16,), ("palette_entry",), attrs, np.nan)
    seen = {"long_name": "a frame of this time was archived"}
    _array(group, "observed", (0,), np.bool_, (4096,), ("time",), seen, False)
    whole = step % _SECOND == np.timedelta64(0) and start == start.astype("datetime64[s]")
    unit = "seconds" if whole else "nanoseconds"  # frames of videos come several a second
    units = {"units": f"{unit} since 1970-01-01", "calendar": "proleptic_gregorian"}
    _array(group, "time", (0,), np.int64, (4096,), ("time",), dict(template.time.attrs) | units, 0)
    for axis in ("y", "x"):
        coord = template.coords[axis]
        _array(group, axis, coord.shape, np.float64, coord.shape, (axis,), dict(coord.attrs), 0.0)[:] = coord.values
    if "crs" in template.coords:
        mapping = {key: _plain(value) for key, value in template.coords["crs"].attrs.items()}
        _array(group, "crs", (), np.int32, (), (), mapping, 0)[...] = 0
    described: dict[str, Any] = {
        "Conventions": "CF-1.11",
        "title": f"{attrs.get('long_name', attrs[QUANTITY])} at regular times",
        "history": f"made by echocast {__version__}",
        "start": str(start),
        "step_seconds": float(step / _SECOND),
    }
    described |= {name: str(attrs[name]) for name in (QUANTITY, "source", "zr", "product") if name in attrs}
    if "channel" in template.coords:
        described[CHANNELS] = [str(name) for name in template.channel.values]
    group.attrs.update(described | notes)


def time_axis(group: zarr.Group) -> fields.Clock:
    """The times of a store's frames."""
    seconds = float(str(group.attrs["step_seconds"]))
    return fields.Clock(np.datetime64(str(group.attrs["start"]), "ns"), np.timedelta64(round(seconds * 1e9), "ns"))


def clock_of(location: Location) -> fields.Clock:
    """The times of the frames of the store at a location."""
    with errors(location):
        session = repository(location, create=False).readonly_session("main")
        return time_axis(zarr.open_group(session.store, mode="r"))


def extend(group: zarr.Group, length: int) -> None:
    """Make room for `length` frames in all; the new ones are missing for now."""
    now = part(group, "time").shape[0]
    if length <= now:
        return
    axis = time_axis(group)
    part(group, data_name(group)).resize((length, *part(group, data_name(group)).shape[1:]))
    part(group, "observed").resize((length,))
    part(group, "time").resize((length,))
    times = axis.start + np.arange(now, length) * axis.step
    if str(part(group, "time").attrs["units"]).startswith("seconds"):
        times = (times + np.timedelta64(500, "ms")).astype("datetime64[s]")  # the nearest second, not the one before
    part(group, "time")[now:] = times.astype(np.int64)


def put_before(group: zarr.Group, frames: int) -> None:
    """Let the times start earlier; what is there moves back, a chunk at a time, inside the same transaction."""
    axis, length = time_axis(group), part(group, "time").shape[0]
    group.attrs["start"] = str(axis.start - frames * axis.step)
    part(group, "time").resize((0,))
    extend(group, length + frames)
    for name in (data_name(group), "observed"):
        array = part(group, name)
        stretch = array.chunks[0]
        for stop in range(length, 0, -stretch):
            start = max(0, stop - stretch)
            array[start + frames : stop + frames] = array[start:stop]
        array[:frames] = array.fill_value


def put(group: zarr.Group, frames: dict[int, np.ndarray]) -> None:
    """Write frames at their places, in stretches, so that each chunk is written once."""
    found, kept, seen = np.array(sorted(frames)), part(group, data_name(group)), part(group, "observed")
    slab = found // (kept.chunks[0] * _SLAB_CHUNKS if kept.chunks[0] > 1 else 1)  # a large frame is written as it is
    for stretch in np.split(found, np.flatnonzero((np.diff(found) > 1) | (np.diff(slab) > 0)) + 1):
        if len(stretch):
            where = slice(int(stretch[0]), int(stretch[-1]) + 1)
            values = [frames[int(location)] for location in stretch]
            kept[where] = values[0][None] if len(values) == 1 else np.stack(values)
            seen[where] = True


def data_name(group: zarr.Group) -> str:
    """The name of the array with the frames: the palette indices, or the quantity where it holds values."""
    return INDEX if INDEX in group else str(group.attrs[QUANTITY])


def palette(group: zarr.Group) -> Palette | None:
    """The palette of a store; None where it holds the values themselves."""
    return Palette(part(group, PALETTE)[:]) if INDEX in group else None


def keep_palette(group: zarr.Group, palette: Palette) -> None:
    """Write what the palette has grown by."""
    kept = part(group, PALETTE)
    known = kept.shape[0]
    if len(palette.values) > known:
        kept.resize((len(palette.values),))
        kept[known:] = palette.values[known:]


def to_values(group: zarr.Group) -> None:
    """Turn indices into the values themselves, a chunk at a time, for a store that meets too many different ones."""
    old, kept = part(group, INDEX), part(group, PALETTE)
    known, shape, attrs = kept[:], old.shape, dict(kept.attrs)
    name = str(group.attrs[QUANTITY])
    dims = old.metadata.dimension_names
    new = _array(group, name, shape, np.float32, _chunks(shape[1:], 4), dims, attrs, np.nan)
    stretch = max(new.chunks[0], old.chunks[0])
    for start in range(0, shape[0], stretch):
        new[start : start + stretch] = known[old[start : start + stretch]]
    del group[INDEX], group[PALETTE]


def part(group: zarr.Group, name: str) -> Any:
    """One array of the store; zarr's own types cannot tell it from a group."""
    return group[name]


def _local(folder: Path, *, create: bool) -> icechunk.Repository:
    storage = icechunk.local_filesystem_storage(str(folder))
    if (folder.is_dir() and any(folder.iterdir())) or not create:
        if not folder.is_dir() or (not (folder / "refs").is_dir() and not (folder / "repo").exists()):
            raise DataError(_no_archive(folder))
        with errors(folder):
            return icechunk.Repository.open(storage)
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file, not an archive; give another STORE")
    with errors(folder):
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        icechunk.Repository.create(icechunk.local_filesystem_storage(str(partial)), _config())
        partial.replace(folder)  # so that a store is there whole or not at all
        return icechunk.Repository.open(storage)


def _config() -> icechunk.RepositoryConfig:
    """How Icechunk lists the chunks of a new store: in parts along time, of which a transaction writes the last anew.

    One list of all chunks would be written by every transaction, and grow with the archive.
    """
    along_time: dict[Any, int] = {icechunk.ManifestSplitDimCondition.DimensionName("time"): _CHUNKS_A_LIST}
    parts = icechunk.ManifestSplittingConfig.from_dict({icechunk.ManifestSplitCondition.AnyArray(): along_time})
    return icechunk.RepositoryConfig(manifest=icechunk.ManifestConfig(splitting=parts))


def _no_archive(folder: Path) -> str:
    """What to say about a path without an archive; never to make one over what is there."""
    made = (
        f"of it with `echocast archive add radar.zarr {folder}`"
        if folder.exists()
        else f"with `echocast archive add {folder} INPUT...`"
    )
    return f"{folder}: is no echocast archive; make one {made}"


def _remote(url: str) -> icechunk.Storage:
    kind, rest = locations.scheme(url), url.partition("://")[2]
    bucket, _, prefix = rest.partition("/")
    if kind == "s3":
        options = locations.s3_options()
        endpoint = options["endpoint"]
        return icechunk.s3_storage(
            bucket=bucket,
            prefix=prefix or None,
            region=options["region"],
            endpoint_url=endpoint,
            allow_http=bool(endpoint and endpoint.startswith("http://")),
            force_path_style=endpoint is not None,
            anonymous=options["anonymous"] or None,
            from_env=not options["anonymous"] or None,
        )
    if kind == "gs":
        return icechunk.gcs_storage(bucket=bucket, prefix=prefix or None, from_env=True)
    raise DataError(
        f"{url}: Icechunk has no way to an archive over {kind}; give its s3:// or gs:// address, or copy it"
        " (a plain Zarr store over http can be an INPUT)"
    )


def _array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    chunks: tuple[int, ...],
    dims: tuple[str, ...],
    attrs: dict[str, Any],
    fill: Any,
) -> Any:
    compressors: Any = "auto"
    if len(shape) >= 3:
        # Of indices the bytes of each cell compress best; of values with all their bits the single bits.
        whole = np.dtype(dtype).itemsize == 2
        compressors = BloscCodec(
            cname="zstd",
            clevel=5 if whole else 3,
            shuffle="shuffle" if whole else "bitshuffle",
            typesize=np.dtype(dtype).itemsize,
        )
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=chunks,
        dimension_names=dims,
        attributes=attrs,
        fill_value=fill,
        compressors=compressors,
    )


def _index_attrs(field: dict[str, Any]) -> dict[str, Any]:
    meaning = f"index into {PALETTE}, which holds {field[QUANTITY]} in {field['units']}; 0 is missing"
    return {"long_name": meaning} | ({"grid_mapping": field["grid_mapping"]} if "grid_mapping" in field else {})


def _chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole frames of time chunks near `CHUNK_BYTES`; huge frames are cut along y."""
    frame = itemsize * int(np.prod(shape))
    rows = max(1, min(shape[-2], CHUNK_BYTES * shape[-2] // frame))
    return (int(np.clip(CHUNK_BYTES // frame, 1, MAX_CHUNK_FRAMES)), *shape[:-2], rows, shape[-1])


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
