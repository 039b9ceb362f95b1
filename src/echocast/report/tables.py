"""Tables of a verification: a header and rows of cells, for the terminal, Markdown and the page.

Titles, units and perfect values are those that the scores declare, so a new score has its table.

>>> threshold_table(result, "csi")[0]  # doctest: +SKIP
['forecaster', '0.5 mm/h', '1 mm/h']
"""

import math
from collections.abc import Sequence

import numpy as np

from echocast.evaluation import VerificationResult
from echocast.evaluation.by_mask import COMMON, OWN, pair
from echocast.evaluation.climate import MONTHS, Climate, Pooled
from echocast.evaluation.comparisons import Comparison
from echocast.evaluation.lost_skill import lost_skill
from echocast.evaluation.pairs import pair_difference

Table = tuple[list[str], list[list[str]]]
"""A header and rows of cells."""


def threshold_scores(result: VerificationResult) -> list[str]:
    """The scores that were computed for each threshold."""
    return [score for score, array in _example(result).items() if array.ndim == 2]


def other_scores(result: VerificationResult) -> list[str]:
    """The scores that were computed without a threshold."""
    return [score for score, array in _example(result).items() if array.ndim == 1]


def main_scores(result: VerificationResult) -> list[str]:
    """The scores that the report also shows by lead time and as differences between forecasters."""
    return [name for name, score in result.scores.items() if score.main]


def thresholds_of(result: VerificationResult, score: str) -> list[float | None]:
    """The thresholds of a score; None alone for a score without any."""
    return [*result.thresholds] if _example(result)[score].ndim == 2 else [None]


def caption(result: VerificationResult, score: str) -> str:
    """The full title of a score with its perfect value."""
    declared = result.scores[score]
    return declared.full_title + ("" if math.isnan(declared.perfect) else f"; {declared.perfect:g} is perfect")


def cell(value: float) -> str:
    """A value with three digits; a dash for one that is undefined."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def threshold_table(result: VerificationResult, score: str) -> Table:
    """Header and rows: the means over leads of a score, by threshold."""
    rows = [
        [name, *(cell(result.mean(score, name, threshold)) for threshold in result.thresholds)]
        for name in result.forecasters
    ]
    return ["forecaster", *(f"{threshold:g} mm/h" for threshold in result.thresholds)], rows


def score_table(result: VerificationResult) -> Table:
    """Header and rows: the means over leads of the scores without thresholds, a row each."""
    rows = []
    for score in other_scores(result):
        declared = result.scores[score]
        perfect = "" if math.isnan(declared.perfect) else f"{declared.perfect:g}"
        means = (cell(result.mean(score, name)) for name in result.forecasters)
        rows.append([declared.full_title, perfect, *means])
    return ["score", "perfect", *result.forecasters], rows


def lead_table(
    result: VerificationResult, score: str, threshold: float | None = None, minutes: Sequence[float] | None = None
) -> Table:
    """Header and rows: a score by lead time, at all of them or at those nearest to `minutes`."""
    leads = np.asarray(result.lead_minutes)
    chosen = range(len(leads)) if minutes is None else sorted({int(np.abs(leads - m).argmin()) for m in minutes})
    rows = []
    for name, scores in result.values.items():
        array = result.column(scores[score], threshold)
        rows.append([name, *(cell(float(array[lead])) for lead in chosen)])
    return ["forecaster", *(f"+{leads[lead]:g} min" for lead in chosen)], rows


def difference_table(result: VerificationResult, score: str, reference: str) -> Table:
    """Header and rows: the score of each other forecaster minus that of the reference, with 95 % intervals."""
    thresholds = thresholds_of(result, score)
    rows = [
        [name, *(str(result.difference(score, name, reference, threshold)) for threshold in thresholds)]
        for name in result.forecasters
        if name != reference
    ]
    return ["forecaster", *("mean over lead times" if t is None else f"{t:g} mm/h" for t in thresholds)], rows


def test_table(result: VerificationResult, made: Sequence[Comparison], score: str) -> Table:
    """Header and rows: what the tests of a score say of each forecaster, with the p-value that says it."""
    thresholds = thresholds_of(result, score)
    found = {(one.forecaster, one.threshold_mm_h): one for one in made if one.score == score}
    names = list(dict.fromkeys(one.forecaster for one in made))
    rows = [[name, *(_verdict(found[name, threshold]) for threshold in thresholds)] for name in names]
    return ["forecaster", *("mean over lead times" if t is None else f"{t:g} mm/h" for t in thresholds)], rows


def lost_table(result: VerificationResult, score: str) -> Table:
    """Header and rows: the lead time in minutes at which each forecaster is first no better than persistence."""
    thresholds = thresholds_of(result, score)
    rows = [
        [name, *(_minutes(lost_skill(result, name, score, t), result.lead_minutes[-1]) for t in thresholds)]
        for name in result.forecasters
        if name != "persistence"
    ]
    return ["forecaster", *("all rates" if t is None else f"{t:g} mm/h" for t in thresholds)], rows


def _minutes(minutes: float, longest: float) -> str:
    if math.isnan(minutes):
        return "-"
    return f"> {longest:g}" if math.isinf(minutes) else f"{minutes:.0f}"


def mask_table(result: VerificationResult, *, by_case: bool) -> Table:
    """Header and rows: the CSI of each forecaster on the common pixels and on its own, where unknown is dry."""
    words = {COMMON: "common", OWN: "own, unknown is dry"}
    rows = [
        [name, words[mask], *(cell(result.csi_by_mask(name, mask, t, by_case=by_case)) for t in result.thresholds)]
        for name in result.forecasters
        for mask in words
    ]
    return ["forecaster", "pixels", *(f"{t:g} mm/h" for t in result.thresholds)], rows


def pair_table(result: VerificationResult) -> Table:
    """Header and rows: the CSI of each other forecaster and of the first, on the pixels that these two share."""
    first, *others = result.forecasters
    rows = []
    for name in others:
        both = [
            (result.csi_by_mask(name, pair(first), t), result.csi_by_mask(first, pair(name), t))
            for t in result.thresholds
        ]
        rows.append([name, *(f"{cell(own)} / {cell(reference)}" for own, reference in both)])
    return ["forecaster", *(f"{t:g} mm/h" for t in result.thresholds)], rows


def pair_difference_table(result: VerificationResult) -> Table:
    """Header and rows: the CSI of each other forecaster minus that of the first, on the pixels that these two share."""
    first, *others = result.forecasters
    rows = [[name, *(str(pair_difference(result, name, t)) for t in result.thresholds)] for name in others]
    return [f"minus {first}", *(f"{t:g} mm/h" for t in result.thresholds)], rows


def climate_table(result: VerificationResult) -> Table:
    """Header and rows: the Brier skill scores against the scored sample and against the climate."""
    names = ("brier_skill", "brier_skill_climate")
    rows = [
        [name, *(" / ".join(cell(result.mean(score, name, t)) for score in names) for t in result.thresholds)]
        for name in result.forecasters
    ]
    return ["forecaster", *(f"{t:g} mm/h" for t in result.thresholds)], rows


def pooled_table(climate: Climate) -> Table:
    """Header and rows: the side of the squares that events are pooled in, and from which months."""
    rows = [
        [MONTHS[month - 1], *(_pooled(one, month) for one in found)]
        for month, found in zip(climate.months, climate.pooled, strict=True)
    ]
    return ["month", *(f"{t:g} mm/h" for t in climate.thresholds)], rows


def _pooled(one: Pooled, month: int) -> str:
    square = "whole grid" if one.side is None else str(one.side)
    months = "" if one.months == (month,) else f", {', '.join(MONTHS[m - 1] for m in one.months)}"
    return square + months


def _verdict(one: Comparison) -> str:
    if math.isnan(one.p_equal):
        return one.verdict
    p = one.p_worse_corrected if one.verdict == "not worse" else one.p_equal_corrected
    return f"{one.verdict} (p {'< 0.001' if p < 0.001 else f'= {p:.3f}'})"


def group_table(result: VerificationResult, score: str, *, by: str) -> Table:
    """Header and rows: the means over leads of a score at the lowest two thresholds, by ``region`` or ``month``."""
    groups = result.regions if by == "region" else result.months
    thresholds = result.thresholds[:2]
    header = ["forecaster", *(f"{group}, {t:g} mm/h" for group in groups for t in thresholds)]
    rows = [[name] for name in result.forecasters]
    for group in groups:
        found = result.of(region=str(group)) if by == "region" else result.of(month=int(group))
        for row in rows:
            for threshold in thresholds:
                column = result.column(found[row[0]][score], threshold)
                defined = column[np.isfinite(column)]
                row.append(cell(float(defined.mean())) if defined.size else cell(math.nan))
    return header, rows


def _example(result: VerificationResult) -> dict[str, np.ndarray]:
    """The scores of the first forecaster: all have the same ones."""
    return dict(result.values[result.forecasters[0]])
