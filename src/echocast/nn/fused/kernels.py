"""The ConvLSTM's pointwise part as kernels: a time step, its states again, and its backward pass.

Rows are pixels, and the parts of a row are the gates `i, f, g, o`. The cell state is always 32-bit; gates and hidden
states are 32-bit or bfloat16.
"""

from collections.abc import Callable
from functools import cache

from echocast.nn.fused.compiler import Kernel, Load, Rows, Store, compile_kernel
from echocast.nn.fused.lanes import Lanes, hard_sigmoid, hard_sigmoid_slope, sigmoid, tanh
from echocast.nn.fused.weights import SLOPES


@cache
def step(
    *, bf16: bool, peephole: str | None, x_gates: bool, keep: bool, wide: bool = False, gate: str = "sigmoid"
) -> Kernel:
    """From the convolution's result (``raw``) and the old cell state (``c``) to the new ``c`` and ``h``.

    Args:
        bf16: gates and hidden states are bfloat16.
        peephole: None, ``channel`` or ``pixel``.
        x_gates: a second tensor of gates, what the input adds to them, is to be added.
        keep: write the activated gates to ``gates``, for the backward pass.
        wide: ``raw`` is 32-bit whatever the rest is, and may lie within larger images.
        gate: the activation of the gates, one of `GATES`.
    """
    active, _ = _activation(gate)
    narrow = Rows(bf16)
    tensors = {
        "raw": Rows(at="grid") if wide else narrow,
        "c": Rows(),
        "new": Rows(),
        "h": narrow,
        "next": Rows(bf16, at="grid"),
    }
    if peephole:
        tensors["peephole"] = _peephole(peephole)
    if x_gates:
        tensors["x_gates"] = narrow
    if keep:
        tensors["gates"] = narrow

    def body(load: Load, store: Store) -> None:
        c = load("c")
        i, f, g, o = (load("raw", k) + load("x_gates", k) if x_gates else load("raw", k) for k in range(4))
        if peephole:
            i, f = load("peephole", 0).times_plus(c, i), load("peephole", 1).times_plus(c, f)
        i, f, g = active(i), active(f), tanh(g)
        new = f.times_plus(c, i * g)
        o = active(load("peephole", 2).times_plus(new, o) if peephole else o)
        h = o * tanh(new)
        if keep:
            for k, gate in enumerate((i, f, g, o)):
                store("gates", gate, k)
        store("new", new)
        store("h", h)
        store("next", h)

    return compile_kernel("convlstm_step", tensors, body)


@cache
def cells(*, bf16: bool) -> Kernel:
    """The new cell state from the activated gates and the old cell state."""

    def body(load: Load, store: Store) -> None:
        store("new", load("gates", 1).times_plus(load("c"), load("gates", 0) * load("gates", 2)))

    return compile_kernel("convlstm_cells", {"gates": Rows(bf16), "c": Rows(), "new": Rows()}, body)


@cache
def hidden(*, bf16: bool) -> Kernel:
    """The hidden state from the activated gates and the cell state after them, to ``seen``."""

    def body(load: Load, store: Store) -> None:
        store("seen", load("gates", 3) * tanh(load("c")))

    return compile_kernel("convlstm_hidden", {"gates": Rows(bf16), "c": Rows(), "seen": Rows(bf16, at="grid")}, body)


@cache
def back(*, bf16: bool, peephole: str | None, wide: bool = False, gate: str = "sigmoid") -> Kernel:
    """From the gradients of ``h`` (two of them: from the layer above and from the next time step) and of the new cell
    state (``dc``) to those of the gates before their activation (``dgates``) and of the old cell state (in ``dc``);
    ``sums`` collects the peepholes'. With `wide`, ``later`` is 32-bit, and may lie within larger images.
    """
    _, slope = _activation(gate)
    narrow, later = Rows(bf16), Rows(at="grid") if wide else Rows(bf16)
    tensors = {"gates": narrow, "c": Rows(), "above": narrow, "later": later, "dc": Rows()}
    tensors["dgates"] = Rows(bf16, at="grid")
    if peephole:
        tensors["peephole"] = _peephole(peephole)
        if peephole == "channel":
            tensors["sums"] = Rows(at="block")

    def body(load: Load, store: Store) -> None:
        c = load("c")
        i, f, g, o = (load("gates", k) for k in range(4))
        new = f.times_plus(c, i * g)
        shown = tanh(new)
        dh = load("above") + load("later")
        do = dh * shown * slope(o)
        dnew = (dh * o).times_plus(1.0 - shown * shown, load("dc"))
        if peephole:
            dnew = load("peephole", 2).times_plus(do, dnew)
        di, df, dg = dnew * g * slope(i), dnew * c * slope(f), dnew * i * (1.0 - g * g)
        dc = dnew * f
        if peephole:
            dc = load("peephole", 0).times_plus(di, load("peephole", 1).times_plus(df, dc))
        if peephole == "channel":
            for k, (gate, seen) in enumerate(((di, c), (df, c), (do, new))):
                store("sums", gate.times_plus(seen, load("sums", k)), k)
        for k, gate in enumerate((di, df, dg, do)):
            store("dgates", gate, k)
        store("dc", dc)

    return compile_kernel("convlstm_back", tensors, body)


def _activation(gate: str) -> tuple[Callable[[Lanes], Lanes], Callable[[Lanes], Lanes]]:
    """A gate's activation, and its derivative from the activated value."""
    if gate == "sigmoid":
        return sigmoid, lambda value: value * (1.0 - value)
    steep = SLOPES[gate]
    return (lambda x: hard_sigmoid(x, steep)), lambda value: hard_sigmoid_slope(value, steep)


def _peephole(kind: str) -> Rows:
    return Rows(at="pixel" if kind == "pixel" else "same")
