"""Every number of a verification, for programs: CSV, JSON, NetCDF.

>>> write_csv(evaluation, Path("scores.csv"))  # doctest: +SKIP
"""

import csv
import json
import math
from itertools import permutations, product
from pathlib import Path

import numpy as np
import xarray as xr

from echocast._version import __version__
from echocast.evaluation import Evaluation
from echocast.report.tables import DIFFERING, WITH_THRESHOLD, WITHOUT


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """One row a number: forecaster, region, score, threshold, lead, value."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["forecaster", "region", "score", "threshold_mm_h", "lead_minutes", "value"])
        for row in evaluation.rows():
            threshold = "" if row.threshold_mm_h is None else f"{row.threshold_mm_h:g}"
            cells = [row.forecaster, row.region, row.score, threshold, f"{row.lead_minutes:g}", f"{row.value:.6g}"]
            writer.writerow(cells)


def write_differences(evaluation: Evaluation, path: Path) -> None:
    """One row a pair of forecasters, score, threshold and lead: the difference and its 95 % interval.

    A row without a lead is the mean over leads. Without intervals (too few events) low and high are empty.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["forecaster", "other", "score", "threshold_mm_h", "lead_minutes", "difference", "low", "high"])
        scores = evaluation.values[evaluation.forecasters[0]]
        for forecaster, other in permutations(evaluation.forecasters, 2):
            for score in (name for name in DIFFERING if name in scores):
                thresholds = [*evaluation.thresholds] if scores[score].ndim == 2 else [None]
                for threshold, lead in product(thresholds, (None, *evaluation.lead_minutes)):
                    made = evaluation.difference(score, forecaster, other, threshold, lead)
                    numbers = ("" if math.isnan(v) else f"{v:.6g}" for v in (made.value, made.low, made.high))
                    keys = ("" if v is None else f"{v:g}" for v in (threshold, lead))
                    writer.writerow([forecaster, other, score, *keys, *numbers])


def write_json(evaluation: Evaluation, path: Path, command: str) -> None:
    """The scores of the whole grid by forecaster and score, with what they stand on."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    content = {
        "command": command,
        "echocast_version": __version__,
        "cases": evaluation.cases,
        "events": len(evaluation.events),
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


def write_netcdf(evaluation: Evaluation, path: Path, command: str) -> None:
    """A variable for each score with the dimensions forecaster, region, lead and threshold, and its mean's interval."""
    names, regions = list(evaluation.forecasters), list(evaluation.regions)
    by_region = [evaluation.of(region=region) for region in regions]
    titles = dict(WITH_THRESHOLD) | WITHOUT
    variables = {}
    for score, example in by_region[0][names[0]].items():
        dims = ("forecaster", "region", "lead", "threshold")[: 2 + example.ndim]
        values = np.array([[found[name][score] for found in by_region] for name in names])
        long_name = titles.get(score, score.replace("_", " "))
        variables[score] = (dims, values, {"long_name": long_name, "units": _unit(score)})
        columns = [*evaluation.thresholds] if example.ndim == 2 else [None]
        bounds = np.array([[evaluation.interval(score, name, t) for t in columns] for name in names])
        kept = ("forecaster", "threshold", "bound") if example.ndim == 2 else ("forecaster", "bound")
        about = {"long_name": f"95 % interval of the mean over leads of {long_name}, whole grid", "units": _unit(score)}
        variables[f"{score}_interval"] = (kept, bounds if example.ndim == 2 else bounds[:, 0], about)
    data = xr.Dataset(
        variables,
        coords={
            "forecaster": names,
            "region": regions,
            "lead": ("lead", list(evaluation.lead_minutes), {"long_name": "lead time", "units": "minutes"}),
            "threshold": ("threshold", list(evaluation.thresholds), {"long_name": "rain rate", "units": "mm h-1"}),
            "bound": ["low", "high"],
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": "Verification of nowcasts",
            "history": f"{command} (echocast {__version__})",
            "cases": evaluation.cases,
            "events": len(evaluation.events),
        },
    )
    data.to_netcdf(path, engine="h5netcdf")


def _unit(score: str) -> str:
    if score in ("rmse", "mae", "mean_error", "crps", "crps_fair", "twcrps", "ensemble_rmse", "ensemble_mae"):
        return "mm h-1"
    if score in ("rainfall_mse", "paper_rainfall_mse"):
        return "mm2 h-2"
    return "dB" if score == "psnr" else "1"
