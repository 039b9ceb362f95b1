"""What every segmentation network has in common: frames of any size in, classes of every cell out.

``forward(levels) -> logits`` is what is trained; ``segment(values) -> classes and probabilities`` is what is used. Both
take (batch, time, channel, y, x). A network that remembers gives its state with each stretch of frames and goes on from
it with the next, so a sequence of any length is segmented with the memory of one stretch, and with the result of one
call.

    >>> from echocast.segmentation.unet import UNet
    >>> segmented = UNet(classes=2, upscale=1).segment(torch.rand(1, 3, 1, 21, 34))
    >>> tuple(segmented.classes.shape), tuple(segmented.probabilities.shape)
    ((1, 3, 1, 21, 34), (1, 3, 2, 21, 34))
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from echocast.errors import DataError, MissingFrames
from echocast.models.frames import replicated
from echocast.models.registry import Registry
from echocast.models.scaling import AnyScaling
from echocast.samples.tensors import IGNORED
from echocast.segmentation import NOT_NETWORKS

TASK = "segmenter"
"""What a checkpoint of a segmentation network says it is for."""

State = Any
"""What a network remembers of the frames so far; None before the first frame."""


class Segmented(NamedTuple):
    """What a network says of some frames."""

    classes: Int[Tensor, "batch time 1 y x"]
    """The likeliest class of each cell; `echocast.samples.tensors.IGNORED` where nothing is observed."""

    probabilities: Float[Tensor, "batch time class y x"]
    """Of each class, with the sum 1; NaN where nothing is observed."""


class Segmenter(nn.Module, ABC):
    """A class for every cell of every frame.

    A subclass keeps every constructor argument as an attribute of the same name, so that a checkpoint can tell how to
    construct it again, and it is causal: what it says of a frame depends on this frame and those before it.
    """

    channels: int
    """Of each frame."""

    classes: int
    """How many there are; class 0 is the background."""

    upscale: int
    """Cells of the result along a side of one cell of the input."""

    scaling: AnyScaling
    """Between the values of a field and the grey levels that the network works in."""

    multiple: ClassVar[int] = 1
    """Sides of frames are filled up to a multiple of this many cells, by repeating the last row and column."""

    def forward(
        self, levels: Float[Tensor, "batch time channel y x"]
    ) -> Float[Tensor, "batch time class rows columns"]:
        """Logits of the classes, `upscale` times as many rows and columns as the input.

        Args:
            levels: grey levels in [0, 1] of frames of any size; what is NaN counts as 0.

        Raises:
            ValueError: another rank or number of channels, or no frame.
        """
        return self.stretch(levels, None)[0]

    def stretch(
        self, levels: Float[Tensor, "batch time channel y x"], state: State
    ) -> tuple[Float[Tensor, "batch time class rows columns"], State]:
        """The logits of some frames that follow on those that `state` remembers, and the state after them."""
        self._check(levels)
        rows, columns = levels.shape[-2:]
        filled = replicated(levels.nan_to_num(0.0), self.multiple)
        logits, state = self._logits(filled, state)
        return logits[..., : rows * self.upscale, : columns * self.upscale], state

    @abstractmethod
    def _logits(self, levels: Tensor, state: State) -> tuple[Tensor, State]:
        """`stretch` for frames whose sides are divisible by `multiple`, without NaN."""

    def segment(self, values: Float[Tensor, "batch time channel y x"], *, length: int = 32) -> Segmented:
        """The classes of all frames.

        Args:
            values: frames in the unit of the scaling's quantity, oldest first; NaN where nothing is observed.
            length: frames that are worked on at a time; the result does not depend on it.

        Raises:
            ValueError: another rank or number of channels.
            MissingFrames: no frame, or one in which nothing is observed.
            DataError: an infinite value.
        """
        parts = list(self.stretches(torch.split(values, length, dim=1))) if values.ndim == 5 and values.shape[1] else []
        if not parts:
            self._check(values)
            raise MissingFrames("there is no frame to segment; give at least one")
        return Segmented(*(torch.cat(tensors, dim=1) for tensors in zip(*parts, strict=True)))

    def stretches(self, parts: Iterable[Tensor], *, memory: int | None = None) -> Iterator[Segmented]:
        """`segment` for one long sequence that comes in parts: each is worked on when it comes, and then forgotten.

        Args:
            parts: the frames of one sequence, (batch, time, channel, y, x), each part following on the one before.
            memory: after so many frames the network starts afresh; None: never. What a network has learned from short
                windows may not hold for a longer memory.
        """
        state, done = None, 0
        for part in parts:
            self._check(part)
            seen = part.isfinite().all(dim=2, keepdim=True)
            _refuse_unusable(part, seen, done)
            done += part.shape[1]
            with torch.no_grad():
                logits, state = self._remembering(self.scaling.to_network(part), state, done - part.shape[1], memory)
                probabilities = logits.softmax(dim=2)
            classes = logits.argmax(dim=2, keepdim=True)
            hidden = ~enlarged(seen, self.upscale)
            yield Segmented(classes.masked_fill(hidden, IGNORED), probabilities.masked_fill(hidden, torch.nan))

    def _remembering(self, levels: Tensor, state: State, before: int, memory: int | None) -> tuple[Tensor, State]:
        """`stretch` of frames that follow on `before` others, with a fresh start after every `memory` frames."""
        if memory is None:
            return self.stretch(levels, state)
        first = min(levels.shape[1], -before % memory)
        pieces = [levels[:, :first], *torch.split(levels[:, first:], memory, dim=1)]
        made = []
        for piece in [piece for piece in pieces if piece.shape[1]]:
            state = None if before % memory == 0 else state
            logits, state = self.stretch(piece, state)
            made.append(logits)
            before += piece.shape[1]
        return torch.cat(made, dim=1), state

    def check_quantity(self, quantity: str) -> None:
        """Raise `DataError` for a field of another quantity than the network was made for."""
        if quantity != self.scaling.quantity:
            raise DataError(
                f"the frames hold {quantity!r}, but this {type(self).__name__} was trained on"
                f" {self.scaling.quantity!r}; give such frames, or another model"
            )

    def _check(self, frames: Tensor) -> None:
        name = type(self).__name__
        if frames.ndim != 5 or not frames.is_floating_point():
            raise ValueError(
                f"{name} takes (batch, time, channel, y, x) of floats; got {frames.dtype} of {tuple(frames.shape)}"
            )
        if frames.shape[2] != self.channels:
            raise ValueError(f"this {name} has channels={self.channels}; got frames of {frames.shape[2]} channels")
        if not frames.numel():
            raise ValueError(f"{name} needs at least one frame of one cell; got {tuple(frames.shape)}")


def enlarged(cells: Tensor, factor: int) -> Tensor:
    """(..., y, x) with each cell made `factor` x `factor` cells."""
    return cells.repeat_interleave(factor, -1).repeat_interleave(factor, -2) if factor > 1 else cells


def check_sizes(network: str, *, channels: int, classes: int, width: int, upscale: int) -> None:
    """Raise `ValueError` for a number that no network has."""
    if min(channels, width) < 1:
        raise ValueError(f"{network} needs at least 1 channel and width; got channels={channels}, width={width}")
    if classes < 2:
        raise ValueError(f"{network} tells at least 2 classes apart, the background and one more; got {classes=}")
    if upscale not in (1, 2, 4):
        raise ValueError(f"{network} has upscale 1, 2 or 4; got {upscale=}")


def _refuse_unusable(part: Tensor, seen: Tensor, before: int) -> None:
    blank = ~seen.flatten(2).any(dim=2)
    if blank.any():
        number = before + int(blank.any(dim=0).nonzero()[0])
        raise MissingFrames(
            f"frame {number} (the first is 0) holds no observed value; leave it out, and segment what comes before and"
            " after it as two sequences"
        )
    if part.isinf().any():
        number = before + int(part.isinf().any(dim=4).any(dim=3).any(dim=2).any(dim=0).nonzero()[0])
        raise DataError(f"frame {number} (the first is 0) holds an infinite value; mend it, or mark it as NaN")


REGISTRY = Registry(TASK, "echocast.segmentation", Segmenter, NOT_NETWORKS)  # type: ignore[type-abstract]
"""All segmentation networks."""

names = REGISTRY.names
summary = REGISTRY.summary
segmenter_class = REGISTRY.load_class
construct = REGISTRY.construct
resolve = REGISTRY.resolve
save = REGISTRY.save
load = REGISTRY.load
