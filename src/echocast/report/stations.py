"""A report of a verification at stations: the scores, what the radar is worth there, a map, scatter, double mass.

>>> write_station_report(result, rain, Path("report"), command="echocast verify ...")  # doctest: +SKIP
"""

import csv
import math
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from echocast._version import __version__
from echocast.evaluation.at_stations import RADAR, StationResult
from echocast.plotting import maps
from echocast.report import files, page, tables
from echocast.report.figures import COLOURS, figures_of
from echocast.report.page import Section
from echocast.report.tables import Table
from echocast.stations import sampling

_WAYS = {
    "nearest": "the cell that the gauge lies in",
    "mean": "the mean of 3 x 3 cells",
    "best": "the one of 3 x 3 cells that is nearest to the gauge",
}
_LEAST_MM_H = 0.1


def write_station_report(
    result: StationResult, rain: xr.DataArray, folder: Path, *, way: str = "nearest", command: str
) -> None:
    """Write the report into a folder; all of its files or none.

    The files are those of `echocast.report.write_report`, ``stations.csv`` with a row for each station, and the figures
    ``map``, ``scatter`` and ``double_mass``.

    Args:
        result: of `echocast.evaluation.at_stations.evaluate_at_stations`.
        rain: the archive's field, for the outline of the map.
        folder: made if it does not exist.
        way: how the grid is taken at a station in the tables and files of scores.
        command: the command line that the report names.

    Raises:
        DataError: the folder is a file, or cannot be written.
    """
    scores = result.by_way[way]
    sections = sections_of(result, way, command)
    figures = {"map": (_MAP, station_map(result, rain, way)), "scatter": (_SCATTER, scatter(result))}
    figures |= {"double_mass": (_DOUBLE_MASS, double_mass(result, way))} | figures_of(scores)
    with files.written_folder(folder) as made:
        for name, (_, figure) in figures.items():
            figure.savefig(made / f"{name}.png", dpi=100, facecolor="white", bbox_inches="tight", pad_inches=0.15)
        (made / "report.md").write_text(page.markdown(sections, figures), encoding="utf-8")
        (made / "report.html").write_text(page.html(sections, figures, made), encoding="utf-8")
        files.write_csv(scores, made / "scores.csv")
        files.write_differences(scores, made / "differences.csv")
        files.write_masks(scores, made / "masks.csv")
        files.write_json(scores, made / "scores.json", command)
        files.write_netcdf(scores, made / "scores.nc", command)
        _write_stations(result, way, made / "stations.csv")


_MAP = (
    "Each station coloured by the correlation of radar and gauge (left) and by the ratio of their totals (right); a"
    " grey station has too little rain for it. The background is the mean rain rate that the radar saw."
)
_SCATTER = (
    "Radar against gauge, one point for each station and interval, by the three ways to take the radar at a station."
)
_DOUBLE_MASS = (
    "Double mass: the total of the radar against that of the gauge as both grow, a line for each station. A straight"
    " line is a constant ratio; a bend is where the gauge or the radar changed."
)


def sections_of(result: StationResult, way: str, command: str) -> list[Section]:
    """The report's sections in their order."""
    scores = result.by_way[way]
    _, *others = page.sections_of(scores, command)
    others = [one for one in others if one.title not in ("By region",)]
    ways = Section("How the radar is taken at a station", [_WHY_WAYS], [("Means over lead times", way_table(result))])
    by_station = Section("By station", tables=[("The radar against each gauge", station_table(result, way))])
    return [_head(result, way, command), ways, by_station, *others]


_WHY_WAYS = (
    "A gauge measures at a point, a cell is a square kilometre or more, and the wind carries rain on its way down. The"
    " cell of the gauge counts all of that as the radar's error; the mean of 3 x 3 cells allows for some of it. The"
    " best"
    " of 3 x 3 cells uses what the gauge measured: it is an upper bound, not a forecast, and the scores of members"
    " leave it out."
)


def _head(result: StationResult, way: str, command: str) -> Section:
    scores = result.by_way[way]
    words = [
        f"{len(result.series)} stations; amounts over {result.minutes:g} min that end at each lead time, as mean"
        " rates in"
        f" mm/h. The grid is taken as {_WAYS[way]}. The forecaster {RADAR} is the radar itself at the same valid"
        " times.",
        page.cases(scores),
        "All forecasters are scored on the same cases, lead times and stations: measured by the gauge, and forecast by"
        " each of them. Scores for deterministic forecasts are computed from the mean of an ensemble. "
        + page.intervals(scores),
        _told(result),
        f"Made by echocast {__version__}: `{command}`",
    ]
    return Section("Verification at stations", [word for word in words if word])


def _told(result: StationResult) -> str:
    """What was left out, and what the clocks look like."""
    said = []
    if result.left_out:
        said.append(f"{result.left_out} values with a flag of quality control were left out.")
    if result.outside:
        said.append(f"Outside the grid, and left out: {', '.join(result.outside)}.")
    if result.on_edge:
        said.append(f"On the edge of the grid, with fewer than 3 x 3 cells: {', '.join(result.on_edge)}.")
    known = {shift: value for shift, value in result.shifts.items() if math.isfinite(value)}
    if known:
        best = max(known, key=lambda shift: known[shift])
        said.append(
            f"Clocks: radar (3 x 3) and gauges, as square roots, correlate by {known.get(0.0, math.nan):.2f} as they"
            f" are, and best, by {known[best]:.2f}, with the gauges' times moved by {-best:+g} min."
        )
    return " ".join(said)


def way_table(result: StationResult) -> Table:
    """Header and rows: main scores of each forecaster by way."""
    header = ["forecaster", "taken as", "CSI", "RMSE in mm/h", "correlation", "mean error in mm/h"]
    rows = []
    for name in result.by_way["nearest"].forecasters:
        for way, scores in result.by_way.items():
            csi = f"{tables.cell(scores.mean('csi', name, scores.thresholds[0]))} at {scores.thresholds[0]:g} mm/h"
            others = [
                tables.cell(scores.mean(score, name)) if score in scores.scores else "-"
                for score in ("rmse", "correlation", "mean_error")
            ]
            rows.append([name, _WAYS[way], csi, *others])
    return header, rows


def station_rows(result: StationResult, way: str) -> list[dict[str, float | str]]:
    """By station its place and how the radar agrees with the gauge over all intervals that both know."""
    rows: list[dict[str, float | str]] = []
    for number, name in enumerate(result.series.station.values):
        gauge, radar = result.gauge[number], result.radar[way][number]
        use = _apart(result, np.isfinite(gauge) & np.isfinite(radar))
        hours = result.minutes / 60
        totals = float(gauge[use].sum() * hours), float(radar[use].sum() * hours)
        varies = use.sum() > 2 and gauge[use].std() > 0 and radar[use].std() > 0
        correlation = float(np.corrcoef(gauge[use], radar[use])[0, 1]) if varies else math.nan
        rows.append(
            {
                "station": str(name),
                "longitude": float(result.series.longitude.values[number]),
                "latitude": float(result.series.latitude.values[number]),
                "intervals": int(use.sum()),
                "gauge_mm": totals[0],
                "radar_mm": totals[1],
                "radar_over_gauge": totals[1] / totals[0] if totals[0] >= 1.0 else math.nan,
                "correlation": correlation,
                "rmse_mm_h": float(np.sqrt(np.mean((radar[use] - gauge[use]) ** 2))) if use.any() else math.nan,
                "flagged": int((result.series.quality.values[number] != 0).sum()),
            }
        )
    return rows


def _apart(result: StationResult, known: np.ndarray) -> np.ndarray:
    """Of intervals that end at each frame those that do not overlap, so that totals count rain once."""
    step = np.timedelta64(round(result.minutes * 60), "s")
    since = (result.ends - result.ends[0].astype("datetime64[D]")) % step
    return np.asarray(known & (since == np.timedelta64(0)))


def station_table(result: StationResult, way: str) -> Table:
    """Header and rows: the same as text."""
    header = ["station", "intervals", "gauge in mm", "radar in mm", "radar / gauge", "correlation", "RMSE in mm/h"]
    rows = [
        [
            str(row["station"]),
            str(row["intervals"]),
            f"{row['gauge_mm']:.1f}",
            f"{row['radar_mm']:.1f}",
            *(tables.cell(float(row[key])) for key in ("radar_over_gauge", "correlation", "rmse_mm_h")),
        ]
        for row in station_rows(result, way)
    ]
    return header, rows


def _write_stations(result: StationResult, way: str, path: Path) -> None:
    rows = station_rows(result, way)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{v:.6g}" if isinstance(v, float) else v for key, v in row.items()})


def station_map(result: StationResult, rain: xr.DataArray, way: str) -> Figure:
    """The stations on the grid, coloured by correlation and by the ratio of totals."""
    rows = station_rows(result, way)
    x, y = _on_grid(rain, result.series)
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    axes = figure.subplots(1, 2)
    grid, mean = rain[:1], _mean_rain(rain)
    drawn = (
        (axes[0], "correlation", "viridis", (0.0, 1.0)),
        (axes[1], "radar_over_gauge", "RdBu", (0.5, 1.5)),
    )
    for axis, key, colours, (low, high) in drawn:
        axis.imshow(mean, cmap="Greys", origin="upper" if maps.north_first(grid) else "lower", vmax=2 * np.nanmax(mean))
        values = np.array([float(row[key]) for row in rows])
        known = np.isfinite(values)
        axis.scatter(x[~known], y[~known], c="#999999", s=70, edgecolors="black")
        points = axis.scatter(
            x[known], y[known], c=values[known], cmap=colours, vmin=low, vmax=high, s=90,
            edgecolors="black",
        )  # fmt: skip
        for row, *at in zip(rows, x, y, strict=True):
            if len(rows) <= 40:
                axis.annotate(
                    str(row["station"]), (at[0], at[1]), xytext=(6, 5), textcoords="offset points", fontsize=8
                )
        title = {"correlation": "correlation of radar and gauge", "radar_over_gauge": "total of radar / gauge"}[key]
        figure.colorbar(points, ax=axis, extend="both" if key != "correlation" else "min", shrink=0.85, label=title)
        _zoom(axis, x, y, mean.shape)
    return figure


def _on_grid(rain: xr.DataArray, series: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of the stations, with their fractions."""
    found = sampling.projected(rain, series.longitude.values, series.latitude.values)
    axes = rain.x.values, rain.y.values
    x, y = (
        (at - axis[0]) / ((axis[-1] - axis[0]) / max(axis.size - 1, 1)) for at, axis in zip(found, axes, strict=True)
    )
    return x, y


def _zoom(axis: Axes, x: np.ndarray, y: np.ndarray, shape: tuple[int, ...]) -> None:
    """Show the stations and some cells around them, in the direction that the axis has."""
    margin = 4 + 0.15 * max(np.ptp(x), np.ptp(y))
    left, right = x.min() - margin, x.max() + margin
    first, last = y.min() - margin, y.max() + margin
    axis.set_xlim(max(left, -0.5), min(right, shape[1] - 0.5))
    rows = max(first, -0.5), min(last, shape[0] - 0.5)
    axis.set_ylim(rows[::-1] if axis.yaxis_inverted() else rows)
    axis.set_xticks([])
    axis.set_yticks([])


def _mean_rain(rain: xr.DataArray) -> np.ndarray:
    """The mean over at most 288 frames spread over the archive, without warnings where nothing is observed."""
    every = max(1, rain.sizes["time"] // 288)
    values = rain[::every].values
    known = np.isfinite(values)
    return np.asarray(np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))


def scatter(result: StationResult) -> Figure:
    """Radar against gauge by way, on logarithmic axes."""
    figure = Figure(figsize=(12, 4.4), layout="constrained")
    axes = figure.subplots(1, len(sampling.WAYS), sharex=True, sharey=True)
    for axis, way in zip(axes, sampling.WAYS, strict=True):
        gauge, radar = result.gauge, result.radar[way]
        use = np.isfinite(gauge) & np.isfinite(radar)
        use = np.stack([_apart(result, row) for row in use])
        wet = use & ((gauge >= _LEAST_MM_H) | (radar >= _LEAST_MM_H))
        a, b = np.maximum(gauge[wet], _LEAST_MM_H / 2), np.maximum(radar[wet], _LEAST_MM_H / 2)
        axis.loglog(a, b, ".", color=COLOURS[1], alpha=0.35, markersize=4)
        ends = [_LEAST_MM_H / 2, max(10.0, float(max(a.max(initial=1), b.max(initial=1))))]
        axis.loglog(ends, ends, color="#555555", linewidth=1)
        varies = use.sum() > 2 and gauge[use].std() > 0 and radar[use].std() > 0
        value = np.corrcoef(gauge[use], radar[use])[0, 1] if varies else math.nan
        axis.set_title(f"{_WAYS[way]}\ncorrelation {value:.2f}", fontsize=10)
        axis.set_xlabel(f"gauge in mm/h over {result.minutes:g} min")
        _tidy(axis)
    axes[0].set_ylabel("radar in mm/h")
    return figure


def double_mass(result: StationResult, way: str) -> Figure:
    """The growing totals of radar and gauge, a line for each station."""
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    axis = figure.subplots()
    hours, largest = result.minutes / 60, 1.0
    for number, name in enumerate(result.series.station.values):
        gauge, radar = result.gauge[number], result.radar[way][number]
        use = _apart(result, np.isfinite(gauge) & np.isfinite(radar))
        a, b = np.cumsum(gauge[use]) * hours, np.cumsum(radar[use]) * hours
        largest = max(largest, a.max(initial=0), b.max(initial=0))
        style = ("-", "--", ":")[number // len(COLOURS) % 3]
        axis.plot(a, b, style, color=COLOURS[number % len(COLOURS)], linewidth=1.2, label=str(name))
    axis.plot([0, largest], [0, largest], color="#999999", linewidth=1)
    axis.set(xlabel="gauge in mm", ylabel="radar in mm", xlim=(0, largest), ylim=(0, largest), aspect=1)
    if len(result.series) <= 21:
        figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    _tidy(axis)
    return figure


def _tidy(axis: Axes) -> None:
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
