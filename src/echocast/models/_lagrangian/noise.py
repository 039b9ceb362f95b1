"""Noise that is correlated in space and time: octaves of Gaussian fields, larger ones with a longer lifetime.

An octave is white noise on a grid 1, 2, 4, ... times as coarse, refined by the subdivision of cubic B-splines: its
cost is that of the fine grid alone, and no edge shows.

    >>> noise = Noise(NoiseSettings(octaves=3), cell_km=4.0)
    >>> drawn = noise.start(2, (40, 60), [torch.Generator().manual_seed(0)], torch.zeros(1))
    >>> tuple(noise.fields(drawn, (40, 60)).shape)
    (2, 3, 40, 60)
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, interpolate

from echocast.models._lagrangian.settings import NoiseSettings

Generators = Sequence[torch.Generator | None]
"""What noise is drawn from: one for all fields, or one for each case of a batch; None is PyTorch's global one."""

_TAPS = (0.125, 0.5, 0.75, 0.5, 0.125)
"""The subdivision of a cubic B-spline."""
_TINY = 1e-12
"""The least standard deviation that is divided by: where it is 0 there is no noise."""


class Noise(nn.Module):
    """Octaves of noise, each a first-order autoregression in time whose lifetime can be learned.

    Args:
        settings: how many octaves, and the lifetimes to begin with.
        cell_km: the side of the cells of the finest octave.

    Source: Seed 2003 and Bowler et al. 2006, doi:10.1256/qj.04.100, for the cascade of autoregressive scales.
    """

    def __init__(self, settings: NoiseSettings, *, cell_km: float) -> None:
        super().__init__()
        self.octaves = settings.octaves
        first = [math.log(settings.minutes_per_km * 2 * cell_km * 2**n) for n in range(settings.octaves)]
        self.log_lifetime_minutes = nn.Parameter(torch.tensor(first))

    def by_lead(
        self,
        deviation: Float[Tensor, "batch steps octaves rows columns"],
        members: int,
        *,
        size: tuple[int, int],
        patch: int,
        scale: float,
        time_step_minutes: float,
        generators: Generators,
    ) -> Iterator[tuple[Float[Tensor, "batch member y x"], Float[Tensor, "batch 1 y x"]]]:
        """For each lead time the noise of all members, and the standard deviation that it is drawn with.

        Args:
            deviation: the standard deviation of each octave, patch by patch.
            members: of each case.
            size: rows and columns of the noise.
            patch: the side of a patch in cells; the patches may reach beyond `size`.
            scale: factor of the standard deviation.
            time_step_minutes: between two lead times.
            generators: one for all cases, or one for each.
        """
        batch, steps = deviation.shape[:2]
        drawn = self.start(batch * members, size, generators, deviation)
        for lead in range(steps):
            if lead:
                drawn = self.next(drawn, time_step_minutes, generators)
            fine = interpolate(deviation[:, lead], scale_factor=patch, mode="bilinear", align_corners=False)
            fine = scale * fine[..., : size[0], : size[1]]
            octaves = self.fields(drawn, size).reshape(batch, members, -1, *size)
            yield (octaves * fine.unsqueeze(1)).sum(dim=2), fine.square().sum(dim=1, keepdim=True).sqrt()

    def start(
        self, count: int, size: tuple[int, int], generators: Generators, like: Tensor
    ) -> list[Float[Tensor, "count 1 rows columns"]]:
        """White noise of each octave for `count` fields of `size`, on the device of `like`."""
        sizes = [[-(-n // 2**octave) + 3 for n in size] for octave in range(self.octaves)]
        return [_normal((count, 1, *sides), generators, like) for sides in sizes]

    def next(
        self, drawn: Sequence[Tensor], time_step_minutes: float, generators: Generators
    ) -> list[Float[Tensor, "count 1 rows columns"]]:
        """The same noise one time step later."""
        kept = torch.exp(-time_step_minutes * torch.exp(-self.log_lifetime_minutes))
        new = torch.sqrt(1 - kept.square())
        return [k * old + n * _normal(old.shape, generators, old) for k, n, old in zip(kept, new, drawn, strict=True)]

    def fields(self, drawn: Sequence[Tensor], size: tuple[int, int]) -> Float[Tensor, "count octaves y x"]:
        """The octaves on the fine grid, each of variance 1."""
        made = []
        for doublings, octave in enumerate(drawn):
            taps = octave.new_tensor(_TAPS)
            kernel = (taps[:, None] * taps[None, :])[None, None]
            for _ in range(doublings):
                octave = conv_transpose2d(octave, kernel, stride=2, padding=2)[..., 1:-1, 1:-1]
            made.append(octave[..., : size[0], : size[1]] / _deviation(doublings))
        return torch.cat(made, dim=1)


def match_moments(
    noise: Float[Tensor, "batch member y x"], deviation: Float[Tensor, "batch 1 y x"], *, from_members: int
) -> Float[Tensor, "batch member y x"]:
    """The members' noise with the mean 0 and the standard deviation that it is drawn with, at every place.

    A few independent draws are off by chance, which costs an ensemble as much skill as if it had fewer members.

    Args:
        noise: independent draws.
        deviation: the standard deviation that they are drawn with.
        from_members: of fewer members than this only the mean is corrected, and the variance on average.

    Source: Pham 2001, doi:10.1175/1520-0493(2001)129<1194:SMFSDA>2.0.CO;2, second-order exact sampling.
    """
    members = noise.shape[1]
    if members == 1:
        return noise
    centred = noise - noise.mean(dim=1, keepdim=True)
    if members < from_members:
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


def _normal(shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    """From each generator as many of the fields; on its own device, so that a seed means the same on each."""
    each = (shape[0] // len(generators), *shape[1:])
    drawn = [torch.randn(each, generator=g, device=g.device if g else like.device) for g in generators]
    return torch.cat(drawn).to(like)
