"""The classes of each kind of layer, and their colours.

``cvd`` gets darker from class to class, along hues that people with any colour vision tell apart; ``night`` gets
lighter, for dark maps; ``grey`` has no hue; ``classic`` has the classes and colours of the pictures of
`echocast.plotting`. What is not known is grey and half transparent (with ``grey``: brownish), what is dry is not drawn.

>>> LEGENDS["rate"].classes(np.array([np.nan, 0, 0.1, 4.9, 500], np.float32)).tolist()
[1, 0, 2, 7, 15]
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

DRY, NOT_KNOWN, FIRST = 0, 1, 2
"""Class 0 is not drawn, class 1 is not known, the legend begins with class 2."""
MOST_CLASSES = 14

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Legend:
    """The classes of a kind of layer.

    Args:
        scale: the kind, as in `echocast.operations.scales.SCALES`.
        units: in words.
        breaks: the least value of each class.
        outside: the class of what lies outside the grid.
    """

    scale: str
    units: str
    breaks: tuple[float, ...]
    outside: int = DRY

    def classes(self, values: np.ndarray) -> np.ndarray:
        """The class of each value, uint8; NaN is not known."""
        # As in layers.bin, values are compared in half precision: 0.05 is not below 0.05.
        with np.errstate(over="ignore"):
            return _classes(self.breaks)[np.asarray(values, np.float16).view(np.uint16)]


@lru_cache(maxsize=16)
def _classes(breaks: tuple[float, ...]) -> np.ndarray:
    """The class of every number of half precision, by its bits."""
    values = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    found = np.searchsorted(np.asarray(breaks, np.float16).astype(np.float32), values, side="right")
    return np.where(np.isnan(values), NOT_KNOWN, np.where(found > 0, found + FIRST - 1, DRY)).astype(np.uint8)


_RATES = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)
_AMOUNTS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 75.0, 100.0, 150.0)
_CHANCES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

LEGENDS = {
    "rate": Legend("rate", "mm/h", _RATES),
    "amount": Legend("amount", "mm", _AMOUNTS),
    "probability": Legend("probability", "%", _CHANCES),
    "coverage": Legend("coverage", "", (), outside=NOT_KNOWN),
}


@dataclass(frozen=True)
class Palette:
    """Colours.

    Args:
        rain: a colour for each class of rates and amounts, or those of other classes.
        chance: likewise for probabilities.
        not_known: the colour of what is not known.
        rain_breaks: the classes that `rain` is for, where they are not all of those of the legend.
        chance_breaks: likewise.
    """

    rain: tuple[Colour, ...]
    chance: tuple[Colour, ...]
    not_known: Colour = (128, 128, 128)
    rain_breaks: dict[str, tuple[float, ...]] = field(default_factory=dict)
    chance_breaks: tuple[float, ...] = _CHANCES

    def colours(self, legend: Legend) -> tuple[Colour, ...]:
        """The colour of each class of a legend, the least first."""
        if legend.scale == "probability":
            return _spread(legend.breaks, self.chance_breaks, self.chance)
        return _spread(legend.breaks, self.rain_breaks.get(legend.scale, legend.breaks), self.rain)

    def table(self, legend: Legend) -> tuple[bytes, bytes]:
        """Colours and opacities of the 16 classes, as PNG has them."""
        colours = [(0, 0, 0), self.not_known, *self.colours(legend)]
        colours += [(0, 0, 0)] * (FIRST + MOST_CLASSES - len(colours))
        alphas = bytes([0, NOT_KNOWN_ALPHA]) + bytes([255] * MOST_CLASSES)
        return b"".join(bytes(colour) for colour in colours), alphas


NOT_KNOWN_ALPHA = 110


def _spread(breaks: Sequence[float], of: Sequence[float], colours: Sequence[Colour]) -> tuple[Colour, ...]:
    """For each class the colour of the class of `of` that holds it."""
    return tuple(colours[max(0, sum(least <= value for least in of) - 1)] for value in breaks)


def _hex(text: str) -> tuple[Colour, ...]:
    return tuple((int(c[:2], 16), int(c[2:4], 16), int(c[4:6], 16)) for c in text.split())


def _between(text: str, count: int) -> tuple[Colour, ...]:
    """So many colours along a path, evenly in the perceptual space Oklab, their lightness in equal steps.

    Source: B. Ottosson, A perceptual color space for image processing, 2020.
    """
    anchors = np.array([_to_oklab(np.array(colour) / 255) for colour in _hex(text)])
    at = np.linspace(0, len(anchors) - 1, count)
    lab = np.stack([np.interp(at, np.arange(len(anchors)), channel) for channel in anchors.T], axis=1)
    lab[:, 0] = np.linspace(anchors[0, 0], anchors[-1, 0], count)
    return tuple((int(r), int(g), int(b)) for r, g, b in np.round(255 * np.array([_to_rgb(one) for one in lab])))


_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _to_oklab(rgb: np.ndarray) -> np.ndarray:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(_LAB @ np.cbrt(_LMS @ linear))


def _to_rgb(lab: np.ndarray) -> np.ndarray:
    linear = np.linalg.solve(_LMS, np.linalg.solve(_LAB, lab) ** 3).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


_CLASSIC_RATES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_CLASSIC_RAIN = _hex("fdf6b8 d3eeb3 92d5b9 48b8c2 2290c0 2460a8 253a92 0a1a4a")
_CLASSIC_CHANCE = _hex("fbe3d0 f4b98f e58350 c24a1f 7a1f0c")

PALETTES = {
    "cvd": Palette(
        _between("fff0a0 b9e08a 5cc0a0 2f9dbb 3f74c0 5a4bb0 6b2490 5a1060 14031c", MOST_CLASSES),
        _between("fdeacb f9c98d ee9c57 d96d3a b04226 77230f 420c05", len(_CHANCES)),
    ),
    "classic": Palette(
        _CLASSIC_RAIN,
        _CLASSIC_CHANCE,
        rain_breaks={"rate": _CLASSIC_RATES, "amount": _CLASSIC_RATES},
        chance_breaks=(0.05, 0.2, 0.4, 0.6, 0.8),
    ),
    "grey": Palette(
        _between("e2e2e2 0e0e0e", MOST_CLASSES), _between("e2e2e2 0e0e0e", len(_CHANCES)), not_known=(190, 150, 110)
    ),
    "night": Palette(
        _between("23305c 2b52a0 2f7fc0 30a8b0 62c98a b4de6a fdf0a0 fffbe6", MOST_CLASSES),
        _between("4a2416 7d3a1c b55a2a e08545 f6b878 fff0dc", len(_CHANCES)),
        not_known=(150, 150, 150),
    ),
}


def scale_of(layer: str) -> str | None:
    """The kind of a layer by its name; None if there is no such layer.

    >>> scale_of("rate.p90"), scale_of("prob.amount.60.10"), scale_of("wind")
    ('rate', 'probability', None)
    """
    kinds = {"rate": "rate", "amount": "amount", "prob": "probability", "coverage": "coverage"}
    return kinds.get(layer.partition(".")[0])
