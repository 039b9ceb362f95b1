"""MNIST: handwritten digits, 28x28 grey levels, from a folder, a download, or the small ones of scikit-learn.

>>> digits, source = digits_of("train", source="scikit-learn")
>>> digits.shape
(1500, 28, 28)
"""

import gzip
import hashlib
import logging
import os
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from echocast.atomic import write_bytes
from echocast.errors import DataError, MissingDependency

log = logging.getLogger(__name__)

DIGIT = 28
"""Pixels along each side of a digit."""

_FILES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
_MD5 = {
    "train": "6bbc9ace898e44ae57da46a324031adb",
    "test": "2646ac647ad5339dbf082846283269ea",
}
"""Of the files once unpacked."""
_OTHERS = "scikit-learn's digits, not comparable with MNIST"
_ADDRESS = "https://ossci-datasets.s3.amazonaws.com/mnist"


def digits_of(part: str = "train", *, source: str = "auto") -> tuple[UInt8[np.ndarray, "digit 28 28"], str]:
    """MNIST's digits and where they are from.

    Args:
        part: ``train`` (60,000) or ``test`` (10,000).
        source: ``auto`` takes the folder ``mnist`` of ``ECHOCAST_DATA``, else a download into the cache, else the
            1,797 small digits that ship with scikit-learn, which are not comparable with any published number, and
            warns of it; or one of ``data``, ``download``, ``scikit-learn`` or the path of a folder.

    Raises:
        DataError: no digits are to be had, or a file is damaged.
    """
    kit = os.environ.get("ECHOCAST_DATA")
    if source == "auto":
        if kit and (Path(kit) / "mnist").is_dir():
            return _from_folder(Path(kit) / "mnist", part), "MNIST"
        try:
            return _downloaded(part), "MNIST"
        except DataError as why:
            _warn_of_other_digits(str(why))
            return _of_scikit_learn(part), _OTHERS
    if source == "data":
        if not kit:
            raise DataError("ECHOCAST_DATA is not set; set it to the folder that holds mnist/")
        return _from_folder(Path(kit) / "mnist", part), "MNIST"
    if source == "download":
        return _downloaded(part), "MNIST"
    if source == "scikit-learn":
        return _of_scikit_learn(part), _OTHERS
    return _from_folder(Path(source), part), "MNIST"


@cache
def _warn_of_other_digits(why: str) -> None:
    """Once for each reason."""
    log.warning("taken: %s, since MNIST is not there: %s", _OTHERS, why)


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
        write_bytes(cache / name, answer.data)
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
