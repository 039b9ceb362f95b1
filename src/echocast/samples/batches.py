"""What a forecaster learns from: batches of windows of several archives, of several grids and steps.

A batch is of one archive and one step, so its windows have one shape. Everything is drawn from the seed and the number
of the batch: batch 7 is the same whoever asks for it, in whichever process, after whichever interruption.

    >>> Rounds(every=2, number=3).numbers()
    [6, 7]
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from echocast import fields
from echocast.context import Context
from echocast.errors import MissingFrames
from echocast.samples import segments

log = logging.getLogger(__name__)

_WET_MM_H = 0.5
_DRIEST, _WETTEST = 0.01, 0.15
"""A window's chance to be drawn is its share of rain held between these: a dry window teaches little, and a flood
should not be all that is learned."""
_TRIES = 8
"""Places looked at for each crop of a large grid."""
_CALIBRATION = 0.25
"""Standard deviation of the logarithm of the factor that a window's rain is multiplied by."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which windows are learned from.

    Args:
        train: an archive; with no `validation` its runs are split into train, validation and test.
        validation: another archive, whose frames no training window has.
        past: frames of input.
        future: frames to forecast.
        stride: frames between the starts of neighbouring training windows.
        least_wet: the smallest mean share of pixels with at least 0.5 mm/h for a window to be used.
        others: archives of other radars, of any grid and step, that squares are cut from.
        share_of_others: of all batches.
        crop: the side of these squares in cells.
        longest_step: frames are left out to learn about steps of up to so many minutes; 0 leaves none out.
        varied: vary the calibration of the windows of `train` too, and turn every other square one by an angle, so
            that fewer of its places and storms are learned by heart.
    """

    train: Path
    validation: Path | None = None
    past: int = 10
    future: int = 18
    stride: int = 1
    least_wet: float = 0.005
    others: tuple[Path, ...] = ()
    share_of_others: float = 0.2
    crop: int = 64
    longest_step: float = 0.0
    varied: bool = False


class Batch(NamedTuple):
    """Windows to learn from."""

    windows: Float[Tensor, "batch time 1 y x"]
    """mm/h, NaN where nothing is observed."""

    past: int
    """How many of their frames are input."""

    context: Context
    """Their cell size and step."""


@dataclass(frozen=True, eq=False)
class Source:
    """The windows of one archive's unbroken runs.

    Args:
        field: the archive's field.
        starts: the first frame of each window.
        data: lengths of windows, size of crops, longest step.
        crop: cut squares of ``data.crop`` cells out of it and vary its calibration, as suits other radars' data.
    """

    field: xr.DataArray
    starts: Int[np.ndarray, "windows"]
    data: Data
    crop: bool = False

    @cached_property
    def frames(self) -> Float[np.ndarray, "time y x"]:
        """All frames in memory."""
        return np.asarray(self.field.values, np.float32)

    @cached_property
    def wet(self) -> Float[np.ndarray, "windows"]:
        """The mean share of pixels with at least 0.5 mm/h in each window."""
        return wetness(self.field, self.starts, self.length)

    @cached_property
    def length(self) -> int:
        """How many of the archive's frames a window spans."""
        longest = max(int(run.stop - run.start) for run in segments.segments(self.field))
        return min(self.data.past + self.data.future, longest)

    @cached_property
    def time_step_minutes(self) -> float:
        """The archive's step."""
        return float(fields.time_step(self.field.time.values) / np.timedelta64(1, "m"))

    @cached_property
    def grid_km(self) -> float:
        """Its cell size."""
        return round(fields.grid_km(self.field), 3)

    @cached_property
    def thinnings(self) -> list[int]:
        """Every how many-th frame may be taken: the step stays within the longest, and five frames remain."""
        most = min(int(self.data.longest_step / self.time_step_minutes + 1e-6), self.length // 5)
        return list(range(1, max(1, most) + 1))

    def batch(self, rng: np.random.Generator, size: int, part: slice) -> Batch:
        """`part` of a batch of `size` windows."""
        every = 1 if rng.random() < _AS_IT_IS else int(rng.choice(self.thinnings))
        frames = self.length // every
        past = max(2, round(frames * self.data.past / (self.data.past + self.data.future)))
        chances = np.clip(self.wet, _DRIEST, _WETTEST)
        drawn = rng.choice(len(self.starts), size, p=chances / chances.sum())
        chosen = [
            self._window(int(self.starts[n]), every, frames, np.random.default_rng(rng.integers(2**63))) for n in drawn
        ]
        made = torch.from_numpy(np.stack(chosen[part])).unsqueeze(2)
        return Batch(made, past, Context(self.grid_km, self.time_step_minutes * every))

    def _window(self, start: int, every: int, frames: int, rng: np.random.Generator) -> np.ndarray:
        whole = self.frames[start : start + frames * every : every]
        if not self.crop:
            return _varied(whole, rng) if self.data.varied else whole
        side = self.data.crop
        rows, columns = (max(n - side, 0) + 1 for n in whole.shape[1:])
        corners = np.stack([rng.integers(rows, size=_TRIES), rng.integers(columns, size=_TRIES)], axis=1)
        middle = whole[frames // 2]
        shares = [float((middle[y : y + side, x : x + side] >= _WET_MM_H).mean()) for y, x in corners]
        chances = np.clip(shares, _DRIEST, _WETTEST)
        y, x = corners[rng.choice(_TRIES, p=chances / chances.sum())]
        cut = _calibrated(whole[:, y : y + side, x : x + side], rng)
        short = [(0, side - n) for n in cut.shape[1:]]
        return np.pad(cut, [(0, 0), *short], constant_values=np.nan)


def _calibrated(rain: Float[np.ndarray, "time y x"], rng: np.random.Generator) -> Float[np.ndarray, "time y x"]:
    return rain * np.float32(np.exp(rng.normal(0.0, _CALIBRATION)))


def _varied(rain: Float[np.ndarray, "time y x"], rng: np.random.Generator) -> Float[np.ndarray, "time y x"]:
    rain = _calibrated(rain, rng)
    if rain.shape[-1] != rain.shape[-2] or rng.random() < 0.5:
        return rain
    return at_an_angle(rain, rng.uniform(0.0, math.tau))


def at_an_angle(frames: Float[np.ndarray, "time y x"], angle: float) -> Float[np.ndarray, "time y x"]:
    """Square frames turned about their middle, in radians; cells take their nearest value, or NaN beyond the corners.

    No mean is taken, so rain keeps its peaks.
    """
    side = frames.shape[-1]
    along = np.arange(side) - (side - 1) / 2
    cos, sin = math.cos(angle), math.sin(angle)
    rows = np.rint(cos * along[:, None] + sin * along + (side - 1) / 2).astype(int)
    columns = np.rint(cos * along - sin * along[:, None] + (side - 1) / 2).astype(int)
    outside = (rows < 0) | (rows >= side) | (columns < 0) | (columns >= side)
    turned = frames[:, rows.clip(0, side - 1), columns.clip(0, side - 1)]
    return np.where(outside, np.float32(np.nan), turned)


_AS_IT_IS = 0.8
"""The share of batches with every frame of their archive."""


class Batches(Dataset[Batch]):
    """Batches by number.

    Args:
        sources: the archive to forecast for first, and others.
        share: of the others, of all batches.
        size: windows in a batch, of all processes together.
        seed: what they are drawn from.
        rank: which process this is, of `world`.
        world: how many processes share each batch.
    """

    def __init__(
        self, sources: Sequence[Source], *, share: float, size: int, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.sources, self.size, self.seed = sources, size, seed
        self.share = share if len(sources) > 1 else 0.0
        self.part = slice(rank, None, world)

    def __getitem__(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, 1, number])
        first, *others = self.sources
        source = others[rng.integers(len(others))] if rng.random() < self.share else first
        return source.batch(rng, self.size, self.part)


class Rounds(Sampler[int]):
    """The numbers of a round's batches; Lightning says which round it is, also when it resumes."""

    def __init__(self, every: int, number: int = 0) -> None:
        self.every, self.number = every, number

    def set_epoch(self, number: int) -> None:
        """Which round comes next."""
        self.number = number

    def numbers(self) -> list[int]:
        """The batches of this round."""
        return list(range(self.number * self.every, (self.number + 1) * self.every))

    def __len__(self) -> int:
        return self.every

    def __iter__(self) -> Iterator[int]:
        yield from self.numbers()


def wetness(
    field: xr.DataArray, starts: Int[np.ndarray, "windows"], length: int, *, chunk: int = 512
) -> Float[np.ndarray, "windows"]:
    """The mean share of pixels with at least 0.5 mm/h in each window of `length` frames."""
    counted = [(field[i : i + chunk].values >= _WET_MM_H).mean(axis=(1, 2)) for i in range(0, len(field), chunk)]
    shares = np.concatenate([[0.0], np.cumsum(np.concatenate(counted))])
    return np.asarray((shares[starts + length] - shares[starts]) / length)


def of_archive(field: xr.DataArray, runs: list[slice], data: Data, stride: int, name: str) -> Source:
    """The wet windows of an archive's runs.

    Raises:
        MissingFrames: there are none.
    """
    length = data.past + data.future
    starts = segments.window_starts(runs, data.past, data.future, stride)
    starts = starts[wetness(field, starts, length) >= data.least_wet] if len(starts) else starts
    if not len(starts):
        raise MissingFrames(
            f"no {name} window of {length} unbroken frames has rain on {data.least_wet:.1%} of its pixels;"
            " archive more, or lower data.least_wet"
        )
    log.info("%d %s windows", len(starts), name)
    return Source(field, starts, data)


def of_another(field: xr.DataArray, data: Data) -> Source:
    """All windows of another radar's archive, shorter ones if its runs are."""
    runs = segments.segments(field)
    length = min(data.past + data.future, max((run.stop - run.start for run in runs), default=0))
    if length < 4:
        raise MissingFrames(
            f"an archive of data.others has no 4 frames without a gap; its first is {field.time.values[0]}"
        )
    return Source(field, segments.window_starts(runs, 1, length - 1, 1), data, crop=True)
