"""Handwritten digits that drift and bounce in a box: Moving MNIST, by the three protocols in use.

- `paper`: Shi et al. 2015. Digits from a pool of 500; the centre starts anywhere in [14, 50] x [14, 50], moves 3 to 5
  pixels a frame in any direction and is reflected exactly; 10,000 + 2,000 + 3,000 sequences drawn in one go.
- `srivastava`: Srivastava et al. 2015. Digits from all of MNIST; the corner starts anywhere in a box of 36 pixels,
  moves 3.6 pixels a frame and stops at the wall it meets before it turns; it moves before the first frame.
- `openstl`: the same motion, 10 frames in and 10 out, as PredRNN and OpenSTL have it; their published test file can be
  read instead of drawn.

Where digits overlap the brighter pixel shows. Everything comes from a seed.

    >>> import numpy as np
    >>> digits = np.full((10, 28, 28), 255, np.uint8)
    >>> sequences(digits, protocol="srivastava", count=2, seed=1).shape
    (2, 20, 64, 64)
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from jaxtyping import Float, Int, UInt8

from echocast.errors import DataError
from echocast.synthetic import _pictures
from echocast.synthetic.mnist import DIGIT, digits_of

log = logging.getLogger(__name__)

Protocol = Literal["paper", "srivastava", "openstl"]
PROTOCOLS: tuple[Protocol, ...] = ("paper", "srivastava", "openstl")
SIZE, FRAMES = 64, 20
PAPER_SETS: Mapping[str, int] = {"train": 10_000, "validation": 2_000, "test": 3_000}
PAPER_POOL = 500
Part = Literal["train", "validation", "test", "three_digits"]
PARTS: tuple[Part, ...] = ("train", "validation", "test", "three_digits")
PAPER_SEED = 1000
"""The authors' seed is not known; their other seeds are 1000."""
_SEEDS: Mapping[str, int] = {"train": PAPER_SEED, "three_digits": 1001, "validation": 1002, "test": 1003}
_COUNTS: Mapping[str, int] = {"train": 10_000, "validation": 2_000, "test": 10_000}
"""Of the protocols that are not the paper's."""


def sequences(
    digits: UInt8[np.ndarray, "digit 28 28"],
    *,
    protocol: Protocol = "paper",
    count: int,
    seed: int = PAPER_SEED,
    per_frame: int = 2,
    frames: int = FRAMES,
) -> UInt8[np.ndarray, "sequence frame 64 64"]:
    """Draw sequences.

    Args:
        digits: the pool to draw from; `paper` takes 500 of them (see `paper_pool`).
        protocol: how digits move.
        count: how many sequences.
        seed: what all is drawn from.
        per_frame: digits in a frame.
        frames: length of a sequence.

    Raises:
        ValueError: an unknown protocol, no digits, or a count that is not positive.

    Source: Shi et al. 2015 (arXiv:1506.04214), section 4.1, and the order of draws of the authors' code; Srivastava et
    al. 2015 (arXiv:1502.04681), section 3.2, and its code.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}; got {protocol!r}")
    if min(count, per_frame, frames, len(digits)) < 1:
        raise ValueError(f"cannot draw {count} sequences of {frames} frames with {per_frame} of {len(digits)} digits")
    rng = np.random.RandomState(seed)  # the authors' generator of numbers, whose draws never change
    if protocol == "paper":
        chosen = rng.randint(len(digits), size=(count, per_frame))
        corners = _paper_corners(rng, count, per_frame, frames)
    else:
        corners = _clamped_corners(rng, count, per_frame, frames)
        chosen = _shuffled(rng, len(digits), count * per_frame).reshape(count, per_frame)
    return _drawn(digits, chosen, corners)


def paper_set(
    digits: UInt8[np.ndarray, "digit 28 28"], part: str, *, seed: int = PAPER_SEED
) -> UInt8[np.ndarray, "sequence 20 64 64"]:
    """One part of the paper's 15,000 sequences: ``train``, ``validation`` or ``test``.

    All 15,000 are drawn together, so the parts are the same whichever is asked for.
    """
    if part not in PAPER_SETS:
        raise ValueError(f"part must be one of {', '.join(PAPER_SETS)}; got {part!r}")
    pool = paper_pool(digits)
    chosen, corners = paper_draws(len(pool), seed=seed)
    names = list(PAPER_SETS)
    begin = sum(PAPER_SETS[name] for name in names[: names.index(part)])
    rows = slice(begin, begin + PAPER_SETS[part])
    return _drawn(pool, chosen[rows], corners[rows])


def paper_draws(
    digits: int, *, seed: int = PAPER_SEED
) -> tuple[Int[np.ndarray, "sequence 2"], Int[np.ndarray, "sequence 2 20 2"]]:
    """Which of the digits are in each of the paper's 15,000 sequences, and their top left pixels (y, x) by frame."""
    total = sum(PAPER_SETS.values())
    rng = np.random.RandomState(seed)
    chosen = rng.randint(digits, size=(total, 2))
    return chosen, _paper_corners(rng, total, 2, FRAMES)


def paper_pool(digits: UInt8[np.ndarray, "digit 28 28"], *, unseen: bool = False) -> UInt8[np.ndarray, "500 28 28"]:
    """The first 500 training digits, or the 500 after them for the set of three digits that no network has seen."""
    begin = PAPER_POOL if unseen else 0
    if len(digits) < begin + PAPER_POOL:
        raise DataError(f"the paper's pools need {begin + PAPER_POOL} digits; there are {len(digits)}")
    return digits[begin : begin + PAPER_POOL]


def part(
    name: Part, *, protocol: Protocol = "paper", source: str = "auto", test_file: Path | None = None
) -> UInt8[np.ndarray, "sequence 20 64 64"]:
    """One of the sets that a protocol trains and tests with; nothing is in two of them.

    Args:
        name: ``train``, ``validation`` or ``test``; or ``three_digits``, 3,000 sequences with three digits that no
            network has seen.
        protocol: how digits move; `paper` has 10,000, 2,000 and 3,000 sequences, the others test on 10,000.
        source: where the digits are from, see `echocast.synthetic.mnist.digits_of`.
        test_file: ``mnist_test_seq.npy``, to be read for ``test`` in place of drawing it; not for `paper`.

    Raises:
        ValueError: there is no such set.
    """
    if name not in PARTS:
        raise ValueError(f"a set is one of {', '.join(PARTS)}; got {name!r}")
    if name == "test" and protocol != "paper" and test_file is not None:
        return openstl_test(test_file)
    unseen = name == "test" and protocol != "paper"
    digits, origin = digits_of("test" if unseen else "train", source=source)
    if origin != "MNIST":
        log.warning("the digits are %s", origin)
    if name == "three_digits":
        pool = paper_pool(digits, unseen=True)
        return sequences(pool, protocol=protocol, count=3_000, seed=_SEEDS[name], per_frame=3)
    if protocol == "paper":
        return paper_set(digits, name)
    return sequences(digits, protocol=protocol, count=_COUNTS[name], seed=_SEEDS[name])


def training_fields(
    *, protocol: Protocol = "paper", source: str = "auto", validation_sequences: int | None = None
) -> dict[str, xr.DataArray]:
    """The sets ``train`` and ``validation`` as fields, which are the options of the table ``[data.synthetic]``.

    Args:
        protocol: how digits move.
        source: where the digits are from, see `echocast.synthetic.mnist.digits_of`.
        validation_sequences: only so many of the validation set, the first ones; all if None.
    """
    kept = {"train": None, "validation": validation_sequences}
    return {
        name: as_field(part(name, protocol=protocol, source=source)[:count])  # type: ignore[arg-type]  # a set's name
        for name, count in kept.items()
    }


def generate(
    *, count: int = 1, seed: int = PAPER_SEED, source: str = "auto", protocol: Protocol = "paper"
) -> xr.DataArray:
    """Sequences drawn from MNIST's digits as a field of pictures, see `sequences` and `as_field`."""
    digits, _ = digits_of("train", source=source)
    pool = paper_pool(digits) if protocol == "paper" else digits
    return as_field(sequences(pool, protocol=protocol, count=count, seed=seed))


def as_field(stored: UInt8[np.ndarray, "sequence frame y x"]) -> xr.DataArray:
    """Sequences one after the other as a field of pictures, grey levels from 0 to 1.

    Its values are made of the 8 bits when they are read, so 10,000 sequences take 0.8 GB and not 3.3.

    Args:
        stored: grey levels from 0 to 255.

    Returns:
        (time, y, x): a frame a minute, with a gap in time between sequences, so that each is a segment of its own.
    """
    return _pictures.as_field(stored, source="Moving MNIST")


def openstl_test(path: Path) -> UInt8[np.ndarray, "sequence 20 64 64"]:
    """The published test set of PredRNN and OpenSTL, ``mnist_test_seq.npy``; raises `DataError` for anything else."""
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as bad:
        raise DataError(f"{path}: is no NumPy file ({bad}); give mnist_test_seq.npy") from bad
    if stored.ndim != 4 or stored.shape[0] != FRAMES or stored.shape[2:] != (SIZE, SIZE) or stored.dtype != np.uint8:
        raise DataError(f"{path}: holds {stored.dtype} {stored.shape}, not uint8 (20, sequences, 64, 64)")
    return np.ascontiguousarray(stored.transpose(1, 0, 2, 3))


def _paper_corners(rng: np.random.RandomState, count: int, per_frame: int, frames: int) -> np.ndarray:
    """Top left pixels (y, x) by exact reflection, which folds a straight path into the box."""
    angle = rng.random_sample((count, per_frame)) * 2 * np.pi
    speed = rng.random_sample((count, per_frame)) * 2 + 3
    start = rng.uniform(14, 50, (count, per_frame, 2))
    velocity = np.stack([speed * np.cos(angle), speed * np.sin(angle)], axis=-1)
    straight = start[:, :, None] + velocity[:, :, None] * np.arange(frames)[:, None]
    return (_folded(straight, 14.0, 50.0) - 14.0).astype(np.int64)


def _folded(path: Float[np.ndarray, "*shape"], low: float, high: float) -> Float[np.ndarray, "*shape"]:
    """Where a point on a straight path is if both walls reflect it, however often."""
    period = 2 * (high - low)
    along = np.mod(path - low, period)
    return np.asarray(low + np.where(along > high - low, period - along, along))


def _clamped_corners(rng: np.random.RandomState, count: int, per_frame: int, frames: int) -> np.ndarray:
    """Top left pixels (y, x) of points that stop at a wall and turn."""
    place = rng.random_sample((2, count, per_frame))
    angle = rng.random_sample((count, per_frame)) * 2 * np.pi
    velocity = 0.1 * np.stack([np.sin(angle), np.cos(angle)])
    corners = np.empty((count, per_frame, frames, 2), np.int64)
    for frame in range(frames):
        place = place + velocity
        velocity = np.where((place <= 0) | (place >= 1), -velocity, velocity)
        place = np.clip(place, 0.0, 1.0)
        corners[:, :, frame] = np.moveaxis((place * (SIZE - DIGIT)).astype(np.int64), 0, -1)
    return corners


def _shuffled(rng: np.random.RandomState, digits: int, count: int) -> np.ndarray:
    """All digits in a random order, then all in another."""
    rounds = -(-count // digits)
    return np.concatenate([rng.permutation(digits) for _ in range(rounds)])[:count]


def _drawn(digits: np.ndarray, chosen: np.ndarray, corners: np.ndarray) -> np.ndarray:
    count, per_frame, frames, _ = corners.shape
    canvas = np.zeros((count, frames, SIZE, SIZE), np.uint8)
    for s in range(count):
        for d in range(per_frame):
            digit = digits[chosen[s, d]]
            for f in range(frames):
                y, x = corners[s, d, f]
                place = canvas[s, f, y : y + DIGIT, x : x + DIGIT]
                np.maximum(place, digit, out=place)
    return canvas
