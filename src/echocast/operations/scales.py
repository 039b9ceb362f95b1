"""How values become one byte: 0 is not known, 1 to 254 are levels, and 255 is left to who draws.

A level holds the values from its lower edge up to the next one. The edges of all classes that maps draw are edges of
levels too, so that a byte tells the class of its value. Values are rounded to half precision first, as in points.bin:
what a map draws and what a point says are of one class.

>>> RATE.levels(np.array([np.nan, 0.0, 0.1, 0.9, 1.0], np.float32)).tolist()[:2]
[0, 1]
>>> round(float(RATE.values[RATE.levels(np.array([2.0], np.float32))][0]), 2)
2.04
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

UNKNOWN = 0
"""The level of what is not known; it is never drawn as dry."""
MOST_LEVELS = 254


class Scale:
    """The levels of a quantity.

    Args:
        units: of the values.
        edges: the lower edge of each level, ascending from 0; at most 254.
        above: what the values of the last level are taken for.
    """

    def __init__(self, units: str, edges: Sequence[float], above: float) -> None:
        self.units, self.above = units, above
        self.edges = np.asarray(edges, np.float64)
        if not 0 < self.edges.size <= MOST_LEVELS or self.edges[0] != 0 or (np.diff(self.edges) <= 0).any():
            raise ValueError(f"the edges of levels must ascend from 0, at most {MOST_LEVELS}; these are {edges}")

    @cached_property
    def values(self) -> np.ndarray:
        """What each byte stands for, float32 (256,): the geometric middle of its level; NaN for what is not known."""
        found = np.full(256, np.nan, np.float32)
        found[1] = 0.0
        lower, upper = self.edges[1:], np.append(self.edges[2:], self.above)
        found[2 : 2 + lower.size] = np.sqrt(lower * upper)
        return found

    @cached_property
    def _table(self) -> np.ndarray:
        """The level of each number in half precision, by its bits."""
        numbers = np.arange(65_536, dtype=np.uint16).view(np.float16)
        found = np.searchsorted(self.edges.astype(np.float16), numbers, side="right").astype(np.uint8)
        found[np.signbit(numbers)] = 1
        found[np.isnan(numbers)] = UNKNOWN
        return found

    def levels(self, values: np.ndarray) -> np.ndarray:
        """The level of each value (float32 or float16, NaN where it is not known), uint8 of the same shape."""
        with np.errstate(over="ignore"):  # what is too large for half precision is in the last level
            bits = np.ascontiguousarray(values, np.float16).view(np.uint16)
        return self._table[bits]

    def as_dict(self) -> dict[str, object]:
        """What meta.json says of it."""
        return {"units": self.units, "above": self.above, "edges": [round(float(edge), 6) for edge in self.edges]}


def _fine(anchors: Sequence[float], levels: int) -> list[float]:
    """Zero, and edges that ascend by about the same factor, among them all anchors."""
    share = np.log(np.divide(anchors[1:], anchors[:-1])) / np.log(anchors[-1] / anchors[0])
    edges = [0.0]
    for low, high, part in zip(anchors[:-1], anchors[1:], share, strict=True):
        edges += np.geomspace(low, high, max(1, round(part * levels)), endpoint=False).tolist()
    return [*edges, anchors[-1]]


RATE = Scale("mm h-1", _fine((0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200), 248), 210)
AMOUNT = Scale("mm", _fine((0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 300), 248), 315)
PROBABILITY = Scale("1", [0, 0.001, *np.linspace(0.005, 1, 200).tolist()], 1.0)
COVERAGE = Scale("1", [0, 1], 1.0)

SCALES = {"rate": RATE, "amount": AMOUNT, "probability": PROBABILITY, "coverage": COVERAGE}
