"""Batches of windows by number: what a forecaster learns from.

A batch is of one archive and one time step, so its windows have one shape. Everything is drawn from the seed and the
number of the batch: batch 7 is the same whoever asks for it, in whichever process, after whichever interruption.

    >>> list(StepSampler(100, step=lambda: 297))
    [297, 298, 299]
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from torch.utils.data import Dataset, Sampler

from echocast.samples.sources import Batch, Source


class Batches(Dataset[Batch]):
    """Batches by number.

    Args:
        sources: the archive to forecast for first, and auxiliary ones.
        size: windows in a batch, of all processes together.
        seed: what they are drawn from.
        rank: which process this is, of `world`.
        world: how many processes share each batch.
    """

    def __init__(self, sources: Sequence[Source], *, size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.sources, self.size, self.seed = sources, size, seed
        self.part = slice(rank, None, world)

    def __getitem__(self, number: int) -> Batch:
        first, *auxiliary = self.sources
        if first.data.sampling == "uniform":
            return first.uniform_batch(np.random.default_rng([self.seed, number]), self.size, self.part)
        rng = np.random.default_rng([self.seed, 1, number])
        fraction = first.data.auxiliary_fraction if auxiliary else 0.0
        source = auxiliary[rng.integers(len(auxiliary))] if rng.random() < fraction else first
        return source.batch(rng, self.size, self.part)


class Ahead(Dataset[Batch]):
    """Batches by number, of which the next one is made while this one is learned from."""

    def __init__(self, batches: Dataset[Batch]) -> None:
        self._batches = batches
        self._pool = ThreadPoolExecutor(1)
        self.waited = 0.0
        """Seconds that were spent waiting for batches."""
        self._next: tuple[int, Future[Batch]] | None = None

    def __getitem__(self, number: int) -> Batch:
        known, self._next = self._next, None
        began = time.monotonic()
        made = known[1].result() if known is not None and known[0] == number else self._batches[number]
        self.waited += time.monotonic() - began
        self._next = number + 1, self._pool.submit(self._batches.__getitem__, number + 1)
        return made


class StepSampler(Sampler[int]):
    """The numbers of the batches from the present step of training to its next validation.

    Args:
        interval: steps between two validations.
        step: gives the number of steps done so far, also by the run that is resumed.
    """

    def __init__(self, interval: int, *, step: Callable[[], int]) -> None:
        self.interval, self.step = interval, step

    def __len__(self) -> int:
        return self.interval

    def __iter__(self) -> Iterator[int]:
        begin = self.step()
        yield from range(begin, begin - begin % self.interval + self.interval)
