"""A field or a forecast as a figure, for notebooks and scripts.

>>> from echocast.synthetic import storms
>>> figure = plot(storms.generate(frames=3, size=16))
>>> len(figure.axes)  # three maps and a colour bar
4
"""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from echocast import fields
from echocast.errors import WrongUnits
from echocast.plotting import maps
from echocast.plotting.colours import INK
from echocast.products import ensemble

_MINUTE = np.timedelta64(1, "m")


def plot(field: xr.DataArray, *, panels: int = 6) -> Figure:
    """Maps of rain rate, north up, with the time of each in UTC.

    Args:
        field: by time the newest frames are shown, by lead frames evenly to the last; of an ensemble its mean.
        panels: how many maps at most.

    Returns:
        A figure of Matplotlib; ``figure.savefig("rain.png")`` writes it.

    Raises:
        WrongUnits: it holds something else than rain rate.
    """
    rain = fields.check(field)
    if rain.name != fields.NAME:
        raise WrongUnits(f"plot shows {fields.NAME} in {fields.UNITS}; this field holds {rain.name!r}")
    rain = ensemble.mean(rain) if "member" in rain.dims else rain
    count = min(max(1, panels), len(rain))
    is_forecast = "lead" in rain.dims
    chosen = np.unique(np.linspace(0, len(rain) - 1, count).round().astype(int))
    chosen = chosen if is_forecast else np.arange(len(rain) - count, len(rain))
    figure, axes = maps.sheet(1, len(chosen), rain, panel_inches=2.3 if len(chosen) > 1 else 5.0)
    for axis, number in zip(axes[0], chosen, strict=True):
        maps.draw_map(axis, rain[int(number)].values, rain, scale_bar=axis is axes[0][-1] and "crs" in rain.coords)
        lead = f"+{rain.lead.values[number] / _MINUTE:g} min\n" if is_forecast else ""
        axis.set_title(f"{lead}{fields.format_time(rain.time.values[number])} UTC", fontsize=9, color=INK)
    return figure
