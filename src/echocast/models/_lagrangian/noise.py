"""Correlated noise in space and time: octaves of Gaussian fields, each living as long as rain of its size does.

An octave is white noise on a grid 1, 2, 4, ... times as coarse, made fine by the subdivision of cubic B-splines: its
cost is that of the fine grid alone, and no edge shows.

    >>> import torch
    >>> noise = Noise(3, cell_km=4.0)
    >>> drawn = noise.start(2, (40, 60), torch.Generator().manual_seed(0), torch.zeros(1))
    >>> tuple(noise.fields(drawn, (40, 60)).shape)
    (2, 3, 40, 60)
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d

_TAPS = (0.125, 0.5, 0.75, 0.5, 0.125)
_MINUTES_PER_KM = 0.94
"""Of life per km of wavelength: 7.5 min at 8 km, an hour at 64 km."""
_FEW = 10
"""Members whose deviation says little of what they are drawn from."""
_TINY = 1e-12
"""A deviation that nothing is divided by: without doubt there is no noise."""


class Noise(nn.Module):
    """Octaves of noise that forget themselves at a rate of their own, which can be learned.

    Args:
        scales: how many octaves.
        cell_km: the cells that the finest one has.

    Source: Seed 2003 and Bowler et al. 2006, doi:10.1256/qj.04.100, for the cascade of auto-regressive scales; the
    lifetimes to begin with are those of Germann, Zawadzki and Turner 2006, doi:10.1175/JAS3735.1.
    """

    def __init__(self, scales: int, *, cell_km: float) -> None:
        super().__init__()
        self.scales = scales
        first = [math.log(_MINUTES_PER_KM * 2 * cell_km * 2**n) for n in range(scales)]
        self.lasting = nn.Parameter(torch.tensor(first))
        """Logarithms of minutes."""

    def start(
        self, count: int, size: tuple[int, int], generator: torch.Generator | None, like: Tensor
    ) -> list[Float[Tensor, "count 1 rows columns"]]:
        """White noise of each octave for `count` fields of `size`, on the device of `like`."""
        sizes = [[-(-n // 2**scale) + 3 for n in size] for scale in range(self.scales)]
        return [_normal((count, 1, *sides), generator, like) for sides in sizes]

    def next(
        self, drawn: Sequence[Tensor], time_step_minutes: float, generator: torch.Generator | None
    ) -> list[Float[Tensor, "count 1 rows columns"]]:
        """The same, a step later."""
        kept = torch.exp(-time_step_minutes * torch.exp(-self.lasting))
        new = torch.sqrt(1 - kept.square())
        return [k * old + n * _normal(old.shape, generator, old) for k, n, old in zip(kept, new, drawn, strict=True)]

    def fields(self, drawn: Sequence[Tensor], size: tuple[int, int]) -> Float[Tensor, "count scales y x"]:
        """The octaves on the fine grid, each of variance 1."""
        made = []
        for scale, octave in enumerate(drawn):
            taps = octave.new_tensor(_TAPS)
            kernel = (taps[:, None] * taps[None, :])[None, None]
            for _ in range(scale):
                octave = conv_transpose2d(octave, kernel, stride=2, padding=2)[..., 1:-1, 1:-1]
            made.append(octave[..., : size[0], : size[1]] / _deviation(scale))
        return torch.cat(made, dim=1)


def exact(
    noise: Float[Tensor, "batch member y x"], deviation: Float[Tensor, "batch 1 y x"]
) -> Float[Tensor, "batch member y x"]:
    """The members' noise with a mean of 0 and the deviation that it is drawn with, place by place.

    A few independent draws are off by chance, which costs an ensemble as much skill as if it had fewer members. Of less
    than 10 only the mean is put right: their deviation says too little.

    Source: Pham 2001, doi:10.1175/1520-0493(2001)129<1194:SMFSDA>2.0.CO;2, second-order exact sampling.
    """
    members = noise.shape[1]
    if members == 1:
        return noise
    centred = noise - noise.mean(dim=1, keepdim=True)
    if members < _FEW:
        return centred * math.sqrt(members / (members - 1))
    return centred * (deviation / centred.std(dim=1, keepdim=True).clamp(min=_TINY))


def _deviation(doublings: int) -> float:
    """The standard deviation of white noise of variance 1 after so many subdivisions along both sides."""
    weights = np.ones(1)
    for _ in range(doublings):
        spaced = np.zeros(2 * len(weights) - 1)
        spaced[::2] = weights
        weights = np.convolve(spaced, _TAPS)
    return float((weights**2).sum() / 2**doublings)


def _normal(shape: Sequence[int], generator: torch.Generator | None, like: Tensor) -> Tensor:
    """From the generator's own device, so that a seed means the same on each."""
    drawn = torch.randn(tuple(shape), generator=generator, device=generator.device if generator else like.device)
    return drawn.to(like)
