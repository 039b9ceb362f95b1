"""Algorithms: sequences of symbols drawn from a seed, longer ones as the network learns, and networks that do them.

>>> from echocast.training.experiment import parse
>>> tables = {"task": "algorithm", "model": {"name": "neural_gpu"}, "data": {"algorithm": "reverse"}}
>>> parse(tables).data.max_bits
20
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

from echocast.algorithms import base
from echocast.algorithms.base import SequenceNetwork
from echocast.algorithms.tasks import TASKS, Name
from echocast.errors import ExperimentError
from echocast.plugins import construct
from echocast.training.experiment import Experiment
from echocast.training.module import TrainingModule

REGISTRY = base.REGISTRY
DEFAULT_LOSS = "cross_entropy"


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """The table ``[data]``: what is to be learned, and how lengths grow.

    Args:
        algorithm: "reverse" or "addition", see `echocast.algorithms.tasks`.
        start_bits: the longest numbers at first; `max_bits` for all lengths from the start.
        max_bits: the longest numbers of all.
        longer_fraction: of all batches, those that may be longer than what is learned by now, up to `max_bits`.
        interval: steps after which the longest length is looked at.
        max_error: it grows by one bit if fewer sequences than this share were wrong, of those not longer than it.
        validation_bits: the lengths that decide which weights are kept; none of them is a test's.
        validation_sequences: sequences at each of them.

    Raises:
        ExperimentError: lengths that do not go together.

    Source: the curriculum of Price, Zaremba and Sutskever's code for the Neural GPU.
    """

    algorithm: Name
    start_bits: int = 3
    max_bits: int = 20
    longer_fraction: float = 0.25
    interval: int = 200
    max_error: float = 0.15
    validation_bits: tuple[int, ...] = (10, 20, 30)
    validation_sequences: int = 32

    def __post_init__(self) -> None:
        if not 1 <= self.start_bits <= self.max_bits or not self.validation_bits or min(self.validation_bits) < 1:
            raise ExperimentError(
                f"data.start_bits = {self.start_bits} must lie between 1 and data.max_bits = {self.max_bits}, and"
                f" data.validation_bits = {list(self.validation_bits)} be positive"
            )


DATA = Algorithm


class Sequences(NamedTuple):
    """Inputs and what should come out, all of one length."""

    inputs: Int[Tensor, "batch length"]
    targets: Int[Tensor, "batch length"]
    within: bool = True
    """Whether they are no longer than the longest length of the curriculum."""

    def __len__(self) -> int:
        """The number of sequences."""
        return int(self.inputs.shape[0])

    def to(self, device: torch.device) -> "Sequences":
        """The same on a device."""
        return Sequences(self.inputs.to(device), self.targets.to(device), self.within)


class PulledCrossEntropy(nn.Module):
    """Cross-entropy of symbols, and a pull on weights that should be equal, which grows as lengths do.

    Args:
        pull: what their squared distance counts at first.
        pull_growth: by how much more after each interval with few errors.
        max_pull: from which on the weights are set to their mean instead.

    Source: Kaiser and Sutskever 2015 (arXiv:1511.08228), section 3, with the numbers of its authors' code.
    """

    def __init__(self, *, pull: float = 5e-4, pull_growth: float = 1.2, max_pull: float = 0.1) -> None:
        super().__init__()
        self.pull, self.pull_growth, self.max_pull = pull, pull_growth, max_pull

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over all symbols, padding among them."""
        return cross_entropy(logits.flatten(0, 1), targets.flatten())


def make_network(experiment: Experiment, _learned_at: Mapping[str, float]) -> SequenceNetwork:
    """The untrained network."""
    arguments = dict(experiment.model)
    return REGISTRY.construct(str(arguments.pop("name")), arguments)


def make_loss(experiment: Experiment) -> PulledCrossEntropy:
    """The only loss there is."""
    table = dict(experiment.loss)
    if table.pop("name", DEFAULT_LOSS) != DEFAULT_LOSS:
        raise ExperimentError(f"[loss] name = {experiment.loss['name']!r}: algorithms have {DEFAULT_LOSS!r}")
    return construct(PulledCrossEntropy, table, where="[loss]", error=ExperimentError)


def open_sources(data: Algorithm) -> Algorithm:
    """Nothing is read: all is drawn."""
    return data


def module(experiment: Experiment, sources: Algorithm) -> "AlgorithmModule":
    """The untrained network, and its loss."""
    return AlgorithmModule(experiment, make_network(experiment, {}), make_loss(experiment), sources)


def drawn(data: Algorithm, rng: np.random.Generator, count: int, bits: int, *, within: bool = True) -> Sequences:
    """Random sequences of one length."""
    inputs, targets = TASKS[data.algorithm](rng, count, bits)
    return Sequences(torch.from_numpy(inputs), torch.from_numpy(targets), within)


class _Shortest(Dataset[Sequences]):
    """Batches of the right size; `AlgorithmModule.varied` draws others, as long as the network has come by then."""

    def __init__(self, data: Algorithm, size: int) -> None:
        self.data, self.size = data, size

    def __getitem__(self, number: int) -> Sequences:
        return drawn(self.data, np.random.default_rng(number), self.size, 1)


def training_batches(sources: Algorithm, *, size: int, world: int, **_: int) -> Dataset[Sequences]:
    """Batches by number, a share of each for every process; what is in them the module draws."""
    return _Shortest(sources, size // world)


def validation_batches(sources: Algorithm, **_: int) -> DataLoader[Sequences]:
    """A batch of each length, always the same; how large is for the data to say."""
    count = sources.validation_sequences
    made = [drawn(sources, np.random.default_rng([1, bits]), count, bits) for bits in sources.validation_bits]
    return DataLoader(made, batch_size=None)  # type: ignore[arg-type]  # a list of batches is data enough


class AlgorithmModule(TrainingModule[SequenceNetwork, Sequences]):
    """Trains a network on sequences that grow.

    Args:
        experiment: the optimiser, precision and seed.
        network: what is trained.
        loss: and the pull on its weights.
        data: what is to be learned.
    """

    def __init__(
        self, experiment: Experiment, network: SequenceNetwork, loss: PulledCrossEntropy, data: Algorithm
    ) -> None:
        super().__init__(experiment, network)
        self.loss, self.data = loss, data
        # Buffers, so that a resumed run goes on where the curriculum was.
        self.register_buffer("longest", torch.tensor(data.start_bits))
        self.register_buffer("pull", torch.tensor(loss.pull))
        self.register_buffer("wrong_of", torch.zeros(2))

    def save_weights(self, path: Path) -> None:
        """Write the network to keep."""
        REGISTRY.save(self.trained, path)

    def varied(self, batch: Sequences, rng: np.random.Generator) -> Sequences:
        """Other sequences of the same number: their length depends on what has been learned so far."""
        data, longest = self.data, int(self.get_buffer("longest"))
        bits = int(rng.integers(1, longest + 1))
        if rng.random() < 0.6:  # the longer of two more often than not
            bits = max(bits, int(rng.integers(1, longest + 1)))
        if rng.random() < data.longer_fraction:
            bits = max(bits, int(rng.integers(1, data.max_bits + 1)))
        own = np.random.default_rng([int(rng.integers(2**31)), self.global_rank])
        return drawn(data, own, len(batch), bits, within=bits <= longest).to(self.device)

    def outputs(self, batch: Sequences, network: SequenceNetwork) -> Tensor:
        """Logits of symbols."""
        logits: Tensor = network(batch.inputs)
        return logits

    def loss_of(self, outputs: Tensor, batch: Sequences) -> Tensor:
        """The cross-entropy, and in training the pull."""
        loss: Tensor = self.loss(outputs.float(), batch.targets)
        wrong = (outputs.detach().argmax(-1) != batch.targets).any(dim=1).sum()
        if not self.training:
            self._right.append(1.0 - float(wrong) / len(batch))
            return loss
        if batch.within:
            self.get_buffer("wrong_of").add_(torch.tensor([float(wrong), float(len(batch))], device=outputs.device))
        spread = self.network.spread()
        return loss if spread is None else loss + self.get_buffer("pull") * spread

    def on_train_batch_end(self, *arguments: object) -> None:
        """Let the average follow, and after each interval the curriculum."""
        super().on_train_batch_end(*arguments)
        if self.global_step % self.data.interval == 0:
            self._look_back()

    def _look_back(self) -> None:
        """Longer sequences and a stronger pull if few were wrong."""
        tally, longest, pull = (self.get_buffer(name) for name in ("wrong_of", "longest", "pull"))
        wrong, count = tally.tolist()
        tally.zero_()
        if not count or wrong / count >= self.data.max_error:
            return
        longest.clamp_(max=self.data.max_bits - 1).add_(1)
        if float(pull) < self.loss.max_pull:
            pull.mul_(self.loss.pull_growth)
        else:
            self.network.unite()

    def on_validation_epoch_start(self) -> None:
        """Start the sums anew."""
        super().on_validation_epoch_start()
        self._right: list[float] = []

    def on_validation_epoch_end(self) -> None:
        """The mean loss; the share of sequences without an error at each length."""
        super().on_validation_epoch_end()
        for bits, right in zip(self.data.validation_bits, self._right, strict=True):
            self.log(f"validation/right_at_{bits}_bits", right)
        self.log("train/longest_bits", float(self.get_buffer("longest")))
