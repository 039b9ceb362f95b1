"""Power spectra: the ratio of forecast to observed variance at each wavelength.

The radially averaged power spectral density of a frame (10 lg of the rate in mm/h; below 0.1 mm/h it is -15) is the
mean over rings of |FFT|^2 / pixels, ring k of all wave numbers that round to k waves along the longer side. Frames are
averaged first; `power_ratio_w` is the forecast's power over the observed one, summed over wavelengths of w to 2 w
pixels: 1 for the observed variance, towards 0 for a smooth forecast.

A step from rain to pixels that do not count would have power at every wavelength, in both fields alike, and hide what
the forecast lacks. So a frame with such pixels is multiplied by a window, after its mean is subtracted: 0 where a pixel
does not count and outside the frame, sin^2(pi d / 32) at d pixels from there, 1 from 16 pixels on; its power is divided
by the mean square of the window. A frame whose pixels all count has none.

By hand: a forecast of 10^(half of the observed 10 lg) has a quarter of the power at every wavelength: 0.25.

Source: Ruzanski and Chandrasekar 2011, doi:10.1109/TGRS.2011.2109696; the densities are those of pysteps.

    >>> import numpy as np
    >>> rain = np.random.default_rng(0).gamma(0.5, 4.0, (1, 1, 32, 32)).astype(np.float32)
    >>> float(values(statistics(rain, rain))["power_ratio_4"][0])
    1.0
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float

from echocast.verification.base import Score, Sums, ratio, valid_pixels

WAVELENGTHS = (2, 4, 8, 16, 32)
SCORES = {f"power_ratio_{w}": Score(f"Power ratio at wavelengths of {w} to {2 * w} pixels", 1.0) for w in WAVELENGTHS}
_DRY_DB = -15.0
_FADE = 16
"""Pixels over which the window of a frame with missing pixels rises."""


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = (),  # noqa: ARG001 (spectra have none)
) -> Sums:
    """Sums of the forecast and observed spectra, (lead, ring), the number of frames and the longer side, (lead,)."""
    counts = valid_pixels(forecast, observed)
    valid = np.asarray(counts.any(axis=(2, 3)))
    longer = max(forecast.shape[-2:])
    sums: Sums = {"frames": valid.sum(axis=0).astype(float), "side": valid.sum(axis=0) * float(longer)}
    for name, rain in (("forecast", forecast), ("observed", observed)):
        decibels = np.where(rain >= 0.1, 10 * np.log10(np.maximum(np.nan_to_num(rain), 1e-3)), _DRY_DB)
        sums[name] = (power_spectrum(_windowed(decibels, counts)) * valid[..., None]).sum(axis=0)
    return sums


def _windowed(decibels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Frames in which what does not count fades to 0; those that are whole stay as they are."""
    made = decibels.astype(np.float64)
    for case, lead in np.ndindex(*decibels.shape[:2]):
        valid = counts[case, lead]
        if valid.any() and not valid.all():
            window = _window(valid)
            square = (window * window).mean()
            mean = (window * decibels[case, lead]).sum() / window.sum()
            made[case, lead] = window * (decibels[case, lead] - mean) / np.sqrt(square)
    return made


def _window(valid: np.ndarray) -> np.ndarray:
    """0 where a pixel does not count and outside the frame, 1 from `_FADE` pixels on."""
    around = np.pad(valid.astype(np.uint8), 1)
    distance = cv2.distanceTransform(around, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.asarray(np.sin(np.pi / 2 * np.minimum(distance / _FADE, 1.0)) ** 2, np.float64)


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The ratio of the power of forecast and observation in each octave, (lead,)."""
    side = np.nanmax(ratio(sums["side"], sums["frames"]), initial=2.0)
    wave = side / np.maximum(np.arange(sums["forecast"].shape[-1]), 1e-9)
    found = {}
    for w in WAVELENGTHS:
        rings = (wave >= w) & (wave < 2 * w)
        found[f"power_ratio_{w}"] = ratio(
            sums["forecast"][..., rings].sum(axis=-1), sums["observed"][..., rings].sum(axis=-1)
        )
    return found


def power_spectrum(frames: Float[np.ndarray, "*batch y x"]) -> Float[np.ndarray, "*batch ring"]:
    """The radially averaged power spectral density of frames without NaN, by rings of 0, 1, 2, ... waves."""
    rows, columns = frames.shape[-2:]
    longer = max(rows, columns)
    rings = longer // 2 + longer % 2
    power = np.abs(np.fft.fft2(frames)) ** 2 / (rows * columns)
    y, x = (np.round(np.fft.fftfreq(n) * n) for n in (rows, columns))
    ring = np.hypot(y[:, None], x).round().astype(int).ravel()
    order = np.argsort(ring, kind="stable")
    edges = np.searchsorted(ring[order], np.arange(rings))
    flat = power.reshape(*power.shape[:-2], rows * columns)[..., order[: np.searchsorted(ring[order], rings)]]
    return np.add.reduceat(flat, edges, axis=-1) / np.bincount(ring)[:rings]
