"""The colours of rain rate and of probability, and their colour bars.

Classes of rain rate go from pale yellow to dark blue, ever darker, so that they can be told apart in any colour vision
and in print; white is dry, grey is no coverage.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap
from matplotlib.figure import Figure

CLASSES_MM_H = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
INK = "#222222"
"""Text and lines."""
HIGHLIGHT = "#b3261e"
"""What is forecast, beside what was observed."""

_RAIN = ("#ffffff", "#fdf6b8", "#d3eeb3", "#92d5b9", "#48b8c2", "#2290c0", "#2460a8", "#253a92", "#0a1a4a")
_NO_COVERAGE = "#b9b9b9"
_PROBABILITIES = (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.0)
_PROBABILITY = ("#ffffff", "#fbe3d0", "#f4b98f", "#e58350", "#c24a1f", "#7a1f0c")

Colours = tuple[BoundaryNorm, Colormap]


def rain_colours() -> Colours:
    """The classes of rain rate in mm/h and their colours."""
    colormap = ListedColormap(_RAIN[:-1], name="rain")
    norm = BoundaryNorm([0.0, *CLASSES_MM_H], len(_RAIN) - 1)
    return norm, colormap.with_extremes(bad=_NO_COVERAGE, over=_RAIN[-1], under=_RAIN[0])


def probability_colours() -> Colours:
    """The classes of probability (0 to 1) and their colours."""
    colormap = ListedColormap(_PROBABILITY, name="probability").with_extremes(bad=_NO_COVERAGE)
    return BoundaryNorm(_PROBABILITIES, len(_PROBABILITY)), colormap


def rain_bar(figure: Figure, axes: Sequence[Axes], *, inches: float | None = None) -> None:
    """A colour bar of rain rate beside some axes, as tall as they are or as many inches as given."""
    shrink = 1.0 if inches is None else min(1.0, inches / figure.get_figheight())
    bar = figure.colorbar(
        ScalarMappable(*rain_colours()),
        ax=list(axes),
        extend="max",
        fraction=0.06,
        pad=0.015,
        aspect=28 if inches is None else 20,
        shrink=shrink,
        anchor=(0.0, 0.5 if inches is None else 1.0),
    )
    bar.set_ticks(list(CLASSES_MM_H), labels=[f"{rate:g}" for rate in CLASSES_MM_H])
    bar.set_label("rain rate in mm/h", color=INK)


def probability_bar(figure: Figure, axes: Sequence[Axes]) -> None:
    """A colour bar of probability beside some axes."""
    mappable = ScalarMappable(*probability_colours())
    bar = figure.colorbar(mappable, ax=list(axes), fraction=0.06, pad=0.015, aspect=8)
    inner = _PROBABILITIES[1:-1]
    bar.set_ticks(list(inner), labels=[f"{100 * value:g} %" for value in inner])
