"""Scores become a report: tables, curves, files.

>>> write_report(evaluation, Path("report"), command="echocast verify radar.zarr")  # doctest: +SKIP
"""

import csv
import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from echocast import __version__
from echocast import field as fields
from echocast.errors import DataError
from echocast.evaluation import Evaluation

_TABLES = (
    ("csi", "CSI"),
    ("pod", "POD"),
    ("far", "FAR"),
    ("bias", "Frequency bias"),
    ("hss", "Heidke skill score"),
    ("fss_17", "FSS over 17 pixels"),
)
_COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, which any colour vision can tell apart."""
Table = tuple[list[str], list[list[str]]]
"""A header and rows of cells."""

_POINTWISE = {
    "rmse": "RMSE (mm/h)",
    "mae": "MAE (mm/h)",
    "mean_error": "mean error (mm/h)",
    "correlation": "correlation",
    "rainfall_mse": "rainfall-MSE (mm2/h2)",
    "coverage": "coverage",
}


def write_report(evaluation: Evaluation, folder: Path, *, command: str) -> None:
    """Write ``report.md``, ``scores.csv``, ``scores.json`` and ``curves.png``; all of them or none.

    Raises:
        DataError: the folder is something else, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; give a folder by --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as partial:
            made = Path(partial)
            (made / "report.md").write_text(markdown(evaluation, command=command), encoding="utf-8")
            _write_csv(evaluation, made / "scores.csv")
            _write_json(evaluation, made / "scores.json", command)
            curves(evaluation).savefig(made / "curves.png", dpi=100, facecolor="white")
            for file in sorted(made.iterdir()):
                shutil.move(file, folder / file.name)
    except OSError as bad:
        raise DataError(f"{folder}: the report cannot be written ({bad.strerror or bad}); is the disk full?") from bad


def markdown(evaluation: Evaluation, *, command: str) -> str:
    """The report in words and tables."""
    lines = [
        "# Verification",
        "",
        f"{evaluation.cases} cases from {fields.clock(evaluation.first)} to {fields.clock(evaluation.last)} UTC;"
        f" {len(evaluation.lead_minutes)} leads to {evaluation.lead_minutes[-1]:g} min.",
        "",
        "Counts and sums are pooled over cases. All forecasters are scored on the same pixels: observed, and forecast"
        " by each of them. Coverage is the share of the observed pixels that a forecaster says something about.",
        "",
        f"Made by echocast {__version__}: `{command}`",
        "",
        "## Means over leads",
    ]
    for score, title in _TABLES:
        lines += ["", f"{title}:", "", *_table(*threshold_table(evaluation, score))]
    lines += ["", "Rain rates:", "", *_table(*pointwise_table(evaluation))]
    for threshold in evaluation.thresholds:
        lines += ["", f"## CSI at {threshold:g} mm/h by lead", "", *_table(*lead_table(evaluation, "csi", threshold))]
    lines += ["", "## RMSE in mm/h by lead", "", *_table(*lead_table(evaluation, "rmse"))]
    return "\n".join([*lines, "", "![Scores by lead](curves.png)", ""])


def threshold_table(evaluation: Evaluation, score: str) -> Table:
    """Header and rows: a contingency score's means over leads, by threshold."""
    rows = [
        [name, *(f"{evaluation.mean(score, name, threshold):.3f}" for threshold in evaluation.thresholds)]
        for name in evaluation.values
    ]
    return ["forecaster", *(f"{threshold:g} mm/h" for threshold in evaluation.thresholds)], rows


def pointwise_table(evaluation: Evaluation) -> Table:
    """Header and rows: the means over leads of the scores without thresholds."""
    rows = [[name, *(f"{evaluation.mean(score, name):.3f}" for score in _POINTWISE)] for name in evaluation.values]
    return ["forecaster", *_POINTWISE.values()], rows


def lead_table(
    evaluation: Evaluation, score: str, threshold: float | None = None, minutes: Sequence[float] | None = None
) -> Table:
    """Header and rows: one score by lead, at all leads or at those nearest to `minutes`."""
    leads = np.asarray(evaluation.lead_minutes)
    chosen = range(len(leads)) if minutes is None else sorted({int(np.abs(leads - m).argmin()) for m in minutes})
    column = evaluation.thresholds.index(threshold) if threshold is not None else None
    rows = []
    for name, scores in evaluation.values.items():
        array = scores[score] if column is None else scores[score][:, column]
        rows.append([name, *(f"{array[lead]:.3f}" for lead in chosen)])
    return ["forecaster", *(f"+{leads[lead]:g} min" for lead in chosen)], rows


def curves(evaluation: Evaluation) -> Figure:
    """Scores by lead, a panel each: the contingency scores at every threshold, then the others."""
    thresholds = evaluation.thresholds
    panels: list[tuple[str, float | None]] = [("csi", t) for t in thresholds]
    panels += [(score, thresholds[0]) for score in ("pod", "far", "bias")]
    panels += [(score, None) for score in ("rmse", "mae", "correlation", "coverage")]
    rows = -(-len(panels) // 4)
    figure = Figure(figsize=(15, 3.1 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, 4, squeeze=False).ravel()
    for axis, (score, threshold) in zip(axes, panels, strict=False):
        for colour, (name, scores) in zip(_COLOURS * 9, evaluation.values.items(), strict=False):
            line = scores[score] if threshold is None else scores[score][:, thresholds.index(threshold)]
            axis.plot(evaluation.lead_minutes, line, color=colour, label=name, marker=".", markersize=4)
        unit = " in mm/h" if score in ("rmse", "mae") else ""
        title = score.upper() if score in ("csi", "pod", "far", "rmse", "mae") else score
        axis.set_title(f"{title}{unit}" + (f" at {threshold:g} mm/h" if threshold is not None else ""), fontsize=11)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis in axes[-4:]:
        axis.set_xlabel("lead time in minutes")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    return figure


def _write_csv(evaluation: Evaluation, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["forecaster", "score", "threshold_mm_h", "lead_minutes", "value"])
        for row in evaluation.rows():
            threshold = "" if row.threshold_mm_h is None else f"{row.threshold_mm_h:g}"
            writer.writerow([row.forecaster, row.score, threshold, f"{row.lead_minutes:g}", f"{row.value:.6g}"])


def _write_json(evaluation: Evaluation, path: Path, command: str) -> None:
    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    content = {
        "command": command,
        "echocast_version": __version__,
        "cases": evaluation.cases,
        "first": str(evaluation.first),
        "last": str(evaluation.last),
        "lead_minutes": list(evaluation.lead_minutes),
        "thresholds_mm_h": list(evaluation.thresholds),
        "scores": {
            name: {
                score: [[number(v) for v in row] if array.ndim == 2 else number(row) for row in array.tolist()]
                for score, array in scores.items()
            }
            for name, scores in evaluation.values.items()
        },
    }
    path.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
