"""The backward pass of one ConvLSTM layer over a sequence."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from echocast.nn.fused import kernels
from echocast.nn.fused.buffers import F32, bordered, by_step, empty, grid, inner, rows
from echocast.nn.fused.compiler import block_rows
from echocast.nn.fused.convolutions import Convolution, choose
from echocast.nn.fused.tiled import Scratch
from echocast.nn.fused.turned import to_first, to_last
from echocast.nn.fused.weights import Weights

WEIGHT_BYTES = 4 << 20
"""Bytes of gate gradients that are collected before they become gradients of the weights."""


def together(batch: int, image: int) -> int:
    """How many images go together, evenly, whose gates have `image` bytes in a time step."""
    groups = -(-batch // max(1, WEIGHT_BYTES // image))
    return -(-batch // groups)


def at_once(convolution: Convolution, images: int) -> int:
    """How many of so many images a convolution takes at a time: to collect more would cost memory, and save nothing."""
    return int(convolution.parts(images)[0][0].stop)


class Backward:
    """The backward pass, time step by time step from the last.

    Large images go a few at a time, in `groups`, each through all time steps, so that what is not kept needs little
    memory. Cell states are computed again from the gates, a segment of time steps at a time, from the one that was kept
    at the segment's start. Gradients of the gates are collected over a chunk of time steps before they become gradients
    of the weights.

    Args:
        weights: the layer's.
        gates: the activated gates of all time steps, (time, batch, *space, 4 hidden).
        marks: the cell state at the start of each segment, (batch, *space, hidden); the initial one as it was given.
        like: the input, if its gradient is wanted.
        x_gates: whether the input's part of the gates was computed elsewhere.
    """

    def __init__(
        self, weights: Weights, gates: Tensor, marks: list[Tensor], *, like: Tensor | None, x_gates: bool
    ) -> None:
        steps, batch, *space, _ = gates.shape
        self._all_gates, self._all_marks, self.x_gates = gates, marks, x_gates
        self.dtype, self.space, self.weights = gates.dtype, tuple(space), weights
        self.bf16, self.hidden, self.inputs = gates.dtype == torch.bfloat16, weights.hidden, weights.inputs
        self.segment = max(1, round(math.sqrt(steps)))
        image = gates[0, 0].numel() * gates.element_size()
        self.batch = batch if x_gates else together(batch, image)
        self._groups = [slice(b, min(b + self.batch, batch)) for b in range(0, batch, self.batch)]
        self.shown = 0 if like is None else self.inputs
        scratch = Scratch()
        whole = part = choose(weights.joined(), space, self.dtype, keep=True, scratch=scratch)
        if self.shown < self.inputs:  # the input's gradient is not needed
            part = choose(weights.h.detach(), space, self.dtype, keep=True, scratch=scratch)
        self.to_images: Convolution = part
        self.weight = whole.weight_gradient()
        most = min(
            self.segment, WEIGHT_BYTES // (self.batch * image), at_once(whole, self.segment * self.batch) // self.batch
        )
        self.chunk = steps if x_gates else max(1, most)
        border = whole.border
        self._border = border
        self._all_dgates = bordered(self.chunk * self.batch, whole.room, 4 * self.hidden, border, self.dtype)
        self._all_seen = bordered(self.chunk * self.batch, whole.room, self.inputs + self.hidden, border, self.dtype)
        self._all_cells = empty((self.segment, self.batch, *space, self.hidden), torch.float32)
        self.dx = None if like is None else torch.empty_like(like)
        self.d_bias = torch.zeros(4 * self.hidden, **F32)
        self.peephole = weights.peephole_rows()
        counts = [self.batch * math.prod(space), (batch % self.batch) * math.prod(space)]
        blocks = max(-(-rows // block_rows(rows, self.hidden)) for rows in counts if rows)
        self.sums = torch.zeros(blocks, 3 * self.hidden, **F32)
        self.pixel_sums = torch.zeros(3, self.hidden, *space, **F32) if weights.kind == "pixel" else None
        self._kernel = kernels.back(bf16=self.bf16, peephole=weights.kind, wide=part.wide, gate=weights.gate)
        self._cells, self._hidden = kernels.cells(bf16=self.bf16), kernels.hidden(bf16=self.bf16)

    @property
    def _rows(self) -> int:
        return self.batch * math.prod(self.space)

    def groups(self, d_h: Tensor | None, d_c: Tensor | None) -> Iterator[slice]:
        """The images that go together; each time, all time steps are to be differentiated.

        Args:
            d_h, d_c: the gradients of the last state, (batch, *space, hidden).
        """
        kind = torch.float32 if self.to_images.wide else self.dtype
        for images in self._groups:
            self.images, self.batch = images, images.stop - images.start
            self.gates = self._all_gates[:, images]
            self.marks = [mark[images] for mark in self._all_marks]
            self.cells = self._all_cells[:, : self.batch]
            self._dgates, self._seen = (b[: self.chunk * self.batch] for b in (self._all_dgates, self._all_seen))
            self.dgates = by_step(inner(self._dgates, self._border, self.space), self.chunk)
            self.seen = by_step(inner(self._seen, self._border, self.space), self.chunk)
            shape = (self.batch, *self.space, self.hidden)
            self.dc = torch.zeros(shape, **F32) if d_c is None else d_c[images].float().contiguous().clone()
            zeros = torch.zeros(shape, device="cpu", dtype=kind)
            self.later = zeros if d_h is None else d_h[images].to(kind).contiguous()
            self._above = torch.zeros(shape, device="cpu", dtype=self.dtype)
            yield images

    def differentiate_gates(self, t: int, d_out: Tensor | None) -> None:
        """The gradients of the gates of time step t before their activation, and of the cell state before it.

        Args:
            t: the time step.
            d_out: the gradient of its hidden state, (batch, hidden, *space).
        """
        first, place = t - t % self.segment, t % self.segment
        if t == len(self.gates) - 1 or place == self.segment - 1:
            mark = self.marks[t // self.segment]
            self.cells[0] = mark if first else mark.movedim(1, -1)
            for k in range(place):
                cell, new = rows(self.cells[k]), rows(self.cells[k + 1])
                tensors = {"gates": rows(self.gates[first + k]), "c": cell, "new": new}
                self._cells(tensors, rows=self._rows, width=self.hidden)
        if d_out is not None:
            to_last(self._above, d_out[self.images])
        written = grid(self.dgates[self._slot(t)])
        tensors = {
            "gates": rows(self.gates[t]),
            "c": rows(self.cells[place]),
            "above": rows(self._above),
            "later": grid(self.later) if self.to_images.wide else rows(self.later),
            "dc": rows(self.dc),
            "dgates": written,
            "sums": self.sums,
        }
        if self.peephole is not None:
            tensors["peephole"] = self.peephole
        self._kernel(tensors, rows=self._rows, width=self.hidden, image=(written.shape[1], written.shape[2]))
        if self.pixel_sums is not None:
            _add_pixels(self.pixel_sums, self.dgates[self._slot(t)], self.gates[t], self.cells[place])

    def copy_input(self, t: int, x: Tensor | None, h: Tensor) -> None:
        """Bring what the convolution of time step t was given to its buffer again; `h` is the initial state."""
        seen = self.seen[self._slot(t)]
        if t == 0:
            to_last(seen[..., self.inputs :], h[self.images])
        else:
            cell, place = rows(self.cells[t % self.segment]), grid(seen[..., self.inputs :])
            tensors = {"gates": rows(self.gates[t - 1]), "c": cell, "seen": place}
            self._hidden(tensors, rows=self._rows, width=self.hidden, image=(place.shape[1], place.shape[2]))
        if x is not None:
            to_last(seen[..., : self.inputs], x[self.images])

    def differentiate_convolution(self, t: int, *, weights: bool) -> None:
        """The gradients of the input and the old state of time step t, and of the weights where a chunk is full."""
        slot = self._slot(t)
        here = slice(slot * self.batch, (slot + 1) * self.batch)
        del self.later  # as large as what comes next
        images = self.to_images.back(self._dgates[here])
        self.later = images[..., self.shown :]
        if self.dx is not None:
            to_first(self.dx[t][self.images], images[..., : self.shown])
        if weights and slot == 0:
            last = len(self.gates) if self.x_gates else min(t - t % self.segment + self.segment, len(self.gates))
            count = min(self.chunk, last - t) * self.batch
            self.weight.add(self._dgates[:count], self._seen[:count])
            self._add_bias(self._dgates[:count])

    def _add_bias(self, dgates: Tensor) -> None:
        if dgates.dtype == torch.float32:  # what lies around is zeros, and a product sums fastest
            flat = rows(dgates)
            self.d_bias.addmv_(flat.t(), flat.new_ones(len(flat)))
        else:
            self.d_bias += dgates.flatten(0, -2).sum(0, dtype=torch.float32)

    def d_weight(self) -> Tensor:
        """The gradient of the joined weight; the last thing to be asked of the convolutions."""
        self.to_images.release()
        del self._all_seen, self._seen, self.seen, self._all_cells, self.cells
        return self.weight.result()

    def d_peephole(self, peephole: Tensor) -> Tensor:
        """The gradient of the peepholes."""
        sums = self.sums.sum(0) if self.pixel_sums is None else self.pixel_sums
        return sums.view_as(peephole).to(peephole.dtype)

    def _slot(self, t: int) -> int:
        return t % self.chunk if self.x_gates else t % self.segment % self.chunk


def _add_pixels(sums: Tensor, dgates: Tensor, gates: Tensor, cell: Tensor) -> None:
    """Add to the gradient of peepholes per pixel, (3, hidden, *space)."""
    di, df, _, do = dgates.float().chunk(4, -1)
    i, f, g, _ = gates.float().chunk(4, -1)
    new = f * cell + i * g
    for k, (gate, seen) in enumerate(((di, cell), (df, cell), (do, new))):
        sums[k] += (gate * seen).sum(0).movedim(-1, 0)
