"""What is normal: the error at each place and the scores of frames, learned from sequences without anything abnormal.

>>> from echocast.anomaly.scores import Settings
>>> calm = [iter([np.full((5, 8, 8), 0.1)])]
>>> learned = learn(calm, Settings(block=2, smooth=1))
>>> round(float(learned.scale[0, 0]), 3), round(learned.threshold, 3)
(0.1, 1.0)
"""

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from echocast.anomaly.scores import Maps, Settings, block_means, of_maps, smoothed
from echocast.atomic import atomic_write
from echocast.errors import DataError

QUANTILE = 0.99
"""Of the scores of normal frames, so many are below the threshold."""
_FLOOR = 0.25
"""The lowest error that counts as normal anywhere, as a share of that of the whole frame."""


@dataclass(frozen=True)
class Normal:
    """What is normal.

    Args:
        scale: the error that is normal at each place: its root mean square over all frames and the whole frame, or by
            place over the block around it, and then at least a quarter of that of the whole frame.
        scores: those of the normal frames, in rising order.
        settings: how the scores were made.
    """

    scale: Float[np.ndarray, "y x"]
    scores: Float[np.ndarray, "frames"]
    settings: Settings

    @property
    def threshold(self) -> float:
        """The score that 99 % of the normal frames are below."""
        return float(np.quantile(self.scores, QUANTILE))

    def save(self, path: Path) -> None:
        """Write it to an npz file, which appears whole or not at all."""
        block = -1 if self.settings.block is None else self.settings.block
        with atomic_write(path) as partial:
            np.savez_compressed(
                partial,
                scale=self.scale,
                scores=self.scores,
                settings=np.array([block, self.settings.smooth, self.settings.by_place]),
            )


def load(path: Path) -> Normal:
    """What `Normal.save` wrote; raises `DataError` for anything else."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            block, smooth, by_place = (int(number) for number in stored["settings"])
            settings = Settings(block=None if block < 0 else block, smooth=smooth, by_place=bool(by_place))
            return Normal(stored["scale"], stored["scores"], settings)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as bad:
        raise DataError(
            f"{path}: is no file of normal errors ({bad}); give the normal.npz that `echocast detect --normal STORE`"
            " writes, or an archive"
        ) from bad


def learn(sequences: Iterable[Iterator[Maps]], settings: Settings) -> Normal:
    """The normal error and scores of the maps of error of some sequences.

    Raises:
        DataError: no frame has an error.
    """
    kept = [[np.asarray(part, np.float16) for part in maps] for maps in sequences]  # a pass for each of two means
    squares = [part.astype(np.float64) ** 2 for clip in kept for part in clip]
    known = sum(np.isfinite(part).sum(axis=0) for part in squares)
    if not np.any(known):
        raise DataError("no frame of the normal sequences has an error; give longer ones")
    total = sum(np.nansum(part, axis=0) for part in squares)
    scale = scale_of(total, np.asarray(known), settings.block if settings.by_place else None)
    scores = [smoothed(_scores(clip, scale, settings.block), settings.smooth) for clip in kept]
    together = np.concatenate(scores)
    return Normal(scale, np.sort(together[np.isfinite(together)]), settings)


def scale_of(
    total: Float[np.ndarray, "y x"], known: Shaped[np.ndarray, "y x"], block: int | None
) -> Float[np.ndarray, "y x"]:
    """The normal error at each place from the sums of squares and the number of errors there; of no block: overall."""
    mean = np.where(known > 0, total / np.maximum(known, 1), np.nan)
    whole = float(np.nanmean(mean))
    around = np.sqrt(np.nan_to_num(block_means(mean[None], block)[0], nan=whole))
    return np.asarray(np.maximum(around, max(_FLOOR * np.sqrt(whole), 1e-6)))


def _scores(clip: list[np.ndarray], scale: np.ndarray, block: int | None) -> np.ndarray:
    return np.concatenate([of_maps(block_means(part.astype(np.float64) / scale, block)) for part in clip])
