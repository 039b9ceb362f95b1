"""Predictions of pictures against the true frames: MSE, MAE, SSIM, PSNR by frame, sequence by sequence.

All forecasters are scored on the same windows; sums are pooled over windows. Confidence intervals are from a bootstrap
over sequences, since the windows of one are not independent of each other.

    >>> result = evaluate_pictures(archive.open("test.zarr"), {"persistence": Persistence()})  # doctest: +SKIP
    >>> result.mean("mse", "persistence")  # doctest: +SKIP
    0.0123
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int

from echocast import archive, fields
from echocast.context import Context
from echocast.errors import DataError, MissingFrames
from echocast.evaluation.intervals import BOOTSTRAP_SAMPLES, Days, Estimate
from echocast.models.base import Forecaster
from echocast.samples import segments, windows
from echocast.verification.base import Score, ratio
from echocast.verification.scores import images

_BATCH_VALUES = 2**24

SCORES = {
    "mse": Score("Mean squared error of levels", 0.0, abbreviation="MSE", main=True),
    "mse_frame": Score("Squared error of levels, summed over a frame", 0.0),
    "mae": Score("Mean absolute error of levels", 0.0, abbreviation="MAE"),
    "mae_frame": Score("Absolute error of levels, summed over a frame", 0.0),
    "ssim": Score("Structural similarity index", 1.0, abbreviation="SSIM", main=True),
    "psnr": Score("Peak signal-to-noise ratio, mean over frames", 100.0, abbreviation="PSNR", unit="dB"),
}
"""Of levels from 0 to 1. Of colours, SSIM is the mean over the channels, and a sum over a frame is over all of them."""


@dataclass(frozen=True, eq=False)
class PictureResult:
    """Sums by sequence and lead.

    Args:
        sequences: their names.
        windows: how many windows of each.
        sums: by forecaster and score, (sequence, lead): the sum over windows of a frame's score.
        frame_rate: frames a second.
        starts: the first frame of each window.
        errors: by forecaster the mean MSE of each window, as `starts`.
    """

    sequences: tuple[str, ...]
    windows: Int[np.ndarray, "sequence"]
    sums: Mapping[str, Mapping[str, np.ndarray]]
    frame_rate: float
    starts: Int[np.ndarray, "case"]
    errors: Mapping[str, np.ndarray]

    @property
    def forecasters(self) -> tuple[str, ...]:
        """Their names; the first is the reference."""
        return tuple(self.sums)

    @property
    def leads(self) -> int:
        """Frames predicted."""
        return int(next(iter(self.sums[self.forecasters[0]].values())).shape[1])

    def by_lead(self, score: str, forecaster: str) -> Float[np.ndarray, "lead"]:
        """A score by lead, over all windows."""
        return ratio(self.sums[forecaster][score].sum(axis=0), np.full(self.leads, self.windows.sum(), float))

    def mean(self, score: str, forecaster: str) -> float:
        """The mean of a score over leads."""
        return float(self.by_lead(score, forecaster).mean())

    def difference(self, score: str, forecaster: str, reference: str) -> tuple[float, float, float]:
        """The mean over leads minus that of the reference, and its 95 % interval; NaN for fewer than 8 sequences."""
        made = self.sums[forecaster][score].mean(axis=1) - self.sums[reference][score].mean(axis=1)
        value = float(made.sum() / self.windows.sum())
        drawn = np.random.default_rng(0).integers(len(made), size=(BOOTSTRAP_SAMPLES, len(made)))
        sampled = made[drawn].sum(axis=1) / self.windows[drawn].sum(axis=1)
        return value, *Estimate.of(value, sampled, self.weighed).interval

    @property
    def weighed(self) -> Days:
        """How many sequences the scores come from; a sequence weighs as its windows."""
        return Days.of(self.windows)


def evaluate_pictures(
    stored: xr.DataArray,
    forecasters: Mapping[str, Forecaster],
    *,
    past: int = 10,
    frames: int = 10,
    stride: int | None = None,
    on_case: Callable[[int, int], None] = lambda *_: None,
) -> PictureResult:
    """Score forecasters on the sequences of an archive of pictures.

    Args:
        stored: the archive's field, see `echocast.archive.add_videos`.
        forecasters: by name.
        past: frames given to each prediction.
        frames: frames to predict.
        stride: frames between the starts of two windows; by default the windows of a sequence do not overlap.
        on_case: called before each batch with the number of windows done and in all.

    Raises:
        DataError: the archive holds something else than pictures.
        MissingFrames: no sequence is long enough.
        ModelError, WrongUnits: a forecaster that is for something else.
    """
    if stored.name != "image":
        raise DataError(f"the archive holds {stored.name}, not pictures; make one with `echocast archive add-video`")
    rate = float(np.timedelta64(1, "s") / fields.time_step(stored.time.values))
    for forecaster in forecasters.values():
        forecaster.check_past(past, 1 / 60 / rate, str(stored.name), stored.sizes.get("channel", 1))
    found = _cases(stored, past, frames, stride or past + frames)
    total, done = sum(len(starts) for starts in found.values()), 0
    sums = {name: {score: np.zeros((len(found), frames)) for score in SCORES} for name in forecasters}
    errors: dict[str, list[float]] = {name: [] for name in forecasters}
    size = max(1, _BATCH_VALUES // int(np.prod(stored.shape[1:]) * (past + frames)))
    for row, starts in enumerate(found.values()):
        for begin in range(0, len(starts), size):
            on_case(done, total)
            batch = windows.stack(windows.Windows(stored, starts[begin : begin + size], past=past, future=frames))
            for name, forecaster in forecasters.items():
                made = forecaster.forecast(batch[:, :past], frames, Context(time_step_minutes=1 / 60 / rate))
                scored = _scores(torch.clamp(made, 0, 1).numpy(), batch[:, past:].numpy())
                errors[name] += scored["mse"].mean(axis=1).tolist()
                for score, values in scored.items():
                    sums[name][score][row] += values.sum(axis=0)
            done += len(batch)
    counts = np.array([len(starts) for starts in found.values()])
    all_starts = np.concatenate(list(found.values()))
    kept = {name: np.array(values) for name, values in errors.items()}
    return PictureResult(tuple(found), counts, sums, rate, all_starts, kept)


def _cases(stored: xr.DataArray, past: int, frames: int, stride: int) -> dict[str, np.ndarray]:
    """By sequence, the first frames of its windows."""
    placed = archive.sequences(stored)
    parts = {one.name: one.frames for one in placed} or {str(n): s for n, s in enumerate(segments.segments(stored))}
    found = {name: segments.window_starts([part], past, frames, stride) for name, part in parts.items()}
    found = {name: starts for name, starts in found.items() if len(starts)}
    if not found:
        longest = max(part.stop - part.start for part in parts.values())
        raise MissingFrames(
            f"no sequence has {past} + {frames} frames; the longest has {longest}: give fewer by --past or --frames"
        )
    return found


def _scores(predicted: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
    """By score, (case, lead), of (case, lead, channel, y, x)."""
    off = predicted.astype(np.float64) - true
    axes = (2, 3, 4)
    mean = (off**2).mean(axis=axes)
    similar, _ = images.structural_similarity(predicted, true)
    return {
        "mse": mean,
        "mse_frame": (off**2).sum(axis=axes),
        "mae": np.abs(off).mean(axis=axes),
        "mae_frame": np.abs(off).sum(axis=axes),
        "ssim": similar.mean(axis=2),
        "psnr": np.minimum(-10 * np.log10(np.maximum(mean, 1e-30)), 100.0),
    }
