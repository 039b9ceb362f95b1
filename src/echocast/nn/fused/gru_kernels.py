"""The ConvGRU's pointwise part as kernels.

Rows are pixels. What is kept of a time step for its backward pass are the gates u and r, the candidate n, and n's part
of the state where the reset gate acts after the convolution.
"""

from functools import cache

from echocast.nn.fused.compiler import Kernel, Load, Rows, Store, compile_kernel
from echocast.nn.fused.lanes import Lanes, sigmoid, tanh


def _maybe(x_gates: bool) -> dict[str, Rows]:
    return {"x_gates": Rows()} if x_gates else {}


@cache
def gates(*, x_gates: bool, keep: bool, wide: bool) -> Kernel:
    """The gates u and (with `keep`) r to ``gates``, and the reset hidden state to ``next``.

    Args:
        x_gates: a second tensor, what the input adds to r, u and n, is to be added.
        keep: whether r is kept too.
        wide: ``raw`` may lie within larger images.
    """
    raw = Rows(at="grid") if wide else Rows()
    tensors = {"raw": raw, "h": Rows(), "gates": Rows(), "next": Rows(at="grid")} | _maybe(x_gates)

    def body(load: Load, store: Store) -> None:
        r, u = (sigmoid(load("raw", k) + load("x_gates", k) if x_gates else load("raw", k)) for k in range(2))
        store("gates", u, 0)
        if keep:
            store("gates", r, 1)
        store("next", r * load("h"))

    return compile_kernel("convgru_gates", tensors, body)


@cache
def state(*, x_gates: bool, keep: bool, wide: bool) -> Kernel:
    """The new hidden state from the candidate (``raw``), the gate u and the old one, to ``new`` and ``next``; with
    `keep`, the candidate to ``gates``."""
    raw = Rows(at="grid") if wide else Rows()
    tensors = {"raw": raw, "h": Rows(), "gates": Rows(), "new": Rows(), "next": Rows(at="grid")} | _maybe(x_gates)

    def body(load: Load, store: Store) -> None:
        n = tanh(load("raw") + load("x_gates", 2) if x_gates else load("raw"))
        if keep:
            store("gates", n, 2)
        _mix(store, load("gates", 0), load("h"), n)

    return compile_kernel("convgru_state", tensors, body)


@cache
def step(*, x_gates: bool, bias: bool, keep: bool, wide: bool) -> Kernel:
    """A whole time step where the reset gate acts after the convolution, whose result (``raw``) is n's part of the
    state, r, u and, without `x_gates`, n's part of the input.

    Args:
        x_gates, keep, wide: as in `gates`.
        bias: there is no input, and what n has beside the state is a row ``bias``.
    """
    tensors = {"raw": Rows(at="grid") if wide else Rows(), "h": Rows(), "new": Rows(), "next": Rows(at="grid")}
    tensors |= _maybe(x_gates) | ({"bias": Rows(at="same")} if bias else {}) | ({"gates": Rows()} if keep else {})

    def body(load: Load, store: Store) -> None:
        seen = load("raw", 0)
        r, u = (sigmoid(load("raw", k + 1) + load("x_gates", k) if x_gates else load("raw", k + 1)) for k in range(2))
        other = load("x_gates", 2) if x_gates else load("bias") if bias else load("raw", 3)
        n = tanh(r.times_plus(seen, other))
        if keep:
            for k, kept in enumerate((u, r, n, seen)):
                store("gates", kept, k)
        _mix(store, u, load("h"), n)

    return compile_kernel("convgru_step", tensors, body)


def _mix(store: Store, u: Lanes, h: Lanes, n: Lanes) -> None:
    new = u.times_plus(h - n, n)
    store("new", new)
    store("next", new)


@cache
def states() -> Kernel:
    """The new hidden state from what was kept of a time step and the old one."""

    def body(load: Load, store: Store) -> None:
        n = load("gates", 2)
        store("new", load("gates", 0).times_plus(load("h") - n, n))

    return compile_kernel("convgru_states", {name: Rows() for name in ("gates", "h", "new")}, body)


@cache
def back(*, after: bool, wide: bool) -> Kernel:
    """From the gradients of the new hidden state (three: from the layer ``above``, and from the ``later`` time step
    through its convolution and ``past`` it) to those of the gates before their activation, ``dgates``, and to what goes
    to the old hidden state past the convolutions, in ``past``; ``seen`` is given the old hidden state.

    The gradient of r needs a convolution first where the reset gate acts before the convolution; see `back_to_reset`.
    """
    later = Rows(at="grid") if wide else Rows()
    names = ("gates", "h", "above", "past")
    tensors = {name: Rows() for name in names} | {name: Rows(at="grid") for name in ("dgates", "seen")}
    tensors["later"] = later

    def body(load: Load, store: Store) -> None:
        u, n, h = load("gates", 0), load("gates", 2), load("h")
        dh, rest = load("above") + load("later") + load("past"), 1.0 - u
        dn, du = dh * rest * (1.0 - n * n), dh * (h - n) * u * rest
        first = 1 if after else 0
        store("dgates", du, first + 1)
        store("dgates", dn, first + 2)
        if after:
            r = load("gates", 1)
            store("dgates", dn * r, 0)
            store("dgates", dn * load("gates", 3) * r * (1.0 - r), 1)
        store("past", dh * u)
        store("seen", h)

    return compile_kernel("convgru_back", tensors, body)


@cache
def back_to_reset(*, wide: bool) -> Kernel:
    """From the gradient of the reset hidden state (``later``) to that of r before its activation, ``dgates``, and of
    the old hidden state, added to ``past``; ``seen`` is given the reset hidden state."""
    tensors = {name: Rows() for name in ("gates", "h", "past")} | {name: Rows(at="grid") for name in ("dgates", "seen")}
    tensors["later"] = Rows(at="grid") if wide else Rows()

    def body(load: Load, store: Store) -> None:
        r, h, d = load("gates", 1), load("h"), load("later")
        store("dgates", d * h * r * (1.0 - r))
        store("past", d.times_plus(r, load("past")))
        store("seen", r * h)

    return compile_kernel("convgru_back_to_reset", tensors, body)
