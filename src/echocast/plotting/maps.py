"""A forecast to look at: an animation and a sheet of panels.

Classes of rain rate from pale yellow to dark blue, ever darker, so that they can be told apart in any colour vision and
in print; white is dry, grey is where the radar does not see.

    >>> to_gif(forecast, Path("forecast.gif"), past=past, observed=observed)  # doctest: +SKIP
    >>> to_png(forecast, Path("forecast.png"), past=past, observed=observed)  # doctest: +SKIP
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap
from matplotlib.figure import Figure
from PIL import Image

from echocast import fields
from echocast.atomic import atomic_write
from echocast.products import ensemble

CLASSES_MM_H = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_COLOURS = ("#ffffff", "#fdf6b8", "#d3eeb3", "#92d5b9", "#48b8c2", "#2290c0", "#2460a8", "#253a92", "#0a1a4a")
_UNSEEN = "#b9b9b9"
_CHANCE_MM_H = 1.0
_CHANCES = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.0)
_CHANCE_COLOURS = ("#ffffff", "#fbe3d0", "#f4b98f", "#e58350", "#c24a1f", "#7a1f0c")
_INK = "#222222"
_MINUTE = np.timedelta64(1, "m")


@dataclass(frozen=True)
class _Frame:
    """One moment of an animation: what to show on each side."""

    title: str
    left: tuple[str, np.ndarray]
    right: tuple[str, np.ndarray]


def to_gif(
    forecast: xr.DataArray,
    path: Path,
    *,
    past: xr.DataArray,
    observed: xr.DataArray | None = None,
    milliseconds: int = 220,
) -> None:
    """Animate the past and then the forecast, beside what was observed where that is known.

    Args:
        forecast: rain rate by lead.
        path: the GIF to write; it appears whole or not at all.
        past: the frames the forecast was made from.
        observed: the frames of the forecast's valid times, if they are known.
        milliseconds: how long each frame shows; the last stays longer.

    Raises:
        DataError: the file cannot be written.
    """
    frames = _frames(forecast, past, observed)
    panels = 2 if observed is not None else 1
    pictures = [_render(frame, forecast, panels) for frame in frames]
    palette = pictures[-1].quantize(64, dither=Image.Dither.NONE)
    small = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [milliseconds] * (len(small) - 1) + [5 * milliseconds]
    with atomic_write(path) as partial:
        small[0].save(
            partial, format="GIF", save_all=True, append_images=small[1:], duration=durations, loop=0, optimize=True
        )


def to_png(
    forecast: xr.DataArray, path: Path, *, past: xr.DataArray, observed: xr.DataArray | None = None, columns: int = 6
) -> None:
    """A sheet of panels: the last observation, then leads spread evenly to the last; observed above if known.

    Of an ensemble the mean, two members and the chance of 1 mm/h or more are shown.

    Args:
        forecast: rain rate by lead, or by member and lead.
        path: the PNG to write; it appears whole or not at all.
        past: the frames the forecast was made from.
        observed: the frames of the forecast's valid times, if they are known.
        columns: how many leads to show beside the last observation.

    Raises:
        DataError: the file cannot be written.
    """
    count = forecast.sizes["lead"]
    leads = np.unique(np.round(np.arange(1, columns + 1) * count / columns).astype(int) - 1)
    leads = leads[leads >= 0]
    chance = _chance(forecast) if "member" in forecast.dims else None
    rows = [] if observed is None else [("observed", observed)]
    rows += [("forecast", forecast)] if chance is None else _of_members(forecast)
    figure, axes = _sheet(len(rows) + (chance is not None), len(leads) + 1, forecast, chances=chance is not None)
    for row, (name, rain) in enumerate(rows):
        _panel(axes[row][0], past[-1].values, forecast, scale=row == len(rows) - 1)
        axes[row][0].set_ylabel(name, fontsize=12, color=_INK)
        for column, lead in enumerate(leads, start=1):
            _panel(axes[row][column], rain[int(lead)].values, forecast)
    if chance is not None:
        axes[-1][0].set_axis_off()
        axes[-1][1].set_ylabel(f"chance of {_CHANCE_MM_H:g} mm/h", fontsize=12, color=_INK)
        for column, lead in enumerate(leads, start=1):
            _draw(axes[-1][column], chance[int(lead)], _chance_colours(), up=_north_first(forecast))
    axes[0][0].set_title(f"last observation\n{fields.format_time(past.time.values[-1])}", fontsize=10, color=_INK)
    for column, lead in enumerate(leads, start=1):
        minutes = forecast.lead.values[lead] / _MINUTE
        title = f"+{minutes:g} min\n{fields.format_time(forecast.time.values[lead])}"
        axes[0][column].set_title(title, fontsize=10, color=_INK)
    figure.suptitle(_heading(forecast), fontsize=12, x=0.01, ha="left", color=_INK)
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=110, facecolor="white", format="png")


def field_to_png(field: xr.DataArray, path: Path, *, pixels: int = 640) -> None:
    """One frame of a field, the last, as a map with its colour bar.

    Args:
        field: rain rate by time.
        path: the PNG to write; it appears whole or not at all.
        pixels: about as many along the longer side; large grids are shown by every n-th cell's mean.

    Raises:
        DataError: the file cannot be written.
    """
    frame = field[-1:]
    by = max(1, max(frame.shape[1:]) // pixels)
    rows, columns = frame.sizes["y"] // by, frame.sizes["x"] // by
    blocks = frame.values[0, : rows * by, : columns * by].reshape(rows, by, columns, by)
    seen = np.isfinite(blocks)
    count = seen.sum((1, 3))
    mean = np.where(count > 0, np.where(seen, blocks, 0.0).sum((1, 3)) / np.maximum(count, 1), np.nan)
    shape = rows / columns
    wide = 6.0 if shape <= 1 else 6.0 / shape
    figure, axes = _sheet(1, 1, frame[:, : rows * by : by, : columns * by : by], panel_inches=wide)
    _panel(axes[0][0], mean, frame[:, : rows * by : by, : columns * by : by], scale=True)
    axes[0][0].set_title(f"{fields.format_time(frame.time.values[0])} UTC", fontsize=11, loc="right", color=_INK)
    source = str(frame.attrs.get("source", ""))
    axes[0][0].set_title(source if len(source) < 36 else f"{source[:34]} ...", fontsize=11, loc="left", color=_INK)
    with atomic_write(path) as partial:
        figure.savefig(partial, dpi=80, facecolor="white", format="png")


def draw_rain(axis: Axes, rain: np.ndarray, *, up: bool = True) -> None:
    """One frame (y, x) in mm/h in the rain colours on an axis without ticks; `up`: the first row is the northern."""
    _draw(axis, rain, (_norm(), _colormap()), up=up)


def rain_scale(figure: Figure, axes: Sequence[Axes], *, inches: float | None = None) -> None:
    """The colour bar of the rain colours beside some axes, as tall as they are or so many inches."""
    shrink = 1.0 if inches is None else min(1.0, inches / figure.get_figheight())
    bar = figure.colorbar(
        ScalarMappable(_norm(), _colormap()),
        ax=list(axes),
        extend="max",
        fraction=0.06,
        pad=0.015,
        aspect=28 if inches is None else 20,
        shrink=shrink,
        anchor=(0.0, 0.5 if inches is None else 1.0),
    )
    bar.set_ticks(list(CLASSES_MM_H), labels=[f"{c:g}" for c in CLASSES_MM_H])
    bar.set_label("rain rate in mm/h", color=_INK)


def _frames(forecast: xr.DataArray, past: xr.DataArray, observed: xr.DataArray | None) -> list[_Frame]:
    frames = [
        _Frame(f"{fields.format_time(t)} UTC", ("observed", v), ("observed", v))
        for t, v in zip(past.time.values, past.values, strict=True)
    ]
    for number in range(forecast.sizes["lead"]):
        label = f"forecast +{forecast.lead.values[number] / _MINUTE:g} min"
        truth = observed[number].values if observed is not None else forecast[number].values
        frames.append(
            _Frame(
                f"{fields.format_time(forecast.time.values[number])} UTC",
                ("observed" if observed is not None else label, truth),
                (label, forecast[number].values),
            )
        )
    return frames


def _render(frame: _Frame, grid: xr.DataArray, panels: int) -> Image.Image:
    figure, axes = _sheet(1, panels, grid, panel_inches=4.2)
    sides = (frame.left, frame.right)[:panels] if panels == 2 else (frame.right,)
    for axis, (label, rain) in zip(axes[0], sides, strict=True):
        _panel(axis, rain, grid, scale=True)
        forecast = label.startswith("forecast")
        axis.set_title(label, fontsize=12, color="#b3261e" if forecast else _INK, loc="left")
        for spine in axis.spines.values():
            spine.set_color("#b3261e" if forecast else "#888888")
    axes[0][-1].set_title(frame.title, fontsize=12, loc="right", color=_INK)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())  # type: ignore[no-untyped-call]


def _draw(axis: Axes, values: np.ndarray, colours: tuple[BoundaryNorm, Colormap], *, up: bool) -> None:
    norm, colormap = colours
    axis.imshow(values, cmap=colormap, norm=norm, origin="upper" if up else "lower", interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])


def _of_members(forecast: xr.DataArray) -> list[tuple[str, xr.DataArray]]:
    """What is shown of an ensemble in mm/h."""
    some = range(min(2, forecast.sizes["member"]))
    return [("mean", ensemble.mean(forecast)), *((f"member {number + 1}", forecast[number]) for number in some)]


def _chance(forecast: xr.DataArray) -> np.ndarray:
    """The share of members with `_CHANCE_MM_H` or more, (lead, y, x), NaN where one knows nothing."""
    values = forecast.transpose("member", "lead", "y", "x").values
    return np.where(np.isfinite(values).all(axis=0), (values >= _CHANCE_MM_H).mean(axis=0), np.nan)


def _chance_colours() -> tuple[BoundaryNorm, Colormap]:
    colormap = ListedColormap(_CHANCE_COLOURS, name="chance").with_extremes(bad=_UNSEEN)
    return BoundaryNorm(_CHANCES, len(_CHANCE_COLOURS)), colormap


def _sheet(
    rows: int, columns: int, grid: xr.DataArray, panel_inches: float = 2.3, *, chances: bool = False
) -> tuple[Figure, list[list[Axes]]]:
    """Panels of the grid's shape with a colour bar, and with a second one beside the last row if it shows chances."""
    shape = grid.sizes["y"] / grid.sizes["x"]
    tall = panel_inches * shape if shape <= 1.4 else panel_inches * 1.4
    wide = tall / shape
    figure = Figure(figsize=(columns * wide + 1.2, rows * tall + (0.95 if rows * columns > 2 else 0.55)), dpi=75)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    rain_scale(figure, axes[: rows - chances].ravel().tolist())
    if chances:
        bar = figure.colorbar(
            ScalarMappable(*_chance_colours()), ax=axes[-1].tolist(), fraction=0.06, pad=0.015, aspect=8
        )
        bar.set_ticks([0.05, 0.2, 0.4, 0.6, 0.8], labels=["5 %", "20 %", "40 %", "60 %", "80 %"])
    return figure, [list(row) for row in axes]


def _panel(axis: Axes, rain: np.ndarray, grid: xr.DataArray, *, scale: bool = False) -> None:
    """One field, north up, on its grid."""
    up = _north_first(grid)
    draw_rain(axis, rain, up=up)
    if scale:
        _scale_bar(axis, grid, up)


def _north_first(grid: xr.DataArray) -> bool:
    return bool(grid.y.values[0] > grid.y.values[-1])


def _scale_bar(axis: Axes, grid: xr.DataArray, up: bool) -> None:
    """A length in kilometres, about a fifth of the width."""
    km, width, height = fields.grid_km(grid), grid.sizes["x"], grid.sizes["y"]
    wanted = 0.22 * width * km
    length = max(c * 10.0**e for e in range(4) for c in (1, 2, 5) if c * 10.0**e <= max(wanted, 1.0))
    x, y = 0.04 * width, (0.955 if up else 0.045) * height
    axis.plot([x, x + length / km], [y, y], color=_INK, linewidth=2.0, solid_capstyle="butt")
    axis.text(x, y - (0.015 if up else -0.015) * height, f"{length:g} km", fontsize=8, color=_INK, va="bottom")


def _colormap() -> Colormap:
    return ListedColormap(_COLOURS[:-1], name="rain").with_extremes(bad=_UNSEEN, over=_COLOURS[-1], under=_COLOURS[0])


def _norm() -> BoundaryNorm:
    return BoundaryNorm([0.0, *CLASSES_MM_H], len(_COLOURS) - 1)


def _heading(forecast: xr.DataArray) -> str:
    issued = fields.format_time(forecast.forecast_reference_time.values)
    return f"{forecast.attrs.get('model', 'forecast')}, issued {issued} UTC ({forecast.attrs.get('source', 'radar')})"
