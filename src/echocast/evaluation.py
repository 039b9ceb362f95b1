"""Archive, forecasters and scores become tables and curves.

Every forecaster forecasts the same windows and is scored on the same pixels: those observed where each of them says
something. So none gains by keeping silent where it is hard; how much each says is its coverage. Sums are pooled over
cases before a ratio is formed.

    >>> field = archive.open(Path("radar.zarr"))  # doctest: +SKIP
    >>> result = evaluate(field, {"persistence": Persistence()})  # doctest: +SKIP
    >>> result.mean("csi", "persistence", 0.5)  # doctest: +SKIP
    0.31
"""

import csv
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from echocast import __version__, plugins
from echocast import field as fields
from echocast.data import windows
from echocast.errors import DataError, MissingFrames
from echocast.models.base import Forecaster
from echocast.verification.base import THRESHOLDS_MM_H, Sums, add, ratio

_SCORES = "echocast.verification.scores"
_BATCH_PIXELS = 5e6
"""Forecast pixels at a time, for memory."""
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


@dataclass(frozen=True)
class Row:
    """One number of a report."""

    forecaster: str
    score: str
    threshold_mm_h: float | None
    lead_minutes: float
    value: float


@dataclass(frozen=True)
class Evaluation:
    """The pooled sums of some forecasters over the same cases.

    `values` holds by forecaster and score an array (lead,) or (lead, threshold).
    """

    values: Mapping[str, Mapping[str, np.ndarray]]
    lead_minutes: tuple[float, ...]
    thresholds: tuple[float, ...]
    cases: int
    first: np.datetime64
    last: np.datetime64

    def rows(self) -> Iterator[Row]:
        """Every number, tidy."""
        for forecaster, scores in self.values.items():
            for score, array in scores.items():
                for lead, value in zip(self.lead_minutes, array, strict=True):
                    columns = zip(self.thresholds, value, strict=True) if array.ndim == 2 else [(None, value)]
                    for threshold, number in columns:
                        yield Row(forecaster, score, threshold, lead, float(number))

    def mean(self, score: str, forecaster: str, threshold_mm_h: float | None = None) -> float:
        """A score's mean over leads, those left out where it is not defined; NaN if it is nowhere."""
        array = self.values[forecaster][score]
        column = array if threshold_mm_h is None else array[:, self.thresholds.index(threshold_mm_h)]
        defined = column[np.isfinite(column)]
        return float(defined.mean()) if defined.size else math.nan


def evaluate(
    field: xr.DataArray,
    forecasters: Mapping[str, Forecaster],
    *,
    runs: Sequence[slice] | None = None,
    past: int = 10,
    leads: int = 18,
    stride: int = 6,
    thresholds: Sequence[float] = THRESHOLDS_MM_H,
    on_batch: Callable[[int, int], None] = lambda *_: None,
) -> Evaluation:
    """Score forecasters on the windows of a field.

    Args:
        field: an archive's field; read a batch of windows at a time.
        forecasters: by the name they have in the report.
        runs: the stretches of frames to use; all unbroken ones by default.
        past: frames before each forecast.
        leads: steps to forecast and score.
        stride: frames between the starts of neighbouring cases.
        thresholds: rain rates (mm/h) of the contingency scores.
        on_batch: called with the number of cases done and in all.

    Raises:
        MissingFrames: no run is long enough, or a forecaster does not know the field's time step.
    """
    starts = windows.starts(windows.runs(field) if runs is None else runs, past, leads, stride)
    if not len(starts):
        raise MissingFrames(f"no unbroken run holds {past} + {leads} frames; give a longer archive or fewer --minutes")
    step = float(fields.step(field.time.values) / np.timedelta64(1, "m"))
    for forecaster in forecasters.values():
        forecaster.require(past, step)
    pooled: dict[str, dict[str, Sums]] = {}
    batch = max(1, int(_BATCH_PIXELS // (field[0].size * leads)))
    for begin in range(0, len(starts), batch):
        on_batch(begin, len(starts))
        cases = windows.Windows(field, starts[begin : begin + batch], past=past, future=leads)
        _pool(pooled, _batch_sums(cases, forecasters, fields.grid_km(field), thresholds))
    on_batch(len(starts), len(starts))
    return Evaluation(
        values={name: _values(sums) for name, sums in pooled.items()},
        lead_minutes=tuple(step * (1 + number) for number in range(leads)),
        thresholds=tuple(float(t) for t in thresholds),
        cases=len(starts),
        first=field.time.values[starts[0]],
        last=field.time.values[starts[-1] + past + leads - 1],
    )


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
    for score, title in (("csi", "CSI"), ("pod", "POD"), ("far", "FAR"), ("bias", "Frequency bias")):
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


def _batch_sums(
    cases: windows.Windows, forecasters: Mapping[str, Forecaster], grid_km: float, thresholds: Sequence[float]
) -> dict[str, dict[str, Sums]]:
    """The sums of one batch of windows, by forecaster and score."""
    frames = windows.stack(cases)
    past, observed = frames[:, : cases.past], frames[:, cases.past :, 0].numpy()
    made = {
        name: forecaster.forecast(past, observed.shape[1], grid_km=grid_km)[:, :, 0].numpy()
        for name, forecaster in forecasters.items()
    }
    spoken = np.all([np.isfinite(forecast) for forecast in made.values()], axis=0)
    common = np.where(spoken, observed, np.nan)
    sums = {}
    for name, forecast in made.items():
        sums[name] = {score: _score(score).statistics(forecast, common, thresholds=thresholds) for score in scores()}
        sums[name]["coverage"] = {
            "observed": np.isfinite(observed).sum(axis=(0, 2, 3)).astype(float),
            "said": (np.isfinite(forecast) & np.isfinite(observed)).sum(axis=(0, 2, 3)).astype(float),
        }
    return sums


def scores() -> list[str]:
    """The names of the scores' modules."""
    return plugins.names(_SCORES)


def _score(name: str) -> "plugins.ModuleType":
    return plugins.load(_SCORES, name)


def _pool(pooled: dict[str, dict[str, Sums]], batch: dict[str, dict[str, Sums]]) -> None:
    for name, by_score in batch.items():
        known = pooled.setdefault(name, {})
        for score, sums in by_score.items():
            known[score] = add(known[score], sums) if score in known else sums


def _values(by_score: dict[str, Sums]) -> dict[str, np.ndarray]:
    values: dict[str, np.ndarray] = {}
    for score in scores():
        values |= _score(score).values(by_score[score])
    return values | {"coverage": ratio(by_score["coverage"]["said"], by_score["coverage"]["observed"])}


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
