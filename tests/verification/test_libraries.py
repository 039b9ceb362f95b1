"""The scores are those of the field's libraries, to 1e-6, and those worked by hand."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import xarray as xr

from echocast.verification.scores import (
    contingency,
    continuous,
    crps,
    ensemble,
    hko7,
    images,
    intensity_scale,
    probability,
    rank_correlation,
    sal,
    shi2015,
    spectra,
)

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _calm() -> Iterator[None]:
    """The libraries warn of what they import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def rains(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.4, 6.0, shape).astype(np.float32)


def test_continuous_scores_are_those_of_pysteps() -> None:
    pysteps = pytest.importorskip("pysteps.verification.detcontscores", reason="pysteps is not installed")
    forecast, observed = rains(2, 2, 3, 40, 40)
    found = continuous.values(continuous.statistics(forecast, observed))
    for lead in range(3):
        theirs = pysteps.det_cont_fct(
            forecast[:, lead].astype(float), observed[:, lead].astype(float), ["RMSE", "MAE", "ME", "NMSE", "corr_p"]
        )
        ours = {"RMSE": "rmse", "MAE": "mae", "ME": "mean_error", "NMSE": "nmse", "corr_p": "correlation"}
        for name, score in ours.items():
            assert found[score][lead] == pytest.approx(theirs[name], abs=1e-6), name


def test_continuous_and_contingency_scores_are_those_of_the_library_scores() -> None:
    library = pytest.importorskip("scores", reason="scores is not installed")
    forecast, observed = rains(2, 1, 1, 30, 30)
    f, o = (xr.DataArray(rain[0, 0].astype(float), dims=("y", "x")) for rain in (forecast, observed))
    found = continuous.values(continuous.statistics(forecast, observed))
    assert found["mae"][0] == pytest.approx(float(library.continuous.mae(f, o)), abs=1e-6)
    assert found["rmse"][0] == pytest.approx(float(library.continuous.rmse(f, o)), abs=1e-6)
    assert found["mean_ratio"][0] == pytest.approx(float(library.continuous.multiplicative_bias(f, o)), abs=1e-6)
    table = library.categorical.ThresholdEventOperator(default_event_threshold=2.0).make_contingency_manager(f, o)
    ours = contingency.values(contingency.statistics(forecast, observed, thresholds=(2.0,)))
    theirs = {"csi": "critical_success_index", "pod": "probability_of_detection", "far": "false_alarm_ratio"}
    theirs |= {
        "hss": "heidke_skill_score",
        "gss": "gilberts_skill_score",
        "sedi": "symmetric_extremal_dependence_index",
    }
    for name, method in theirs.items():
        assert ours[name][0, 0] == pytest.approx(float(getattr(table.transform(), method)()), abs=1e-6), name


def test_rank_correlation_is_that_of_pysteps_and_scipy() -> None:
    from scipy.stats import spearmanr

    forecast, observed = np.round(rains(2, 3, 1, 20, 20), 0)  # many equal values
    found = rank_correlation.values(rank_correlation.statistics(forecast, observed))["rank_correlation"][0]
    pairs = zip(forecast, observed, strict=True)
    assert found == pytest.approx(np.mean([spearmanr(f.ravel(), o.ravel()).statistic for f, o in pairs]), abs=1e-9)
    pysteps = pytest.importorskip("pysteps.verification.detcontscores", reason="pysteps is not installed")
    theirs = [
        pysteps.det_cont_fct(f[0].astype(float), o[0].astype(float), "corr_s")["corr_s"]
        for f, o in zip(forecast, observed, strict=True)
    ]
    assert found == pytest.approx(np.mean(theirs), abs=1e-6)


def test_power_spectra_are_those_of_pysteps() -> None:
    spectral = pytest.importorskip("pysteps.utils.spectral", reason="pysteps is not installed")
    for shape in ((32, 32), (33, 33), (24, 40), (41, 30)):
        frame = rains(*shape).astype(float)
        np.testing.assert_allclose(spectra.power_spectrum(frame), spectral.rapsd(frame, fft_method=np.fft), rtol=1e-9)


def test_half_the_decibels_have_a_quarter_of_the_power() -> None:
    observed = 0.2 + rains(1, 1, 64, 64)
    ratios = spectra.values(spectra.statistics(np.sqrt(observed) + 0, observed))
    for name in ("power_ratio_2", "power_ratio_4", "power_ratio_8"):
        assert ratios[name][0] == pytest.approx(0.25, rel=1e-5)


def test_intensity_scale_is_that_of_pysteps() -> None:
    pytest.importorskip("pywt", reason="PyWavelets is not installed")
    spatial = pytest.importorskip("pysteps.verification.spatialscores", reason="pysteps is not installed")
    forecast, observed = rains(2, 3, 1, 32, 32)
    found = intensity_scale.values(intensity_scale.statistics(forecast, observed, thresholds=(1.0, 5.0)))
    for column, threshold in enumerate((1.0, 5.0)):
        pooled = spatial.binary_mse_init(threshold)
        for case in range(3):
            spatial.binary_mse_accum(pooled, forecast[case, 0], observed[case, 0])
        theirs, scales = spatial.binary_mse_compute(pooled)
        f, e = ((rain >= threshold).mean() for rain in (forecast, observed))
        theirs = 1 - (1 - theirs) * 2 * e * (1 - e) / (f * (1 - e) + e * (1 - f))  # it takes the bias as 1
        for scale, value in zip(scales[1:], theirs[1:], strict=True):  # the first is the mean over all
            assert found[f"intensity_scale_{scale}"][0, column] == pytest.approx(value, abs=1e-6)


def _cells(places: list[tuple[int, int]], heights: list[float]) -> np.ndarray:
    y, x = np.mgrid[:120, :140]
    rain = sum(h * np.exp(-((y - r) ** 2 + (x - c) ** 2) / 72) for (r, c), h in zip(places, heights, strict=True))
    return np.where(rain < 0.5, 0.0, rain)


def test_sal_of_separate_cells_is_that_of_pysteps() -> None:
    library = pytest.importorskip("pysteps.verification.salscores", reason="pysteps is not installed")
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    observed = _cells([(30, 30), (80, 100)], [10.0, 6.0])
    forecast = _cells([(36, 33), (80, 90), (100, 25)], [8.0, 9.0, 4.0])
    frames = [rain.astype(np.float32)[None, None] for rain in (forecast, observed)]
    found = sal.values(sal.statistics(frames[0], frames[1]))
    structure, amplitude, location = library.sal(*(frame[0, 0].astype(float) for frame in frames), thr_factor=1 / 15)
    assert found["sal_amplitude"][0] == pytest.approx(amplitude, abs=1e-6)
    assert found["sal_structure"][0] == pytest.approx(structure, abs=1e-6)
    assert found["sal_location"][0] == pytest.approx(location, abs=1e-6)


def test_ssim_is_that_of_scikit_image_and_psnr_too() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    f, o = np.random.default_rng(0).random((2, 40, 50))
    for data_range in (1.0, 2.0):
        ours, _ = images.structural_similarity(f[None], o[None], data_range=data_range)
        assert ours[0] == pytest.approx(metrics.structural_similarity(f, o, data_range=data_range), abs=1e-9)
    assert images.psnr(f[None], o[None])[0] == pytest.approx(
        metrics.peak_signal_noise_ratio(o, f, data_range=1), abs=1e-9
    )


def test_ssim_and_psnr_are_those_of_torchmetrics() -> None:
    functional = pytest.importorskip("torchmetrics.functional.image", reason="torchmetrics is not installed")
    import torch

    rough = np.random.default_rng(1).random((2, 46, 56))
    smooth = np.stack(
        [np.mean([image[i : i + 40, j : j + 50] for i in range(7) for j in range(7)], 0) for image in rough]
    )
    f, o = smooth[0][None, None], (smooth[0] + 0.5 * (smooth[1] - 0.5))[None, None]
    pair = [torch.from_numpy(image) for image in (f, o)]
    theirs = float(functional.peak_signal_noise_ratio(*pair, data_range=1.0))
    assert images.psnr(f[0], o[0])[0] == pytest.approx(theirs, abs=1e-5)
    # Its uniform window pads, where ours has whole windows: its map is compared inside.
    _, everywhere = functional.structural_similarity_index_measure(
        *pair, gaussian_kernel=False, kernel_size=7, data_range=1.0, return_full_image=True
    )
    ours = images.structural_similarity(f[0], o[0])[0][0]
    assert 0.3 < ours < 0.95
    assert ours == pytest.approx(float(everywhere[..., 3:-3, 3:-3].mean()), abs=2e-3)


def test_images_by_hand() -> None:
    levels = [np.full((1, 8, 8), value) for value in (0.5, 1.0)]
    a = 0.01**2
    assert images.structural_similarity(*levels)[0][0] == pytest.approx((1 + a) / (1.25 + a), abs=1e-12)
    assert images.psnr(*levels)[0] == pytest.approx(6.0206, abs=1e-4)
    assert images.cross_entropy(*levels).sum() == pytest.approx(64 * np.log(2), abs=1e-3)
    assert images.cross_entropy(levels[1], levels[1]).sum() == pytest.approx(0, abs=1e-4)


def _ensemble_and_truth() -> tuple[np.ndarray, np.ndarray]:
    return np.round(rains(2, 7, 1, 12, 12), 1), np.round(rains(2, 1, 12, 12, seed=4), 1)


def test_crps_is_that_of_the_library_scores_and_of_properscoring() -> None:
    library = pytest.importorskip("scores.probability", reason="scores is not installed")
    members, observed = _ensemble_and_truth()
    found = crps.values(crps.statistics(members, observed, thresholds=(2.0,)))
    f = xr.DataArray(members[:, :, 0].astype(float), dims=("case", "member", "y", "x"))
    o = xr.DataArray(observed[:, 0].astype(float), dims=("case", "y", "x"))
    for score, method in (("crps", "ecdf"), ("crps_fair", "fair")):
        theirs = library.crps_for_ensemble(f, o, "member", method=method)
        assert found[score][0] == pytest.approx(float(theirs), abs=1e-6)
    tail = library.tail_tw_crps_for_ensemble(f, o, "member", 2.0, tail="upper", method="ecdf")
    assert found["twcrps"][0, 0] == pytest.approx(float(tail), abs=1e-6)
    proper = pytest.importorskip("properscoring", reason="xskillscore is not installed")
    theirs = proper.crps_ensemble(o.values, np.moveaxis(f.values, 1, -1)).mean()
    assert found["crps"][0] == pytest.approx(theirs, abs=1e-6)


def test_brier_score_and_its_parts_are_those_of_xskillscore() -> None:
    library = pytest.importorskip("xskillscore", reason="xskillscore is not installed")
    members, observed = _ensemble_and_truth()
    found = probability.values(probability.statistics(members, observed, thresholds=(1.0,)))
    event = xr.DataArray((observed[:, 0] >= 1.0).astype(float), dims=("case", "y", "x"))
    p = xr.DataArray((members[:, :, 0] >= 1.0).mean(axis=1), dims=("case", "y", "x"))
    assert found["brier"][0, 0] == pytest.approx(float(library.brier_score(event, p)), abs=1e-6)
    parts = found["brier_reliability"] - found["brier_resolution"] + found["brier_uncertainty"]
    np.testing.assert_allclose(parts, found["brier"], atol=1e-12)
    edges = np.linspace(-1 / 14, 1 + 1 / 14, 9)
    area = library.roc(event.astype(bool), p, bin_edges=np.append(edges[:-1], 1.1), return_results="area")
    assert found["roc_area"][0, 0] == pytest.approx(float(area), abs=1e-6)


def test_rank_histogram_without_ties_is_that_of_xskillscore() -> None:
    library = pytest.importorskip("xskillscore", reason="xskillscore is not installed")
    members, observed = 0.2 + rains(2, 7, 1, 12, 12), 0.2 + rains(2, 1, 12, 12, seed=4)
    ranks = ensemble.statistics(members, observed)["ranks"][0]
    theirs = library.rank_histogram(
        xr.DataArray(observed[:, 0], dims=("case", "y", "x")),
        xr.DataArray(members[:, :, 0], dims=("case", "member", "y", "x")),
    )
    np.testing.assert_allclose(ranks, theirs.values)


def test_what_is_below_a_tenth_of_a_millimetre_is_dry_and_shares_its_ranks() -> None:
    members = np.array([0.0, 0.03, 0.5], np.float32).reshape(1, 3, 1, 1, 1)
    drizzle, dry = (
        ensemble.statistics(members, np.full((1, 1, 1, 1), rain, np.float32))["ranks"] for rain in (0.09, 0.0)
    )
    np.testing.assert_allclose(drizzle, [[1 / 3, 1 / 3, 1 / 3, 0]])
    np.testing.assert_allclose(dry, drizzle)


def test_equal_members_share_their_ranks() -> None:
    members = np.array([1, 1, 3], np.float32).reshape(1, 3, 1, 1, 1)
    ranks = ensemble.statistics(members, np.ones((1, 1, 1, 1), np.float32))["ranks"]
    np.testing.assert_allclose(ranks, [[1 / 3, 1 / 3, 1 / 3, 0]])


def test_spread_and_skill_by_hand() -> None:
    members = np.array([[1, 3], [2, 4]], np.float32).T.reshape(1, 2, 1, 1, 2)
    found = ensemble.values(ensemble.statistics(members, np.array([1, 5], np.float32).reshape(1, 1, 1, 2)))
    # Means 2 and 3, variances 2 and 2: sqrt(3/2 * 2) / sqrt((1 + 4) / 2)
    assert found["spread_skill"][0] == pytest.approx(np.sqrt(3) / np.sqrt(2.5), abs=1e-9)


def test_of_members_drawn_as_the_truth_is_the_histogram_is_flat_and_spread_equals_skill() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.gamma(0.8, 4.0, (1, 11, 1, 200, 200)).astype(np.float32)
    sums = ensemble.statistics(drawn[:, 1:], drawn[:, 0])
    found = ensemble.values(sums)
    assert found["spread_skill"][0] == pytest.approx(1.0, abs=0.03)
    assert found["rank_reliability_index"][0] < 0.03
    fair = crps.values(crps.statistics(drawn[:, 1:], drawn[:, 0]))
    assert fair["crps_fair"][0] < fair["crps"][0]


def test_scores_of_shi2015_by_hand() -> None:
    observed, forecast = np.zeros((2, 2, 1, 2, 2), np.float32)
    observed[0, 0, 0] = 1.0  # two events in one frame, one of them hit; nothing at all in the other
    forecast[0, 0, 0, 0] = 1.0
    observed[0, 0, 1] = forecast[0, 0, 1] = 0.5  # exactly at the threshold: no event
    found = shi2015.values(shi2015.statistics(forecast, observed, thresholds=(0.5,)))
    assert found["shi2015_csi"][0, 0] == pytest.approx((0.5 + 1) / 2, abs=1e-6)
    assert found["shi2015_pod"][0, 0] == pytest.approx((0.5 + 1) / 2, abs=1e-6)
    assert found["shi2015_far"][0, 0] == pytest.approx(0.0, abs=1e-6)
    assert found["shi2015_rainfall_mse"][0] == pytest.approx(1 / 4 / 2, abs=1e-6)
    g = [(10 * np.log10(118.239) + 15.241 * np.log10(rate) + 10) / 70 for rate in (1.0, 0.5)]
    dot, lengths = g[0] ** 2 + 2 * g[1] ** 2, np.sqrt((g[0] ** 2 + 2 * g[1] ** 2) * (2 * g[0] ** 2 + 2 * g[1] ** 2))
    assert found["shi2015_correlation"][0] == pytest.approx(dot / lengths / 2, abs=1e-6)  # the dry frame counts as 0


def test_grey_level_of_shi2015_of_half_a_millimetre() -> None:
    from echocast.verification.base import grey

    assert grey(np.array([0.5, 2.0, 5.0, 10.0, 30.0])) == pytest.approx(
        [0.3734, 0.5045, 0.5912, 0.6567, 0.7606], abs=1e-4
    )
    assert grey(np.array([0.0]))[0] == 0.0


def test_the_benchmarks_scores_by_hand() -> None:
    observed, forecast = np.zeros((2, 1, 1, 1, 2), np.float32)
    observed[..., 0] = 3.0
    found = hko7.values(hko7.statistics(forecast, observed, thresholds=(3.0,)))
    g = (10 * np.log10(58.53) + 15.6 * np.log10(3.0) + 10) / 70
    assert found["hko7_b_mse"][0] == pytest.approx(2 * g**2, abs=1e-6)
    assert found["hko7_b_mae"][0] == pytest.approx(2 * g, abs=1e-6)
    assert found["hko7_gdl"][0] == pytest.approx(g, abs=1e-6)
    assert found["hko7_csi"][0, 0] == 0.0  # at least the threshold is an event, and it was missed
    assert np.isnan(found["hko7_far"][0, 0])


@pytest.mark.parametrize(
    ("rate", "level"), [(0.5, 0.3283), (2.0, 0.4624), (5.0, 0.5511), (10.0, 0.6182), (30.0, 0.7245)]
)
def test_the_benchmarks_grey_levels(rate: float, level: float) -> None:
    from echocast.verification.base import grey

    assert grey(np.array([rate]), "hko-7")[0] == pytest.approx(level, abs=1e-4)
