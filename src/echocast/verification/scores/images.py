"""SSIM, PSNR and cross-entropy of frames as grey levels, as machine learning computes them for images.

A rain rate R becomes the grey level of the ConvLSTM paper, g = (Z + 10) / 70 clipped to [0, 1] with the reflectivity
Z = 10 lg 118.239 + 15.241 lg R in dBZ. Each score is computed for a frame and averaged over frames:

- ssim = mean over all squares of 7x7 pixels inside the frame of
  (2 m_f m_o + a) (2 c + b) / ((m_f^2 + m_o^2 + a) (v_f + v_o + b)), with means m, sample variances v and covariance c,
  a = 0.01^2 and b = 0.03^2; 1 is perfect. A square with a pixel that does not count is left out.
- psnr = -10 lg (mean squared error) in dB, no more than 100, which is what a perfect frame has;
- cross_entropy = - sum of g_o ln p + (1 - g_o) ln (1 - p), p = g_f clipped to [1e-7, 1 - 1e-7], in nats a frame;
- cross_entropy_perfect = the same for p = g_o, the cross-entropy of a perfect forecast: not 0, as a grey level
  between 0 and 1 is not certain.

By hand: g_f = 0.5 against g_o = 1 everywhere on 8x8 pixels gives PSNR 6.02 dB, cross-entropy 64 ln 2 = 44.36, 0 for a
perfect forecast, SSIM (1 + a) / (1.25 + a) = 0.80002.

Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861, with the uniform window of scikit-image, whose numbers these are;
Shi et al. 2015 (arXiv:1506.04214), section 4, for the cross-entropy.

    >>> import numpy as np
    >>> rain = np.random.default_rng(0).gamma(0.5, 4.0, (1, 1, 9, 9)).astype(np.float32)
    >>> float(values(statistics(rain, rain))["ssim"][0])
    1.0
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import uniform_filter

from echocast.verification.base import Score, Sums, grey, ratio, valid_pixels

WINDOW = 7
SCORES = {
    "ssim": Score("Structural similarity index", 1.0, abbreviation="SSIM"),
    "psnr": Score("Peak signal-to-noise ratio", 100.0, abbreviation="PSNR", unit="dB"),
    "cross_entropy": Score("Cross-entropy of grey levels, nats per frame", np.nan),
    "cross_entropy_perfect": Score("Cross-entropy of a perfect forecast, nats per frame", np.nan),
}
_MAX_DB = 100.0


def statistics(
    forecast: Float[np.ndarray, "case lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = (),  # noqa: ARG001 (these scores have none)
) -> Sums:
    """Sums of each frame's scores, and the number of frames, by lead."""
    counts = valid_pixels(forecast, observed)
    f, o = (np.where(counts, grey(rain), 0.0).astype(np.float64) for rain in (forecast, observed))
    pixels = counts.sum(axis=(2, 3))
    valid = pixels > 0
    similar, windows = structural_similarity(f, o, counts=counts)
    noise = psnr(f, o, counts=counts)
    return {
        "frames": valid.sum(axis=0).astype(float),
        "with_windows": windows.sum(axis=0).astype(float),
        "ssim": similar.sum(axis=0),
        "psnr": np.where(valid, noise, 0.0).sum(axis=0),
        "cross_entropy": (cross_entropy(f, o) * counts).sum(axis=(0, 2, 3)),
        "cross_entropy_perfect": (cross_entropy(o, o) * counts).sum(axis=(0, 2, 3)),
    }


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The scores, each (lead,)."""
    return {"ssim": ratio(sums["ssim"], sums["with_windows"])} | {
        name: ratio(sums[name], sums["frames"]) for name in ("psnr", "cross_entropy", "cross_entropy_perfect")
    }


def structural_similarity(
    forecast: Float[np.ndarray, "*frames y x"],
    observed: Float[np.ndarray, "*frames y x"],
    *,
    counts: np.ndarray | None = None,
    data_range: float = 1.0,
) -> tuple[Float[np.ndarray, "*frames"], np.ndarray]:
    """Each frame's SSIM (0 where none is defined) and whether it is defined: whether one square counts."""
    if min(forecast.shape[-2:]) < WINDOW:
        return np.zeros(forecast.shape[:-2]), np.zeros(forecast.shape[:-2], bool)
    size = (1,) * (forecast.ndim - 2) + (WINDOW, WINDOW)
    edge = WINDOW // 2
    inside = (..., slice(edge, -edge), slice(edge, -edge))
    f, o = forecast.astype(np.float64), observed.astype(np.float64)
    mean_f, mean_o, ff, oo, fo = (uniform_filter(a, size)[inside] for a in (f, o, f * f, o * o, f * o))
    sample = WINDOW**2 / (WINDOW**2 - 1)
    var_f, var_o = (sample * (square - mean**2) for square, mean in ((ff, mean_f), (oo, mean_o)))
    covariance = sample * (fo - mean_f * mean_o)
    a, b = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    above = (2 * mean_f * mean_o + a) * (2 * covariance + b)
    similar = above / ((mean_f**2 + mean_o**2 + a) * (var_f + var_o + b))
    if counts is None:
        return similar.mean(axis=(-2, -1)), np.ones(forecast.shape[:-2], bool)
    whole = uniform_filter(counts.astype(np.float64), size)[inside] > 1 - 0.5 / WINDOW**2
    number = whole.sum(axis=(-2, -1))
    return ratio((similar * whole).sum(axis=(-2, -1)), np.maximum(number, 1)), np.asarray(number > 0)


def psnr(
    forecast: Float[np.ndarray, "*frames y x"],
    observed: Float[np.ndarray, "*frames y x"],
    *,
    counts: np.ndarray | None = None,
) -> Float[np.ndarray, "*frames"]:
    """Each frame's PSNR in dB for grey levels in [0, 1], at most 100; NaN without a pixel."""
    counted = np.ones(forecast.shape, bool) if counts is None else counts
    squared = np.where(counted, (forecast.astype(np.float64) - observed) ** 2, 0.0).sum(axis=(-2, -1))
    mean = ratio(squared, counted.sum(axis=(-2, -1)))
    return np.asarray(np.minimum(-10.0 * np.log10(np.maximum(mean, 1e-30)), _MAX_DB))


def cross_entropy(
    forecast: Float[np.ndarray, "*shape"], observed: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Nats of each pixel; grey levels in [0, 1]."""
    p = np.clip(forecast, 1e-7, 1 - 1e-7, dtype=np.float64)
    return np.asarray(-(observed * np.log(p) + (1.0 - observed) * np.log1p(-p)))
