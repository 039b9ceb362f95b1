"""From cells to values: the block file is read strip by strip, so that little is held beside the answer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from echocast.operations.point_file import PointFile
from echocast.server.edr.coverage import Points, Raster, strips
from echocast.server.edr.parameters import Parameter

_STRIP = 32
"""Rows that are read at a time: those of a block."""
Piece = tuple[Any, dict[str, np.ndarray]]
"""Where values go in the domain, and the values of each variable there, (lead, n)."""


def values(
    file: PointFile, domain: Points | Raster, parameters: Sequence[Parameter], leads: Sequence[float]
) -> Mapping[str, np.ndarray]:
    """The values of parameters at leads, each float32 (lead, *domain); NaN where there is none.

    Raises:
        UnreadableFile: the file is gone or damaged.
    """
    found = {one.name: np.full((len(leads), *domain.shape), np.nan, np.float32) for one in parameters}
    names = [one.variable for one in parameters]
    for where, read in _of_points(file, domain, names) if isinstance(domain, Points) else _strips(file, domain, names):
        for one in parameters:
            for number, lead in enumerate(leads):
                if lead in one.leads:
                    found[one.name][number][where] = read[one.variable][one.leads.index(lead)]
    return found


def _of_points(file: PointFile, points: Points, names: Sequence[str]) -> Iterator[Piece]:
    inside = points.inside
    cells = list(zip(points.rows[inside].tolist(), points.columns[inside].tolist(), strict=True))
    yield inside, file.cells(cells, names)


def _strips(file: PointFile, raster: Raster, names: Sequence[str]) -> Iterator[Piece]:
    """Strips of the grid, and which cells of the raster come from each."""
    first, last = int(raster.rows[raster.inside].min()), int(raster.rows[raster.inside].max())
    start = first - first % _STRIP
    for strip in strips(last + 1 - start, _STRIP):
        rows = slice(max(first, start + strip.start), start + strip.stop)
        where = raster.inside & (raster.rows >= rows.start) & (raster.rows < rows.stop)
        if where.any():
            row, column = raster.rows[where], raster.columns[where]
            columns = slice(int(column.min()), int(column.max()) + 1)
            read = file.window(rows, columns, names)
            yield where, {name: one[:, row - rows.start, column - columns.start] for name, one in read.items()}
