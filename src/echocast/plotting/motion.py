"""The newest frame of a field, with arrows for how the rain moves.

>>> motion_to_png(past, Path("motion.png"))  # doctest: +SKIP
"""

from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.figure import Figure

from echocast import fields
from echocast.atomic import atomic_write
from echocast.motion.estimate import rain_motion
from echocast.plotting import maps
from echocast.plotting.colours import INK

_ARROWS = 18
"""Arrows along the longer side."""
_MINUTE = np.timedelta64(1, "m")


def motion_to_png(past: xr.DataArray, path: Path) -> None:
    """A map of the newest frame, with the refined motion of the rain, as the file appears whole or not at all.

    An arrow shows where rain goes in half an hour. Where no rain was near, the motion is that of the rain around.

    Args:
        past: rain rate by time, two frames or more.
        path: the PNG to write.

    Raises:
        DataError: the file cannot be written.
    """
    figure = drawn(past)
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=100, facecolor="white", format="png")


def drawn(past: xr.DataArray) -> Figure:
    """The figure of `motion_to_png`."""
    step = fields.time_step(past.time.values)
    motion = rain_motion(past.values, pixel_km=fields.grid_km(past), step_minutes=float(step / _MINUTE))
    flow = np.asarray(motion, np.float32) * (30 * _MINUTE / step)
    figure, axes = maps.sheet(1, 1, past, panel_inches=6.5)
    axis = axes[0][0]
    maps.draw_map(axis, past.values[-1], past, scale_bar="crs" in past.coords)
    rows, columns, across, down = _arrows(flow)
    axis.quiver(
        columns, rows, across, down, angles="xy", scale_units="xy", scale=1.0, color=INK, width=0.0025, minlength=0.5
    )
    axis.set_title(
        f"{fields.format_time(past.time.values[-1])} UTC; arrows: 30 min", fontsize=11, color=INK, loc="left"
    )
    return figure


def _arrows(flow: Float[np.ndarray, "2 y x"]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns of some cells, and how many columns and rows the rain there moves."""
    height, width = flow.shape[-2:]
    gap = max(1, max(height, width) // _ARROWS)
    rows, columns = np.mgrid[gap // 2 : height : gap, gap // 2 : width : gap]
    return rows, columns, flow[1][rows, columns], flow[0][rows, columns]
