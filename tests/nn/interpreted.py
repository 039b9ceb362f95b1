"""Runs the Triton kernels of a GPU on the CPU, by Triton's interpreter, and compares them with single operations.

    TRITON_INTERPRET=1 python tests/nn/interpreted.py

A script, as the variable has to be set before Triton is first imported, and as type checks of the tests would wrap the
functions whose source the interpreter reads. It ends with 1 where something differs.
"""

import sys
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from echocast.nn import ConvGRU, ConvLSTM, pointwise


def outcome(layer: Any, x: Tensor | None, state: Any, **more: Any) -> list[Tensor]:
    output, last = layer(x, state, **more)
    last = last if isinstance(last, tuple) else (last,)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    loss = (output * weights).sum() + sum(part.pow(2).sum() for part in last)
    given = [*(state if isinstance(state, tuple) else (state,)), *layer.parameters(), *([] if x is None else [x])]
    return [output, *last, *torch.autograd.grad(loss, given)]


def exactly(layer: Any, x: Tensor | None, state: Any, **more: Any) -> list[Tensor]:
    exact = type(layer)(**{**layer.arguments, "dtype": torch.float64})
    exact.load_state_dict(layer.state_dict())
    x, *parts = (
        None if t is None else t.detach().double().requires_grad_()
        for t in (x, *(state if isinstance(state, tuple) else (state,)))
    )
    given: Any = tuple(parts) if len(parts) > 1 else parts[0]
    return [t.float() for t in outcome(exact, x, given, **more)]


def agree(made: list[Tensor], expected: list[Tensor], rtol: float) -> None:
    for one, other in zip(made, expected, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() <= rtol * (other.abs().max() + 1e-6)


CELLS: list[tuple[Any, dict[str, Any]]] = [
    (ConvLSTM, {"peephole": None}),
    (ConvLSTM, {"peephole": "channel"}),
    (ConvLSTM, {"peephole": "pixel", "spatial_size": (5, 6)}),
    (ConvGRU, {}),
    (ConvGRU, {"reset_after": True}),
    (ConvGRU, {"reset_after": True, "bias": False}),
]


def taken(*tensors: Tensor | None) -> bool:
    return all(t is None or t.dtype != torch.float64 for t in tensors)


def drawn(layer: Any) -> Any:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0, 0.3)
    return layer


def forwards_and_backwards() -> None:
    for kind, options in CELLS:
        for last in (False, True):
            for inputs in (0, 2):
                layer = drawn(kind(inputs, 3, **options))
                if last:  # PyTorch's convolutions then give channels-last
                    for cell in layer.cells:
                        cell.weight_h.data = cell.weight_h.data.contiguous(memory_format=torch.channels_last)
                x = torch.randn(3, 2, inputs, 5, 6, requires_grad=True) if inputs else None
                parts = tuple(torch.randn(1, 2, 3, 5, 6, requires_grad=True) for _ in range(layer.num_states))
                state: Any = parts if len(parts) > 1 else parts[0]
                more = {} if inputs else {"steps": 3}
                agree(outcome(layer, x, state, **more), exactly(layer, x, state, **more), 1e-5)


def second_derivatives() -> None:
    for kind, options in CELLS[1:2] + CELLS[3:5]:
        layer, found = drawn(kind(1, 2, **options)), []
        x = torch.randn(3, 1, 1, 5, 6, requires_grad=True)
        for takes in (taken, lambda *_: False):
            pointwise.takes = takes
            (slope,) = torch.autograd.grad(layer(x)[0].pow(2).sum(), x, create_graph=True)
            found.append([slope, *torch.autograd.grad(slope.pow(2).sum(), [x, *layer.parameters()])])
        agree(found[0], found[1], 1e-4)


def sixteen_bits() -> None:
    torch.manual_seed(0)
    for form in (torch.contiguous_format, torch.channels_last):
        gates, added, c = torch.randn(2, 12, 4, 5), torch.randn(2, 12, 4, 5), torch.randn(2, 3, 4, 5)
        low = [t.bfloat16().contiguous(memory_format=form).requires_grad_() for t in (gates, added)]
        h, new = pointwise.lstm(*low, c, None)
        assert (h.dtype, new.dtype) == (torch.bfloat16, torch.float32)
        i, f, g, o = (low[0].detach().float() + low[1].detach().float()).chunk(4, dim=1)
        expected = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        agree([new], [expected], 1e-6)
        # The interpreter cuts off the digits that a GPU rounds: one unit in the last place.
        agree([h.float()], [torch.sigmoid(o) * torch.tanh(expected)], 2**-7)
        (new.sum() + h.float().sum()).backward()
        assert all(t.grad is not None and t.grad.dtype == torch.bfloat16 for t in low)


def launched() -> None:
    """That it is kernels that have run."""
    from echocast.nn import triton_kernels

    names = ("lstm", "lstm_back", "gru_gates", "gru_gates_back", "gru_state", "gru_state_back")
    assert all(type(getattr(triton_kernels, name)).__name__ == "InterpretedFunction" for name in names)


def main() -> int:
    failed = 0
    checks: list[Callable[[], None]] = [forwards_and_backwards, second_derivatives, sixteen_bits, launched]
    for check in checks:
        pointwise.takes = taken
        try:
            check()
        except AssertionError as bad:
            failed = 1
            traceback.print_exception(bad)
        else:
            sys.stdout.write(f"{check.__name__}: agrees\n")
    return failed


if __name__ == "__main__":
    sys.exit(main())
