"""Every score there is: additive, perfect on a perfect forecast, and right by hand."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from echocast.errors import ModelError
from echocast.verification import base, families
from echocast.verification.families import load
from echocast.verification.scores import contingency, continuous, fractions

cf_units = re.compile(r"^(1|dB|[a-z]+\d?( [a-z]+-\d)*)$")
every_score = pytest.mark.parametrize("name", families.names())

rain = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=4),
    elements=st.one_of(st.floats(0, 60, width=32), st.just(float("nan"))),
)


def statistics(name: str, forecast: np.ndarray, observed: np.ndarray, **options: Any) -> base.Sums:
    """Of a family for ensembles with three members: the forecast, and a little more and a little less rain."""
    module = load(name)
    if not families.takes_members(name):
        return module.statistics(forecast, observed, **options)
    members = np.stack([forecast * np.float32(factor) for factor in options.pop("factors", (0.8, 1.0, 1.3))], axis=1)
    return module.statistics(members, observed, **options)


@every_score
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_sums_of_parts_add_to_the_sums_of_all(name: str, data: st.DataObject) -> None:
    forecast = data.draw(rain)
    observed = data.draw(hnp.arrays(np.float32, forecast.shape, elements=st.floats(0, 60, width=32)))
    cut = data.draw(st.integers(0, len(forecast)))
    whole = statistics(name, forecast, observed)
    parts = base.add(statistics(name, forecast[:cut], observed[:cut]), statistics(name, forecast[cut:], observed[cut:]))
    for key in whole:
        assert whole[key].shape[0] == forecast.shape[1]
        rounding = (
            1e-6 if name in ("fractions", "skilful_scale") else 1e-12
        )  # its products are summed in 32 bits, a few rows at a time
        np.testing.assert_allclose(parts[key], whole[key], rtol=rounding, atol=1e-9)


@every_score
def test_a_perfect_forecast_is_perfect(name: str) -> None:
    observed = np.random.default_rng(0).gamma(0.3, 8.0, (3, 2, 64, 64)).astype(np.float32)
    observed[:, :, :3] = np.nan
    options = {"factors": (1.0, 1.0, 1.0)} if families.takes_members(name) else {}
    values = load(name).values(statistics(name, observed, observed, **options))
    for score, value in values.items():
        perfect = load(name).SCORES[score].perfect
        if score == "spread_skill":  # without an error there is nothing to divide the spread by
            assert np.isnan(value).all()
        elif np.isfinite(perfect):  # a score that depends on the weather has no perfect value
            np.testing.assert_allclose(value, perfect, atol=1e-9, err_msg=score)


@every_score
def test_sums_of_many_samples_give_the_scores_of_each(name: str) -> None:
    """The bootstrap makes the scores of all its samples at once, along a first axis."""
    rng = np.random.default_rng(0)
    forecasts, observed = rng.gamma(0.3, 8.0, (2, 3, 2, 2, 20, 20)).astype(np.float32)
    sums = [statistics(name, f, o) for f, o in zip(forecasts, observed, strict=True)]
    together = load(name).values({key: np.stack([one[key] for one in sums]) for key in sums[0]})
    for score, found in together.items():
        for sample, one in enumerate(sums):
            np.testing.assert_allclose(found[sample], load(name).values(one)[score], rtol=1e-12, err_msg=score)


@every_score
def test_declares_each_of_its_scores(name: str) -> None:
    observed = np.ones((1, 2, 8, 8), np.float32)
    values = load(name).values(
        statistics(name, observed, observed, **{"factors": (1.0, 2.0)} if families.takes_members(name) else {})
    )
    declared = load(name).SCORES
    assert list(values) == list(declared)
    for score, about in declared.items():
        assert isinstance(about, base.Score)
        assert about.title[0].isupper(), score
        assert cf_units.match(about.unit), score


def test_titles_of_scores_differ() -> None:
    titles = [score.full_title for _, score in families.scores_of(families.names()).values()]
    assert len(set(titles)) == len(titles) == 81


def test_a_title_has_its_abbreviation_and_unit() -> None:
    score = base.Score("Rainfall error", 0.0, abbreviation="RE", unit="mm2 h-2")
    assert (score.full_title, score.short_title) == ("Rainfall error (RE) in mm2/h2", "RE in mm2/h2")
    assert base.Score("Mean error", 0.0, unit="mm h-1").full_title == "Mean error in mm/h"
    assert base.Score("Accuracy", 1.0).short_title == "Accuracy"


def test_two_families_may_not_have_a_score_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "load", lambda _: contingency)
    with pytest.raises(ModelError, match="'csi' is in the families 'a' and 'b'"):
        families.scores_of(["a", "b"])


def test_a_family_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean 'contingency'"):
        load("contingenzy")


@every_score
def test_pixels_without_an_observation_do_not_count(name: str) -> None:
    rng = np.random.default_rng(0)
    forecast, observed = rng.gamma(0.3, 8.0, (2, 2, 2, 16, 16)).astype(np.float32)
    observed[..., 8:] = np.nan
    other = forecast.copy()
    other[..., 8:] = 50.0
    expected = load(name).values(statistics(name, forecast, observed))
    for score, value in load(name).values(statistics(name, other, observed)).items():
        np.testing.assert_allclose(value, expected[score], err_msg=score)


@pytest.mark.parametrize("name", ["contingency", "fractions", "continuous", "rank_correlation", "shi2015", "hko7"])
def test_of_a_half_observed_frame_only_that_half_counts(name: str) -> None:
    rng = np.random.default_rng(0)
    forecast, observed = rng.gamma(0.3, 8.0, (2, 2, 2, 8, 8)).astype(np.float32)
    masked = observed.copy()
    masked[..., 4:] = np.nan
    half = load(name).values(load(name).statistics(forecast[..., :4], observed[..., :4]))
    # Its sums of products in 32 bits come in an order that depends on how wide the frame is, and on the processor.
    rtol = 1e-6 if name == "fractions" else 1e-7
    for score, value in load(name).values(load(name).statistics(forecast, masked)).items():
        np.testing.assert_allclose(value, half[score], rtol=rtol, err_msg=score)


@every_score
def test_without_any_pixel_a_score_is_undefined(name: str) -> None:
    nothing = np.full((1, 2, 3, 3), np.nan, np.float32)
    for value in load(name).values(statistics(name, nothing, nothing)).values():
        assert np.isnan(value).all()


@every_score
def test_documents_its_formula_its_source_and_a_worked_number(name: str) -> None:
    words = load(name).__doc__ or ""
    assert all(word in words for word in ("By hand", "Source:", ">>>"))


@pytest.mark.usefixtures("as_users_run")
@every_score
def test_shapes_that_differ_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"1, 2, 2\).*\(1, 1, 2, 3\)"):
        statistics(name, np.zeros((1, 1, 2, 2), np.float32), np.zeros((1, 1, 2, 3), np.float32))


def test_contingency_by_hand() -> None:
    forecast = np.array([1, 1, 1, 1, 1, 0, 0.5, 0], np.float32).reshape(1, 1, 2, 4)
    observed = np.array([1, 1, 1, 0, 0, 1, 0.2, 0], np.float32).reshape(1, 1, 2, 4)
    values = contingency.values(contingency.statistics(forecast, observed, thresholds=(0.5, 1.0, 20.0)))
    # At 1 mm/h 3 hits, 1 miss, 2 false alarms; at 0.5 mm/h a forecast of exactly 0.5 is one more false alarm.
    np.testing.assert_allclose(values["csi"], [[3 / 7, 0.5, np.nan]])
    np.testing.assert_allclose(values["pod"], [[0.75, 0.75, np.nan]])
    np.testing.assert_allclose(values["far"], [[0.5, 0.4, np.nan]])
    np.testing.assert_allclose(values["bias"], [[1.5, 1.25, np.nan]])


def test_skill_scores_by_hand() -> None:
    sums = dict(zip(("hits", "misses", "false_alarms", "correct_rejections"), np.array([3.0, 1, 2, 4]), strict=True))
    found = contingency.values({name: np.full((1, 1), count) for name, count in sums.items()})
    odds = np.log(1 / 3) - np.log(3 / 4) - np.log(2 / 3) + np.log(1 / 4)
    expected = {"accuracy": 0.7, "gss": 0.25, "hss": 0.4, "hk": 5 / 12, "mcc": 10 / np.sqrt(600), "f1": 2 / 3}
    expected["sedi"] = odds / (np.log(1 / 3) + np.log(3 / 4) + np.log(2 / 3) + np.log(1 / 4))
    for score, value in expected.items():
        np.testing.assert_allclose(found[score], value, err_msg=score)


@pytest.mark.filterwarnings("ignore")
def test_contingency_scores_are_those_of_pysteps() -> None:
    pysteps = pytest.importorskip("pysteps.verification.detcatscores", reason="pysteps is not installed")
    rng = np.random.default_rng(3)
    forecast, observed = rng.gamma(0.4, 6.0, (2, 2, 3, 40, 40)).astype(np.float32)
    found = contingency.values(contingency.statistics(forecast, observed, thresholds=(1.0, 5.0)))
    theirs = {"csi": "CSI", "pod": "POD", "far": "FAR", "bias": "BIAS", "accuracy": "ACC", "gss": "GSS", "hss": "HSS"}
    theirs |= {"hk": "HK", "mcc": "MCC", "f1": "F1", "sedi": "SEDI"}
    for lead in range(3):
        for column, threshold in enumerate((1.0, 5.0)):
            table = pysteps.det_cat_fct(forecast[:, lead], observed[:, lead], threshold)  # none is just the threshold
            for ours, name in theirs.items():
                assert found[ours][lead, column] == pytest.approx(table[name], abs=1e-6), name


def test_fractions_by_hand() -> None:
    forecast = np.array([1, 0, 0, 0, 0], np.float32).reshape(1, 1, 1, 5)
    observed = np.array([0, 0, 1, 0, 0], np.float32).reshape(1, 1, 1, 5)
    sums = fractions.statistics(forecast, observed, thresholds=(0.5, 20.0), scales=(3,))
    # P_f = 1/2, 1/3, 0, 0, 0 and P_o = 0, 1/3, 1/3, 1/3, 0: (1/4 + 1/9 + 1/9) / (1/4 + 1/9 + 3/9)
    np.testing.assert_allclose(fractions.values(sums)["fss_3"], [[1 - (17 / 36) / (25 / 36), np.nan]])


@pytest.mark.filterwarnings("ignore")
def test_fractions_away_from_the_border_are_those_of_pysteps() -> None:
    pysteps = pytest.importorskip("pysteps.verification.spatialscores", reason="pysteps is not installed")
    forecast, observed = np.zeros((2, 1, 1, 64, 64), np.float32)
    rng = np.random.default_rng(0)
    forecast[..., 16:48, 16:48], observed[..., 16:48, 16:48] = rng.gamma(0.4, 6.0, (2, 1, 1, 32, 32))
    found = fractions.values(fractions.statistics(forecast, observed, thresholds=(1.0,), scales=(1, 5, 17)))
    for scale in (1, 5, 17):
        theirs = pysteps.fss(forecast[0, 0], observed[0, 0], 1.0, scale)
        assert found[f"fss_{scale}"][0, 0] == pytest.approx(theirs, abs=1e-6)


def test_continuous_by_hand_and_by_numpy() -> None:
    forecast = np.array([1, 2, 3], np.float32).reshape(1, 1, 1, 3)
    observed = np.array([1, 4, 5], np.float32).reshape(1, 1, 1, 3)
    values = continuous.values(continuous.statistics(forecast, observed))
    expected = {"rainfall_mse": 8 / 3, "rmse": np.sqrt(8 / 3), "mae": 4 / 3, "mean_error": -4 / 3, "mean_ratio": 0.6}
    for score, value in expected.items():
        np.testing.assert_allclose(values[score], [value])
    np.testing.assert_allclose(values["correlation"], np.corrcoef([1, 2, 3], [1, 4, 5])[0, 1])


def test_correlation_of_what_does_not_vary_is_undefined() -> None:
    flat, other = np.ones((1, 1, 2, 2), np.float32), np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    assert np.isnan(continuous.values(continuous.statistics(flat, other))["correlation"]).all()


def test_sums_of_different_scores_do_not_add() -> None:
    with pytest.raises(ValueError, match="do not add"):
        base.add({"a": np.ones(1)}, {"b": np.ones(1)})
