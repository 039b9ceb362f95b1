"""Single cases as pictures: the input, what came, and each forecast of it; the best, the median and the worst case.

>>> case_panels(evaluation, field, contenders, plan)  # doctest: +SKIP
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from echocast import fields
from echocast.evaluation import Evaluation, Plan, forecasts_of
from echocast.evaluation.forecasts import Contender
from echocast.plotting import maps
from echocast.samples import windows

_COLUMNS = 5
_WIDTH = 2.1


def case_panels(
    evaluation: Evaluation, rain: xr.DataArray, contenders: Mapping[str, Contender], plan: Plan
) -> dict[str, tuple[str, Figure]]:
    """The case of the best, the median and the worst CSI at 0.5 mm/h of the forecaster that is best on the whole.

    Cases with rain on less than 1 % of the pixels are left out. Forecasts are made anew.

    Args:
        evaluation: what was found.
        rain: the archive's field.
        contenders: the forecasters and folders of forecasts that were verified.
        plan: how they were.

    Returns:
        By file name a caption and a figure; empty if no case has rain.
    """
    lowest = evaluation.thresholds[0]
    leader = max(evaluation.forecasters, key=lambda name: np.nan_to_num(evaluation.mean("csi", name, lowest), nan=-1.0))
    ranked = evaluation.ranked_cases(leader)
    if not ranked:
        return {}
    chosen = {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
    found = {}
    for word, (start, score) in chosen.items():
        held = windows.Windows(rain, np.array([start]), past=plan.past, future=plan.leads)
        observed, made = forecasts_of(contenders, held, rain=rain, plan=plan)
        issued = fields.format_time(rain.time.values[start + plan.past - 1])
        caption = f"The {word} case of {leader} (CSI at 0.5 mm/h {score:.3f}), issued {issued} UTC."
        past = held[0][: plan.past, 0].numpy()
        rows = [("observed", observed[0])]
        for name, members in made.items():
            rows.append((name, members[0].mean(axis=0) if members.shape[1] > 1 else members[0, 0]))
            if members.shape[1] > 1:
                rows.append((f"{name}, a member", members[0, 0]))
        found[f"case_{word}"] = (caption, _sheet(past, rows, rain, plan))
    return found


def _sheet(past: np.ndarray, rows: list[tuple[str, np.ndarray]], rain: xr.DataArray, plan: Plan) -> Figure:
    step = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    up = bool(rain.y.values[0] > rain.y.values[-1])
    count = min(_COLUMNS, plan.leads)
    leads = np.unique(np.linspace(0, plan.leads - 1, count).round().astype(int))
    before = np.unique(np.linspace(0, plan.past - 1, min(len(leads), plan.past)).round().astype(int))
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
        axis.set_title(f"{(frame - plan.past + 1) * step:+g} min" if frame < plan.past - 1 else "issued", fontsize=9)
    axes[0, shift].set_ylabel("input", fontsize=10)
    for number, (line, (name, frames)) in enumerate(zip(axes[1:], rows, strict=True)):
        for axis, lead in zip(line, leads, strict=True):
            maps.draw_rain(axis, frames[lead], up=up)
            if number == 0:
                axis.set_title(f"+{(lead + 1) * step:g} min", fontsize=9)
        line[0].set_ylabel(name, fontsize=10)
    maps.rain_scale(figure, axes.ravel().tolist(), inches=3.6)
    return figure
