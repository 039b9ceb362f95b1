"""Figures of a verification, in colours that people with any colour vision can tell apart.

>>> figures_of(result)["performance"][1].savefig("performance.png")  # doctest: +SKIP
"""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from echocast.evaluation import VerificationResult
from echocast.evaluation.result import COVERAGE
from echocast.report import tables
from echocast.verification.base import ratio
from echocast.verification.scores import probability

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette for forecasters; each has one colour in all figures, and black is what was observed."""
_STYLES = ("-", "--", ":")
_MARKERS = "osD^vPX*"
_MIN_FORECASTS = 50
"""Fewer forecasts of a probability have no point in the reliability diagram."""


def figures_of(result: VerificationResult) -> dict[str, tuple[str, Figure]]:
    """By file name a caption and a figure; which ones depends on the families of scores that were computed."""
    found = {
        "curves": ("Scores by lead time.", curves(result)),
        "performance": (_PERFORMANCE, performance(result)),
    }
    if result.has("spectra"):
        found["spectra"] = (_SPECTRA, spectra(result))
    ensembles = _ensembles(result)
    if ensembles:
        found["reliability"] = (_RELIABILITY, reliability(result, ensembles))
        found["roc"] = (_ROC, roc(result, ensembles))
    if ensembles and result.has("ensemble"):
        found["ranks"] = (_RANKS, ranks(result, ensembles))
    return found


_PERFORMANCE = (
    "Performance diagram: all lead times pooled, one marker for each threshold. Solid curves join equal CSI, dashed"
    " lines equal frequency bias. A perfect forecast is in the upper right corner."
)
_SPECTRA = (
    "Power spectra of 10 log10 of the rain rate at the first, the middle and the last lead time. A forecast below the"
    " observed line at short wavelengths is smoother than the observed rain."
)
_RELIABILITY = (
    "Reliability diagram of the probability of exceeding a rain rate, all lead times pooled. On the diagonal the"
    " forecast probability is the observed frequency. Below, the number of forecasts of each probability."
)
_ROC = (
    "ROC (relative operating characteristic) of the probability of exceeding a rain rate, all lead times pooled. The"
    " diagonal has no skill."
)
_RANKS = (
    "Rank histogram: the rank of the observation among the members, all lead times pooled. Flat: reliable; U shape:"
    " underdispersive; dome: overdispersive. Pixels where neither a member nor the observation has rain are left out."
)


def curves(result: VerificationResult) -> Figure:
    """Scores by lead time, a panel each: CSI and bias at every threshold, then the others."""
    panels = _panels(result)
    rows = -(-len(panels) // 4)
    figure = Figure(figsize=(15, 3.1 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, 4, squeeze=False).ravel()
    for axis, (score, threshold) in zip(axes, panels, strict=False):
        for name, colour, style in _named(result.forecasters):
            line = result.column(result.values[name][score], threshold)
            axis.plot(result.lead_minutes, line, style, color=colour, label=name, marker=".", markersize=4)
        title = result.scores[score].short_title
        axis.set_title(title + (f" at {threshold:g} mm/h" if threshold is not None else ""), fontsize=11)
        axis.set_ylim(bottom=0)
        _tidy(axis)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis in axes[max(0, len(panels) - 4) : len(panels)]:
        axis.set_xlabel("lead time in minutes")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    return figure


_AT_EVERY_THRESHOLD = ("csi", "bias")
_ALSO_DRAWN = ("pod", "far", "mae", "correlation", "spread_skill", "ssim", COVERAGE)
"""Scores that are drawn after the main ones."""


def _panels(result: VerificationResult) -> list[tuple[str, float | None]]:
    """The scores of the curves: CSI and bias at every threshold, the others at the lowest one if they have any."""
    main = tables.main_scores(result)
    every = [name for name in _AT_EVERY_THRESHOLD if name in result.scores]
    others = [name for name in (*main, *_ALSO_DRAWN) if name in result.scores and name not in every]
    return [(name, t) for name in every for t in result.thresholds] + [
        (name, tables.thresholds_of(result, name)[0]) for name in others
    ]


def performance(result: VerificationResult) -> Figure:
    """POD against success ratio with lines of equal CSI and bias."""
    figure = Figure(figsize=(8.4, 6.6), layout="constrained")
    axis = figure.subplots()
    grid = np.linspace(0.001, 1.0, 200)
    csi = 1 / (1 / grid + 1 / grid[:, None] - 1)
    lines = axis.contour(grid, grid, csi, levels=np.arange(0.1, 1.0, 0.1), colors="#bbbbbb", linewidths=0.8)
    axis.clabel(lines, fmt="%.1f", fontsize=8)
    for bias in (0.3, 0.5, 0.8, 1.0, 1.3, 2.0, 4.0):
        axis.plot(grid, bias * grid, color="#dddddd", linewidth=0.8, linestyle="--", zorder=0)
        end = (1.0, bias) if bias <= 1 else (1 / bias, 1.0)
        axis.annotate(f"{bias:g}", end, textcoords="offset points", xytext=(4, 3), fontsize=8, color="#777777")
    for name, colour, style in _named(result.forecasters):
        sums = {key: array.sum(axis=0) for key, array in result.pooled(name, "contingency").items()}
        pod = ratio(sums["hits"], sums["hits"] + sums["misses"])
        success_ratio = ratio(sums["hits"], sums["hits"] + sums["false_alarms"])
        axis.plot(success_ratio, pod, style, color=colour, linewidth=1, label=name)
        for marker, x, y in zip(_MARKERS, success_ratio, pod, strict=False):
            axis.plot(x, y, marker, color=colour, markersize=7, markeredgecolor="white")
    handles, names = axis.get_legend_handles_labels()
    marks = [
        axis.plot([], [], marker, color="#555555")[0] for marker, _ in zip(_MARKERS, result.thresholds, strict=False)
    ]
    labels = [*names, *(f"{t:g} mm/h" for t in result.thresholds)]
    figure.legend([*handles, *marks], labels, frameon=False, fontsize=9, loc="outside right center")
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="success ratio, 1 - FAR", ylabel="probability of detection", aspect=1)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def spectra(result: VerificationResult) -> Figure:
    """Power against wavelength at three leads."""
    leads = sorted({0, len(result.lead_minutes) // 2, len(result.lead_minutes) - 1})
    figure = Figure(figsize=(4.6 * len(leads) + 0.6, 4.2), layout="constrained")
    axes = figure.subplots(1, len(leads), squeeze=False, sharey=True)[0]
    for axis, lead in zip(axes, leads, strict=True):
        drawn = False
        for name, colour, style in _named(result.forecasters):
            sums = result.pooled(name, "spectra")
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
        axis.set_title(f"+{result.lead_minutes[lead]:g} min", fontsize=11)
        axis.set_xlabel("wavelength in pixels")
        _tidy(axis)
    axes[0].set_ylabel("power of 10 log10 R")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=7, frameon=False)
    return figure


def reliability(result: VerificationResult, ensembles: Sequence[str]) -> Figure:
    """Observed frequency against forecast probability, a panel for each threshold."""
    thresholds = result.thresholds[:4]
    figure = Figure(figsize=(3.7 * len(thresholds), 4.9), layout="constrained")
    axes = figure.subplots(2, len(thresholds), squeeze=False, height_ratios=[3, 1], sharex=True)
    for column, threshold in enumerate(thresholds):
        upper, lower = axes[:, column]
        upper.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
        for name, colour, style in _named(result.forecasters):
            if name not in ensembles:
                continue
            sums = result.pooled(name, "probability")
            forecasts, events = (sums[key].sum(axis=0)[column] for key in ("forecasts", "events"))
            p = np.linspace(0, 1, forecasts.size)
            enough = forecasts >= _MIN_FORECASTS
            frequency = ratio(events, forecasts)
            upper.plot(p[enough], frequency[enough], style, color=colour, marker=".", label=name)
            lower.plot(p, np.maximum(forecasts, 0.5), style, color=colour)
        upper.set(xlim=(0, 1), ylim=(0, 1))
        upper.set_title(f"{threshold:g} mm/h or more", fontsize=11)
        lower.set_yscale("log")
        lower.yaxis.set_minor_formatter(NullFormatter())
        lower.set_xlabel("forecast probability")
        _tidy(upper)
        _tidy(lower)
    axes[0, 0].set_ylabel("observed frequency")
    axes[1, 0].set_ylabel("number of\nforecasts")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    return figure


def roc(result: VerificationResult, ensembles: Sequence[str]) -> Figure:
    """POD against the probability of false detection by threshold; a deterministic forecast is one point."""
    thresholds = result.thresholds[:4]
    figure = Figure(figsize=(3.7 * len(thresholds), 4.2), layout="constrained")
    axes = figure.subplots(1, len(thresholds), squeeze=False)[0]
    for column, (axis, threshold) in enumerate(zip(axes, thresholds, strict=True)):
        axis.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
        for name, colour, style in _named(result.forecasters):
            sums = {key: array.sum(axis=0) for key, array in result.pooled(name, "probability").items()}
            pofd, pod = (curve[column] for curve in probability.roc(sums))
            if name in ensembles:
                axis.plot(pofd, pod, style, color=colour, marker=".", markersize=4, label=name)
            else:
                axis.plot(pofd[1:2], pod[1:2], "o", color=colour, label=name)
        axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of false detection", aspect=1)
        axis.set_title(f"{threshold:g} mm/h or more", fontsize=11)
        _tidy(axis)
    axes[0].set_ylabel("probability of detection")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    return figure


def ranks(result: VerificationResult, ensembles: Sequence[str]) -> Figure:
    """A rank histogram for each ensemble."""
    figure = Figure(figsize=(4.4 * len(ensembles) + 0.4, 3.4), layout="constrained")
    axes = figure.subplots(1, len(ensembles), squeeze=False, sharey=True)[0]
    colours = {name: colour for name, colour, _ in _named(result.forecasters)}
    for axis, name in zip(axes, ensembles, strict=True):
        counts = result.pooled(name, "ensemble")["ranks"].sum(axis=0)
        frequency = counts / max(counts.sum(), 1)
        axis.bar(np.arange(1, counts.size + 1), frequency, color=colours[name], edgecolor="white", width=1.0)
        axis.axhline(1 / counts.size, color="#000000", linewidth=1)
        axis.set_title(name, fontsize=11)
        axis.set_xlabel(f"rank among {counts.size - 1} members")
        _tidy(axis)
    axes[0].set_ylabel("relative frequency")
    return figure


def _ensembles(result: VerificationResult) -> list[str]:
    if not result.has("probability"):
        return []
    return [n for n in result.forecasters if result.pooled(n, "probability")["forecasts"].shape[-1] > 2]


def _named(names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Each forecaster with its colour and line style; when the colours are used up, dashed lines follow."""
    for number, name in enumerate(names):
        yield name, COLOURS[number % len(COLOURS)], _STYLES[number // len(COLOURS) % len(_STYLES)]


def _tidy(axis: Axes) -> None:
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
