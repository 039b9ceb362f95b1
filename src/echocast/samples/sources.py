"""Windows of one archive to learn from, drawn from a generator: all alike, or wet ones more often.

>>> from pathlib import Path
>>> from echocast.samples.segments import segments
>>> from echocast.synthetic import storms
>>> field = storms.generate(frames=8, size=24)
>>> data = Data(train=Path("unused"), past=2, future=2)
>>> source = of_archive(field, segments(field), data, data.stride, "training")
>>> tuple(source.batch(np.random.default_rng(0), 3, slice(None)).windows.shape)
(3, 4, 1, 24, 24)
"""

import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from echocast import fields
from echocast.context import Context
from echocast.errors import ExperimentError, MissingFrames
from echocast.samples import augmentation, segments, wet
from echocast.samples.covariates.given import Given, stacked
from echocast.samples.data import Data
from echocast.samples.tensors import frames_to_tensor
from echocast.samples.wet import WetCells
from echocast.samples.windows import Windows

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows to learn from."""

    windows: Shaped[Tensor, "batch time channel y x"]
    """In the unit of the field's quantity, NaN where nothing is observed."""

    past: int
    """How many of their frames are input."""

    context: Context
    """Their cell size and time step, and the covariates that are aligned with them."""

    labels: Int[Tensor, "batch time 1 y x"] | None = None
    """The class of each cell, where windows have labels; `echocast.samples.tensors.IGNORED` where it has none."""

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.windows)

    def to(self, device: torch.device) -> "Batch":
        """The same with its tensors on a device."""
        covariates = {name: values.to(device) for name, values in self.context.covariates.items()}
        labels = None if self.labels is None else self.labels.to(device)
        return Batch(self.windows.to(device), self.past, replace(self.context, covariates=covariates), labels)


Case = tuple[Shaped[Tensor, "time channel y x"], dict[str, Tensor]]
"""A window and its covariates."""


@dataclass(frozen=True, eq=False)
class Source:
    """The windows of one archive's segments.

    Args:
        field: the archive's field.
        starts: the first frame of each window.
        data: lengths of windows, how they are drawn and varied.
        crop: cut squares of ``data.crop_size`` cells out of it and vary its calibration, as suits other radars' data.
        known_wet_cells: of the field, if they were counted before.
        given: the covariates of its windows.
    """

    field: xr.DataArray
    starts: Int[np.ndarray, "windows"]
    data: Data
    crop: bool = False
    known_wet_cells: WetCells | None = None
    given: Given | None = None

    @cached_property
    def windows(self) -> Windows:
        """Its windows, in memory if the experiment wants them there and they fit."""
        past = min(self.data.past, self.length - 1)
        return Windows(self.field, self.starts, past=past, future=self.length - past, in_memory=self.in_memory)

    @cached_property
    def in_memory(self) -> bool:
        """Whether all frames are read before training."""
        frames = int(self.starts.max() - self.starts.min()) + self.length if len(self.starts) else 0
        needed = 4e-9 * frames * int(np.prod(self.field.shape[1:]))
        if self.data.in_memory and needed > self.data.memory_gb:
            log.info(
                "%d frames need %.1f GB, more than data.memory_gb = %g: each window is read when it is needed",
                frames,
                needed,
                self.data.memory_gb,
            )
        return self.data.in_memory and needed <= self.data.memory_gb

    @cached_property
    def wet_cells(self) -> WetCells:
        """Where it rains."""
        return wet.counted(self.field) if self.known_wet_cells is None else self.known_wet_cells

    @cached_property
    def wet(self) -> Float[np.ndarray, "windows"]:
        """The mean share of wet pixels in each window."""
        return self.wet_cells.shares(self.starts, self.length)

    @cached_property
    def length(self) -> int:
        """How many of the archive's frames a window spans."""
        longest = max(int(segment.stop - segment.start) for segment in segments.segments(self.field))
        return min(self.data.past + self.data.future, longest)

    @cached_property
    def context(self) -> Context:
        """The archive's cell size and time step."""
        step = fields.time_step(self.field.time.values) / np.timedelta64(1, "m")
        return Context(round(fields.grid_km(self.field), 3) if "crs" in self.field.coords else None, float(step))

    @cached_property
    def strides(self) -> list[int]:
        """Every how many-th frame may be taken: the time step stays within the longest, and five frames remain."""
        step = self.context.time_step_minutes or 1.0
        most = min(int(self.data.max_time_step_minutes / step + 1e-6), self.length // 5)
        return list(range(1, max(1, most) + 1))

    def uniform_batch(self, rng: np.random.Generator, size: int, part: slice) -> Batch:
        """`part` of a batch of `size` different windows, all equally likely; repeated only if there are too few."""
        drawn = rng.choice(len(self.starts), size, replace=len(self.starts) < size)
        return self._batch(drawn, rng, part, 1)

    def batch(self, rng: np.random.Generator, size: int, part: slice) -> Batch:
        """`part` of a batch of `size` windows, wet ones more likely, perhaps with frames left out."""
        stride = 1 if rng.random() < self.data.full_rate_fraction else int(rng.choice(self.strides))
        chances = self._chances(self.wet)
        drawn = rng.choice(len(self.starts), size, p=chances / chances.sum())
        return self._batch(drawn, rng, part, stride)

    def _batch(self, drawn: np.ndarray, rng: np.random.Generator, part: slice, stride: int) -> Batch:
        count = self.length // stride
        past = max(2, round(count * self.data.past / (self.data.past + self.data.future)))
        chosen = [
            self._window(int(self.starts[n]), stride, count, past, np.random.default_rng(rng.integers(2**63)))
            for n in drawn
        ][part]
        step = self.context.time_step_minutes
        covariates = stacked([given for _, given in chosen])
        context = Context(self.context.grid_km, None if step is None else step * stride, covariates=covariates)
        return Batch(torch.stack([window for window, _ in chosen]), past, context)

    def _window(self, start: int, stride: int, count: int, past: int, rng: np.random.Generator) -> Case:
        frames = self.windows.frames(start, count, stride=stride)
        sigma, size = self.data.calibration_sigma, self.data.crop_size
        if self.crop:
            y, x = self._corner(frames[count // 2].values, rng)
            cut = frames_to_tensor(frames[..., y : y + size, x : x + size]).numpy()
            return torch.from_numpy(augmentation.padded(augmentation.recalibrated(cut, rng, sigma=sigma), size)), {}
        window, given = self.case(frames, start, past, rng)
        if not self.data.augment:
            return window, given
        varied = augmentation.recalibrated(window.numpy(), rng, sigma=sigma)
        return torch.from_numpy(augmentation.turned(varied, rng)), {}

    def case(self, frames: xr.DataArray, start: int, past: int, rng: np.random.Generator) -> Case:
        """Frames of the window that begins at `start`, or a square of them, and their covariates."""
        known = {} if self.given is None else self.given.of_window(frames.time.values, past)
        if not self.data.crop:
            return frames_to_tensor(frames), known
        y, x = self.square_corner(frames, start, rng)
        size = self.data.crop_size
        cut = frames_to_tensor(frames[..., y : y + size, x : x + size]).numpy()
        return torch.from_numpy(augmentation.padded(cut, size)), {
            name: _square(values, y, x, size) for name, values in known.items()
        }

    def square_corner(self, frames: xr.DataArray, start: int, rng: np.random.Generator) -> tuple[int, int]:
        """Where a square of frames of the window that begins at `start` lies, drawn by the rain of the whole window."""
        size = self.data.crop_size
        chances = self._chances(self.wet_cells.squares(start, self.length, size))
        block = np.unravel_index(rng.choice(chances.size, p=chances.ravel() / chances.sum()), chances.shape)
        corner = np.array(block) * wet.BLOCK + rng.integers(-wet.BLOCK // 2, wet.BLOCK // 2, size=2)
        y, x = np.clip(corner, 0, [max(frames.sizes[axis] - size, 0) for axis in ("y", "x")])
        return int(y), int(x)

    def _corner(self, middle: Float[np.ndarray, "*channel y x"], rng: np.random.Generator) -> tuple[int, int]:
        """Where a square begins; squares with rain in the middle frame of a window are likelier."""
        size, count = self.data.crop_size, self.data.crop_candidates
        rows, columns = (max(n - size, 0) + 1 for n in middle.shape[-2:])
        corners = np.stack([rng.integers(rows, size=count), rng.integers(columns, size=count)], axis=1)
        shares = [float((middle[..., y : y + size, x : x + size] >= wet.WET_MM_H).mean()) for y, x in corners]
        chances = self._chances(np.array(shares))
        y, x = corners[rng.choice(count, p=chances / chances.sum())]
        return int(y), int(x)

    def _chances(self, wet: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        return np.asarray(np.clip(wet, *self.data.wet_fraction_range))


class Cases(Dataset[Case]):
    """The windows of a source with their covariates, or a square of each, always the same one, to validate with."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source.starts)

    def __getitem__(self, number: int) -> Case:
        start = int(self.source.starts[number])
        frames = self.source.windows.frames(start, self.source.length)
        return self.source.case(frames, start, self.source.data.past, np.random.default_rng([start]))


def _square(values: Tensor, y: int, x: int, size: int) -> Tensor:
    """A square of a covariate, NaN where the grid is smaller; one of one cell stays."""
    if values.shape[-2:] == (1, 1):
        return values
    return torch.from_numpy(augmentation.padded(values[..., y : y + size, x : x + size].numpy(), size))


def of_archive(
    field: xr.DataArray,
    within: list[slice],
    data: Data,
    stride: int,
    name: str,
    wet_cells: WetCells | None = None,
) -> Source:
    """The windows of some segments of an archive that are wet enough.

    Args:
        field: the archive's field.
        within: the segments.
        data: lengths of windows and how they are drawn.
        stride: frames between the starts of neighbouring windows.
        name: what the message calls them, such as ``training``.
        wet_cells: of the field, if they were counted before.

    Raises:
        MissingFrames: there are none.
        ExperimentError: the settings are about rain, and the field holds something else.
    """
    _refuse_rain_settings(field, data)
    length = data.past + data.future
    starts = segments.window_starts(within, data.past, data.future, stride)
    if len(starts) and data.min_wet_fraction > 0:
        wet_cells = wet.counted(field) if wet_cells is None else wet_cells
        starts = starts[wet_cells.shares(starts, length) >= data.min_wet_fraction]
    if not len(starts):
        raise MissingFrames(
            f"no {name} window of {length} unbroken frames has rain on {data.min_wet_fraction:.1%} of its pixels;"
            " archive more, or lower data.min_wet_fraction"
        )
    log.info("%d %s windows", len(starts), name)
    return Source(field, starts, data, known_wet_cells=wet_cells)


def of_auxiliary(field: xr.DataArray, data: Data) -> Source:
    """All windows of another radar's archive, shorter ones if its segments are; raises `MissingFrames` without any."""
    found = segments.segments(field)
    length = min(data.past + data.future, max((segment.stop - segment.start for segment in found), default=0))
    if length < 4:
        raise MissingFrames(
            f"an archive of data.auxiliary has no 4 frames without a gap; its first is {field.time.values[0]}"
        )
    return Source(field, segments.window_starts(found, 1, length - 1, 1), data, crop=True)


def evenly(starts: Int[np.ndarray, "windows"], count: int | None) -> Int[np.ndarray, "chosen"]:
    """`count` of some windows, evenly chosen; all of them if None or if there are fewer."""
    if count is None or count >= len(starts):
        return starts
    return np.asarray(starts[np.linspace(0, len(starts) - 1, count).round().astype(int)])


def _refuse_rain_settings(field: xr.DataArray, data: Data) -> None:
    if field.name == fields.NAME:
        return
    settings = {
        "min_wet_fraction = 0": data.min_wet_fraction > 0,
        "sampling = 'uniform'": data.sampling == "by_rain",
        "augment = false": data.augment,
    }
    wrong = [remedy for remedy, present in settings.items() if present]
    if wrong:
        raise ExperimentError(f"the training field holds {field.name!r}, not rain: set data.{', data.'.join(wrong)}")
