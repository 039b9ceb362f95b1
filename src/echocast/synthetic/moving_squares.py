"""Squares that move at constant speed: the sequences of Keras' example of next-frame prediction.

Three to seven squares, 4 or 6 pixels wide, start in the middle 40x40 pixels of a canvas of 80x80, of which only those
are shown; each moves by -1, 0 or 1 pixel a frame along each axis. Where squares overlap they are no brighter. In every
other picture of a square, by chance, its surroundings by one pixel are 0.1 brighter or darker.

    >>> sequences(count=2, seed=1).shape
    (2, 15, 40, 40)
"""

import numpy as np
import xarray as xr
from jaxtyping import Float

from echocast.synthetic import moving_mnist

SIZE, FRAMES = 40, 15
_MARGIN = 20
_NOISE = 0.1


def sequences(
    *, count: int, seed: int = 0, frames: int = FRAMES, noise: bool = True
) -> Float[np.ndarray, "sequence frame 40 40"]:
    """Draw sequences.

    Args:
        count: how many.
        seed: what all is drawn from; with and without noise the squares are the same.
        frames: length of a sequence.
        noise: whether the surroundings of squares are sometimes brighter or darker.

    Returns:
        Grey levels from 0 to 1.

    Raises:
        ValueError: a count or length that is not positive.

    Source: the example ``conv_lstm`` of Keras. Its noise may make a pixel -0.1; here it is 0.
    """
    if min(count, frames) < 1:
        raise ValueError(f"cannot draw {count} sequences of {frames} frames; both must be at least 1")
    rng = np.random.default_rng(seed)
    return np.stack([_sequence(rng, frames, noise) for _ in range(count)])


def training_fields(
    *, count: int = 1000, validation_sequences: int = 200, frames: int = FRAMES, noise: bool = True, seed: int = 0
) -> dict[str, xr.DataArray]:
    """The sets ``train`` and ``validation`` as fields, which are the options of the table ``[data.synthetic]``.

    Args:
        count: sequences to learn from.
        validation_sequences: sequences to validate with.
        frames: length of a sequence.
        noise: see `sequences`.
        seed: what all is drawn from.
    """
    sets = {"train": (count, [seed, 0]), "validation": (validation_sequences, [seed, 1])}
    return {name: _field(n, _seed(own), frames, noise) for name, (n, own) in sets.items()}


def generate(*, count: int = 1, seed: int = 0, frames: int = FRAMES, noise: bool = True) -> xr.DataArray:
    """Sequences as a field of pictures, see `sequences`; a gap in time lies between two."""
    return _field(count, seed, frames, noise)


def _field(count: int, seed: int, frames: int, noise: bool) -> xr.DataArray:
    stored = np.round(255 * sequences(count=count, seed=seed, frames=frames, noise=noise)).astype(np.uint8)
    return moving_mnist.as_field(stored).assign_attrs(source="moving squares")


def _seed(numbers: list[int]) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _sequence(rng: np.random.Generator, frames: int, noise: bool) -> Float[np.ndarray, "frame 40 40"]:
    side = SIZE + 2 * _MARGIN
    canvas = np.zeros((frames, side, side), np.float32)
    for _ in range(rng.integers(3, 8)):
        start, speed = rng.integers(_MARGIN, _MARGIN + SIZE, 2), rng.integers(-1, 2, 2)
        half = int(rng.integers(2, 4))
        # 0: as it is; else the sign of what is added around it.
        around = rng.choice([0.0, 0.0, -_NOISE, _NOISE], frames)
        for t, (y, x) in enumerate(start + speed * np.arange(frames)[:, None]):
            canvas[t, y - half : y + half, x - half : x + half] += 1.0
            if noise:
                canvas[t, y - half - 1 : y + half + 1, x - half - 1 : x + half + 1] += np.float32(around[t])
    shown = canvas[:, _MARGIN : _MARGIN + SIZE, _MARGIN : _MARGIN + SIZE]
    return np.clip(shown, 0.0, 1.0)
