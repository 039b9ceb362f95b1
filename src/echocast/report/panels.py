"""Maps of single cases: the input, the observed frames and each forecast; of the best, the median and the worst case.

>>> case_panels(result, field, sources, config)  # doctest: +SKIP
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from echocast import fields
from echocast.evaluation import ForecastSource, VerificationConfig, VerificationResult, forecasts_of
from echocast.evaluation.result import CASE_THRESHOLD
from echocast.plotting import colours, maps
from echocast.samples import windows

_COLUMNS = 5
_WIDTH = 2.1


def case_panels(
    result: VerificationResult, rain: xr.DataArray, sources: Mapping[str, ForecastSource], config: VerificationConfig
) -> dict[str, tuple[str, Figure]]:
    """The cases of the highest, the median and the lowest CSI of the forecaster with the highest mean CSI.

    Cases with rain on less than 1 % of the pixels are left out. Forecasts are made again.

    Args:
        result: of `evaluation.evaluate` or `evaluation.run`.
        rain: the archive's field.
        sources: the forecasters and folders of forecast files that were verified.
        config: how.

    Returns:
        By file name a caption and a figure; empty if no case has rain.
    """
    lowest = result.thresholds[0]
    best = max(result.forecasters, key=lambda name: np.nan_to_num(result.mean("csi", name, lowest), nan=-1.0))
    ranked = result.ranked_cases(best)
    if not ranked:
        return {}
    chosen = {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
    found = {}
    for word, (start, score) in chosen.items():
        cases = windows.Windows(rain, np.array([start]), past=config.past, future=config.leads)
        observed, made = forecasts_of(sources, cases, rain=rain, config=config)
        issued = fields.format_time(rain.time.values[start + config.past - 1])
        caption = f"The {word} case of {best} (CSI at {CASE_THRESHOLD:g} mm/h {score:.3f}), issued {issued} UTC."
        past = cases[0][: config.past, 0].numpy()
        rows = [("observed", observed[0])]
        for name, members in made.items():
            ensemble = members.shape[1] > 1
            rows.append((f"{name}, mean" if ensemble else name, members[0].mean(axis=0)))
            if ensemble:
                rows.append((f"{name}, member 1", members[0, 0]))
        found[f"case_{word}"] = (caption, _sheet(past, rows, rain, config))
    return found


def _sheet(
    past: np.ndarray, rows: list[tuple[str, np.ndarray]], rain: xr.DataArray, config: VerificationConfig
) -> Figure:
    step = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    up = bool(rain.y.values[0] > rain.y.values[-1])
    count = min(_COLUMNS, config.leads)
    leads = np.unique(np.linspace(0, config.leads - 1, count).round().astype(int))
    before = np.unique(np.linspace(0, config.past - 1, min(len(leads), config.past)).round().astype(int))
    height = _WIDTH * min(1.4, rain.sizes["y"] / rain.sizes["x"])
    figure = Figure(figsize=(_WIDTH * len(leads) + 1.3, (height + 0.06) * (len(rows) + 1) + 0.5), layout="constrained")
    axes = figure.subplots(len(rows) + 1, len(leads), squeeze=False)
    for axis in axes[0]:
        axis.set_visible(False)
    shift = len(leads) - len(before)
    for number, frame in enumerate(before):
        axis = axes[0, number + shift]
        axis.set_visible(True)
        maps.draw_rain(axis, past[frame], up=up)
        axis.set_title(
            f"{(frame - config.past + 1) * step:+g} min" if frame < config.past - 1 else "issued", fontsize=9
        )
    axes[0, shift].set_ylabel("input", fontsize=10)
    for number, (line, (name, frames)) in enumerate(zip(axes[1:], rows, strict=True)):
        for axis, lead in zip(line, leads, strict=True):
            maps.draw_rain(axis, frames[lead], up=up)
            if number == 0:
                axis.set_title(f"+{(lead + 1) * step:g} min", fontsize=9)
        line[0].set_ylabel(name, fontsize=10)
    colours.rain_bar(figure, axes.ravel().tolist(), inches=3.6)
    return figure
