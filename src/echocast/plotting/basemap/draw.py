"""A basemap on an axis that shows a grid: lines above the rain, thin and in greys, so that the rain stays readable."""

from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from echocast.plotting.basemap.domain import GridMap

INK = "#222222"

_FINEST_CELLS = 1 / 600
"""Of the longer side of the grid: points of a line that lie nearer together are not drawn."""


_SMALLEST = {"lakes": 0.045, "regions": 0.03}
"""Of the longer side of the grid: smaller ones are left out."""
_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")
_Box = tuple[float, float, float, float]


class Style(NamedTuple):
    """A line's colour, its width in points, and whether it is dashed."""

    colour: str
    width: float
    dashes: tuple[float, ...] = ()


_STYLES = {
    "lakes": Style("#7d97a8", 0.45),
    "regions": Style("#a8a8a8", 0.4, (3.0, 2.0)),
    "borders": Style("#6a5a6e", 0.8),
    "coast": Style("#4c5a63", 0.7),
}
_GRATICULE = Style("#8a8a8a", 0.35, (1.0, 3.0))
_STROKE = [withStroke(linewidth=1.8, foreground="white", alpha=0.85)]


def draw_lines(axis: Axes, made: GridMap, *, scale: float = 1.0, regions: bool = True) -> None:
    """Coast, lakes and borders; `scale` of the widths, `regions`: borders of regions too."""
    longer = max(np.ptp(axis.get_xlim()), np.ptp(axis.get_ylim()))
    for name, style in _STYLES.items():
        parts = made.lines[name]
        if name in _SMALLEST:
            parts = [part for part in parts if np.ptp(part, axis=0).max() >= _SMALLEST[name] * longer]
        if name != "regions" or regions:
            _draw(axis, parts, style, scale)


def draw_graticule(axis: Axes, made: GridMap) -> None:
    """Meridians and parallels, told in degrees at the lower and the left edge."""
    _draw(axis, [part for _, parts in (*made.meridians, *made.parallels) for part in parts], _GRATICULE, 1.0)
    left, right = axis.get_xlim()
    bottom, top = axis.get_ylim()
    below = _crossings(made.meridians, 1, bottom)
    beside = _crossings(made.parallels, 0, left)
    axis.set_xticks([at for at, _ in below], [degrees(value, "E", "W") for _, value in below])
    axis.set_yticks([at for at, _ in beside], [degrees(value, "N", "S") for _, value in beside])
    axis.tick_params(length=2, labelsize=7, colors="#555555", pad=1.5)
    axis.set_xlim(left, right)
    axis.set_ylim(bottom, top)


def draw_places(axis: Axes, made: GridMap, *, most: int = 9) -> None:
    """The largest places whose names fit beside each other and within the picture."""
    letter, line = _letter_cells(axis)
    frame = (*sorted(axis.get_xlim()), *sorted(axis.get_ylim()))
    taken = _corners(axis)
    drawn = 0
    for place, x, y in made.places:
        for side in _SIDES:
            box = _label_box(place.name, x, y, side, letter, line)
            within = box[0] > frame[0] and box[2] < frame[1] and box[1] > frame[2] and box[3] < frame[3]
            if within and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                _draw_place(axis, place.name, x, y, side)
                drawn += 1
                break
        if drawn == most:
            return


def draw_north(axis: Axes, made: GridMap, *, size: float = 0.075) -> None:
    """An arrow to the north, upper right; `size` as a share of the longer side."""
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    longer = max(abs(right - left), abs(top - bottom))
    up = np.array(made.north)
    middle = np.array([right, top]) - np.array([np.sign(right - left), np.sign(top - bottom)]) * 1.05 * size * longer
    tail, head = middle - up * size / 2 * longer, middle + up * size / 2 * longer
    axis.annotate(
        "",
        tuple(head),
        tuple(tail),
        arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "mutation_scale": 8},
        zorder=6,
    )
    axis.annotate(
        "N",
        tuple(tail - up * 0.28 * size * longer),
        fontsize=7,
        color=INK,
        ha="center",
        va="center",
        path_effects=_STROKE,
    )


def degrees(value: float, positive: str, negative: str) -> str:
    """A longitude or latitude as a label.

    >>> degrees(-7.5, "E", "W"), degrees(190.0, "E", "W"), degrees(0.0, "N", "S")
    ('7.5°W', '170°W', '0°')
    """
    around = (value + 180.0) % 360.0 - 180.0 if positive == "E" else value
    around = 180.0 if around == -180.0 else around
    return f"{abs(around):g}°" + ("" if abs(around) in (0.0, 180.0) else positive if around > 0 else negative)


def _letter_cells(axis: Axes) -> tuple[float, float]:
    """How wide a letter is and how high a line, in cells; the axis may grow somewhat when the figure is laid out."""
    figure, place = axis.get_figure(), axis.get_position()
    width, height = np.ptp(axis.get_xlim()), np.ptp(axis.get_ylim())
    assert isinstance(figure, Figure)  # our axes lie in a figure, not in a part of one
    inches_wide, inches_high = figure.get_figwidth() * place.width, figure.get_figheight() * place.height
    cells_a_point = max(width / inches_wide, height / inches_high) / 72.0
    return float(4.3 * cells_a_point), float(13.0 * cells_a_point)


def _corners(axis: Axes) -> list[_Box]:
    """The room of the scale bar, lower left, and of the arrow to the north, upper right."""
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    wide, high = right - left, top - bottom
    lower = np.sort([[left, left + 0.3 * wide], [bottom, bottom + 0.12 * high]], axis=1)
    upper = np.sort([[right - 0.14 * wide, right], [top - 0.2 * high, top]], axis=1)
    return [(float(x[0]), float(y[0]), float(x[1]), float(y[1])) for x, y in (lower, upper)]


def _label_box(name: str, x: float, y: float, side: str, letter: float, line: float) -> _Box:
    """The room that a place and its name take; `side`: that of the name at which the place is."""
    long = letter * (len(name) + 1)
    left, right = (x - letter / 2, x + long) if side == "left" else (x - long, x + letter / 2)
    return left, y - line / 2, right, y + line / 2


def _draw_place(axis: Axes, name: str, x: float, y: float, side: Literal["left", "right"]) -> None:
    axis.plot([x], [y], "o", markersize=2.6, color=INK, markeredgecolor="white", markeredgewidth=0.5, zorder=5)
    axis.annotate(
        name,
        (x, y),
        xytext=(3.0 if side == "left" else -3.0, 0.0),
        textcoords="offset points",
        fontsize=7,
        color=INK,
        ha=side,
        va="center",
        path_effects=_STROKE,
        zorder=5,
        annotation_clip=True,
    )


def _draw(axis: Axes, parts: list[np.ndarray], style: Style, scale: float) -> None:
    finest = _FINEST_CELLS * max(np.ptp(axis.get_xlim()), np.ptp(axis.get_ylim()))
    dashes = (0, style.dashes) if style.dashes else "solid"
    lines = LineCollection(
        [_thinned(part, finest) for part in parts],
        colors=style.colour,
        linewidths=style.width * scale,
        linestyles=[dashes],
        zorder=3,
    )
    axis.add_collection(lines, autolim=False)


def _thinned(part: np.ndarray, finest: float) -> np.ndarray:
    """A line without points that would fall on the one before."""
    cells = np.floor(part / finest)
    keep = np.append(True, (np.diff(cells, axis=0) != 0).any(axis=1))
    keep[-1] = True
    return np.asarray(part[keep])


def _crossings(lines: list[tuple[float, list[np.ndarray]]], axis: int, edge: float) -> list[tuple[float, float]]:
    """Where lines of a graticule meet an edge, with the value of each."""
    found = []
    for value, parts in lines:
        for part in parts:
            side = part[:, axis] - edge
            for n in np.flatnonzero(side[:-1] * side[1:] < 0)[:1]:
                share = side[n] / (side[n] - side[n + 1])
                found.append((float((part[n] + share * (part[n + 1] - part[n]))[1 - axis]), value))
    return sorted(found)


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
