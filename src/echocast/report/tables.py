"""Tables of a verification: a header and rows of cells, for the terminal, Markdown and the page.

>>> threshold_table(evaluation, "csi")[0]  # doctest: +SKIP
['forecaster', '0.5 mm/h', '1 mm/h']
"""

from collections.abc import Sequence

import numpy as np

from echocast.evaluation import Evaluation

Table = tuple[list[str], list[list[str]]]
"""A header and rows of cells."""

WITH_THRESHOLD = (
    ("csi", "CSI, critical success index"),
    ("pod", "POD, probability of detection"),
    ("far", "FAR, false alarm ratio"),
    ("bias", "Frequency bias"),
    ("hss", "Heidke skill score"),
    ("fss_5", "FSS over 5 pixels"),
    ("fss_17", "FSS over 17 pixels"),
    ("paper_csi", "CSI as in the ConvLSTM paper, a mean over frames"),
    ("paper_pod", "POD as in the ConvLSTM paper"),
    ("paper_far", "FAR as in the ConvLSTM paper"),
    ("hko7_csi", "CSI as in the HKO-7 benchmark"),
    ("hko7_hss", "HSS as in the HKO-7 benchmark"),
    ("twcrps", "Threshold-weighted CRPS in mm/h"),
    ("brier", "Brier score"),
    ("brier_reliability", "Reliability part of the Brier score"),
    ("brier_resolution", "Resolution part of the Brier score"),
    ("brier_skill", "Brier skill score"),
    ("roc_area", "Area under the ROC curve"),
    ("intensity_scale_1", "Intensity-scale skill at 1 pixel"),
    ("intensity_scale_8", "Intensity-scale skill at 8 pixels"),
)
DIFFERING = ("csi", "rmse", "fss_17", "crps")
"""Scores whose differences between forecasters are told with their intervals."""
WITHOUT = {
    "rmse": "RMSE (mm/h)",
    "mae": "MAE (mm/h)",
    "mean_error": "mean error (mm/h)",
    "nmse": "NMSE",
    "correlation": "correlation",
    "rank_correlation": "rank correlation",
    "rainfall_mse": "rainfall-MSE (mm2/h2)",
    "paper_correlation": "paper's correlation",
    "paper_rainfall_mse": "paper's rainfall-MSE",
    "hko7_b_mse": "B-MSE",
    "hko7_b_mae": "B-MAE",
    "hko7_gdl": "GDL",
    "power_ratio_2": "power kept, 2-4 px",
    "power_ratio_8": "power kept, 8-16 px",
    "crps": "CRPS (mm/h)",
    "crps_fair": "fair CRPS (mm/h)",
    "spread_skill": "spread / skill",
    "rank_reliability_index": "rank histogram off by",
    "sal_structure": "S",
    "sal_amplitude": "A",
    "sal_location": "L",
    "ssim": "SSIM",
    "psnr": "PSNR (dB)",
    "cross_entropy": "cross-entropy (nats)",
    "cross_entropy_floor": "its floor",
    "coverage": "coverage",
}


def threshold_table(evaluation: Evaluation, score: str) -> Table:
    """Header and rows: a score's means over leads, by threshold."""
    rows = [
        [name, *(f"{evaluation.mean(score, name, threshold):.3f}" for threshold in evaluation.thresholds)]
        for name in evaluation.values
    ]
    return ["forecaster", *(f"{threshold:g} mm/h" for threshold in evaluation.thresholds)], rows


def pointwise_table(evaluation: Evaluation) -> Table:
    """Header and rows: the means over leads of the scores without thresholds."""
    there = [score for score in WITHOUT if score in _scores(evaluation)]
    rows = [[name, *(f"{evaluation.mean(score, name):.3f}" for score in there)] for name in evaluation.values]
    return ["forecaster", *(WITHOUT[score] for score in there)], rows


def lead_table(
    evaluation: Evaluation, score: str, threshold: float | None = None, minutes: Sequence[float] | None = None
) -> Table:
    """Header and rows: one score by lead, at all leads or at those nearest to `minutes`."""
    leads = np.asarray(evaluation.lead_minutes)
    chosen = range(len(leads)) if minutes is None else sorted({int(np.abs(leads - m).argmin()) for m in minutes})
    rows = []
    for name, scores in evaluation.values.items():
        array = evaluation.column(scores[score], threshold)
        rows.append([name, *(f"{array[lead]:.3f}" for lead in chosen)])
    return ["forecaster", *(f"+{leads[lead]:g} min" for lead in chosen)], rows


def difference_table(evaluation: Evaluation, score: str, reference: str) -> Table:
    """Header and rows: what each other forecaster scores more than the reference, with 95 % intervals."""
    first = next(iter(evaluation.values.values()))
    by_threshold = first[score].ndim == 2
    columns: list[float | None] = [*evaluation.thresholds] if by_threshold else [None]
    rows = [
        [name, *(str(evaluation.difference(score, name, reference, threshold)) for threshold in columns)]
        for name in evaluation.values
        if name != reference
    ]
    return ["forecaster", *("mean over leads" if t is None else f"{t:g} mm/h" for t in columns)], rows


def group_table(evaluation: Evaluation, score: str, *, by: str) -> Table:
    """Header and rows: a score's means over leads and its lowest two thresholds' columns by region or month."""
    groups = evaluation.regions if by == "region" else evaluation.months
    thresholds = evaluation.thresholds[:2]
    header = ["forecaster", *(f"{group}, {t:g} mm/h" for group in groups for t in thresholds)]
    rows = [[name] for name in evaluation.values]
    for group in groups:
        found = evaluation.of(region=str(group)) if by == "region" else evaluation.of(month=int(group))
        for row in rows:
            for threshold in thresholds:
                column = evaluation.column(found[row[0]][score], threshold)
                defined = column[np.isfinite(column)]
                row.append(f"{defined.mean():.3f}" if defined.size else "nan")
    return header, rows


def _scores(evaluation: Evaluation) -> set[str]:
    return set(next(iter(evaluation.values.values())))
