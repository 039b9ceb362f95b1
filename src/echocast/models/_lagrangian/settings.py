"""Settings of `lagrangian` that were chosen by hand or on validation data, and not learned.

They are arguments of the constructor, so they are saved with the weights, and an experiment file may set them as
tables, such as ``[model.detail_settings]``. Each is explained with its unit and with the data that it was chosen on;
the tables are in docs/experiments/constants.md. "By hand" means that no other value was compared; "not reproducible",
that the figures are there but no command or script that makes them was kept.

    >>> MotionSettings(pairs=2).min_smoothing_px
    2.5
"""

from dataclasses import dataclass

from echocast.motion import Method


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Sizes of the network, and what it is given.

    Args:
        patch: side in cells of the patches that the grid is cut into; a grid it does not divide is padded. By hand:
            15 km on the cells of 3.75 km that the shipped weights learned from; a smaller patch costs 3 to 4 times the
            time of a training step.
        input_kernel: odd size of the input-to-state convolutions. By hand.
        state_kernels: odd size, or sizes by layer, of the state-to-state convolutions. By hand.
        forget_bias: initial bias of the forget gates. By hand.
        uncertainty_channels: hidden channels of the uncertainty head. By hand.
        max_input_frames: how many of the newest frames the network is given at most. By hand: half an hour.
        lead_stride: lead times per step of the forecaster; growth and damping in between are interpolated. By hand, for
            speed: 15 steps of recurrence in place of 28 with 10 frames and 18 lead times.
        mirror_images: whether a forecast uses the mean over the past and its three mirror images. On every third
            validation window of TAASRAD19 CSI at 0.5, 1, 2 and 5 mm/h was 0.9, 0.7, 1.9 and 4.2 % higher with it, with
            earlier weights; not reproducible.
        level_limits: grey levels are kept within these before their logit is taken, so that it stays finite. By hand;
            dry cells have the lower one, which is why `dry_mm_h` of the scaling is just above it.
        max_time_step_ratio: frames may come so many times as far apart, or as close together, as those learned from.
            By hand: the training windows were 2 to 15 minutes apart, mostly 5.
    """

    patch: int = 4
    input_kernel: int = 3
    state_kernels: int | tuple[int, ...] = 3
    forget_bias: float = 1.0
    uncertainty_channels: int = 64
    max_input_frames: int = 6
    lead_stride: int = 2
    mirror_images: bool = True
    level_limits: tuple[float, float] = (0.01, 0.99)
    max_time_step_ratio: float = 3.0

    def __post_init__(self) -> None:
        for name in ("patch", "uncertainty_channels", "max_input_frames", "lead_stride"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        low, high = self.level_limits
        if not 0.0 < low < high < 1.0:
            raise ValueError(f"level_limits={self.level_limits} must be two rising numbers between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class MotionSettings:
    """How the motion is estimated, by `echocast.motion.estimate.rain_motion`.

    The first three were chosen with plain advection on 108 validation windows of TAASRAD19 (July 2016); not
    reproducible. The last two are for grids finer than the one learned from, and were chosen with plain advection on
    seven events: docs/experiments/motion.md.

    Args:
        pairs: of how many pairs of frames, the newest, the motion is the mean. Mean CSI at 0.5, 1, 2 and 5 mm/h was
            0.2400, 0.2395, 0.2397 and 0.2365 with 2, 3, 5 and 9.
        min_smoothing_px: standard deviation in pixels of the Gaussian that smooths it, at least; on larger grids it is
            a fortieth of the shorter side. Mean CSI of ``farneback`` with 2.5 px is 0.2422; with 4 px CSI at 0.5 mm/h
            of ``dis`` is 0.3757, of ``both`` with 2.5 px 0.3788.
        method: ``both`` is the mean of ``dis`` and ``farneback``. Mean CSI 0.2428, 0.2400 and 0.2422.
        node_km: distance in km of the places where a correction of the flow is given; None for the flow as it is.
        minutes_back: how far back frames are carried onto the newest to find the correction, in 2 to 5 steps.
        refine_own_grid: whether the motion that carries the forecast is refined on the grid learned from, too: only for
            weights that were trained so.
    """

    pairs: int = 3
    min_smoothing_px: float = 2.5
    method: Method = "both"
    node_km: float | None = 48.0
    minutes_back: float = 20.0
    refine_own_grid: bool = False

    def __post_init__(self) -> None:
        if self.pairs < 1 or self.min_smoothing_px <= 0:
            raise ValueError(f"pairs={self.pairs} must be at least 1, min_smoothing_px={self.min_smoothing_px} above 0")
        if (self.node_km is not None and self.node_km <= 0) or self.minutes_back <= 0:
            raise ValueError(f"node_km={self.node_km} and minutes_back={self.minutes_back} must be above 0")


@dataclass(frozen=True, kw_only=True)
class DetailSettings:
    """How small-scale detail is separated, and how what is smaller than a cell of the network decays.

    Args:
        band_widths_cells: odd sides in cells of the means that separate the bands of detail, rising: with 3 and 9 the
            bands are detail of up to 3 cells and of 3 to 9 cells. By hand.
        subgrid_width_px: odd side in pixels of the mean that separates the two classes of detail on a grid finer than
            the network's: detail of up to 3 pixels, and from there to a cell. By hand.
        subgrid_decay_minutes: minutes after which each of the two is smaller by a factor of e, for pixels of 1 km; in
            proportion to the pixel on other grids. On grids of 1 km of FMI and MRMS and of 0.5 and 1 km of Melbourne
            CSI differs by at most 0.004 from 3 and 10 to 12 and 40 minutes; not reproducible.
        min_observed_fraction: the forecast of a pixel is NaN where less than this fraction of what arrives there was
            observed. By eye: with a half a bright rim appeared after an hour; a test holds the value to that.
    """

    band_widths_cells: tuple[int, ...] = (3, 9)
    subgrid_width_px: int = 3
    subgrid_decay_minutes: tuple[float, float] = (5.0, 15.0)
    min_observed_fraction: float = 0.75

    def __post_init__(self) -> None:
        widths = (self.subgrid_width_px, *self.band_widths_cells)
        rising = list(self.band_widths_cells) == sorted(set(self.band_widths_cells))
        if not self.band_widths_cells or not rising or any(width < 1 or width % 2 == 0 for width in widths):
            raise ValueError(
                f"band_widths_cells={self.band_widths_cells} must be odd and rising, subgrid_width_px"
                f"={self.subgrid_width_px} odd"
            )
        if min(self.subgrid_decay_minutes) <= 0 or not 0.0 < self.min_observed_fraction <= 1.0:
            raise ValueError(
                f"subgrid_decay_minutes={self.subgrid_decay_minutes} must be above 0, min_observed_fraction"
                f"={self.min_observed_fraction} above 0 and at most 1"
            )


@dataclass(frozen=True, kw_only=True)
class NoiseSettings:
    """The noise by which members differ.

    Args:
        octaves: scales of noise: of 1, 2, 4, 8 and 16 cells of the grid learned from, 4 to 64 km. By hand.
        initial_log_scale: logarithm of the standard deviation of the noise, in logits, of an untrained uncertainty
            head. By hand.
        minutes_per_km: lifetime per km of wavelength that training starts from: 7.5 min at 8 km, an hour at 64 km, from
            Germann, Zawadzki and Turner 2006, doi:10.1175/JAS3735.1. The lifetimes are then learned.
        exact_from_members: with so many members or more, their noise is given the standard deviation that it is drawn
            with at every place; with fewer only the mean 0, for a deviation of few numbers says little. By hand.
        noise_scale: factor of the learned standard deviation. 1.13 in the shipped weights: spread over skill of 20
            members is 0.80 on 54 validation windows of TAASRAD19 (July), 1.28 on 34 training windows of October to
            February; with 1.05 it is 0.68 and 1.07, at a CRPS that differs by 0.4 % at most; not reproducible.
    """

    octaves: int = 5
    initial_log_scale: float = -2.0
    minutes_per_km: float = 0.94
    exact_from_members: int = 10
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.octaves < 1 or self.minutes_per_km <= 0 or self.noise_scale < 0:
            raise ValueError(
                f"octaves={self.octaves} must be at least 1, minutes_per_km={self.minutes_per_km} above 0, noise_scale"
                f"={self.noise_scale} not below 0"
            )


@dataclass(frozen=True, kw_only=True)
class HeavyRainBounds:
    """How far areas of heavy rain may grow: growth learned from one radar must not run away on another's.

    The area above a rate is at most `max_area_growth` times that of the newest frame, plus a fraction of the observed
    area. Stronger rain is lowered in its order until this holds.

    Args:
        rates_mm_h: rising rates; the areas above all but the first are bounded, and rain below the first stays as it
            is. Members bounded from 5 mm/h on were compared with members bounded from 10 mm/h on (validation, October
            to February of the training data, FMI, Melbourne); not reproducible. The other rates by hand.
        max_area_growth: the factor. On 6 cases of Melbourne (2018-06-16, means over 4 km) RMSE was 1.66 mm/h with 2 and
            new areas of 0.05 %, 1.53 with 1.5 and none, 1.77 with 3 and 0.2 %; not reproducible.
        new_area_fraction: the fraction of each bounded rate: the mean area of such rain within 90 minutes after frames
            that have rain but none so heavy, in the training data of TAASRAD19 (archives/train.zarr of
            experiments/lagrangian.toml); not reproducible.
        deterministic_min_rate_mm_h: rates below this one are left out in the deterministic forecast, whose CSI there
            was learned: it is bounded above 10 mm/h, members above 5 mm/h. By hand.
    """

    rates_mm_h: tuple[float, ...] = (2.0, 5.0, 10.0, 20.0, 50.0)
    max_area_growth: float = 2.0
    new_area_fraction: tuple[float, ...] = (2e-4, 1e-4, 5e-5, 1.5e-5)
    deterministic_min_rate_mm_h: float = 5.0

    def __post_init__(self) -> None:
        if list(self.rates_mm_h) != sorted(set(self.rates_mm_h)) or len(self.rates_mm_h) < 2:
            raise ValueError(f"rates_mm_h={self.rates_mm_h} must be at least two rising numbers")
        if len(self.new_area_fraction) != len(self.rates_mm_h) - 1:
            raise ValueError(
                f"new_area_fraction={self.new_area_fraction} must have one number for each of rates_mm_h"
                f"={self.rates_mm_h} but the first"
            )
        if self.deterministic_min_rate_mm_h > self.rates_mm_h[-2]:
            raise ValueError(
                f"deterministic_min_rate_mm_h={self.deterministic_min_rate_mm_h} leaves fewer than two of rates_mm_h"
                f"={self.rates_mm_h}; lower it"
            )
