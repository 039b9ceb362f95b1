"""A small issue on disk, and its values as arrays."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from echocast.operations.grid import Axis, Grid
from echocast.operations.layer_file import Layer
from echocast.operations.point_file import PointFile, write_points
from echocast.server.edr.parameters import Parameter, parameters_of

ISSUED = 1_795_842_300.0
"""2026-11-28T05:05:00Z"""
LEADS = (5.0, 10.0, 15.0)
TIMES = ("2026-11-28T05:10:00Z", "2026-11-28T05:15:00Z", "2026-11-28T05:20:00Z")


def grid(epsg: int = 3067, *, first: tuple[float, float] = (400_500.0, 6_999_500.0), step: float = 1000.0) -> Grid:
    """40 rows from the north to the south, 70 columns."""
    return Grid(pyproj.CRS.from_epsg(epsg).to_wkt(), Axis(first[0], step, 70), Axis(first[1], -step, 40))


@dataclass(frozen=True)
class SmallIssue:
    """An issue with a rate, a quantile and an amount; its upper left corner is not known."""

    folder: Path
    grid: Grid = field(default_factory=grid)
    id: str = "20261128T050500Z-1a2b3c4d"
    issued: float = ISSUED

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Values (lead, y, x) of each variable."""
        rng = np.random.default_rng(5)
        rate = np.where(rng.random((3, *self.grid.shape)) < 0.4, rng.gamma(1, 3, (3, *self.grid.shape)), 0)
        rate[:, :4, :6] = np.nan
        rate = rate.astype(np.float32)
        return {"rate": rate, "rate.p90": rate * 2, "amount.10": rate[:1] / 8}

    @property
    def layers(self) -> dict[str, Layer]:
        """What is written."""
        arrays = self.arrays
        known = np.where(np.isnan(arrays["rate"]), np.nan, 1).astype(np.float32)
        return {
            "rate": Layer(arrays["rate"], LEADS, "rate", "rain rate"),
            "rate.p90": Layer(arrays["rate.p90"], LEADS, "rate", "rain rate that 90 % do not exceed"),
            "amount.10": Layer(arrays["amount.10"], (10.0,), "amount", "rain amount over 10 min"),
            "coverage": Layer(known, LEADS, "coverage", "where the forecast is known"),
        }

    @cached_property
    def about_points(self) -> dict[str, Any]:
        """What meta.json says of the block file, which is written."""
        return write_points(self.folder / "points.bin", self.layers)

    @cached_property
    def values(self) -> PointFile:
        """The block file."""
        return PointFile(self.folder / "points.bin", self.about_points)

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """By name."""
        return parameters_of(self.values.variables)
