"""A published issue as alerts see it: its time, its grid, and its layers in points.bin."""

import json
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from echocast.errors import DataError, UnreadableFile
from echocast.operations.alerts.readings import Values
from echocast.operations.grid import Grid
from echocast.operations.point_file import PointFile
from echocast.operations.stamps import seconds_of


@dataclass(frozen=True)
class Published:
    """A published issue.

    Args:
        id: of the issue.
        time: of the issue, in seconds since 1970.
        published: when, in seconds since 1970.
        model: its name.
        grid: where it lies; None for what lies on no place on Earth.
        values: its layers.
        observed: gives the newest observed rate (y, x) on the same grid, or None.
    """

    id: str
    time: float
    published: float
    model: str
    grid: Grid | None
    values: Values
    observed: Callable[[], np.ndarray | None] = lambda: None


class Nothing:
    """The layers of an issue of which no map is made: none."""

    variables: Container[str] = frozenset()

    def leads(self, name: str) -> tuple[float, ...]:
        """There is no layer: `KeyError`."""
        raise KeyError(name)

    def window(self, rows: slice, columns: slice, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """There is no layer."""
        return {}


def of_folder(folder: Path, observed: Callable[[], np.ndarray | None] = lambda: None) -> Published:
    """The issue in a folder.

    Args:
        folder: of the issue, with meta.json and points.bin.
        observed: gives the newest observed rate (y, x).

    Raises:
        UnreadableFile: it is gone or damaged.
    """
    try:
        meta: Mapping[str, Any] = json.loads((folder / "meta.json").read_bytes())
        points = meta.get("point_file")
        values: Values = PointFile(folder / "points.bin", points) if points else Nothing()
        return Published(
            id=str(meta["id"]),
            time=seconds_of(meta["time"]),
            published=seconds_of(meta["published"]),
            model=str(meta["model"]["name"]),
            grid=Grid.of(meta["grid"]) if meta["grid"].get("crs") else None,
            values=values,
            observed=observed,
        )
    except (OSError, ValueError, KeyError, TypeError) as bad:
        raise UnreadableFile(f"{folder}: the issue cannot be read ({bad})") from bad


def newest_in(folder: Path) -> Published:
    """The newest issue in the folder of a service; raises `DataError` where there is none."""
    try:
        content = json.loads((folder / "index.json").read_bytes())
    except (OSError, ValueError) as bad:
        raise DataError(f"{folder}: holds no index.json of echocast watch ({bad}); give its --out folder") from bad
    if not content.get("issues"):
        raise DataError(f"{folder}: holds no issue yet; wait for the first")
    return of_folder(folder / content["issues"][0]["path"])
