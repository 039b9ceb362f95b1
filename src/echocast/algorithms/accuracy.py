"""How often a network is right, by the length of the numbers: on lengths that it never saw, whether it generalises.

>>> import torch
>>> from echocast.algorithms.neural_gpu import NeuralGPU
>>> by_bits = accuracy(NeuralGPU(maps=4), "reverse", [3, 5], count=8)
>>> [found.bits for found in by_bits]
[3, 5]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from echocast.algorithms.base import SequenceNetwork
from echocast.algorithms.tasks import TASKS

_BATCH = 32


@dataclass(frozen=True)
class Accuracy:
    """Shares of what is right at one length."""

    bits: int
    symbols: float
    """Of all symbols."""
    sequences: float
    """Of sequences, those in which every symbol is."""


@torch.no_grad()
def accuracy(
    network: SequenceNetwork, task: str, bits: Sequence[int], *, count: int = 128, seed: int = 0
) -> list[Accuracy]:
    """Right outputs of `count` random inputs at each length.

    Args:
        network: in evaluation mode it is deterministic; it is put into that, and back.
        task: a name in `echocast.algorithms.tasks.TASKS`.
        bits: the lengths of the numbers.
        count: sequences at each length.
        seed: what they are drawn from.
    """
    training = network.training
    network.eval()
    found = []
    for length in bits:
        inputs, targets = TASKS[task](np.random.default_rng([seed, length]), count, length)
        parts = np.array_split(inputs, max(1, count // _BATCH))
        right = torch.cat([network(torch.from_numpy(part)).argmax(-1) for part in parts]).numpy() == targets
        found.append(Accuracy(length, float(right.mean()), float(right.all(axis=1).mean())))
    network.train(training)
    return found
