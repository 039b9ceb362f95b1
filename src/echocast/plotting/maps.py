"""Maps of single frames: drawn on an axis, or written as a picture.

>>> field_to_png(field, Path("field.png"))  # doctest: +SKIP
"""

from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from echocast import fields
from echocast.atomic import atomic_write
from echocast.plotting import colours, reducing
from echocast.plotting.basemap import domain, draw
from echocast.plotting.colours import INK, Colours


def field_to_png(field: xr.DataArray, path: Path, *, pixels: int = 640, basemap: bool = True) -> None:
    """One frame of a field, the last, as a map with its colour bar.

    Args:
        field: rain rate by time.
        path: the PNG to write; it appears whole or not at all.
        pixels: about as many along the longer side; larger grids are shown by the means of blocks of cells.
        basemap: draw coasts, borders, places and a graticule.

    Raises:
        DataError: the file cannot be written.
    """
    by = reducing.factor(field, pixels)
    frame = reducing.reduced_frames(field[-1:], by)
    shape = frame.sizes["y"] / frame.sizes["x"]
    figure, axes = sheet(1, 1, frame, panel_inches=6.0 if shape <= 1 else 6.0 / shape)
    draw_map(axes[0][0], frame.values[0], frame, scale_bar=True)
    if basemap:
        draw_basemap(axes[0][0], frame, detail="full")
    axes[0][0].set_title(f"{fields.format_time(frame.time.values[0])} UTC", fontsize=11, loc="right", color=INK)
    source = str(frame.attrs.get("source", ""))
    axes[0][0].set_title(source if len(source) < 36 else f"{source[:34]} ...", fontsize=11, loc="left", color=INK)
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=80, facecolor="white", format="png")


def draw_rain(axis: Axes, rain: np.ndarray, *, up: bool = True) -> None:
    """One frame (y, x) in mm/h in the rain colours on an axis without ticks; `up`: the first row is the northern."""
    draw_values(axis, rain, colours.rain_colours(), up=up)


def draw_values(axis: Axes, values: np.ndarray, scale: Colours, *, up: bool) -> None:
    """One frame (y, x) in some colours on an axis without ticks; `up`: the first row is the northern."""
    norm, colormap = scale
    axis.imshow(values, cmap=colormap, norm=norm, origin="upper" if up else "lower", interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])


def draw_map(axis: Axes, rain: np.ndarray, grid: xr.DataArray, *, scale_bar: bool = False) -> None:
    """One frame (y, x) in mm/h, north up, with a length in kilometres if wanted; `grid` has its coordinates."""
    up = north_first(grid)
    draw_rain(axis, rain, up=up)
    if scale_bar:
        _draw_scale_bar(axis, grid, up)


def draw_basemap(axis: Axes, grid: xr.DataArray, *, detail: Literal["lines", "north", "full"] = "lines") -> None:
    """Coasts and borders above a map of a grid; nothing for a picture that lies nowhere on Earth.

    Args:
        axis: shows the grid, as `draw_map` does.
        grid: has the coordinates.
        detail: ``lines`` alone, for small panels; with the ``north`` arrow; or with places and a graticule too.
    """
    if "crs" not in grid.coords:
        return
    made = domain.grid_map(grid)
    draw.draw_lines(axis, made, scale=1.0 if detail == "full" else 0.7, regions=detail == "full")
    if detail == "full":
        draw.draw_graticule(axis, made)
        draw.draw_places(axis, made)
    if detail != "lines":
        draw.draw_north(axis, made, size=0.075 if detail == "full" else 0.12)


def north_first(grid: xr.DataArray) -> bool:
    """Whether the first row of a grid is the northern one."""
    return bool(grid.y.values[0] > grid.y.values[-1])


def sheet(
    rows: int, columns: int, grid: xr.DataArray, panel_inches: float = 2.3, *, probabilities: bool = False
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of panels of the grid's shape with colour bars.

    Args:
        rows: of panels.
        columns: of panels.
        grid: a field; its shape is that of each panel.
        panel_inches: the width of a panel; tall grids get narrower ones.
        probabilities: the last row shows probabilities and has a colour bar of its own.
    """
    shape = grid.sizes["y"] / grid.sizes["x"]
    tall = panel_inches * min(shape, 1.4)
    wide = tall / shape
    figure = Figure(figsize=(columns * wide + 1.2, rows * tall + (0.95 if rows * columns > 2 else 0.55)), dpi=75)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    colours.rain_bar(figure, axes[: rows - probabilities].ravel().tolist())
    if probabilities:
        colours.probability_bar(figure, axes[-1].tolist())
    return figure, [list(row) for row in axes]


def _draw_scale_bar(axis: Axes, grid: xr.DataArray, up: bool) -> None:
    """A length in kilometres, about a fifth of the width."""
    km, width, height = fields.grid_km(grid), grid.sizes["x"], grid.sizes["y"]
    wanted = 0.22 * width * km
    length = max(c * 10.0**e for e in range(4) for c in (1, 2, 5) if c * 10.0**e <= max(wanted, 1.0))
    x, y = 0.04 * width, (0.955 if up else 0.045) * height
    axis.plot([x, x + length / km], [y, y], color=INK, linewidth=2.0, solid_capstyle="butt")
    axis.text(x, y - (0.015 if up else -0.015) * height, f"{length:g} km", fontsize=8, color=INK, va="bottom")
