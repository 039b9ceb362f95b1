"""The newest frame as `lagrangian` carries it: smooth part, bands of detail, and pixels finer than its cells.

>>> level = torch.rand(1, 1, 20, 30)
>>> tuple(bands(level, (3, 9)).shape)
(1, 2, 20, 30)
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from echocast.models._lagrangian.settings import DetailSettings


class Newest(NamedTuple):
    """The newest frame: grey levels of the network's cells, and rain rates of pixels finer than these."""

    level: Float[Tensor, "batch 1 rows columns"]
    """Grey levels; 0 where nothing was observed."""

    observed: Float[Tensor, "batch 1 rows columns"]
    """1 where the cell was observed, else 0."""

    bands: Float[Tensor, "batch bands rows columns"]
    """Detail of the grey levels, finest first."""

    pixels: Float[Tensor, "batch parts y x"]
    """1 or 0 for observed pixels; on a finer grid also rain rates, as they are and as running means. These are rates
    and not grey levels, for between a wet pixel and a dry one the mean of grey levels is almost dry, and showers would
    shrink."""

    factor: int = 1
    """Pixels per cell, along a side."""


def newest(
    level: Float[Tensor, "batch 1 rows columns"],
    settings: DetailSettings,
    rain_mm_h: Float[Tensor, "batch 1 y x"] | None = None,
    factor: int = 1,
) -> Newest:
    """The newest frame from the cells' grey levels and, on a grid `factor` times finer, the pixels' rain rates."""
    observed = level.isfinite().to(level)
    level = level.nan_to_num(0.0)
    # A cell that was not observed has no detail: damping it must not make its neighbours brighter.
    detail = bands(level, settings.band_widths_cells) * observed
    if rain_mm_h is None:
        return Newest(level, observed, detail, observed)
    width = settings.subgrid_width_px
    seen, rain = rain_mm_h.isfinite().to(rain_mm_h), rain_mm_h.nan_to_num(0.0)
    smooth = running_mean(rain, width) / running_mean(seen, width).clamp(min=1 / width**2) * seen
    return Newest(level, observed, detail, torch.cat([seen, rain, smooth], dim=1), factor)


def damped(frame: Newest, damping: Float[Tensor, "batch bands rows columns"]) -> Float[Tensor, "batch 1 rows columns"]:
    """Grey levels with each band of detail damped: 0 keeps it, -1 removes it."""
    return frame.level + (damping * frame.bands).sum(dim=1, keepdim=True)


def bands(
    level: Float[Tensor, "batch 1 rows columns"], widths: Sequence[int]
) -> Float[Tensor, "batch bands rows columns"]:
    """Detail of up to the first width in cells, from there to the second, and so on."""
    smoother = [level, *(running_mean(level, width) for width in widths)]
    return torch.cat([a - b for a, b in pairwise(smoother)], dim=1)


def running_mean(values: Float[Tensor, "batch 1 y x"], width: int) -> Float[Tensor, "batch 1 y x"]:
    """The mean over squares of an odd side, mirrored at the edges; of a smaller side where the grid is smaller."""
    # Along one axis and then the other: width + width samples for each mean in place of width * width.
    for axis in (0, 1):
        reach = min(width // 2, values.shape[axis - 2] - 1)
        margin = (0, 0, reach, reach) if axis == 0 else (reach, reach, 0, 0)
        window = (2 * reach + 1, 1) if axis == 0 else (1, 2 * reach + 1)
        values = avg_pool2d(pad(values, margin, mode="reflect"), window, stride=1)
    return values
