"""Carrying a field along a motion, backwards from where it arrives: semi-Lagrangian advection.

The way back is followed step by step through a motion that does not change, but the field itself is sampled only once
per lead, so nothing diffuses however far it goes. What comes from outside or from an unobserved place is NaN.

    >>> import torch
    >>> field = torch.zeros(1, 1, 8, 8); field[..., 4, 2] = 1.0
    >>> motion = torch.zeros(1, 2, 8, 8); motion[:, 1] = 1.5
    >>> float(advect(field, motion, steps=2)[0, 1, 0, 4, 5])
    1.0
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

_LEAST_SEEN = 0.5
"""A sample is known if at least this share of its bilinear weight is."""


def advect(
    field: Float[Tensor, "batch channel y x"], motion: Float[Tensor, "batch 2 y x"], steps: int
) -> Float[Tensor, "batch steps channel y x"]:
    """The field after 1, 2, ... `steps` steps of a constant motion; differentiable in both.

    Args:
        field: any values, NaN where unknown.
        motion: displacement along y and x in pixels per step.
        steps: how many steps.

    Source: Germann and Zawadzki 2002, doi:10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2, section 4b, with the
    midpoint rule for each step back.
    """
    known = field.isfinite()
    source = torch.cat([field.nan_to_num(0.0), known.to(field.dtype)], dim=1)
    place = _places(field)
    frames = []
    for _ in range(steps):
        place = _one_step_back(place, motion)
        values, weight = _sample(source, place, "zeros").chunk(2, dim=1)
        frames.append(torch.where(weight >= _LEAST_SEEN, values / weight.clamp(min=_LEAST_SEEN), torch.nan))
    return torch.stack(frames, dim=1)


def _one_step_back(place: Tensor, motion: Tensor) -> Tensor:
    halfway = place - 0.5 * _sample(motion, place, "border")
    return place - _sample(motion, halfway, "border")


def _places(field: Tensor) -> Float[Tensor, "batch 2 y x"]:
    """The pixel coordinates (y, x) of every pixel."""
    height, width = field.shape[-2:]
    rows = torch.arange(height, device=field.device, dtype=field.dtype)
    columns = torch.arange(width, device=field.device, dtype=field.dtype)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(field), -1, -1, -1)


def _sample(values: Tensor, place: Float[Tensor, "batch 2 y x"], outside: str) -> Tensor:
    """Bilinear samples at pixel coordinates (y, x)."""
    last = place.new_tensor([max(n - 1, 1) for n in values.shape[-2:]]).view(1, 2, 1, 1)
    where = (2.0 * place / last - 1.0).flip(1).permute(0, 2, 3, 1)
    return grid_sample(values, where, mode="bilinear", padding_mode=outside, align_corners=True)
