"""Figures of a verification, in colours that any colour vision tells apart.

>>> figures_of(evaluation)["performance"][1].savefig("performance.png")  # doctest: +SKIP
"""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from echocast.evaluation import Evaluation
from echocast.verification.base import ratio
from echocast.verification.scores import probability

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette."""
_STYLES = ("-", "--", ":")
_MARKERS = "osD^vPX*"


def figures_of(evaluation: Evaluation) -> dict[str, tuple[str, Figure]]:
    """By file name a caption and a figure: those that the scores computed allow."""
    found = {
        "curves": ("Scores by lead time.", curves(evaluation)),
        "performance": (_PERFORMANCE, performance(evaluation)),
    }
    if evaluation.has("spectra"):
        found["spectra"] = (_SPECTRA, spectra(evaluation))
    ensembles = _ensembles(evaluation)
    if ensembles:
        found["reliability"] = (_RELIABILITY, reliability(evaluation, ensembles))
        found["roc"] = (_ROC, roc(evaluation, ensembles))
    if ensembles and evaluation.has("ensemble"):
        found["ranks"] = (_RANKS, ranks(evaluation, ensembles))
    return found


_PERFORMANCE = (
    "Performance diagram: all leads together, a marker for each threshold. Curves are equal CSI, rays equal frequency"
    " bias; the best corner is the upper right one."
)
_SPECTRA = (
    "Power spectra of 10 lg of the rain rate at the first, the middle and the last lead. A forecast that falls below"
    " the observed line at short wavelengths is smoother than rain."
)
_RELIABILITY = "Reliability of exceeding a rain rate, all leads together; below, how often each probability was said."
_ROC = "Relative operating characteristic, all leads together; the diagonal knows nothing."
_RANKS = (
    "Rank of the observation among the members, all leads together; flat is right, a bowl is too sure, a dome too"
    " unsure. Pixels without any rain are left out."
)


def curves(evaluation: Evaluation) -> Figure:
    """Scores by lead, a panel each: the contingency scores at every threshold, then the others."""
    thresholds = evaluation.thresholds
    there = next(iter(evaluation.values.values()))
    panels: list[tuple[str, float | None]] = [("csi", t) for t in thresholds]
    panels += [(score, thresholds[0]) for score in ("pod", "far", "bias")]
    others = ("rmse", "mae", "correlation", "crps", "spread_skill", "ssim", "coverage")
    panels += [(score, None) for score in others if score in there]
    rows = -(-len(panels) // 4)
    figure = Figure(figsize=(15, 3.1 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, 4, squeeze=False).ravel()
    for axis, (score, threshold) in zip(axes, panels, strict=False):
        for name, colour, style in _named(evaluation.forecasters):
            line = evaluation.column(evaluation.values[name][score], threshold)
            axis.plot(evaluation.lead_minutes, line, style, color=colour, label=name, marker=".", markersize=4)
        unit = " in mm/h" if score in ("rmse", "mae", "crps") else ""
        title = (
            score.upper() if score in ("csi", "pod", "far", "rmse", "mae", "crps", "ssim") else score.replace("_", " ")
        )
        axis.set_title(f"{title}{unit}" + (f" at {threshold:g} mm/h" if threshold is not None else ""), fontsize=11)
        axis.set_ylim(bottom=0)
        _tidy(axis)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis in axes[max(0, len(panels) - 4) : len(panels)]:
        axis.set_xlabel("lead time in minutes")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    return figure


def performance(evaluation: Evaluation) -> Figure:
    """POD against success ratio with lines of equal CSI and bias."""
    figure = Figure(figsize=(8.4, 6.6), layout="constrained")
    axis = figure.subplots()
    grid = np.linspace(0.001, 1.0, 200)
    success, pod = np.meshgrid(grid, grid)
    csi = 1 / (1 / success + 1 / pod - 1)
    lines = axis.contour(success, pod, csi, levels=np.arange(0.1, 1.0, 0.1), colors="#bbbbbb", linewidths=0.8)
    axis.clabel(lines, fmt="%.1f", fontsize=8)
    for bias in (0.3, 0.5, 0.8, 1.0, 1.3, 2.0, 4.0):
        axis.plot(grid, bias * grid, color="#dddddd", linewidth=0.8, linestyle="--", zorder=0)
        end = (1.0, bias) if bias <= 1 else (1 / bias, 1.0)
        axis.annotate(f"{bias:g}", end, textcoords="offset points", xytext=(4, 3), fontsize=8, color="#777777")
    for name, colour, style in _named(evaluation.forecasters):
        sums = {key: array.sum(axis=0) for key, array in evaluation.pooled(name, "contingency").items()}
        found = ratio(sums["hits"], sums["hits"] + sums["misses"])
        right = ratio(sums["hits"], sums["hits"] + sums["false_alarms"])
        axis.plot(right, found, style, color=colour, linewidth=1, label=name)
        for marker, x, y in zip(_MARKERS, right, found, strict=False):
            axis.plot(x, y, marker, color=colour, markersize=7, markeredgecolor="white")
    handles, names = axis.get_legend_handles_labels()
    marks = [
        axis.plot([], [], marker, color="#555555")[0]
        for marker, _ in zip(_MARKERS, evaluation.thresholds, strict=False)
    ]
    words = [*names, *(f"{t:g} mm/h" for t in evaluation.thresholds)]
    figure.legend([*handles, *marks], words, frameon=False, fontsize=9, loc="outside right center")
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="success ratio, 1 - FAR", ylabel="probability of detection", aspect=1)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def spectra(evaluation: Evaluation) -> Figure:
    """Power against wavelength at three leads."""
    leads = sorted({0, len(evaluation.lead_minutes) // 2, len(evaluation.lead_minutes) - 1})
    figure = Figure(figsize=(4.6 * len(leads) + 0.6, 4.2), layout="constrained")
    axes = figure.subplots(1, len(leads), squeeze=False, sharey=True)[0]
    for axis, lead in zip(axes, leads, strict=True):
        drawn = False
        for name, colour, style in _named(evaluation.forecasters, start=1):
            sums = evaluation.pooled(name, "spectra")
            side = float(ratio(sums["side"], sums["frames"])[lead])
            wave = side / np.arange(1, sums["forecast"].shape[-1])
            frames = np.maximum(sums["frames"][lead], 1)
            if not drawn:
                axis.loglog(wave, sums["observed"][lead, 1:] / frames, color="#000000", linewidth=2, label="observed")
                drawn = True
            axis.loglog(wave, sums["forecast"][lead, 1:] / frames, style, color=colour, label=name)
        axis.invert_xaxis()
        axis.xaxis.set_major_locator(LogLocator(base=2.0))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_title(f"+{evaluation.lead_minutes[lead]:g} min", fontsize=11)
        axis.set_xlabel("wavelength in pixels")
        _tidy(axis)
    axes[0].set_ylabel("power of 10 lg R")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=7, frameon=False)
    return figure


def reliability(evaluation: Evaluation, ensembles: Sequence[str]) -> Figure:
    """Observed frequency against forecast probability, a panel for each threshold."""
    thresholds = evaluation.thresholds[:4]
    figure = Figure(figsize=(3.7 * len(thresholds), 4.9), layout="constrained")
    axes = figure.subplots(2, len(thresholds), squeeze=False, height_ratios=[3, 1], sharex=True)
    for column, threshold in enumerate(thresholds):
        upper, lower = axes[:, column]
        upper.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
        for name, colour, style in _named(evaluation.forecasters):
            if name not in ensembles:
                continue
            sums = evaluation.pooled(name, "probability")
            said, came = (sums[key].sum(axis=0)[column] for key in ("forecasts", "events"))
            p = np.linspace(0, 1, said.size)
            enough = said >= 50
            share = ratio(came, said)
            upper.plot(p[enough], share[enough], style, color=colour, marker=".", label=name)
            lower.plot(p, np.maximum(said, 0.5), style, color=colour)
        upper.set(xlim=(0, 1), ylim=(0, 1))
        upper.set_title(f"{threshold:g} mm/h or more", fontsize=11)
        lower.set_yscale("log")
        lower.set_xlabel("forecast probability")
        _tidy(upper)
        _tidy(lower)
    axes[0, 0].set_ylabel("observed frequency")
    axes[1, 0].set_ylabel("times said")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    return figure


def roc(evaluation: Evaluation, ensembles: Sequence[str]) -> Figure:
    """POD against the probability of false detection, a panel for each threshold; single forecasts are one point."""
    thresholds = evaluation.thresholds[:4]
    figure = Figure(figsize=(3.7 * len(thresholds), 4.2), layout="constrained")
    axes = figure.subplots(1, len(thresholds), squeeze=False)[0]
    for column, (axis, threshold) in enumerate(zip(axes, thresholds, strict=True)):
        axis.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
        for name, colour, style in _named(evaluation.forecasters):
            sums = {key: array.sum(axis=0) for key, array in evaluation.pooled(name, "probability").items()}
            fooled, caught = (curve[column] for curve in probability.roc(sums))
            if name in ensembles:
                axis.plot(fooled, caught, style, color=colour, marker=".", markersize=4, label=name)
            else:
                axis.plot(fooled[1:2], caught[1:2], "o", color=colour, label=name)
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of false detection", aspect=1)
        axis.set_title(f"{threshold:g} mm/h or more", fontsize=11)
        _tidy(axis)
    axes[0].set_ylabel("probability of detection")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    return figure


def ranks(evaluation: Evaluation, ensembles: Sequence[str]) -> Figure:
    """A histogram for each ensemble."""
    figure = Figure(figsize=(4.4 * len(ensembles) + 0.4, 3.4), layout="constrained")
    axes = figure.subplots(1, len(ensembles), squeeze=False, sharey=True)[0]
    for axis, name in zip(axes, ensembles, strict=True):
        counts = evaluation.pooled(name, "ensemble")["ranks"].sum(axis=0)
        share = counts / max(counts.sum(), 1)
        axis.bar(np.arange(1, counts.size + 1), share, color="#56b4e9", edgecolor="white", width=1.0)
        axis.axhline(1 / counts.size, color="#000000", linewidth=1)
        axis.set_title(name, fontsize=11)
        axis.set_xlabel(f"rank among {counts.size - 1} members")
        _tidy(axis)
    axes[0].set_ylabel("share")
    return figure


def _ensembles(evaluation: Evaluation) -> list[str]:
    if not evaluation.has("probability"):
        return []
    return [n for n in evaluation.forecasters if evaluation.pooled(n, "probability")["forecasts"].shape[-1] > 2]


def _named(names: Sequence[str], *, start: int = 0) -> Iterator[tuple[str, str, str]]:
    """Each forecaster with its colour and line; a second round of colours is dashed."""
    colours = COLOURS[start:] if start else COLOURS
    for number, name in enumerate(names):
        yield name, colours[number % len(colours)], _STYLES[number // len(colours) % len(_STYLES)]


def _tidy(axis: Axes) -> None:
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
