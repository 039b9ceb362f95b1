"""Parts of the CRPS, energy, variogram, PIT, economic value, skilful scale: against formulas, pixel by pixel."""

from itertools import product

import numpy as np
import pytest

from echocast.verification.scores import (
    crps,
    crps_parts,
    economic_value,
    energy,
    fractions,
    intensity_scale,
    pit,
    sal,
    skilful_scale,
    spectra,
    variogram,
)


def drawn(*, members: int = 5, seed: int = 0, shape: tuple[int, ...] = (2, 1, 9, 11)) -> tuple[np.ndarray, np.ndarray]:
    """Members and an observation with many dry pixels, and some that were not observed."""
    rng = np.random.default_rng(seed)
    rain = rng.gamma(0.6, 4.0, (members + 1, *shape)).astype(np.float32)
    rain[rain < 1.0] = 0.0
    observed = rain[0].copy()
    observed[..., -2:] = np.nan
    return np.moveaxis(rain[1:], 0, 1).copy(), observed


def pixels(members: np.ndarray, observed: np.ndarray) -> list[tuple[list[float], float]]:
    """The sorted members and the observation of each pixel that counts."""
    return [
        (sorted(members[case, :, lead, y, x].astype(float)), float(observed[case, lead, y, x]))
        for case, lead, y, x in np.ndindex(*observed.shape)
        if np.isfinite(observed[case, lead, y, x])
    ]


def test_reliability_and_potential_are_those_of_hersbach() -> None:
    """His equations 26 to 33 and his section 4b for observations outside all members, one pixel at a time."""
    members, observed = drawn()
    cases, n = pixels(members, observed), members.shape[1]
    alpha, beta = np.zeros(n + 1), np.zeros(n + 1)
    for x, y in cases:
        for i in range(1, n):
            low, high = x[i - 1], x[i]
            alpha[i] += (high - low) if y > high else (y - low if y > low else 0.0)
            beta[i] += 0.0 if y > high else (high - y if y > low else high - low)
        beta[0] += x[0] - y if y < x[0] else 0.0
        alpha[n] += y - x[-1] if y > x[-1] else 0.0
    alpha, beta = alpha / len(cases), beta / len(cases)
    reliability = potential = 0.0
    for i in range(n + 1):
        if i == 0:
            o = np.mean([y < x[0] for x, y in cases])
            g = beta[0] / o
        elif i == n:
            o = np.mean([y <= x[-1] for x, y in cases])
            g = alpha[n] / (1 - o)
        else:
            g = alpha[i] + beta[i]
            o = beta[i] / g if g else 0.0
        reliability += g * (o - i / n) ** 2
        potential += g * o * (1 - o)
    found = crps_parts.values(crps_parts.statistics(members, observed))
    assert found["crps_reliability"][0] == pytest.approx(reliability, rel=1e-9)
    assert found["crps_potential"][0] == pytest.approx(potential, rel=1e-9)


def test_reliability_and_potential_add_to_the_crps() -> None:
    for seed, members in product(range(3), (1, 2, 7)):
        x, y = drawn(members=members, seed=seed)
        parts = crps_parts.values(crps_parts.statistics(x, y))
        whole = crps.values(crps.statistics(x, y))["crps"]
        np.testing.assert_allclose(parts["crps_reliability"] + parts["crps_potential"], whole, rtol=1e-9)
        total = parts["crps_reliability"] - parts["crps_resolution"] + parts["crps_uncertainty"]
        np.testing.assert_allclose(total, whole, rtol=1e-9)


def test_the_uncertainty_is_the_crps_of_the_samples_own_distribution() -> None:
    x, y = drawn(shape=(3, 1, 20, 20))
    found = crps_parts.values(crps_parts.statistics(x, y))["crps_uncertainty"][0]
    sample = y[np.isfinite(y)].astype(float)
    itself = np.abs(sample[:, None] - sample).mean() / 2  # mean |x - y| - mean |x - x'| / 2, with the same sample twice
    assert found == pytest.approx(itself, rel=5e-3)


def test_the_energy_score_is_that_of_its_formula() -> None:
    members, observed = drawn()
    scores = []
    for case in range(2):
        valid = np.isfinite(observed[case, 0])
        x, y = members[case, :, 0][:, valid].astype(float), observed[case, 0][valid].astype(float)
        count = len(x)
        error = np.mean([np.linalg.norm(x[i] - y) for i in range(count)])
        spread = np.mean([[np.linalg.norm(x[i] - x[j]) for j in range(count)] for i in range(count)])
        scores.append((error - spread / 2) / np.sqrt(valid.sum()))
    found = energy.values(energy.statistics(members, observed))["energy_score"][0]
    assert found == pytest.approx(np.mean(scores), rel=1e-9)


def test_the_energy_score_of_one_pixel_is_the_crps() -> None:
    members, observed = (rain[..., :1, :1] for rain in drawn(shape=(30, 1, 3, 5)))
    found = energy.values(energy.statistics(members, observed))["energy_score"]
    np.testing.assert_allclose(found, crps.values(crps.statistics(members, observed))["crps"], rtol=1e-9)


def test_the_variogram_score_is_that_of_its_formula() -> None:
    members, observed = drawn(members=3, shape=(1, 1, 6, 7))
    x, y = members[0, :, 0].astype(float), observed[0, 0].astype(float)
    total = weights = 0.0
    places = list(np.ndindex(*y.shape))
    for a, b in product(places, places):
        apart = (b[0] - a[0], b[1] - a[1])
        if apart not in {(h, 0) for h in variogram.DISTANCES} | {(0, h) for h in variogram.DISTANCES}:
            continue
        if np.isfinite(y[a]) and np.isfinite(y[b]):
            forecast = np.mean([abs(member[a] - member[b]) ** 0.5 for member in x])
            total += (abs(y[a] - y[b]) ** 0.5 - forecast) ** 2 / max(apart)
            weights += 1 / max(apart)
    found = variogram.values(variogram.statistics(members, observed))["variogram_score"][0]
    assert found == pytest.approx(total / weights, rel=1e-9)


def test_the_variogram_score_tells_smooth_members_from_those_that_vary_as_the_truth() -> None:
    rng = np.random.default_rng(0)
    rain = rng.gamma(0.6, 4.0, (8, 1, 1, 40, 40)).astype(np.float32)
    alike, smooth = rain[1:], np.broadcast_to(rain.mean(), rain[1:].shape)
    scores = [
        variogram.values(variogram.statistics(np.moveaxis(np.array(one), 0, 1), rain[0]))["variogram_score"][0]
        for one in (alike, smooth)
    ]
    assert scores[0] < 0.7 * scores[1]


def test_the_pit_is_what_drawing_at_random_gives() -> None:
    members, observed = drawn(shape=(20, 1, 20, 20))
    rng = np.random.default_rng(1)
    values = []
    for x, y in pixels(members, observed):
        below, equal = sum(one < y for one in x), sum(one == y for one in x)
        values.append((below + rng.integers(equal + 1) + rng.random()) / (len(x) + 1))
    sums = pit.statistics(members, observed)
    found = pit.values(sums)
    shares = np.histogram(values, bins=10, range=(0, 1))[0] / len(values)
    np.testing.assert_allclose(pit.histogram(sums)[0], shares, atol=0.02)
    assert found["pit_mean"][0] == pytest.approx(np.mean(values), abs=0.01)
    assert found["pit_dispersion"][0] == pytest.approx(12 * np.var(values), abs=0.03)


@pytest.mark.parametrize(("factor", "spread"), [(1.0, 1.0), (0.5, 0.3)])
def test_the_pit_of_calibrated_members_is_uniform_and_of_alike_ones_too_wide(factor: float, spread: float) -> None:
    rng = np.random.default_rng(0)
    rain = rng.gamma(2.0, 2.0, (12, 1, 1, 60, 60)).astype(np.float32)
    centre = rain[1:].mean(axis=0)
    members = np.moveaxis(centre + (rain[1:] - centre) * spread, 0, 1)
    found = pit.values(pit.statistics(members, rain[0]))
    assert (found["pit_reliability_index"][0] < 0.05) == (factor == 1.0)
    assert (found["pit_dispersion"][0] > 1.3) == (factor != 1.0)


def test_the_economic_value_is_that_of_richardson() -> None:
    members, observed = drawn(members=10, shape=(2, 1, 20, 20))
    valid = np.isfinite(observed[:, 0])
    event = observed[:, 0][valid] >= 2.0
    p = (members[:, :, 0] >= 2.0).mean(axis=1)[valid]
    found = economic_value.values(economic_value.statistics(members, observed, thresholds=(2.0,)))
    s = event.mean()
    for percent in economic_value.PERCENT:
        a = percent / 100
        acts = p >= a
        hit_rate, false_rate = acts[event].mean(), acts[~event].mean()
        # Richardson 2000, equation 8: V = (min(a, s) - F a (1 - s) + H s (1 - a) - s) / (min(a, s) - s a)
        value = (min(a, s) - false_rate * a * (1 - s) + hit_rate * s * (1 - a) - s) / (min(a, s) - s * a)
        assert found[f"value_{percent}"][0, 0] == pytest.approx(value, rel=1e-9)


def test_the_skilful_scale_of_a_displaced_shower_grows_with_its_displacement() -> None:
    scales = []
    for apart in (0, 4, 16, 32):
        forecast, observed = np.zeros((2, 1, 1, 160, 160), np.float32)
        observed[..., 60:72, 40:52] = 5.0
        forecast[..., 60:72, 40 + apart : 52 + apart] = 5.0
        sums = skilful_scale.statistics(forecast, observed, thresholds=(1.0,))
        scales.append(float(skilful_scale.values(sums)["fss_skilful_scale"][0, 0]))
    assert scales[0] == 1.0
    assert scales == sorted(scales)
    # A shower that is displaced by d pixels has an FSS of a half over about 2 d (Roberts and Lean 2008).
    assert scales[3] == pytest.approx(64, rel=0.25)


def test_the_fss_at_the_skilful_scale_is_useful() -> None:
    rng = np.random.default_rng(2)
    observed = np.repeat(np.repeat(rng.gamma(0.3, 5.0, (1, 1, 20, 20)), 8, axis=2), 8, axis=3).astype(np.float32)
    forecast = np.roll(observed, 6, axis=-1)
    sums = skilful_scale.statistics(forecast, observed, thresholds=(1.0,))
    found = float(skilful_scale.values(sums)["fss_skilful_scale"][0, 0])
    useful = 0.5 + (observed >= 1.0).mean() / 2
    below, above = (int(2 * (found // 2) + 1 + 2 * step) for step in (-1, 1))
    curve = fractions.values(fractions.statistics(forecast, observed, thresholds=(1.0,), scales=(below, above)))
    assert curve[f"fss_{below}"][0, 0] < useful + 0.02
    assert curve[f"fss_{above}"][0, 0] > useful - 0.02


def test_where_no_scale_is_useful_there_is_none() -> None:
    forecast, observed = np.zeros((2, 1, 1, 300, 300), np.float32)
    forecast[..., :4, :4] = observed[..., -4:, -4:] = 5.0
    sums = skilful_scale.statistics(forecast, observed, thresholds=(1.0, 50.0))
    assert np.isnan(skilful_scale.values(sums)["fss_skilful_scale"]).all()


def test_a_mask_does_not_hide_what_a_smooth_forecast_lacks() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:128, :128]
    outside = np.hypot(rows - 63.5, columns - 63.5) > 60
    observed = (8.0 + 4.0 * rng.random((1, 1, 128, 128))).astype(np.float32)  # rain everywhere, a step at the mask
    observed[..., outside] = np.nan
    forecast = np.sqrt(observed)  # half of each 10 lg R: a quarter of the power
    found = spectra.values(spectra.statistics(forecast, observed))
    for score, value in found.items():
        assert value[0] == pytest.approx(0.25, rel=1e-4), score


def test_objects_of_sal_do_not_depend_on_drizzle() -> None:
    forecast, observed = np.zeros((2, 1, 1, 60, 60), np.float32)
    for rain in (forecast, observed):
        rain[..., 10:20, 10:20], rain[..., 40:50, 40:44] = 8.0, 3.0
    forecast[..., 30:33, :] = 0.05  # below 0.1 mm/h: it may not lower the percentile that cuts objects
    found = sal.values(sal.statistics(forecast, observed))
    assert found["sal_structure"][0] == pytest.approx(0.0, abs=1e-3)


def test_intensity_scale_of_events_at_random_places_is_0_whatever_their_number() -> None:
    rng = np.random.default_rng(0)
    observed = (rng.random((40, 1, 32, 32)) < 0.3).astype(np.float32)
    for share in (0.1, 0.3, 0.6):
        forecast = (rng.random(observed.shape) < share).astype(np.float32)
        found = intensity_scale.values(intensity_scale.statistics(forecast, observed, thresholds=(0.5,)))
        # Random events have the mean square of their number at all scales together, whose parts are not alike.
        parts = [found[f"intensity_scale_{scale}"][0, 0] for scale in (1, 2, 4, 8, 16)]
        everything = 6 - sum(1 - part for part in parts)
        assert everything / 6 == pytest.approx(((share - 0.3) ** 2) / (share * 0.7 + 0.3 * (1 - share)), abs=0.02)
