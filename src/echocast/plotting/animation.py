"""A forecast as an animation, beside what was observed where that is known.

>>> to_gif(forecast, Path("forecast.gif"), past=past, observed=observed)  # doctest: +SKIP
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from echocast import fields
from echocast._version import __version__
from echocast.atomic import atomic_write
from echocast.plotting import maps
from echocast.plotting.colours import HIGHLIGHT, INK

_MINUTE = np.timedelta64(1, "m")
_COLOURS = 64


@dataclass(frozen=True)
class _Frame:
    """One time of an animation: a label and a map (y, x) for each side."""

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
    basemap: bool = True,
) -> None:
    """Animate the past and then the forecast, beside what was observed where that is known.

    Args:
        forecast: rain rate by lead.
        path: the GIF to write; it appears whole or not at all.
        past: the frames the forecast was made from.
        observed: the frames of the forecast's valid times, if they are known.
        milliseconds: how long each frame shows; the last stays longer.
        basemap: draw coasts, borders, places and a graticule.

    Raises:
        DataError: the file cannot be written.
    """
    frames = _frames(forecast, past, observed)
    panels = 2 if observed is not None else 1
    scene = _Scene(forecast, panels, basemap, frames[-1])
    pictures = [scene.drawn(frame) for frame in frames]
    palette = pictures[-1].quantize(_COLOURS, dither=Image.Dither.NONE)
    small = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [milliseconds] * (len(small) - 1) + [5 * milliseconds]
    with atomic_write(path) as partial:
        small[0].save(
            partial,
            format="GIF",
            save_all=True,
            append_images=small[1:],
            duration=durations,
            loop=0,
            optimize=True,
            comment=f"echocast_version {__version__}".encode(),
        )


def _frames(forecast: xr.DataArray, past: xr.DataArray, observed: xr.DataArray | None) -> list[_Frame]:
    frames = [
        _Frame(f"{fields.format_time(time)} UTC", ("observed", rain), ("observed", rain))
        for time, rain in zip(past.time.values, past.values, strict=True)
    ]
    for number in range(forecast.sizes["lead"]):
        made = (f"forecast +{forecast.lead.values[number] / _MINUTE:g} min", forecast[number].values)
        left = made if observed is None else ("observed", observed[number].values)
        frames.append(_Frame(f"{fields.format_time(forecast.time.values[number])} UTC", left, made))
    return frames


class _Scene:
    """The figure of an animation: laid out and drawn once; then only rain, titles and frames around them change.

    Args:
        grid: has the coordinates.
        panels: 1, or 2 with what was observed on the left.
        basemap: draw coasts, borders, places and a graticule.
        longest: a frame whose titles take the most room.
    """

    def __init__(self, grid: xr.DataArray, panels: int, basemap: bool, longest: _Frame) -> None:
        self._figure, axes = maps.sheet(1, panels, grid, panel_inches=4.2)
        self._axes = axes[0]
        for axis in self._axes:
            maps.draw_map(axis, np.zeros(grid.shape[-2:], np.float32), grid, scale_bar=True)
            if basemap:
                maps.draw_basemap(axis, grid, detail="full")
        self._canvas = FigureCanvasAgg(self._figure)
        self.drawn(longest)
        self._figure.set_layout_engine("none")  # the same room for every frame

    def drawn(self, frame: _Frame) -> Image.Image:
        """The picture of a frame."""
        sides = (frame.left, frame.right)[-len(self._axes) :]
        for axis, (label, rain) in zip(self._axes, sides, strict=True):
            axis.images[0].set_data(rain)
            is_forecast = label.startswith("forecast")
            axis.set_title(label, fontsize=12, color=HIGHLIGHT if is_forecast else INK, loc="left")
            for spine in axis.spines.values():
                spine.set_color(HIGHLIGHT if is_forecast else "#888888")
        self._axes[-1].set_title(frame.title, fontsize=12, loc="right", color=INK)
        self._canvas.draw()  # type: ignore[no-untyped-call]
        return Image.fromarray(np.asarray(self._canvas.buffer_rgba())[..., :3].copy())  # type: ignore[no-untyped-call]
