"""The frame store: the newest observed frames as plain files, so that a restart reads no radar file twice.

A file ``frames/TIME-DIGEST.bin`` (`echocast.operations.frame_file`) holds the field and its attributes, where it came
from and when it arrived. Files appear whole; of two frames of one time, the one that arrived later counts.
"""

import hashlib
import json
import logging
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields
from echocast.atomic import sync_folder, write_bytes
from echocast.errors import UnreadableFile
from echocast.operations import frame_file
from echocast.operations.disk import disk_errors
from echocast.operations.layout import FRAME, Layout, issue_id

log = logging.getLogger(__name__)

_OF_PRODUCT = ("quantity", "product", "zr")


@dataclass(frozen=True)
class Frame:
    """An observed frame in the store.

    Args:
        time: in ns since 1970.
        digest: of its time, place, values and product: the same content has the same digest, wherever it came from.
        source: the name of its file.
        arrived: when it was taken in, in seconds since 1970.
        late: whether it came when a newer one was there, or after it was expected.
        number: in the order of arrival.
        path: its file.
        sha256: of its file.
    """

    time: int
    digest: str
    source: str
    arrived: float
    late: bool
    number: int
    path: Path = Path()
    sha256: str = ""


class FrameStore:
    """The frames in a folder; what is there is taken in.

    Args:
        layout: the folder of the service.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        layout.frames.mkdir(parents=True, exist_ok=True)
        self._frames: dict[int, Frame] = {}
        self.replaced: list[Path] = []
        self.has_lost = False
        self._like: xr.DataArray | None = None
        for path in sorted(layout.frames.iterdir()):
            if FRAME.fullmatch(path.name):
                self._take_in(path)
            elif path.name.startswith("."):
                path.unlink(missing_ok=True)  # what a killed process left

    @property
    def times(self) -> list[int]:
        """The times of the frames, oldest first."""
        return sorted(self._frames)

    @property
    def like(self) -> xr.DataArray | None:
        """One of the frames as a field, to compare others with; None if there is none."""
        if self._like is None and self._frames:
            self._like = load(self._frames[max(self._frames)].path)
        return self._like

    def __getitem__(self, time: int) -> Frame:
        return self._frames[time]

    def all(self) -> list[Frame]:
        """The frames, oldest first."""
        return [self._frames[time] for time in self.times]

    def add(self, field: xr.DataArray, *, source: str, arrived: float, late: bool) -> str:
        """Take in a field of one time; ``used``, ``late``, ``duplicate`` or ``corrected``.

        Raises:
            GridMismatch: it lies on another grid, or is of another product.
            DiskTrouble: the disk is full or read-only.
        """
        if self.like is not None:
            fields.check_same_grid(self.like, field, source)
            fields.check_same_product(self.like, field, source)
        time, digest = time_of(field), digest_of(field)
        known = self._frames.get(time)
        if known is not None and known.digest == digest:
            return "duplicate"
        number = 1 + max((frame.number for frame in self._frames.values()), default=0)
        frame = Frame(time, digest, source, arrived, late, number)
        path = self._layout.frames / f"{issue_id(time, digest)}.bin"
        content = _encoded(field, frame)
        with disk_errors(path):
            write_bytes(path, content, sync=True)
            sync_folder(self._layout.frames)
        self._remember(replace(frame, path=path, sha256=hashlib.sha256(content).hexdigest()))
        return "corrected" if known else "late" if late else "used"

    def keep_newest(self, most: int) -> None:
        """Let go of all but the newest frames; their files are told in `replaced`."""
        for time in self.times[:-most]:
            self.replaced.append(self._frames.pop(time).path)

    def _take_in(self, path: Path) -> None:
        try:
            content = path.read_bytes()
            field, frame = _decoded(content)
        except (OSError, ValueError, KeyError, TypeError, zlib.error) as bad:
            log.warning("%s: is damaged and was removed (%s); radar files are read again", path.name, bad)
            self.has_lost = True
            path.unlink(missing_ok=True)
            return
        self._like = field if self._like is None else self._like
        self._remember(replace(frame, path=path, sha256=hashlib.sha256(content).hexdigest()))

    def _remember(self, frame: Frame) -> None:
        known = self._frames.get(frame.time)
        if known is not None and known.path != frame.path:
            older, frame = sorted((known, frame), key=lambda one: one.number)
            self.replaced.append(older.path)
        self._frames[frame.time] = frame


def time_of(field: xr.DataArray) -> int:
    """The time of a field of one frame, in ns since 1970."""
    return int(field.time.values[0].astype("datetime64[ns]").astype(np.int64))


def digest_of(field: xr.DataArray) -> str:
    """The digest of a frame: of its time, place, values and product."""
    found = hashlib.blake2b(digest_size=16)
    said = [str(field.name), *(f"{key}={field.attrs[key]}" for key in _OF_PRODUCT if key in field.attrs)]
    crs = str(field.coords["crs"].attrs["crs_wkt"]) if "crs" in field.coords else ""
    found.update(json.dumps([time_of(field), list(field.shape), crs, said]).encode())
    # All NaN are one: readers give them different bits.
    values = np.where(np.isnan(field.values), np.float32(np.nan), field.values).astype("<f4")
    for part in (field["y"].values, field["x"].values):
        found.update(np.ascontiguousarray(part, "<f8").tobytes())
    found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def load(path: Path) -> xr.DataArray:
    """The field of a frame's file; raises `UnreadableFile`."""
    try:
        return _decoded(path.read_bytes())[0]
    except (OSError, ValueError, KeyError, TypeError, zlib.error) as bad:
        raise UnreadableFile(f"{path}: is no frame of echocast ({bad}); remove it, and it is read again") from bad


def joined(paths: Sequence[Path]) -> xr.DataArray:
    """Frames as one field, in the order given."""
    return xr.concat([load(path) for path in paths], dim="time", join="override", combine_attrs="override")


def _encoded(field: xr.DataArray, frame: Frame) -> bytes:
    about = {name: value for name, value in asdict(frame).items() if name not in ("path", "sha256")}
    head = about | {
        "name": str(field.name),
        "attrs": _plain(field.attrs),
        "crs_wkt": str(field.coords["crs"].attrs["crs_wkt"]) if "crs" in field.coords else None,
    }
    return frame_file.encoded(head, field["y"].values, field["x"].values, field.values)


def _decoded(content: bytes) -> tuple[xr.DataArray, Frame]:
    raw = frame_file.decoded(content)
    head = raw.head
    field = fields.make(
        raw.values,
        time=np.array([head["time"]], "datetime64[ns]"),
        y=raw.y,
        x=raw.x,
        crs=head["crs_wkt"],
        quantity=_quantity(head),
        attrs=head["attrs"],
    )
    if digest_of(field) != head["digest"]:
        raise ValueError("its content is not what its digest tells")
    return field, Frame(**{name: head[name] for name in ("time", "digest", "source", "arrived", "late", "number")})


def _quantity(head: dict[str, Any]) -> str:
    if head["name"] not in fields.QUANTITIES:
        raise ValueError(f"there is no quantity {head['name']!r}")
    return str(head["name"])


def _plain(attrs: Any) -> dict[str, Any]:
    return {str(name): value.item() if isinstance(value, np.generic) else value for name, value in attrs.items()}
