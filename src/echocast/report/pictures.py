"""A report of predictions of pictures: one page with scores by frame, differences, and cases to look at.

>>> write_picture_report(result, Path("report"), stored, forecasters, command="echocast verify ...")  # doctest: +SKIP
"""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from echocast._version import __version__
from echocast.context import Context
from echocast.evaluation.intervals import BOOTSTRAP_SAMPLES, MIN_DAYS
from echocast.evaluation.pictures import SCORES, PictureResult
from echocast.models.base import Forecaster
from echocast.report import page
from echocast.report.figures import COLOURS
from echocast.report.files import written_folder
from echocast.report.page import Section
from echocast.report.tables import Table
from echocast.samples import windows

_DRAWN = ("mse", "mae", "ssim", "psnr")
_COLUMNS = 6


def write_picture_report(
    result: PictureResult,
    folder: Path,
    stored: xr.DataArray,
    forecasters: Mapping[str, Forecaster],
    *,
    past: int,
    command: str,
) -> None:
    """Write ``report.html``, ``report.md`` with its figures, ``scores.csv`` and ``scores.json``; all or none.

    Args:
        result: of `echocast.evaluation.pictures.evaluate_pictures`.
        folder: made if it does not exist; files of the same names are replaced.
        stored: the archive's field, from which cases are shown.
        forecasters: those that were verified.
        past: frames given to each.
        command: the command line that the report names.

    Raises:
        DataError: the folder is a file, or cannot be written.
    """
    figures = {"curves": ("Scores by predicted frame.", _curves(result))}
    figures |= _cases(result, stored, forecasters, past)
    sections = _sections(result, command)
    with written_folder(folder) as made:
        for name, (_, figure) in figures.items():
            figure.savefig(made / f"{name}.png", dpi=100, facecolor="white", bbox_inches="tight", pad_inches=0.15)
        (made / "report.md").write_text(page.markdown(sections, figures), encoding="utf-8")
        (made / "report.html").write_text(page.html(sections, figures, made), encoding="utf-8")
        _write_csv(result, made / "scores.csv")
        (made / "scores.json").write_text(json.dumps(_content(result, command), indent=1), encoding="utf-8")


def score_table(result: PictureResult) -> Table:
    """Header and rows: the means over predicted frames, a row for each score."""
    rows = []
    for name, score in SCORES.items():
        means = (f"{result.mean(name, forecaster):.4g}" for forecaster in result.forecasters)
        rows.append([score.full_title, f"{score.perfect:g}", *means])
    return ["score", "perfect", *result.forecasters], rows


def _sections(result: PictureResult, command: str) -> list[Section]:
    count = len(result.sequences)
    intervals = (
        f"Confidence intervals (95 %) are from a bootstrap with {BOOTSTRAP_SAMPLES} samples of the {count} sequences"
        f" and Student's t for {result.weighed.effective:.3g} effective sequences."
        if result.weighed.enough
        else f"There are no confidence intervals: {count} sequences are too few for a bootstrap, which needs"
        f" {MIN_DAYS}."
    )
    head = Section(
        "Verification of predicted frames",
        [
            f"{int(result.windows.sum())} windows of {count} sequences; {result.leads} frames predicted,"
            f" {result.frame_rate:.6g} frames a second. Levels run from 0 to 1.",
            f"All forecasters are scored on the same windows. {intervals}",
            f"Made by echocast {__version__}: `{command}`",
        ],
    )
    means = Section("Means over predicted frames", tables=[("Scores", score_table(result))])
    found = [head, means]
    if len(result.forecasters) > 1:
        found.append(_differences(result))
    leads = [str(n) for n in range(1, result.leads + 1)]
    by_lead = Section("By predicted frame")
    for name in ("mse", "ssim"):
        rows = [[f, *(f"{v:.4g}" for v in result.by_lead(name, f))] for f in result.forecasters]
        by_lead.tables.append((SCORES[name].short_title, (["forecaster", *(f"+{n}" for n in leads)], rows)))
    return [*found, by_lead]


def _differences(result: PictureResult) -> Section:
    reference = result.forecasters[0]
    section = Section(f"Differences from {reference}", [f"The mean over predicted frames minus that of {reference}."])
    for name in ("mse", "ssim"):
        rows = []
        for forecaster in result.forecasters[1:]:
            value, low, high = result.difference(name, forecaster, reference)
            interval = "" if math.isnan(low) else f" ({low:+.4g} to {high:+.4g})"
            rows.append([forecaster, f"{value:+.4g}{interval}"])
        section.tables.append((SCORES[name].short_title, (["forecaster", "difference"], rows)))
    return section


def _curves(result: PictureResult) -> Figure:
    figure = Figure(figsize=(15, 3.6), layout="constrained")
    axes = figure.subplots(1, len(_DRAWN))
    numbers = np.arange(1, result.leads + 1)
    for axis, name in zip(axes, _DRAWN, strict=True):
        for colour, forecaster in zip(COLOURS * 9, result.forecasters, strict=False):
            axis.plot(numbers, result.by_lead(name, forecaster), color=colour, label=forecaster, marker=".")
        axis.set_title(SCORES[name].short_title, fontsize=11)
        axis.set_xlabel("predicted frame")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    return figure


def _cases(
    result: PictureResult, stored: xr.DataArray, forecasters: Mapping[str, Forecaster], past: int
) -> dict[str, tuple[str, Figure]]:
    """The windows of the lowest, the median and the highest MSE of the last forecaster."""
    judged = result.forecasters[-1]
    order = np.argsort(result.errors[judged], kind="stable")
    found = {}
    for word, place in {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}.items():
        case = windows.Windows(stored, result.starts[place : place + 1], past=past, future=result.leads)[0]
        rows = {"truth": case[past:].numpy()}
        for name, forecaster in forecasters.items():
            context = Context(time_step_minutes=1 / 60 / result.frame_rate)
            rows[name] = forecaster.forecast(case[None, :past], result.leads, context)[0].numpy()
        caption = f"The {word} window of {judged} (MSE {result.errors[judged][place]:.4g}): given, truth, predicted."
        found[f"case_{word}"] = (caption, _sheet(case[:past].numpy(), rows))
    return found


def _sheet(given: np.ndarray, rows: Mapping[str, np.ndarray]) -> Figure:
    leads = len(rows["truth"])
    shown = np.unique(np.linspace(0, leads - 1, min(_COLUMNS, leads)).round().astype(int))
    before = np.unique(np.linspace(0, len(given) - 1, min(len(shown), len(given))).round().astype(int))
    height = 2.1 * given.shape[-2] / given.shape[-1]
    size = (2.1 * len(shown) + 1.2, (height + 0.3) * (len(rows) + 1) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(rows) + 1, len(shown), squeeze=False)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_visible(False)
    lines = [("given", given, before, before - len(given) + 1), *((n, r, shown, shown + 1) for n, r in rows.items())]
    for line, (name, frames, chosen, numbers) in zip(axes, lines, strict=True):
        for axis, frame, number in zip(line, chosen, numbers, strict=False):
            axis.set_visible(True)
            picture = np.moveaxis(frames[frame].clip(0, 1), 0, -1)
            axis.imshow(picture[..., 0] if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=1)
            axis.set_title(f"{number:+d}" if number else "last given", fontsize=9)
        line[0].set_ylabel(name, fontsize=10)
    return figure


def _write_csv(result: PictureResult, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["forecaster", "score", "frame", "value"])
        for forecaster in result.forecasters:
            for name in SCORES:
                for number, value in enumerate(result.by_lead(name, forecaster), 1):
                    writer.writerow([forecaster, name, number, f"{value:.6g}"])


def _content(result: PictureResult, command: str) -> dict[str, object]:
    return {
        "command": command,
        "echocast_version": __version__,
        "windows": int(result.windows.sum()),
        "sequences": list(result.sequences),
        "scores": {
            forecaster: {name: result.by_lead(name, forecaster).tolist() for name in SCORES}
            for forecaster in result.forecasters
        },
    }
