"""Batches of windows by number: what a forecaster learns from.

A batch is of one archive and one time step, so its windows have one shape. Everything is drawn from the seed and the
number of the batch: batch 7 is the same whoever asks for it, in whichever process, after whichever interruption.

    >>> list(StepSampler(100, step=lambda: 297))
    [297, 298, 299]
"""

from collections.abc import Callable, Iterator, Sequence

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
