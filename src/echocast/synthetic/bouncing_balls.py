"""Balls that bounce in a box: the sequences that recurrent networks of video are compared on.

- `grey`: the balls of the recurrent temporal RBM: 3 balls on 30 x 30 pixels, 100 frames.
- `colour`: 2 balls on 32 x 32 pixels whose colour tells their velocity: red along x, blue along y, green is the ball.

The box is 10 x 10, a ball's radius 1.2 and its mass 1. A frame is two steps of half a unit of time: balls move, turn
at a wall that they touch, and hit each other elastically along the line between their centres. All speeds together
are 0.5 at first and stay so, unless there is friction. Everything comes from a seed.

    >>> sequences(count=2, frames=5, seed=1).shape
    (2, 5, 1, 30, 30)
    >>> sequences(count=2, frames=5, seed=1, style="colour").shape
    (2, 5, 3, 32, 32)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import xarray as xr
from jaxtyping import Float

from echocast.synthetic import _pictures

BOX, RADIUS, SPEED = 10.0, 1.2, 0.5
"""The side of the box, the radius of a ball, and the root of the sum of all squared speeds."""
FRAMES = 100
_STEP, _STEPS = 0.5, 2
_GRAVITY, _DRAG = 0.003, 0.005
_CHUNK = 100

Style = Literal["grey", "colour"]
COLOURS = ("velocity_x", "ball", "velocity_y")
"""The channels of the style `colour`."""


@dataclass(frozen=True)
class _Look:
    balls: int
    size: int
    channels: tuple[str, ...] = ()


_LOOKS: Mapping[str, _Look] = {"grey": _Look(3, 30), "colour": _Look(2, 32, COLOURS)}
COUNTS: Mapping[str, int] = {"train": 4000, "validation": 200, "test": 200}
"""Sequences of the published sets; there is no published one for validation."""


def paths(
    *, count: int, frames: int = FRAMES, balls: int = 3, friction: bool = False, seed: int = 0
) -> tuple[Float[np.ndarray, "sequence frame ball 2"], Float[np.ndarray, "sequence frame ball 2"]]:
    """Where the balls are, and how fast they are.

    Args:
        count: how many sequences.
        frames: length of a sequence.
        balls: how many balls; more than 6 do not find a place.
        friction: whether gravity pulls them down (0.003 a step, but not on the ground) and drag takes 0.5 % of their
            speed a step.
        seed: what all is drawn from.

    Returns:
        Position and velocity (x, y) in units of the box, y downwards.

    Raises:
        ValueError: a count that is not positive, or more than 6 balls.

    Source: Sutskever, Hinton and Taylor 2008, the recurrent temporal restricted Boltzmann machine, and its authors'
    code; friction as in the code of loliverhennigh's convolutional LSTM.
    """
    if min(count, frames, balls) < 1 or balls > 6:
        raise ValueError(f"cannot draw {count} sequences of {frames} frames with {balls} balls; 1 to 6 balls fit")
    rng = np.random.default_rng(seed)
    velocity = rng.standard_normal((count, balls, 2))
    velocity *= SPEED / np.linalg.norm(velocity, axis=(1, 2), keepdims=True)
    place = _places(rng, count, balls)
    places, velocities = np.empty((2, frames, count, balls, 2))
    for frame in range(frames):
        places[frame], velocities[frame] = place, velocity
        for _ in range(_STEPS):
            place += _STEP * velocity
            if friction:
                velocity[..., 1] += _GRAVITY * (place[..., 1] + RADIUS < BOX)
                velocity *= 1 - _DRAG
            _reflect(place, velocity)
            _collide(place, velocity)
    return places.swapaxes(0, 1), velocities.swapaxes(0, 1)


def sequences(
    *,
    style: Style = "grey",
    count: int,
    frames: int = FRAMES,
    balls: int | None = None,
    friction: bool = False,
    seed: int = 0,
) -> Float[np.ndarray, "sequence frame channel y x"]:
    """Draw sequences as grey levels from 0 to 1.

    Args:
        style: `grey` or `colour`, see above.
        count: how many sequences.
        frames: length of a sequence.
        balls: how many balls; as many as the style has by itself if None.
        friction: see `paths`.
        seed: what all is drawn from.

    Raises:
        ValueError: there is no such style, or as `paths`.
    """
    if style not in _LOOKS:
        raise ValueError(f"style must be one of {', '.join(_LOOKS)}; got {style!r}")
    look = _LOOKS[style]
    place, velocity = paths(count=count, frames=frames, balls=balls or look.balls, friction=friction, seed=seed)
    parts = range(0, count, _CHUNK)
    return np.concatenate(
        [_drawn(place[i : i + _CHUNK], velocity[i : i + _CHUNK], look) for i in parts]
    )  # parts, for the numbers in between are many


def training_fields(
    *,
    style: Style = "grey",
    count: int = COUNTS["train"],
    validation_sequences: int = COUNTS["validation"],
    frames: int = FRAMES,
    balls: int | None = None,
    friction: bool = False,
    seed: int = 0,
) -> dict[str, xr.DataArray]:
    """The sets ``train`` and ``validation`` as fields, which are the options of the table ``[data.synthetic]``.

    Args:
        style, frames, balls, friction, seed: see `sequences`.
        count: sequences to learn from.
        validation_sequences: sequences to validate with.
    """

    def made(part: str, number: int) -> xr.DataArray:
        own = part_seed(part, seed)
        drawn = sequences(style=style, count=number, frames=frames, balls=balls, friction=friction, seed=own)
        return as_field(drawn)

    return {"train": made("train", count), "validation": made("validation", validation_sequences)}


def part_seed(part: str, seed: int = 0) -> int:
    """The seed of ``train``, ``validation`` or ``test``, so that no two share a sequence."""
    return int(np.random.SeedSequence([seed, list(COUNTS).index(part)]).generate_state(1)[0])


def as_field(drawn: Float[np.ndarray, "sequence frame channel y x"]) -> xr.DataArray:
    """Sequences as a field of pictures, rounded to 8 bits; a gap in time lies between two."""
    stored = np.round(255 * drawn).astype(np.uint8)
    if drawn.shape[2] == 1:
        return _pictures.as_field(stored[:, :, 0], source="bouncing balls")
    return _pictures.as_field(stored, source="bouncing balls", channels=COLOURS)


def _places(rng: np.random.Generator, count: int, balls: int) -> Float[np.ndarray, "sequence ball 2"]:
    """Places inside the box where no two balls overlap: drawn again until all are."""
    place = np.empty((count, balls, 2))
    wrong: np.ndarray = np.ones(count, bool)
    while wrong.any():
        place[wrong] = 2 + 8 * rng.random((int(wrong.sum()), balls, 2))
        wrong = np.asarray(((place < RADIUS) | (place > BOX - RADIUS)).any(axis=(1, 2)))
        for i, j in combinations(range(balls), 2):
            wrong |= np.linalg.norm(place[:, i] - place[:, j], axis=-1) < 2 * RADIUS
    return place


def _reflect(place: np.ndarray, velocity: np.ndarray) -> None:
    """Turn the velocity of balls that touch a wall away from it."""
    speed = np.abs(velocity)
    np.copyto(velocity, speed, where=place < RADIUS)
    np.copyto(velocity, -speed, where=place > BOX - RADIUS)


def _collide(place: np.ndarray, velocity: np.ndarray) -> None:
    """Let balls that overlap exchange their velocities along the line between their centres, pair after pair."""
    for i in range(place.shape[1]):
        for j in range(i):
            line = place[:, i] - place[:, j]
            distance = np.linalg.norm(line, axis=-1, keepdims=True)
            line = line / distance
            along = ((velocity[:, j] - velocity[:, i]) * line).sum(-1, keepdims=True)
            push = np.where(distance < 2 * RADIUS, along, 0.0) * line
            velocity[:, i] += push
            velocity[:, j] -= push


def _drawn(place: np.ndarray, velocity: np.ndarray, look: _Look) -> Float[np.ndarray, "sequence frame channel y x"]:
    """Balls with soft edges, ``exp(-(d / r)^8)``, whose brightness adds up to 1 at most."""
    centres = ((np.arange(look.size) + 0.5) * (BOX / look.size)).astype(np.float32)
    grey = np.zeros((*place.shape[:2], max(1, len(look.channels)), look.size, look.size), np.float32)
    for ball in range(place.shape[2]):
        x, y = (place[:, :, ball, axis, None].astype(np.float32) for axis in (0, 1))
        squares = ((centres - x) ** 2)[:, :, None, :] + ((centres - y) ** 2)[:, :, :, None]
        shape = np.exp(-((squares / np.float32(RADIUS**2)) ** 4))
        if not look.channels:
            grey[:, :, 0] += shape
            continue
        tint = velocity[:, :, ball, :, None, None].astype(np.float32) + np.float32(0.5)
        for channel, brightness in enumerate((tint[:, :, 0], 1.0, tint[:, :, 1])):
            grey[:, :, channel] += brightness * shape
    return np.clip(grey, 0.0, 1.0)
