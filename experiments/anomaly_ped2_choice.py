"""Synthetic anomalies for choosing how errors become scores: people of another normal clip, too fast or too large.

Cut out of one normal clip by its difference from the empty scene, they are pasted into another that no network learned
from, moving 2 to 3 times as fast as they walk, some of them enlarged. No test clip and no test label is used.
"""

import cv2
import numpy as np

LONG = 40
"""Frames that an anomaly is seen, at most."""


def with_anomalies(host: np.ndarray, donor: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A clip (time, y, x) with one anomaly pasted in, and which frames show it."""
    speed, size = float(rng.uniform(2.0, 3.0)), float(rng.choice([1.0, 1.0, 1.8]))
    empty = np.median(donor[::5], axis=0)
    number = int(rng.integers(len(donor) // 2))
    figures = _figures(np.abs(donor[number] - empty) > 0.08)
    made, shown = host.copy(), np.zeros(len(host), bool)
    if not figures:
        return made, shown
    x, y, wide, high = figures[int(rng.integers(len(figures)))]
    start, direction = int(rng.integers(5, max(6, len(host) - LONG))), float(rng.choice([-1.0, 1.0]))
    pace = speed * high / 20  # a person walks about a twentieth of its height between frames
    place = float(rng.uniform(0, 0.5) if direction > 0 else rng.uniform(0.5, 1)) * (host.shape[2] - wide)
    frame = donor[number, y : y + high, x : x + wide]
    mask = np.abs(frame - empty[y : y + high, x : x + wide]) > 0.06
    for step in range(min(LONG, len(host) - start)):
        left = round(place + direction * pace * step)
        shown[start + step] |= _paste(made[start + step], frame, mask, (left, y), size)
    return made, shown


def _figures(moving: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Boxes (x, y, width, height) of what is as large as a person."""
    closed = cv2.morphologyEx(moving.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 3), np.uint8))
    _, _, boxes, _ = cv2.connectedComponentsWithStats(closed)
    found = [tuple(int(n) for n in box[:4]) for box in boxes[1:]]
    return [box for box in found if 4 <= box[2] <= 14 and 10 <= box[3] <= 26]


def _paste(frame: np.ndarray, cut: np.ndarray, mask: np.ndarray, place: tuple[int, int], size: float) -> bool:
    """Paste a figure, its feet where they were; whether any of it lies in the frame."""
    high, wide = (max(1, round(side * size)) for side in cut.shape)
    cut = cv2.resize(cut, (wide, high), interpolation=cv2.INTER_LINEAR)
    mask = cv2.resize(mask.astype(np.uint8), (wide, high), interpolation=cv2.INTER_NEAREST) > 0
    left, top = place[0], max(0, place[1] - round(high * (1 - 1 / size)))
    rows = slice(top, min(top + high, frame.shape[0]))
    first, last = max(0, left), min(left + wide, frame.shape[1])
    if first >= last:
        return False
    inside = mask[: rows.stop - top, first - left : last - left]
    frame[rows, first:last][inside] = cut[: rows.stop - top, first - left : last - left][inside]
    return int(inside.sum()) >= 20
