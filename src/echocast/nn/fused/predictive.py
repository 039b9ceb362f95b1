"""The pointwise parts of a PredNet layer as kernels: an LSTM with hard sigmoids, and the two halves of its error.

Tensors are (batch, channel, y, x), 32 bits, on the CPU, and channels-last in memory.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from echocast.nn.fused.buffers import empty, rows
from echocast.nn.fused.compiler import Kernel, Load, Rows, Store, compile_kernel
from echocast.nn.fused.lanes import above_zero, hard_sigmoid, hard_sigmoid_slope, tanh

_SLOPE = 0.2
"""Of the hard sigmoid."""


def cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The new ``(h, c)`` from the gates i, f, o and g before their activations, (batch, 4 hidden, y, x)."""
    made: tuple[Tensor, Tensor] = _Cell.apply(gates, c)  # type: ignore[no-untyped-call]
    return made


def errors(raw: Tensor, target: Tensor) -> Tensor:
    """``[relu(p - a), relu(a - p)]`` of the prediction ``p = relu(raw)`` and the target a, (batch, 2 channel, y, x)."""
    made: Tensor = _Errors.apply(raw, target)  # type: ignore[no-untyped-call]
    return made


class _Cell(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        raw, before = _last(gates), _last(c)
        active, h, new = (empty(shape, torch.float32) for shape in (raw.shape, before.shape, before.shape))
        tensors = {"raw": raw, "c": before, "active": active, "h": h, "new": new}
        _run(_cell_kernel(), tensors, width=before.shape[-1])
        ctx.save_for_backward(active, before, new)
        return h.movedim(-1, 1), new.movedim(-1, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        active, c, new = ctx.saved_tensors
        dh, dnew = (_last(one) for one in gradients)
        d_gates, dc = empty(active.shape, torch.float32), empty(c.shape, torch.float32)
        tensors = {"active": active, "c": c, "new": new, "dh": dh, "dnew": dnew, "d_gates": d_gates, "dc": dc}
        _run(_cell_back_kernel(), tensors, width=c.shape[-1])
        return d_gates.movedim(-1, 1), dc.movedim(-1, 1)


class _Errors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, raw: Tensor, target: Tensor) -> Tensor:
        z, a = _last(raw), _last(target)
        e = empty((*z.shape[:-1], 2 * z.shape[-1]), torch.float32)
        _run(_errors_kernel(), {"z": z, "a": a, "e": e}, width=z.shape[-1])
        ctx.save_for_backward(z, e)
        return e.movedim(-1, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        z, e = ctx.saved_tensors
        dz, da = empty(z.shape, torch.float32), empty(z.shape, torch.float32)
        tensors = {"z": z, "e": e, "de": _last(gradients[0]), "dz": dz, "da": da}
        _run(_errors_back_kernel(), tensors, width=z.shape[-1])
        return dz.movedim(-1, 1), da.movedim(-1, 1)


def _last(tensor: Tensor) -> Tensor:
    """(batch, y, x, channel) without gaps."""
    return tensor.detach().movedim(1, -1).contiguous()


def _run(kernel: Kernel, tensors: dict[str, Tensor], *, width: int) -> None:
    flat = {name: rows(tensor) for name, tensor in tensors.items()}
    kernel(flat, rows=len(next(iter(flat.values()))), width=width)


@cache
def _cell_kernel() -> Kernel:
    def body(load: Load, store: Store) -> None:
        i, f, o = (hard_sigmoid(load("raw", k), _SLOPE) for k in range(3))
        g = tanh(load("raw", 3))
        new = f.times_plus(load("c"), i * g)
        for k, gate in enumerate((i, f, o, g)):
            store("active", gate, k)
        store("new", new)
        store("h", o * tanh(new))

    return compile_kernel("prednet_cell", {name: Rows() for name in ("raw", "c", "active", "h", "new")}, body)


@cache
def _cell_back_kernel() -> Kernel:
    def body(load: Load, store: Store) -> None:
        i, f, o, g = (load("active", k) for k in range(4))
        shown, dh = tanh(load("new")), load("dh")
        dnew = (dh * o).times_plus(1.0 - shown * shown, load("dnew"))
        si, sf, so = (hard_sigmoid_slope(gate, _SLOPE) for gate in (i, f, o))
        wanted = dnew * g * si, dnew * load("c") * sf, dh * shown * so, dnew * i * (1.0 - g * g)
        for k, gradient in enumerate(wanted):
            store("d_gates", gradient, k)
        store("dc", dnew * f)

    names = ("active", "c", "new", "dh", "dnew", "d_gates", "dc")
    return compile_kernel("prednet_cell_back", {name: Rows() for name in names}, body)


@cache
def _errors_kernel() -> Kernel:
    def body(load: Load, store: Store) -> None:
        short = load("z").call("maximum", 0.0) - load("a")
        store("e", short.call("maximum", 0.0), 0)
        store("e", (0.0 - short).call("maximum", 0.0), 1)

    return compile_kernel("prednet_errors", {name: Rows() for name in ("z", "a", "e")}, body)


@cache
def _errors_back_kernel() -> Kernel:
    def body(load: Load, store: Store) -> None:
        above, below = (load("de", k) * above_zero(load("e", k)) for k in range(2))
        store("da", below - above)
        store("dz", (above - below) * above_zero(load("z").call("maximum", 0.0)))

    return compile_kernel("prednet_errors_back", {name: Rows() for name in ("z", "e", "de", "dz", "da")}, body)
