"""Intervals and tests of a verification: the formulas, days and their weights, and how often intervals hold."""

import math

import numpy as np
import pytest
from experiments.interval_coverage import coverage
from scipy import stats

from echocast.evaluation.comparisons import compare
from echocast.evaluation.config import BootstrapBlock
from echocast.evaluation.intervals import MIN_DAYS, MIN_EFFECTIVE, Days, Estimate, holm
from echocast.evaluation.result import BlockSums, VerificationResult

LEADS, THRESHOLDS = 2, (0.5, 5.0)


def result_of(days: list[str], tables: dict[str, np.ndarray]) -> VerificationResult:
    """A verification with a block for each day that is named and, by forecaster, hits, misses and false alarms."""
    blocks, sums = [], []
    for number, day in enumerate(days):
        blocks.append(BootstrapBlock(f"{day}-{number:04d}", (number,), np.datetime64(day, "ns")))
        of_block = {}
        for name, table in tables.items():
            counts = np.broadcast_to(table[number][:, None, None], (3, LEADS, len(THRESHOLDS))).astype(float)
            names = ("hits", "misses", "false_alarms")
            of_block[name, "all", "contingency"] = dict(zip(names, counts, strict=True)) | {
                "correct_rejections": np.full((LEADS, len(THRESHOLDS)), 100.0)
            }
            of_block[name, "all", "coverage"] = {"forecast": np.ones(LEADS), "observed": np.ones(LEADS)}
        sums.append(BlockSums(of_block, {name: [0.0] for name in tables}, [(number, 0.1)]))
    first, last = blocks[0].issued, blocks[-1].issued
    return VerificationResult(tuple(blocks), tuple(sums), (5.0, 10.0), THRESHOLDS, ("all",), first, last)


def days_of(count: int) -> list[str]:
    return [str(np.datetime64("2016-07-01") + number) for number in range(count)]


def random_tables(count: int, *, seed: int = 0, better: float = 0.0) -> np.ndarray:
    """Hits, misses and false alarms of days with 50 events each."""
    rng = np.random.default_rng(seed)
    hits = np.clip(np.round(25 + 50 * better + rng.normal(0, 4, count)), 0, 50)
    return np.stack([hits, 50 - hits, 50 - hits], axis=1)


def test_the_effective_number_is_that_of_kish() -> None:
    assert Days.of(np.full(7, 3.0)) == Days(7, 7.0)
    unlike = Days.of(np.array([1.0, 2.0, 0.0, 3.0]))
    assert (unlike.count, unlike.effective) == (3, pytest.approx(36 / 14))
    assert Days.of(np.zeros(3)) == Days(0, 0.0)


def test_of_equal_days_the_interval_is_that_of_students_t() -> None:
    values = np.random.default_rng(0).normal(2.0, 0.5, 12)
    drawn = np.random.default_rng(1).integers(12, size=(20_000, 12))
    made = Estimate.of(float(values.mean()), values[drawn].mean(axis=1), Days(12, 12.0))
    expected = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    np.testing.assert_allclose(made.interval, expected, atol=0.02)
    assert made.p_zero == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, rel=0.2)
    shifted = Estimate.of(float(values.mean() - 1.8), values[drawn].mean(axis=1) - 1.8, Days(12, 12.0))
    theirs = stats.ttest_1samp(values, 1.8, alternative="greater").pvalue
    assert shifted.p_not_above_zero == pytest.approx(theirs, rel=0.05)


def test_the_interval_contains_0_exactly_where_p_is_at_least_a_twentieth() -> None:
    for value in (0.0, 0.5, 1.0, 2.0, 2.2, 2.3, 2.4, 3.0):
        made = Estimate(value, 1.0, 9.0)
        low, high = made.interval
        assert (low <= 0 <= high) == (made.p_zero >= 0.05)


@pytest.mark.parametrize("too_few", [Days(MIN_DAYS - 1, 7.0), Days(20, MIN_EFFECTIVE - 0.01)])
def test_with_too_few_days_there_is_no_interval_and_no_test(too_few: Days) -> None:
    sampled = np.random.default_rng(0).normal(0, 1, 1000)
    few, enough = (Estimate.of(1.0, sampled, days) for days in (too_few, Days(MIN_DAYS, MIN_EFFECTIVE)))
    assert all(map(math.isnan, (*few.interval, few.p_zero, few.p_not_above_zero)))
    assert not any(map(math.isnan, (*enough.interval, enough.p_zero, enough.p_not_above_zero)))


def test_holm_is_that_of_a_textbook() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, then no smaller than the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, math.nan, 0.9])[0] == 1.0
    assert math.isnan(holm([0.5, math.nan, 0.9])[1])


def test_holm_rejects_what_its_steps_reject() -> None:
    """An independent transcription: in rising order, stop at the first p above 0.05 / (m - k + 1)."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(12) ** 3
        rejected, order = np.zeros(12, bool), np.argsort(p)
        for k, index in enumerate(order):
            if p[index] >= 0.05 / (12 - k):
                break
            rejected[index] = True
        np.testing.assert_array_equal(np.array(holm(list(p))) < 0.05, rejected)


def test_two_runs_of_one_day_are_one_day() -> None:
    table = random_tables(20)
    apart, twice = result_of(days_of(20), {"a": table}), result_of(sorted(days_of(10) * 2), {"a": table})
    assert (len(apart.days), len(twice.days)) == (20, 10)
    assert twice.event_days(0.5).effective == pytest.approx(10, rel=0.05)
    joined = result_of(days_of(10), {"a": table.reshape(10, 2, 3).sum(axis=1)})
    np.testing.assert_allclose(twice.interval("csi", "a", 0.5), joined.interval("csi", "a", 0.5))


def test_a_day_with_most_of_the_events_leaves_too_few_days() -> None:
    table = random_tables(20)
    table[3] *= 100
    made = result_of(days_of(20), {"a": table})
    assert made.event_days(0.5).effective < 2
    assert np.isnan(made.interval("csi", "a", 0.5)).all()


def test_a_better_forecaster_is_better_and_an_equal_one_is_not_worse() -> None:
    table = random_tables(30)
    nearly = table.copy()
    nearly[::2, 0] += 0.05
    nearly[1::2, 0] -= 0.05
    made = result_of(days_of(30), {"still": table, "good": random_tables(30, seed=1, better=0.15), "nearly": nearly})
    verdicts = {one.forecaster: one.verdict for one in compare(made, "still")}
    assert verdicts == {"good": "better", "nearly": "not worse"}
    assert {one.forecaster: one.verdict for one in compare(made, "good")}["still"] == "worse"


def test_no_difference_found_does_not_show_that_it_is_not_worse() -> None:
    made = result_of(days_of(12), {"a": random_tables(12, seed=3), "b": random_tables(12, seed=4)})
    (one, *_) = compare(made, "a")
    assert one.verdict == "undecided"
    assert compare(made, "a", margin=0.5)[0].verdict == "not worse"


def test_comparisons_are_corrected_for_their_number() -> None:
    names = {f"m{k}": random_tables(12, seed=k) for k in range(6)}
    made = compare(result_of(days_of(12), names), "m0")
    assert len(made) == 5 * len(THRESHOLDS)
    np.testing.assert_allclose([one.p_equal_corrected for one in made], holm([one.p_equal for one in made]))
    assert all(one.p_equal_corrected >= one.p_equal for one in made)


def test_without_a_lead_the_mean_is_compared_and_with_leads_each_one() -> None:
    made = result_of(days_of(12), {"a": random_tables(12), "b": random_tables(12, seed=1)})
    assert {one.lead_minutes for one in compare(made, "a")} == {None}
    assert {one.lead_minutes for one in compare(made, "a", leads=True)} == {5.0, 10.0}


@pytest.mark.slow  # thousands of verifications are made up
@pytest.mark.parametrize("days", [8, 17])
def test_intervals_of_differences_hold_where_the_quantiles_did_not(days: int) -> None:
    found = coverage(days=days, trials=1000, spread=1.0, seed=0)["difference of CSI"]
    assert found.given > 0.9
    assert 0.93 < found.share < 0.99
    assert found.before < found.share - 0.03


def test_intervals_of_five_days_are_not_given() -> None:
    assert all(one.given == 0 for one in coverage(days=5, trials=20, spread=0.6, seed=0).values())
