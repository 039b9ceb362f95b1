"""The backward pass of one ConvGRU layer over a sequence."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from echocast.nn.fused import gru_kernels
from echocast.nn.fused.backward import WEIGHT_BYTES, at_once, together
from echocast.nn.fused.buffers import F32, bordered, by_step, empty, grid, inner, rows
from echocast.nn.fused.convolutions import Convolution, choose
from echocast.nn.fused.gru_weights import GruWeights
from echocast.nn.fused.tiled import Scratch
from echocast.nn.fused.turned import to_first, to_last


class Backward:
    """The backward pass, time step by time step from the last.

    Large images go a few at a time, in `groups`; hidden states are computed again, and gradients of gates collected,
    as in `backward`.

    Args:
        weights: the layer's; without those of the input where its part of the gates was computed elsewhere.
        kept: what `Stepper.advance` kept of all time steps, (time, batch, *space, 3 or 4 hidden).
        marks: the hidden state at the start of each segment, (batch, *space, hidden); the initial one as it was given.
        like: the input, if its gradient is wanted.
        x_gates: whether the input's part of the gates was computed elsewhere.
    """

    def __init__(
        self, weights: GruWeights, kept: Tensor, marks: list[Tensor], *, like: Tensor | None, x_gates: bool
    ) -> None:
        steps, batch, *space, _ = kept.shape
        hidden = weights.hidden
        self._all_kept, self._all_marks, self.space, self.hidden = kept, marks, tuple(space), hidden
        self.segment = max(1, round(math.sqrt(steps)))
        self.weights_of, self.inputs, self.x_gates = weights, weights.inputs, x_gates
        self.shown = 0 if like is None else self.inputs
        scratch = Scratch()

        def chosen(of: GruWeights) -> list[Convolution]:
            return [
                choose(one, space, torch.float32, keep=True, scratch=scratch, blocks=of.blocks) for one in of.kernels()
            ]

        whole = chosen(weights)
        # The input's gradient is left out where it is not needed.
        part = weights if self.shown == self.inputs else weights.of_state()
        self._to_images = whole if part is weights else chosen(part)
        self._made, self._weight = part.made, [one.weight_gradient() for one in whole]

        gates = 4 if weights.after else 3
        image = math.prod(space) * gates * hidden * 4
        self.batch = batch if x_gates else together(batch, image)
        self._groups = [slice(b, min(b + self.batch, batch)) for b in range(0, batch, self.batch)]
        most = min(
            steps,
            WEIGHT_BYTES // (self.batch * image),
            min(at_once(one, steps * self.batch) for one in whole) // self.batch,
        )
        self.chunk = steps if x_gates else max(1, most)
        self._all_states = empty((self.segment, self.batch, *space, hidden), torch.float32)
        self._border, room = whole[0].border, whole[0].room
        count = self.chunk * self.batch
        self._all_dgates = bordered(count, room, gates * hidden, self._border, torch.float32)
        self._all_seen = bordered(count, room, weights.seen[-1].stop, self._border, torch.float32)
        self.dx = None if like is None else torch.empty_like(like)
        self.d_bias = torch.zeros(gates * hidden, **F32)
        wide = whole[0].wide
        self._states = gru_kernels.states()
        self._back = gru_kernels.back(after=weights.after, wide=wide)
        self._back_to_reset = None if weights.after else gru_kernels.back_to_reset(wide=wide)
        self._wide = wide

    def groups(self, d_h: Tensor | None) -> Iterator[slice]:
        """The images that go together; each time, all time steps are to be differentiated.

        Args:
            d_h: the gradient of the last state, (batch, *space, hidden).
        """
        for images in self._groups:
            self.images, self.batch = images, images.stop - images.start
            self.kept, self.states = self._all_kept[:, images], self._all_states[:, : self.batch]
            self.marks = [mark[images] for mark in self._all_marks]
            self._dgates, self._seen = (b[: self.chunk * self.batch] for b in (self._all_dgates, self._all_seen))
            self.dgates = by_step(inner(self._dgates, self._border, self.space), self.chunk)
            self.seen = by_step(inner(self._seen, self._border, self.space), self.chunk)
            shape = (self.batch, *self.space, self.hidden)
            self.later, self._above = (torch.zeros(shape, **F32) for _ in range(2))
            self.past = torch.zeros(shape, **F32) if d_h is None else d_h[images].contiguous().clone()
            yield images

    def _old(self, t: int) -> Tensor:
        """The hidden state before time step t."""
        first, place = t - t % self.segment, t % self.segment
        if t == len(self.kept) - 1 or place == self.segment - 1:
            mark = self.marks[t // self.segment]
            self.states[0] = mark if first else mark.movedim(1, -1)
            for k in range(place):
                old, new = (rows(self.states[k + j]) for j in range(2))
                self._states(
                    {"gates": rows(self.kept[first + k]), "h": old, "new": new}, rows=len(old), width=self.hidden
                )
        return self.states[place]

    def differentiate(self, t: int, x: Tensor | None, d_out: Tensor | None) -> None:
        """The gradients of the gates of time step t, of its input and of the hidden state before it.

        Args:
            t: the time step.
            x: its input, (batch, channel, *space).
            d_out: the gradient of its hidden state, (batch, hidden, *space).
        """
        slot, n, old = t % self.chunk, self.hidden, self._old(t)
        seen, dgates = self.seen[slot], self.dgates[slot]
        if x is not None:
            to_last(seen[..., n : n + self.inputs], x[self.images])
        common = {"gates": rows(self.kept[t]), "h": rows(old), "past": rows(self.past)}
        if d_out is not None:
            to_last(self._above, d_out[self.images])
        tensors = {"above": rows(self._above), "later": self._later()}
        self._run(self._back, common | tensors | {"dgates": grid(dgates), "seen": grid(seen[..., :n])})
        here = self._dgates[slot * self.batch : (slot + 1) * self.batch]
        if self._back_to_reset is not None:
            del self.later  # as large as what comes next
            images = self._to_images[1].back(here[..., self._made[1]])
            self.later = images[..., self.shown :]
            self._add_to_input(t, images[..., : self.shown], first=True)
            reset = {"later": self._later(), "dgates": grid(dgates), "seen": grid(seen[..., -n:])}
            self._run(self._back_to_reset, common | reset)
        del self.later
        images = self._to_images[0].back(here[..., self._made[0]])
        self.later = images[..., :n]
        self._add_to_input(t, images[..., n:], first=self._back_to_reset is None)

    def differentiate_weights(self, t: int) -> None:
        """The gradients of the weights, where a chunk of time steps is full."""
        if t % self.chunk:
            return
        count = min(self.chunk, len(self.kept) - t) * self.batch
        for sums, made, seen in zip(self._weight, self.weights_of.made, self.weights_of.seen, strict=True):
            sums.add(self._dgates[:count][..., made], self._seen[:count][..., seen])
        flat = rows(self._dgates[:count])  # what lies around is zeros, and a product sums fastest
        self.d_bias.addmv_(flat.t(), flat.new_ones(len(flat)))

    def weights(self) -> tuple[Tensor | None, Tensor]:
        """The gradients of the input's weight and of the state's; the last thing to be asked of the convolutions."""
        for one in self._to_images:
            one.release()
        del self._all_seen, self._seen, self.seen, self._all_states, self.states
        return self.weights_of.split([one.result() for one in self._weight])

    def d_state(self) -> Tensor:
        """The gradient of the initial state of these images, (batch, *space, hidden)."""
        return self.past + self.later

    def d_x_gates(self) -> Tensor:
        """The gradient of what the input adds to the gates, (time, batch, 3 hidden, *space)."""
        return self.dgates[..., self.weights_of.of_gates].movedim(-1, 2)

    def _add_to_input(self, t: int, images: Tensor, *, first: bool) -> None:
        if self.dx is not None and first:
            to_first(self.dx[t][self.images], images)
        elif self.dx is not None:
            self.dx[t][self.images] += images.movedim(-1, 1)

    def _later(self) -> Tensor:
        return grid(self.later) if self._wide else rows(self.later)

    def _run(self, kernel: gru_kernels.Kernel, tensors: dict[str, Tensor]) -> None:
        image = tensors["dgates"].shape[1], tensors["dgates"].shape[2]
        kernel(tensors, rows=len(tensors["h"]), width=self.hidden, image=image)
