"""Every value of a verification, for programs: CSV, JSON, NetCDF.

>>> write_csv(result, Path("scores.csv"))  # doctest: +SKIP
"""

import csv
import json
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr

from echocast._version import __version__
from echocast.errors import DataError
from echocast.evaluation import VerificationResult
from echocast.evaluation.comparisons import MARGIN, compare
from echocast.report import tables


@contextmanager
def written_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files all move into `folder` when the block ends without an error.

    Raises:
        DataError: the folder is a file, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is a file; give a folder by --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=folder) as partial:
            yield Path(partial)
            for file in sorted(Path(partial).iterdir()):
                shutil.move(file, folder / file.name)
    except OSError as bad:
        raise DataError(f"{folder}: the report cannot be written ({bad.strerror or bad}); is the disk full?") from bad


def write_csv(result: VerificationResult, path: Path) -> None:
    """One row for each value: forecaster, region, score, threshold, lead time, value, unit."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["forecaster", "region", "score", "threshold_mm_h", "lead_minutes", "value", "unit"])
        for row in result.rows():
            threshold = "" if row.threshold_mm_h is None else f"{row.threshold_mm_h:g}"
            numbers = [threshold, f"{row.lead_minutes:g}", f"{row.value:.6g}"]
            writer.writerow([row.forecaster, row.region, row.score, *numbers, result.scores[row.score].unit])


_DIFFERENCES = (
    "forecaster", "other", "score", "threshold_mm_h", "lead_minutes", "difference", "low", "high", "effective_days",
    "p_equal", "p_equal_holm", "p_worse", "p_worse_holm", "verdict", "margin",
)  # fmt: skip


def write_differences(result: VerificationResult, path: Path, *, margin: float = MARGIN) -> None:
    """One row for each two forecasters, main score, threshold and lead time: the difference, its interval, its tests.

    A row without a lead time is the mean over all of them. Without intervals (too few days) low, high and the p-values
    are empty. The last column is the margin of "not worse".
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_DIFFERENCES)
        for other, leads in product(result.forecasters, (False, True)):
            for made in compare(result, other, leads=leads, margin=margin):
                difference = made.difference
                numbers = (
                    difference.value,
                    difference.low,
                    difference.high,
                    result.event_days(made.threshold_mm_h).effective,
                )
                tests = (made.p_equal, made.p_equal_corrected, made.p_worse, made.p_worse_corrected)
                keys = ("" if v is None else f"{v:g}" for v in (made.threshold_mm_h, made.lead_minutes))
                told = ("" if math.isnan(v) else f"{v:.6g}" for v in (*numbers, *tests))
                writer.writerow([made.forecaster, other, made.score, *keys, *told, made.verdict, f"{margin:g}"])


def write_masks(result: VerificationResult, path: Path) -> None:
    """One row for each forecaster, mask and threshold: its CSI as the mean over leads, pooled and as mean over cases.

    Masks are ``common``, ``own`` (unknown is dry) and ``pair X``: the pixels that it shares with the forecaster X.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["forecaster", "mask", "threshold_mm_h", "csi_pooled", "csi_mean_over_cases"])
        for (name, mask), threshold in product(result.masks, result.thresholds):
            both = [result.csi_by_mask(name, mask, threshold, by_case=by_case) for by_case in (False, True)]
            told = ("" if math.isnan(value) else f"{value:.6g}" for value in both)
            writer.writerow([name, mask, f"{threshold:g}", *told])


def write_json(result: VerificationResult, path: Path, command: str) -> None:
    """The scores of the whole grid by forecaster and score, with their titles, units and perfect values."""

    def number(value: float) -> float | None:
        return None if math.isnan(value) else value

    content = {
        "command": command,
        "echocast_version": __version__,
        "cases": result.cases,
        "bootstrap_blocks": len(result.blocks),
        "days": len(result.days),
        "effective_days": [result.event_days(threshold).effective for threshold in result.thresholds],
        "first": str(result.first),
        "last": str(result.last),
        "lead_minutes": list(result.lead_minutes),
        "thresholds_mm_h": list(result.thresholds),
        "score_info": {
            name: {"title": score.title, "unit": score.unit, "perfect": number(score.perfect)}
            for name, score in result.scores.items()
        },
        "scores": {
            name: {
                score: [[number(v) for v in row] if array.ndim == 2 else number(row) for row in array.tolist()]
                for score, array in scores.items()
            }
            for name, scores in result.values.items()
        },
    }
    path.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def write_netcdf(result: VerificationResult, path: Path, command: str) -> None:
    """A variable for each score by forecaster, region, lead and threshold, and one for the interval of its mean."""
    names, regions = list(result.forecasters), list(result.regions)
    by_region = [result.of(region=region) for region in regions]
    variables = {}
    for score, example in by_region[0][names[0]].items():
        dims = ("forecaster", "region", "lead", "threshold")[: 2 + example.ndim]
        values = np.array([[found[name][score] for found in by_region] for name in names])
        declared = result.scores[score]
        about: dict[str, str | float] = {"long_name": declared.title, "units": declared.unit}
        perfect: dict[str, str | float] = {} if math.isnan(declared.perfect) else {"perfect_value": declared.perfect}
        variables[score] = (dims, values, about | perfect)
        thresholds = tables.thresholds_of(result, score)
        bounds = np.array([[result.interval(score, name, t) for t in thresholds] for name in names])
        kept = ("forecaster", "threshold", "bound") if example.ndim == 2 else ("forecaster", "bound")
        about["long_name"] = f"95 % confidence interval of the mean over lead times: {declared.title}"
        variables[f"{score}_interval"] = (kept, bounds if example.ndim == 2 else bounds[:, 0], about)
    data = xr.Dataset(
        variables,
        coords={
            "forecaster": names,
            "region": regions,
            "lead": ("lead", list(result.lead_minutes), {"long_name": "lead time", "units": "minutes"}),
            "threshold": (
                "threshold",
                list(result.thresholds),
                {"long_name": "threshold of the rainfall rate", "units": "mm h-1"},
            ),
            "bound": ["low", "high"],
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": "Verification of nowcasts",
            "history": f"{command} (echocast {__version__})",
            "cases": result.cases,
            "bootstrap_blocks": len(result.blocks),
            "days": len(result.days),
            "effective_days": [result.event_days(threshold).effective for threshold in result.thresholds],
        },
    )
    data.to_netcdf(path, engine="h5netcdf")
