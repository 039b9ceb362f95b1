"""Lines and areas cut to a box of degrees.

A box is (west, south, east, north) with west < east; one across the date line ends above 180.

>>> square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0], [0.0, 0.0]])
>>> area([square], (2.0, 1.0, 9.0, 9.0))[0].tolist()
[[4.0, 1.0], [4.0, 4.0], [2.0, 4.0], [2.0, 1.0], [4.0, 1.0]]
"""

from collections.abc import Iterable, Iterator

import numpy as np

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""


def lines(parts: Iterable[np.ndarray], box: Box) -> list[np.ndarray]:
    """The stretches of lines (points, 2) whose segments meet a box; they may end somewhat outside it."""
    found = []
    for part in _near(parts, box):
        low, high = np.minimum(part[:-1], part[1:]), np.maximum(part[:-1], part[1:])
        meets = ((high >= box[:2]) & (low <= box[2:])).all(axis=1)
        edges = np.flatnonzero(np.diff(meets, prepend=False, append=False))
        found += [part[first : last + 1] for first, last in edges.reshape(-1, 2)]
    return found


def area(rings: Iterable[np.ndarray], box: Box) -> list[np.ndarray]:
    """Closed rings (points, 2) cut to a box (Sutherland and Hodgman 1974); pieces hang together along the box."""
    found = []
    for ring in _near(rings, box):
        points, low, high = ring[:-1], ring.min(axis=0), ring.max(axis=0)
        for axis, limit, sign in ((0, box[0], 1), (0, box[2], -1), (1, box[1], 1), (1, box[3], -1)):
            if (low if sign > 0 else -high)[axis] < sign * limit:  # most rings lie within
                points = _half(points, axis, limit, sign)
        if len(points) > 2:
            found.append(np.concatenate([points, points[:1]]))
    return found


def outline(rings: Iterable[np.ndarray], box: Box) -> list[np.ndarray]:
    """The lines around areas within a box, without the cuts at 180 degrees and at the South Pole."""
    found = []
    for part in lines(rings, box):
        a, b = part[:-1], part[1:]
        turns = np.abs((a + 180.0) % 360.0) < 2e-3
        cut = turns[:, 0] & (np.abs((b[:, 0] + 180.0) % 360.0) < 2e-3) | ((a[:, 1] < -89.9) & (b[:, 1] < -89.9))
        found += [piece for piece in _runs(part, ~cut) if len(piece) > 1]
    return found


def _runs(part: np.ndarray, keep: np.ndarray) -> Iterator[np.ndarray]:
    """The stretches of a line whose segments are kept."""
    edges = np.flatnonzero(np.diff(keep, prepend=False, append=False)).reshape(-1, 2)
    yield from (part[first : last + 1] for first, last in edges)


def _near(parts: Iterable[np.ndarray], box: Box) -> Iterator[np.ndarray]:
    """Parts that meet a box, moved by whole turns where it lies beyond the date line."""
    west, south, east, north = box
    for part in parts:
        (left, bottom), (right, top) = part.min(axis=0), part.max(axis=0)
        if bottom > north or top < south:
            continue
        for turn in (-360.0, 0.0, 360.0):
            if left + turn <= east and right + turn >= west:
                yield part + np.array([turn, 0.0]) if turn else part


def _half(points: np.ndarray, axis: int, limit: float, sign: int) -> np.ndarray:
    """A ring cut by a straight line: what lies on one side of it."""
    if not len(points):
        return points
    following = np.roll(points, -1, axis=0)
    above, above_next = sign * (points[:, axis] - limit), sign * (following[:, axis] - limit)
    crosses = (above >= 0) != (above_next >= 0)
    share = np.where(crosses, above, 0.0) / np.where(crosses, above - above_next, 1.0)
    cut = points + share[:, None] * (following - points)
    kept = np.stack([above >= 0, crosses], axis=1)
    return np.asarray(np.stack([points, cut], axis=1)[kept])
