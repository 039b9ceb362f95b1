"""What is published at a moment: the issues and frames that index.json names. It never changes.

A new index makes a new snapshot, which shares with the old one what both have. Requests keep the one that they began
with. Files are opened when first needed, and stay readable while a snapshot holds them, removed or not.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from echocast.errors import UnreadableFile
from echocast.operations import frame_file, index, stamps
from echocast.operations.grid import Axis, Grid, interned
from echocast.operations.layer_file import LayerFile
from echocast.operations.layout import Layout, check_version
from echocast.operations.point_file import PointFile

_HELD = 24
"""Of so many of the newest issues what was read is held."""


@dataclass(frozen=True)
class Issue(index.Issue):
    """A published forecast whose files can be read.

    Args:
        folder: where its files are.
    """

    folder: Path

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        """Its meta.json; raises `UnreadableFile`."""
        path = self.folder / "meta.json"
        try:
            content = path.read_bytes()
        except OSError as bad:
            raise UnreadableFile(f"{path}: cannot be read ({bad.strerror})") from bad
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise UnreadableFile(f"{path}: is not what index.json says")
        meta = json.loads(content)
        check_version(meta, path)
        return MappingProxyType(meta)

    @cached_property
    def grid(self) -> Grid | None:
        """Where it lies; None if that is nowhere on Earth."""
        return Grid.of(self.meta["grid"]) if self.meta["grid"].get("crs") else None

    @cached_property
    def layer_file(self) -> LayerFile | None:
        """Its layers; None if it has none."""
        about = self.meta.get("layer_file")
        return LayerFile(self.folder / "layers.bin", about) if about else None

    @cached_property
    def point_file(self) -> PointFile | None:
        """Its series; None if it has none."""
        about = self.meta.get("point_file")
        return PointFile(self.folder / "points.bin", about) if about else None

    def forget(self) -> None:
        """Let go of what was read; it is read again when needed."""
        for name in ("meta", "layer_file", "point_file"):
            self.__dict__.pop(name, None)

    @cached_property
    def netcdf(self) -> tuple[Path, str, int]:
        """Path, SHA-256 and bytes of its NetCDF file; raises `UnreadableFile` if it has none."""
        for name, about in self.meta["files"].items():
            if name.endswith(".nc"):
                return self.folder / name, str(about["sha256"]), int(about["bytes"])
        raise UnreadableFile(f"{self.folder.name}: has no NetCDF file")


@dataclass(frozen=True)
class ObservedFrame:
    """An observed field of rain rate.

    Args:
        id: opaque.
        time: as ``2026-11-28T05:10:00Z``.
        path: its file.
    """

    id: str
    time: str
    path: Path

    @property
    def seconds(self) -> float:
        """Its time in seconds since 1970."""
        return stamps.seconds_of(self.time)

    @cached_property
    def quantity(self) -> str:
        """What it shows, as ``rainfall_rate``; raises `UnreadableFile`."""
        return str(self._outline.head["name"])

    @cached_property
    def grid(self) -> Grid | None:
        """Where it lies; None if that is nowhere on Earth. Raises `UnreadableFile`."""
        found = self._outline
        if not found.head["crs_wkt"]:
            return None
        axes = (Axis(float(v[0]), float(v[-1] - v[0]) / max(v.size - 1, 1), v.size) for v in (found.x, found.y))
        return interned(Grid(str(found.head["crs_wkt"]), *axes))

    def values(self) -> np.ndarray:
        """Its values, float16 (y, x), NaN where nothing is observed; raises `UnreadableFile`."""
        return _values(self.path)

    @cached_property
    def _outline(self) -> frame_file.RawFrame:
        return frame_file.read(self.path, with_values=False)


@dataclass(frozen=True)
class Snapshot:
    """All that is published at a moment.

    Args:
        issues: by id, newest first; of one time the highest revision first.
        frames: by id, oldest first.
        generated: when index.json was written, in seconds since 1970; 0 if there is none.
        step_s: seconds between frames, None if not known.
        digest: of index.json.
    """

    issues: Mapping[str, Issue] = field(default_factory=dict)
    frames: Mapping[str, ObservedFrame] = field(default_factory=dict)
    generated: float = 0.0
    step_s: float | None = None
    digest: str = "none"

    @property
    def newest(self) -> Issue | None:
        """The newest issue."""
        return next(iter(self.issues.values()), None)

    @property
    def newest_frame(self) -> ObservedFrame | None:
        """The newest frame."""
        return next(iter(list(self.frames.values())[::-1]), None)


def load(folder: Path, before: Snapshot) -> Snapshot:
    """The snapshot of a folder; `before` itself where nothing is new.

    Raises:
        UnreadableFile: index.json cannot be read, or is none.
        DataError: it is of another version.
    """
    layout = Layout(folder)
    try:
        content = layout.index.read_bytes()
    except FileNotFoundError:
        return before
    except OSError as bad:
        raise UnreadableFile(f"{layout.index}: cannot be read ({bad.strerror})") from bad
    digest = hashlib.sha256(content).hexdigest()
    if digest == before.digest:
        return before
    try:
        said = json.loads(content)
        check_version(said, layout.index)
        issues = [_issue(one, folder, before) for one in said["issues"]]
        frames = [_frame(one, folder, before) for one in said["frames"]]
        generated = stamps.seconds_of(said["generated"])
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as bad:
        raise UnreadableFile(f"{layout.index}: is no index of echocast ({bad!r})") from bad
    for issue in issues[_HELD:]:
        issue.forget()
    return Snapshot(
        MappingProxyType({one.id: one for one in issues}),
        MappingProxyType({one.id: one for one in frames}),
        generated,
        said.get("step"),
        digest,
    )


def _issue(about: Mapping[str, Any], folder: Path, before: Snapshot) -> Issue:
    known = before.issues.get(about["id"])
    if known is not None and known.sha256 == about["sha256"]:
        return known
    return Issue(**index.told(about), folder=_below(folder, about["path"]))


def _frame(about: Mapping[str, Any], folder: Path, before: Snapshot) -> ObservedFrame:
    known = before.frames.get(about["id"])
    return known or ObservedFrame(about["id"], about["time"], _below(folder, about["path"]))


def _below(folder: Path, path: str) -> Path:
    """A path that index.json names; raises `UnreadableFile` if it leads out of the folder."""
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise UnreadableFile(f"{folder / 'index.json'}: names {path!r}, which is not below it")
    return folder / path


@lru_cache(maxsize=2)
def _values(path: Path) -> np.ndarray:
    """The values of a frame; those of the newest are asked for again and again."""
    found = frame_file.read(path).values
    with np.errstate(over="ignore"):
        return found.reshape(found.shape[-2:]).astype(np.float16)
