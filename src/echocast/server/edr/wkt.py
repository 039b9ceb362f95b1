"""Well-known text of points and polygons, as EDR's `coords` has it.

Only POINT, MULTIPOINT, POLYGON and MULTIPOLYGON are read. A third number of a position (a height) is ignored. The text
is bounded before it is read, and nothing here calls itself, so no text can exhaust the stack.

>>> parse("POINT(7.9 47.35)").points
((7.9, 47.35),)
>>> parse("POLYGON((0 0, 2 0, 2 2, 0 0))").polygons
((((0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 0.0)),),)
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from echocast.server.edr.refusals import Refused, TooMuch, shown

Position = tuple[float, float]
Ring = tuple[Position, ...]
Polygon = tuple[Ring, ...]
"""The outer ring, then the holes."""
T = TypeVar("T")

KINDS = ("POINT", "MULTIPOINT", "POLYGON", "MULTIPOLYGON")
_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z]+)|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<sign>[(),]))", re.ASCII
)


@dataclass(frozen=True)
class WktLimits:
    """How much text is read.

    Args:
        characters: of the whole text.
        points: of a MULTIPOINT.
        vertices: of all rings of a POLYGON or MULTIPOLYGON.
    """

    characters: int = 16_384
    points: int = 100
    vertices: int = 1000


@dataclass(frozen=True)
class Geometry:
    """What was read: points or polygons.

    Args:
        kind: one of `KINDS`.
        points: x and y of each.
        polygons: rings, each closed.
    """

    kind: str
    points: tuple[Position, ...] = ()
    polygons: tuple[Polygon, ...] = ()


def parse(text: str, limits: WktLimits = WktLimits()) -> Geometry:
    """The geometry of a text.

    Raises:
        TooMuch: it is longer, or has more points or vertices, than `limits` allow.
        Refused: it is none of the four kinds, or a number is not finite, or a ring is not closed.
    """
    if len(text) > limits.characters:
        raise TooMuch(f"coords has {len(text):,} characters; the most is {limits.characters:,}")
    reader = _Reader(text, limits)
    kind = reader.kind()
    match kind:
        case "POINT":
            points: tuple[Position, ...] = (reader.in_brackets(reader.position),)
        case "MULTIPOINT":
            points = reader.several(reader.point)
        case "POLYGON":
            polygons: tuple[Polygon, ...] = (reader.polygon(),)
        case _:
            polygons = reader.several(reader.polygon)
    reader.end()
    return Geometry(kind, points=points) if kind.endswith("POINT") else Geometry(kind, polygons=polygons)


class _Reader:
    """A text and how far it has been read."""

    def __init__(self, text: str, limits: WktLimits) -> None:
        self.text, self.limits, self.at, self.count = text, limits, 0, 0
        self.most, self.noun = limits.points, "points"

    def kind(self) -> str:
        word = self._next("word", "one of " + ", ".join(KINDS)).upper()
        if word not in KINDS:
            raise Refused(f"coords: {shown(word)} is not read; give one of {', '.join(KINDS)}")
        if word.endswith("POLYGON"):
            self.most, self.noun = self.limits.vertices, "vertices"
        after = self._peek("word").upper()
        if after == "Z":
            self._next("word", "Z")
        elif after:
            raise Refused(f"coords: {word} {shown(after)} is not read; give {word}(x y ...) with numbers")
        return word

    def position(self) -> Position:
        numbers = [self._number(), self._number()]
        if self._peek("number"):
            self._number()
        self.count += 1
        if self.count > self.most:
            raise TooMuch(f"coords has more than {self.most:,} {self.noun}, the most; give fewer")
        return numbers[0], numbers[1]

    def point(self) -> Position:
        """A position of a MULTIPOINT, with brackets of its own or without."""
        return self.in_brackets(self.position) if self._peek("sign") == "(" else self.position()

    def ring(self) -> Ring:
        positions = self.several(self.position)
        if len(positions) < 4 or positions[0] != positions[-1]:
            raise Refused(
                f"coords: a ring that begins with {positions[0][0]:g} {positions[0][1]:g} is not closed or has fewer"
                " than 4 positions; end it with its first position"
            )
        return positions

    def polygon(self) -> Polygon:
        return self.several(self.ring)

    def several(self, read: Callable[[], T]) -> tuple[T, ...]:
        """What lies between brackets, with commas between."""
        self._sign("(")
        found = [read()]
        while self._peek("sign") == ",":
            self._sign(",")
            found.append(read())
        self._sign(")")
        return tuple(found)

    def in_brackets(self, read: Callable[[], T]) -> T:
        self._sign("(")
        found = read()
        self._sign(")")
        return found

    def end(self) -> None:
        if self.text[self.at :].strip():
            raise Refused(f"coords: nothing may follow the geometry, but {shown(self.text[self.at :].strip())} does")

    def _number(self) -> float:
        text = self._next("number", "a number")
        value = float(text)
        if not math.isfinite(value):
            raise Refused(f"coords: {shown(text)} is not a finite number")
        return value

    def _sign(self, wanted: str) -> None:
        start = self.at
        if self._next("sign", f"{wanted!r}") != wanted:
            raise Refused(self._expected(f"{wanted!r}", start))

    def _peek(self, group: str) -> str:
        match = _TOKEN.match(self.text, self.at)
        return (match[group] or "") if match else ""

    def _next(self, group: str, wanted: str) -> str:
        match = _TOKEN.match(self.text, self.at)
        if match is None or match[group] is None:
            raise Refused(self._expected(wanted, self.at))
        self.at = match.end()
        return match[group]

    def _expected(self, wanted: str, at: int) -> str:
        rest = self.text[at:].strip()
        found = shown(rest, 20) if rest else "the end"
        return f"coords: {wanted} is expected at character {at + 1}, found {found}; an example is POINT(7.9 47.35)"
