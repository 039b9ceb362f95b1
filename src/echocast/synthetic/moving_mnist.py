"""Handwritten digits that drift and bounce in a box: Moving MNIST, by the three protocols in use.

- `paper`: Shi et al. 2015. Digits from a pool of 500; the centre starts anywhere in [14, 50] x [14, 50], moves 3 to 5
  pixels a frame in any direction and is reflected exactly; 10,000 + 2,000 + 3,000 sequences drawn in one go.
- `srivastava`: Srivastava et al. 2015. Digits from all of MNIST; the corner starts anywhere in a box of 36 pixels,
  moves 3.6 pixels a frame and stops at the wall it meets before it turns; it moves before the first frame.
- `openstl`: the same motion, 10 frames in and 10 out, as PredRNN and OpenSTL have it; their published test file can be
  read instead of drawn.

Where digits overlap the brighter pixel is seen. Everything comes from a seed.

    >>> import numpy as np
    >>> digits = np.full((10, 28, 28), 255, np.uint8)
    >>> sequences(digits, protocol="srivastava", count=2, seed=1).shape
    (2, 20, 64, 64)
"""

import gzip
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from jaxtyping import Float, UInt8

from echocast import fields
from echocast.errors import DataError, MissingDependency

Protocol = Literal["paper", "srivastava", "openstl"]
PROTOCOLS: tuple[Protocol, ...] = ("paper", "srivastava", "openstl")
SIZE, DIGIT, FRAMES = 64, 28, 20
PAPER_SETS: Mapping[str, int] = {"train": 10_000, "validation": 2_000, "test": 3_000}
PAPER_POOL = 500
PAPER_SEED = 1000
"""The authors' seed is not known; their other seeds are 1000."""

_FILES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
_MD5 = {
    "train": "6bbc9ace898e44ae57da46a324031adb",
    "test": "2646ac647ad5339dbf082846283269ea",
}
"""Of the files once unpacked."""
_ADDRESS = "https://ossci-datasets.s3.amazonaws.com/mnist"


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
    total = sum(PAPER_SETS.values())
    rng = np.random.RandomState(seed)
    pool = paper_pool(digits)
    chosen = rng.randint(len(pool), size=(total, 2))
    corners = _paper_corners(rng, total, 2, FRAMES)
    names = list(PAPER_SETS)
    begin = sum(PAPER_SETS[name] for name in names[: names.index(part)])
    rows = slice(begin, begin + PAPER_SETS[part])
    return _drawn(pool, chosen[rows], corners[rows])


def paper_pool(digits: UInt8[np.ndarray, "digit 28 28"], *, unseen: bool = False) -> UInt8[np.ndarray, "500 28 28"]:
    """The first 500 training digits, or the 500 after them for the set of three digits that no network has seen."""
    begin = PAPER_POOL if unseen else 0
    if len(digits) < begin + PAPER_POOL:
        raise DataError(f"the paper's pools need {begin + PAPER_POOL} digits; there are {len(digits)}")
    return digits[begin : begin + PAPER_POOL]


def generate(
    *, count: int = 1, seed: int = PAPER_SEED, source: str = "auto", protocol: Protocol = "paper"
) -> xr.DataArray:
    """Sequences one after the other as a checked field, so that what reads radar can read them.

    A grey level g in [0, 1] stands for a rain rate of 50 g mm/h on a grid of 1 km.
    """
    digits, _ = digits_of("train", source=source)
    drawn = sequences(paper_pool(digits) if protocol == "paper" else digits, protocol=protocol, count=count, seed=seed)
    rain = drawn.reshape(-1, SIZE, SIZE).astype(np.float32) * (50.0 / 255.0)
    gap = np.timedelta64(1, "D")
    step = np.timedelta64(5, "m")
    times = [
        np.datetime64("2000-01-01", "ns") + gap * s + step * t for s in range(count) for t in range(drawn.shape[1])
    ]
    km = (np.arange(SIZE) - (SIZE - 1) / 2) * 1000.0
    return fields.make(
        rain,
        time=np.array(times),
        y=km[::-1],
        x=km,
        crs="+proj=aeqd +lat_0=0 +lon_0=0 +datum=WGS84 +units=m",
        attrs={"source": f"Moving MNIST, {protocol}, seed {seed}"},
    )


def openstl_test(path: Path) -> UInt8[np.ndarray, "sequence 20 64 64"]:
    """The published test set of PredRNN and OpenSTL, ``mnist_test_seq.npy``; raises `DataError` for anything else."""
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as bad:
        raise DataError(f"{path}: is no NumPy file ({bad}); give mnist_test_seq.npy") from bad
    if stored.ndim != 4 or stored.shape[0] != FRAMES or stored.shape[2:] != (SIZE, SIZE) or stored.dtype != np.uint8:
        raise DataError(f"{path}: holds {stored.dtype} {stored.shape}, not uint8 (20, sequences, 64, 64)")
    return np.ascontiguousarray(stored.transpose(1, 0, 2, 3))


def digits_of(part: str = "train", *, source: str = "auto") -> tuple[UInt8[np.ndarray, "digit 28 28"], str]:
    """MNIST's digits and where they are from.

    Args:
        part: ``train`` (60,000) or ``test`` (10,000).
        source: ``auto`` takes the folder ``mnist`` of ``ECHOCAST_DATA``, else a download into the cache, else the
            1,797 small digits that ship with scikit-learn, which are not comparable with any published number; or one
            of ``data``, ``download``, ``scikit-learn`` or the path of a folder.

    Raises:
        DataError: no digits are to be had, or a file is damaged.
    """
    kit = os.environ.get("ECHOCAST_DATA")
    if source == "auto":
        if kit and (Path(kit) / "mnist").is_dir():
            return _from_folder(Path(kit) / "mnist", part), "MNIST"
        try:
            return _downloaded(part), "MNIST"
        except DataError:
            return _of_scikit_learn(part), "scikit-learn's digits, not comparable with MNIST"
    if source == "data":
        if not kit:
            raise DataError("ECHOCAST_DATA is not set; set it to the folder that holds mnist/")
        return _from_folder(Path(kit) / "mnist", part), "MNIST"
    if source == "download":
        return _downloaded(part), "MNIST"
    if source == "scikit-learn":
        return _of_scikit_learn(part), "scikit-learn's digits, not comparable with MNIST"
    return _from_folder(Path(source), part), "MNIST"


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


def _from_folder(folder: Path, part: str) -> np.ndarray:
    name = _FILES[_known_part(part)]
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            try:
                raw = path.read_bytes()
                return _digits(gzip.decompress(raw) if path.suffix == ".gz" else raw, str(path), part)
            except (OSError, EOFError) as bad:
                raise DataError(f"{path}: cannot be read ({bad}); fetch it again") from bad
    raise DataError(f"{folder}: holds no {name}.gz; give the folder of MNIST's files")


def _digits(raw: bytes, where: str, part: str) -> np.ndarray:
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != _MD5[part]:
        raise DataError(f"{where}: is not MNIST's {_FILES[part]}, its checksum differs; fetch it again")
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, DIGIT, DIGIT)


def _downloaded(part: str) -> np.ndarray:
    """From the cache, or fetched into it once."""
    import urllib3

    name = f"{_FILES[_known_part(part)]}.gz"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echocast" / "mnist"
    if (cache / name).is_file():
        return _from_folder(cache, part)
    patience = urllib3.Retry(total=2, backoff_factor=0.5)
    try:
        with urllib3.PoolManager(timeout=10.0, retries=patience) as pool:
            answer = pool.request("GET", f"{_ADDRESS}/{name}")
        if answer.status != 200:
            raise DataError(f"{_ADDRESS}/{name}: the server answers {answer.status}")
        found = _digits(gzip.decompress(answer.data), f"{_ADDRESS}/{name}", part)
        cache.mkdir(parents=True, exist_ok=True)
        partial = cache / f".{name}.partial"
        partial.write_bytes(answer.data)
        partial.replace(cache / name)
    except (urllib3.exceptions.HTTPError, OSError, EOFError) as bad:
        raise DataError(f"{_ADDRESS}/{name}: cannot be fetched ({bad}); set ECHOCAST_DATA to a folder with it") from bad
    return found


def _of_scikit_learn(part: str) -> np.ndarray:
    """The 8x8 digits of scikit-learn enlarged to 20x20 in a frame of 28x28; the first 1,500 are for training."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as bad:
        raise MissingDependency("scikit-learn", "digits") from bad
    import cv2

    small = (load_digits().images * (255.0 / 16.0)).astype(np.float32)
    small = small[:1500] if _known_part(part) == "train" else small[1500:]
    large = np.zeros((len(small), DIGIT, DIGIT), np.uint8)
    for number, image in enumerate(small):
        large[number, 4:24, 4:24] = np.clip(cv2.resize(image, (20, 20), interpolation=cv2.INTER_CUBIC), 0, 255)
    return large


def _known_part(part: str) -> str:
    if part not in _FILES:
        raise ValueError(f"part must be train or test; got {part!r}")
    return part
