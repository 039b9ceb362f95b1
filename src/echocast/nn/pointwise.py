"""The pointwise part of a time step on a GPU, in one kernel forwards and one backwards where Triton is installed.

Cells call these where `takes` says so; elsewhere they compute with single operations, which define the result. A second
derivative is that of the single operations.
"""

import math
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from echocast.nn import fused, torch_internals
from echocast.nn.fused import again

_BLOCK = 1024
_KINDS = (torch.float32, torch.bfloat16, torch.float16)


def takes(*tensors: Tensor | None) -> bool:
    """Whether the kernels can take these tensors here and now: on a CUDA device, in 16 or 32 bits."""
    given = [t for t in tensors if t is not None]
    if any(t.device.type != "cuda" or t.dtype not in _KINDS or not t.numel() for t in given):
        return False
    if torch_internals.is_recorded() or fused.switches.is_plain() or not _is_installed():
        return False
    return not torch_internals.is_transformed() and not any(fused.has_tangent(t) for t in given)


def lstm(gates: Tensor, added: Tensor | None, c: Tensor, peephole: Tensor | None) -> tuple[Tensor, Tensor]:
    """The new ``(h, c)``.

    Args:
        gates: i, f, g and o before their activation, (batch, 4 hidden, *space).
        added: what the input adds to them; None for nothing.
        c: the old cell state, (batch, hidden, *space).
        peephole: (3, hidden, *ones) or (3, hidden, *space); None for none.
    """
    return _Part.apply(_Lstm(), gates, added, c, peephole)  # type: ignore[no-untyped-call, no-any-return]


def gru_gates(gates: Tensor, added: Tensor | None, h: Tensor) -> tuple[Tensor, Tensor]:
    """The reset hidden state ``r h`` and the update gate, from r and u before their activation and the old state."""
    return _Part.apply(_GruGates(), gates, added, h)  # type: ignore[no-untyped-call, no-any-return]


def gru_state(raw: Tensor, added: Tensor | None, u: Tensor, h: Tensor) -> Tensor:
    """The new hidden state, from the candidate before its activation, the update gate and the old state."""
    (new,) = _Part.apply(_GruState(), raw, added, u, h)  # type: ignore[no-untyped-call]
    return new  # type: ignore[no-any-return]


class _Part(torch.autograd.Function):
    """One part of a time step; the first of its arguments is what computes it, the second and third are gates."""

    @staticmethod
    def forward(ctx: Any, part: "_Lstm | _GruGates | _GruState", *given: Tensor | None) -> tuple[Tensor, ...]:
        ctx.part = part
        ctx.save_for_backward(*given)
        ctx.set_materialize_grads(False)
        detached: list[Any] = [None if t is None else t.detach() for t in given]
        return part.forward(*detached)

    @staticmethod
    def backward(ctx: Any, *wanted: Tensor | None) -> tuple[Tensor | None, ...]:
        given, needed = ctx.saved_tensors, ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():
            return None, *again.gradients(given, needed, wanted, ctx.part.plain)
        _, added, *states = given
        shown = states[-1] if ctx.part.parts < 4 else states[0]
        filled = [torch.zeros_like(shown) if d is None else d for d in wanted]
        d_gates, *rest = ctx.part.backward(given, filled)
        return None, d_gates, None if added is None else d_gates.to(added.dtype), *rest


class _Rows:
    """Gates and what is added to them, with states laid out alike; see `triton_kernels`."""

    def __init__(self, parts: int, gates: Tensor, added: Tensor | None, state: Tensor) -> None:
        self.last = _is_last(gates)
        self.gates, self.row = self._with_row(gates)
        self.added, self.added_row = (self.gates, 0) if added is None else self._with_row(added)
        self.has_added, self.count = added is not None, state.numel()
        self.pixels = math.prod(state.shape[2:])
        self.inner = state.shape[1] if self.last else state.shape[1] * self.pixels

    def laid(self, state: Tensor) -> Tensor:
        """A tensor as the gates lie, without gaps."""
        return state.movedim(1, -1).contiguous().movedim(-1, 1) if self.last else state.contiguous()

    def like(self, state: Tensor, dtype: torch.dtype, parts: int = 1) -> Tensor:
        """Memory for so many parts."""
        batch, hidden, *space = state.shape
        shape = (batch, *space, parts * hidden) if self.last else (batch, parts * hidden, *space)
        made = torch.empty(shape, dtype=dtype, device=state.device)
        return made.movedim(-1, 1) if self.last else made

    def run(self, kernel: Any, *tensors: Tensor, **constants: int) -> None:
        """Run over all numbers of a state."""
        sizes = [self.count, self.inner, self.row, self.added_row, *([self.pixels] if "KIND" in constants else [])]
        blocks = (-(-self.count // _BLOCK),)
        kernel[blocks](self.gates, self.added, *tensors, *sizes, ADDED=self.has_added, BLOCK=_BLOCK, **constants)

    def _with_row(self, gates: Tensor) -> tuple[Tensor, int]:
        """The gates and how far their rows are from each other."""
        if self.last:
            gates = gates if _is_last(gates) else self.laid(gates)
            return gates, gates.stride(-1)
        gates = gates if gates[0].is_contiguous() else gates.contiguous()
        return gates, gates.stride(0) if len(gates) > 1 else gates[0].numel()


class _Lstm:
    """See `lstm`."""

    parts = 4

    def forward(self, gates: Tensor, added: Tensor | None, c: Tensor, peephole: Tensor | None) -> tuple[Tensor, Tensor]:
        rows = _Rows(4, gates, added, c)
        old, h, new = rows.laid(c), rows.like(c, gates.dtype), rows.like(c, c.dtype)
        seen = rows.gates if peephole is None else peephole.contiguous()
        rows.run(_kernels().lstm, old, seen, h, new, KIND=_kind(peephole), LAST=rows.last)
        return h, new

    def backward(self, given: Sequence[Any], wanted: Sequence[Tensor]) -> list[Tensor | None]:
        gates, added, c, peephole = given
        rows = _Rows(4, gates, added, c)
        old, (dh, dc) = rows.laid(c), (rows.laid(d) for d in wanted)
        d_gates, d_old = rows.like(c, gates.dtype, 4), rows.like(c, c.dtype)
        seen = rows.gates if peephole is None else peephole.contiguous()
        rows.run(_kernels().lstm_back, old, seen, dh, dc, d_gates, d_old, KIND=_kind(peephole), LAST=rows.last)
        return [d_gates, d_old, None if peephole is None else self._d_peephole(gates, added, c, peephole, d_gates)]

    def _d_peephole(self, gates: Tensor, added: Tensor | None, c: Tensor, peephole: Tensor, d_gates: Tensor) -> Tensor:
        _, new = self.forward(gates, added, c, peephole)
        di, df, _, do = d_gates.float().chunk(4, dim=1)
        over = [0] if _kind(peephole) == 2 else [0, *range(2, c.dim())]
        sums = [(d * seen.float()).sum(over) for d, seen in ((di, c), (df, c), (do, new))]
        return torch.stack(sums).view_as(peephole).to(peephole.dtype)

    def plain(self, given: Sequence[Any]) -> tuple[Tensor, Tensor]:
        gates, added, c, peephole = given
        i, f, g, o = (gates if added is None else gates + added).chunk(4, dim=1)
        peeps = None if peephole is None else peephole.to(gates.dtype)
        if peeps is not None:
            i, f = i + peeps[0] * c, f + peeps[1] * c
        new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        o = o if peeps is None else o + peeps[2] * new
        return (torch.sigmoid(o) * torch.tanh(new)).to(gates.dtype), new


class _GruGates:
    """See `gru_gates`."""

    parts = 2

    def forward(self, gates: Tensor, added: Tensor | None, h: Tensor) -> tuple[Tensor, Tensor]:
        rows = _Rows(2, gates, added, h)
        reset, update = rows.like(h, h.dtype), rows.like(h, gates.dtype)
        rows.run(_kernels().gru_gates, rows.laid(h), reset, update)
        return reset, update

    def backward(self, given: Sequence[Any], wanted: Sequence[Tensor]) -> list[Tensor | None]:
        gates, added, h = given
        rows = _Rows(2, gates, added, h)
        d_gates, d_h = rows.like(h, gates.dtype, 2), rows.like(h, h.dtype)
        rows.run(_kernels().gru_gates_back, rows.laid(h), *(rows.laid(d) for d in wanted), d_gates, d_h)
        return [d_gates, d_h]

    def plain(self, given: Sequence[Any]) -> tuple[Tensor, Tensor]:
        gates, added, h = given
        r, u = torch.sigmoid(gates if added is None else gates + added).chunk(2, dim=1)
        return (r * h).to(h.dtype), u


class _GruState:
    """See `gru_state`."""

    parts = 1

    def forward(self, raw: Tensor, added: Tensor | None, u: Tensor, h: Tensor) -> tuple[Tensor]:
        rows = _Rows(1, raw, added, h)
        new = rows.like(h, h.dtype)
        rows.run(_kernels().gru_state, rows.laid(u), rows.laid(h), new)
        return (new,)

    def backward(self, given: Sequence[Any], wanted: Sequence[Tensor]) -> list[Tensor | None]:
        raw, added, u, h = given
        rows = _Rows(1, raw, added, h)
        d_raw, d_u, d_h = (rows.like(h, like.dtype) for like in (raw, u, h))
        rows.run(_kernels().gru_state_back, rows.laid(u), rows.laid(h), rows.laid(wanted[0]), d_raw, d_u, d_h)
        return [d_raw, d_u, d_h]

    def plain(self, given: Sequence[Any]) -> tuple[Tensor]:
        raw, added, u, h = given
        n = torch.tanh(raw if added is None else raw + added)
        return ((u * h + (1 - u) * n).to(h.dtype),)


def _is_last(gates: Tensor) -> bool:
    """Whether the gates lie channels-last: every pixel a row, one as far from the next as any other."""
    rows = gates.movedim(1, -1)
    if gates.dim() < 3 or gates[0].is_contiguous() or rows.stride(-1) != 1:
        return False
    wanted = rows.stride(-2)
    for axis in reversed(range(rows.dim() - 1)):
        if rows.shape[axis] > 1 and rows.stride(axis) != wanted:
            return False
        wanted *= rows.shape[axis]
    return True


def _kind(peephole: Tensor | None) -> int:
    """0 without peepholes, 1 with one per channel, 2 with one per channel and pixel."""
    return 0 if peephole is None else 2 if peephole[0, 0].numel() > 1 else 1


def _kernels() -> Any:
    from echocast.nn import triton_kernels  # it needs Triton

    return triton_kernels


@cache
def _is_installed() -> bool:
    return find_spec("triton") is not None
