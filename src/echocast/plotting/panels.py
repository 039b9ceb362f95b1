"""A forecast as a sheet of panels by lead time.

>>> to_png(forecast, Path("forecast.png"), past=past, observed=observed)  # doctest: +SKIP
"""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from echocast import fields
from echocast.atomic import atomic_write
from echocast.plotting import maps
from echocast.plotting.colours import INK, probability_colours
from echocast.products import ensemble
from echocast.products.probabilities import probability_of_exceedance

_THRESHOLD_MM_H = 1.0
_MINUTE = np.timedelta64(1, "m")


def to_png(
    forecast: xr.DataArray,
    path: Path,
    *,
    past: xr.DataArray,
    observed: xr.DataArray | None = None,
    columns: int = 6,
    basemap: bool = True,
) -> None:
    """A sheet of panels: the last observation, then leads spread evenly to the last; observed above if known.

    Of an ensemble the mean, two members and the probability of 1 mm/h or more are shown.

    Args:
        forecast: rain rate by lead, or by member and lead.
        path: the PNG to write; it appears whole or not at all.
        past: the frames the forecast was made from.
        observed: the frames of the forecast's valid times, if they are known.
        columns: how many leads to show beside the last observation.
        basemap: draw coasts and borders, and an arrow to the north.

    Raises:
        DataError: the file cannot be written.
    """
    leads = _leads(forecast, columns)
    is_ensemble = "member" in forecast.dims
    rows = [] if observed is None else [("observed", observed)]
    rows += _members(forecast) if is_ensemble else [("forecast", forecast)]
    figure, axes = maps.sheet(len(rows) + is_ensemble, len(leads) + 1, forecast, probabilities=is_ensemble)
    for row, (name, rain) in enumerate(rows):
        maps.draw_map(axes[row][0], past[-1].values, forecast, scale_bar=row == len(rows) - 1)
        axes[row][0].set_ylabel(name, fontsize=12, color=INK)
        for column, lead in enumerate(leads, start=1):
            maps.draw_map(axes[row][column], rain[int(lead)].values, forecast)
    if is_ensemble:
        _draw_probabilities(axes[-1], forecast, leads)
    if basemap:
        _draw_basemap(axes, forecast)
    axes[0][0].set_title(f"last observation\n{fields.format_time(past.time.values[-1])} UTC", fontsize=10, color=INK)
    for column, lead in enumerate(leads, start=1):
        minutes = forecast.lead.values[lead] / _MINUTE
        title = f"+{minutes:g} min\n{fields.format_time(forecast.time.values[lead])} UTC"
        axes[0][column].set_title(title, fontsize=10, color=INK)
    figure.suptitle(_heading(forecast), fontsize=12, x=0.01, ha="left", color=INK)
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=110, facecolor="white", format="png")


def _leads(forecast: xr.DataArray, columns: int) -> np.ndarray:
    """The numbers of the leads to show."""
    leads = np.unique(np.round(np.arange(1, columns + 1) * forecast.sizes["lead"] / columns).astype(int) - 1)
    return leads[leads >= 0]


def _members(forecast: xr.DataArray) -> list[tuple[str, xr.DataArray]]:
    """The rows of an ensemble in mm/h, with their names."""
    some = range(min(2, forecast.sizes["member"]))
    return [("mean", ensemble.mean(forecast)), *((f"member {number + 1}", forecast[number]) for number in some)]


def _draw_probabilities(axes: list[Axes], forecast: xr.DataArray, leads: np.ndarray) -> None:
    members = forecast.transpose("member", "lead", "y", "x").values
    (probability,) = probability_of_exceedance(members, [_THRESHOLD_MM_H])
    axes[0].set_axis_off()
    axes[1].set_ylabel(f"probability ≥ {_THRESHOLD_MM_H:g} mm/h", fontsize=12, color=INK)
    for axis, lead in zip(axes[1:], leads, strict=True):
        maps.draw_values(axis, probability[int(lead)], probability_colours(), up=maps.north_first(forecast))


def _draw_basemap(axes: list[list[Axes]], forecast: xr.DataArray) -> None:
    """On every panel that shows a map; the arrow to the north on the first."""
    for number, axis in enumerate(axis for row in axes for axis in row if axis.images):
        maps.draw_basemap(axis, forecast, detail="lines" if number else "north")


def _heading(forecast: xr.DataArray) -> str:
    issued = fields.format_time(forecast.forecast_reference_time.values)
    return f"{forecast.attrs.get('model', 'forecast')}, issued {issued} UTC ({forecast.attrs.get('source', 'radar')})"
