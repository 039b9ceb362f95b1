"""Semi-Lagrangian advection: a field carried along a motion, followed backwards from where it arrives.

The way back is followed step by step through a motion that does not change, but the field itself is sampled only once
per lead time, so nothing diffuses however far it goes. What comes from outside or from an unobserved place is NaN.

    >>> import torch
    >>> field = torch.zeros(1, 1, 8, 8); field[..., 4, 2] = 1.0
    >>> motion = torch.zeros(1, 2, 8, 8); motion[:, 1] = 1.5
    >>> float(advect(field, motion, steps=2)[0, 1, 0, 4, 5])
    1.0
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

STRIP_PIXELS = 2_000_000
"""How many pixels are carried at a time, for memory."""
_MIN_OBSERVED = 0.5
"""A sample is known if at least this fraction of its bilinear weight is."""


def advect(
    field: Float[Tensor, "batch channel y x"], motion: Float[Tensor, "batch 2 y x"], steps: int
) -> Float[Tensor, "batch steps channel y x"]:
    """The field after 1, 2, ... `steps` steps of a constant motion; differentiable in both.

    Channels move together: members that share a motion are channels, members with motions of their own are cases of the
    batch. CPU and CUDA.

    Args:
        field: any values, NaN where unknown.
        motion: displacement along y and x in pixels per step.
        steps: how many steps.

    Source: Germann and Zawadzki 2002, doi:10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2, section 4b, with the
    midpoint rule for each step back.
    """
    future = field.new_empty(len(field), steps, *field.shape[1:])  # one piece: a stack of parts would need it twice
    for step, frame in enumerate(advected(field, motion, steps)):
        future[:, step] = frame
    return future


def advected(
    field: Float[Tensor, "batch channel y x"], motion: Float[Tensor, "batch 2 y x"], steps: int
) -> Iterator[Float[Tensor, "batch channel y x"]]:
    """The frames of `advect`, one after the other; the way back is followed strip by strip, for memory."""
    known, rows = field.isfinite(), strips(motion)
    is_known, weighed = bool(known.all()), field
    ways = [departure_points(motion, steps, pixel_coordinates(motion, one)) for one in rows]
    for _ in range(steps):
        points = [next(way) for way in ways]
        plain = is_known and not any(bool((part < 0).any()) or _beyond(field, part) for part in points)
        if not plain and weighed is field:
            weighed = torch.cat([field.nan_to_num(0.0), known.to(field.dtype)], dim=1)
        future = torch.empty_like(field)
        for one, part in zip(rows, points, strict=True):
            future[..., one, :] = sample(field, part, "zeros") if plain else _observed(weighed, part)
        yield future


def strips(motion: Float[Tensor, "batch 2 y x"], most: int | None = None) -> list[slice]:
    """The rows of a grid in strips of so many pixels as are carried at a time, for memory; at most `most`."""
    pixels = STRIP_PIXELS if most is None else min(most, STRIP_PIXELS)
    height = max(1, pixels // (len(motion) * motion.shape[-1]))
    return [slice(first, first + height) for first in range(0, motion.shape[-2], height)]


def advect_repeatedly(
    field: Float[Tensor, "batch channel y x"], motion: Float[Tensor, "batch 2 y x"], steps: int
) -> Float[Tensor, "batch steps channel y x"]:
    """Each step samples the step before, straight back along the motion where it arrives; outside is 0.

    Bilinear samples of samples blur: this is how the HKO-7 baseline moves echoes, kept for comparison with it.

    Source: the published HKO-7 benchmark of Shi et al. 2017 (arXiv:1706.03458).
    """
    points = pixel_coordinates(motion) - motion
    frames = [field.nan_to_num(0.0)]
    for _ in range(steps):
        frames.append(sample(frames[-1], points, "zeros"))
    return torch.stack(frames[1:], dim=1)


def departure_points(
    motion: Float[Tensor, "batch 2 y x"], steps: int, arrival: Float[Tensor, "batch 2 rows columns"] | None = None
) -> Iterator[Float[Tensor, "batch 2 rows columns"]]:
    """Where what arrives after 1, 2, ... `steps` steps comes from: pixel coordinates (y, x), one step at a time.

    Args:
        motion: displacement along y and x in pixels per step.
        steps: how many steps.
        arrival: pixel coordinates where it arrives; every pixel if None.
    """
    points = pixel_coordinates(motion) if arrival is None else arrival
    for _ in range(steps):
        halfway = points - 0.5 * sample(motion, points, "border")
        points = points - sample(motion, halfway, "border")
        yield points


def sample(
    values: Float[Tensor, "batch channel y x"], points: Float[Tensor, "batch 2 rows columns"], padding: str
) -> Float[Tensor, "batch channel rows columns"]:
    """Bilinear samples at pixel coordinates (y, x); `padding` is ``zeros`` or ``border``, as for `grid_sample`."""
    last = points.new_tensor([max(n - 1, 1) for n in values.shape[-2:]]).view(1, 2, 1, 1)
    where = (2.0 * points / last - 1.0).flip(1).permute(0, 2, 3, 1)
    return grid_sample(values, where, mode="bilinear", padding_mode=padding, align_corners=True)


def pixel_coordinates(
    field: Float[Tensor, "batch channel y x"], within: slice = slice(None)
) -> Float[Tensor, "batch 2 rows x"]:
    """The coordinates (y, x) of every pixel of a field, or of some of its rows."""
    height, width = field.shape[-2:]
    rows = torch.arange(height, device=field.device, dtype=field.dtype)[within]
    columns = torch.arange(width, device=field.device, dtype=field.dtype)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(field), -1, -1, -1)


def _observed(weighed: Tensor, points: Tensor) -> Tensor:
    """Samples of values and of the weight with which each is known; NaN where less than half of it is."""
    values, weight = sample(weighed, points, "zeros").chunk(2, dim=1)
    return torch.where(weight >= _MIN_OBSERVED, values / weight.clamp(min=_MIN_OBSERVED), torch.nan)


def _beyond(field: Tensor, points: Tensor) -> bool:
    last = points.new_tensor([n - 1 for n in field.shape[-2:]]).view(1, 2, 1, 1)
    return bool((points > last).any())
