"""The table ``[data]`` of an experiment: which windows are learned from, and how they are drawn.

>>> Data(train=Path("train.zarr"), min_wet_fraction=0.0).sampling
'by_rain'
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from echocast.errors import ExperimentError
from echocast.io import location as locations
from echocast.samples.covariates.settings import Covariates


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which windows are learned from.

    Args:
        train: an archive, by its folder or its s3:// or gs:// address; with no `validation` it is split into train,
            validation and test.
        validation: another archive, whose frames no training window has.
        synthetic: fields made from a seed, in place of archives: ``name = "moving_mnist"``, or another module of
            `echocast.synthetic`, and the options of its function ``training_fields``.
        past: frames of input.
        future: frames to forecast.
        stride: frames between the starts of neighbouring training windows.
        validation_stride: the same of validation windows; half a window if None.
        validation_windows: so many of the validation windows, evenly chosen; all if None.
        split: how one archive is split: "fractions" of its segments, 70, 15 and 15 %, or, of one or two segments, the
            end of their time for validation after a gap (see `echocast.samples.splits.by_time`); or "blocks" of 40
            frames, two of each day drawn for validation and test (see `echocast.samples.splits.blocks`).
        days: for "blocks", only so many days, those with most rain; all if None.
        split_seed: for "blocks", what the draw comes from.
        in_memory: read all frames into memory before training, where they fit into `memory_gb`; else each window when
            it is needed. What is learned is the same.
        memory_gb: an archive whose frames need more than so many GB is read window by window.
        min_wet_fraction: the smallest mean share of pixels with at least 0.5 mm/h for a window to be used.
        sampling: "by_rain" draws wet windows more often (see `wet_fraction_range`); "uniform" draws all alike, none
            twice in a batch.
        wet_fraction_range: a window's chance to be drawn by rain is its wet share held between these two: a dry window
            teaches little, and a flood should not be all that is learned.
        flip: mirror each batch along y, x and the diagonal, each by the toss of a coin.
        augment: vary the calibration of the windows of `train` too, and turn every other square one by an angle, so
            that fewer of its locations and storms are learned by heart.
        calibration_sigma: standard deviation of the logarithm of the factor that a window's rain is multiplied by,
            where calibration is varied.
        auxiliary: archives of other radars, of any grid and time step, that squares are cut from.
        auxiliary_fraction: of all batches.
        crop: cut squares out of the windows of `train` and `validation` too, by their rain.
        crop_size: the side of squares in cells.
        crop_candidates: positions looked at for each square of an auxiliary archive; one is drawn by its rain.
        max_time_step_minutes: frames are left out to learn about time steps of up to so many minutes; 0 leaves none
            out.
        full_rate_fraction: of all batches, where frames may be left out, those with every frame of their archive.
        covariates: what the forecaster is given beside the frames, see `echocast.samples.covariates.Covariates`.

    Raises:
        ExperimentError: settings that contradict each other.
    """

    train: Path | str | None = None
    validation: Path | str | None = None
    synthetic: Mapping[str, Any] | None = None
    past: int = 10
    future: int = 18
    stride: int = 1
    validation_stride: int | None = None
    validation_windows: int | None = None
    split: Literal["fractions", "blocks"] = "fractions"
    days: int | None = None
    split_seed: int = 0
    in_memory: bool = True
    memory_gb: float = 4.0
    min_wet_fraction: float = 0.005
    sampling: Literal["by_rain", "uniform"] = "by_rain"
    wet_fraction_range: tuple[float, float] = (0.01, 0.15)
    flip: bool = True
    augment: bool = False
    calibration_sigma: float = 0.25
    auxiliary: tuple[Path | str, ...] = ()
    auxiliary_fraction: float = 0.2
    crop: bool = False
    crop_size: int = 64
    crop_candidates: int = 8
    max_time_step_minutes: float = 0.0
    full_rate_fraction: float = 0.8
    covariates: Covariates | None = None

    def __post_init__(self) -> None:
        for name in ("train", "validation"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, locations.normalise(given))
        object.__setattr__(self, "auxiliary", tuple(locations.normalise(one) for one in self.auxiliary))
        if (self.train is None) == (self.synthetic is None):
            raise ExperimentError("[data] needs either train, the path of an archive, or a table [data.synthetic]")
        if self.validation is not None and (self.synthetic is not None or self.split == "blocks"):
            raise ExperimentError(
                f"data.validation = {self.validation} is for data.train without data.split = 'blocks'; leave one out"
            )
        if self.sampling == "uniform" and (self.auxiliary or self.max_time_step_minutes):
            raise ExperimentError(
                "data.sampling = 'uniform' draws whole windows of data.train only;"
                " leave data.auxiliary and data.max_time_step_minutes out, or take 'by_rain'"
            )
        if self.crop and self.sampling == "uniform":
            raise ExperimentError("data.crop = true draws squares by their rain: leave data.sampling = 'uniform' out")
        self._check_covariates()
        low, high = self.wet_fraction_range
        if not 0 < low <= high <= 1:
            raise ExperimentError(
                f"data.wet_fraction_range = {[low, high]} must be two increasing shares above 0 and up to 1"
            )

    def _check_covariates(self) -> None:
        """Raise `ExperimentError` for settings that would move frames away from their covariates."""
        if self.covariates is None:
            return
        wrong = {"synthetic": self.synthetic is not None, "augment": self.augment, "auxiliary": bool(self.auxiliary)}
        named = [f"data.{name}" for name, present in wrong.items() if present]
        if named:
            raise ExperimentError(
                f"data.covariates does not go with {', '.join(named)}, whose windows lie elsewhere or are turned; leave"
                " one of them out"
            )
        winds = [n for n, one in self.covariates.fields.items() if "wind" in one.quantity]
        if winds and self.flip:
            raise ExperimentError(f"data.flip = true mirrors windows, but not the wind {winds[0]!r}; set it to false")
