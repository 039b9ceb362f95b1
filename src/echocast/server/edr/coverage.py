"""What is answered: values of parameters at times, at points or on a part of the grid. Writers make files of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from echocast.operations.grid import Axis, Grid
from echocast.server.edr import projection
from echocast.server.edr.parameters import Parameter

CRS84 = "CRS84"
NATIVE = "native"


@dataclass(frozen=True)
class Points:
    """Places that were asked for.

    Args:
        x: in `crs`, (n,).
        y: likewise.
        crs: `CRS84` or `NATIVE`.
        many: whether they came as a MULTIPOINT.
        rows: of the cells that hold them; -1 outside the grid.
        columns: likewise.
    """

    x: np.ndarray
    y: np.ndarray
    crs: str
    many: bool
    rows: np.ndarray
    columns: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """How many."""
        return (self.x.size,)

    @property
    def inside(self) -> np.ndarray:
        """Whether each lies in a cell."""
        return self.rows >= 0

    def coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y of each, in `crs`."""
        return self.x, self.y


@dataclass(frozen=True)
class Raster:
    """A part of the grid, or a grid of degrees whose nodes take the values of the nearest cells.

    Args:
        x: along a row.
        y: along a column.
        crs: `CRS84` or `NATIVE`.
        inside: (y, x), whether each cell was asked for; what was not has no value.
        rows: (y, x) of the cells that values come from, -1 for none.
        columns: likewise.
    """

    x: Axis
    y: Axis
    crs: str
    inside: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return self.y.size, self.x.size

    def coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y of each cell, in `crs`, both (y, x)."""
        x, y = np.meshgrid(projection.centres(self.x), projection.centres(self.y))
        return x, y


@dataclass(frozen=True)
class Coverage:
    """An answer.

    Args:
        issue: the id of the issue.
        issued: its time, seconds since 1970.
        grid: the grid of the issue.
        domain: where.
        parameters: what.
        leads: lead times in minutes, ascending.
        values: float32 (lead, *domain) by the names of the parameters; NaN where there is none.
        about: attributes of the issue: its model, its source and the like.
    """

    issue: str
    issued: float
    grid: Grid
    domain: Points | Raster
    parameters: tuple[Parameter, ...]
    leads: tuple[float, ...]
    values: Mapping[str, np.ndarray]
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def times(self) -> tuple[float, ...]:
        """Valid times, seconds since 1970."""
        return tuple(self.issued + 60 * lead for lead in self.leads)

    @cached_property
    def degrees(self) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude of the places asked for, both (n,), in the order of `flat`."""
        x, y = (values[self.domain.inside] for values in self.domain.coordinates())
        return (x, y) if self.domain.crs == CRS84 else projection.degrees(self.grid, x, y)

    def flat(self, name: str, number: int) -> np.ndarray:
        """Values of a parameter at a time at the places asked for, (n,)."""
        found: np.ndarray = self.values[name][number][self.domain.inside]
        return found

    def has(self, parameter: Parameter, number: int) -> bool:
        """Whether a parameter has a value at a time at all."""
        return self.leads[number] in parameter.leads


def strips(size: int, height: int) -> Iterator[slice]:
    """Slices of at most `height` of `size`."""
    return (slice(first, min(first + height, size)) for first in range(0, size, height))
