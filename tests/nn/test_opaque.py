"""Compilers see a cell over a sequence as one operation: it computes what the cell does, and is compiled once."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from definitions import randomised
from echocast.nn import LSTM, ConvGRU, ConvLSTM, ConvLSTMCell, TrajGRU, opaque
from echocast.nn.carried import Dropout

pytestmark = pytest.mark.usefixtures("as_users_run")

MAKERS: dict[str, Any] = {"ConvLSTM": ConvLSTM, "ConvGRU": ConvGRU, "LSTM": LSTM}

COMPILES_ONCE = """
import sys
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from echocast.nn import LSTM, ConvGRU, ConvLSTM

torch.set_num_threads(1)
backend, *wanted = sys.argv[1:]
cases = {"small": (ConvLSTM, (8, 12)), "large": (ConvLSTM, (96, 100)), "gru": (ConvGRU, (8, 12)), "lstm": (LSTM, ())}
for make, space in (cases[name] for name in wanted):
    torch.manual_seed(0)
    torch.compiler.reset()
    layer, counter = make(1, 6), CompileCounterWithBackend(backend)
    compiled = torch.compile(layer, dynamic=True, backend=counter)
    for steps in range(2, 14):
        x = torch.randn(steps, 3, 1, *space)
        found = []
        for run in (compiled, layer):
            output, state = run(x)
            grads = torch.autograd.grad(output.pow(2).sum() + output[-1].sum(), list(layer.parameters()))
            found.append([output.detach(), *grads])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))
    assert sum(len(graph.graph.nodes) > 0 for graph in counter.graphs) == 1, make
print("compiled once")
"""


@pytest.mark.parametrize(
    ("backend", "cases"),
    [
        ("aot_eager", ["gru"]),
        pytest.param("inductor", ["small", "large", "gru", "lstm"], marks=pytest.mark.slow),
    ],
)
def test_any_number_of_time_steps_is_compiled_once(backend: str, cases: list[str]) -> None:
    command = [sys.executable, "-W", "ignore", "-c", COMPILES_ONCE, backend, *cases]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "compiled once", done.stderr


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_operation_is_the_cell(kind: str, autocast: bool, masked: bool) -> None:
    space = () if kind == "LSTM" else (5, 6)
    cell = randomised(MAKERS[kind](2, 3, zoneout=0.2, recurrent_dropout=0.5), scale=0.4).cells[0].eval()
    x = torch.randn(4, 2, 2, *space, requires_grad=True)
    state = tuple(torch.randn(2, 3, *space, requires_grad=True) for _ in range(cell.num_states))
    mask = torch.tensor([[True, True], [True, False], [False, True], [True, True]]) if masked else None
    dropout = Dropout(None, torch.rand(2, 3, *[1] * len(space)))
    found = []
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for compute in (lambda *given: opaque.sequence(cell, *given), cell._sequence):
            output, last = compute(x, state, 4, mask, dropout, cell.weights())
            loss = output.float().pow(2).sum() + sum(t.float().sum() for t in last)
            found.append([output, *last, *torch.autograd.grad(loss, [x, *state, *cell.parameters()])])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype


def test_pytorch_finds_no_fault_with_the_operation() -> None:
    cell = randomised(ConvLSTM(2, 3), scale=0.4).cells[0]
    tensors = [torch.randn(4, 2, 2, 5, 6), torch.randn(2, 3, 5, 6), torch.randn(2, 3, 5, 6), *cell.parameters()]
    names = "x h c weight_x weight_h bias own"
    given = (tensors, names, cell.told, 0.0, 4, "")
    torch.library.opcheck(torch.ops.echocast.sequence.default, given)  # type: ignore[no-untyped-call]


def calls_in_graph(layer: Any, x: Tensor) -> int:
    """How often the operation stands in what a compiler is given."""
    seen: list[Any] = []

    def backend(graph: Any, _: Any) -> Any:
        seen.extend(node.target for node in graph.graph.nodes if node.op == "call_function")
        return graph.forward

    torch.compiler.reset()
    expected, made = layer(x)[0], torch.compile(layer, backend=backend, fullgraph=True)(x)[0]
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    return sum("echocast.sequence" in str(target) for target in seen)


def test_large_layers_keep_their_fused_path_inside_a_compiler() -> None:
    assert calls_in_graph(ConvLSTM(1, 8, num_layers=2), torch.randn(3, 2, 1, 64, 64)) == 2
    assert calls_in_graph(ConvLSTM(1, 8, num_layers=2), torch.randn(3, 2, 1, 8, 8)) == 0


def test_a_cell_with_weights_of_its_own_is_written_out() -> None:
    class Scaled(ConvLSTMCell):
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            self.scale = torch.nn.Parameter(torch.tensor(2.0))

        def input_gates(self, x: Tensor, weights: Any = None) -> Tensor:
            return self.scale * super().input_gates(x, weights)

    class Layer(ConvLSTM):
        cell_type = Scaled

    assert Layer(1, 8).cells[0].told is None
    assert TrajGRU(1, 8).cells[0].told is None
    assert ConvLSTM(1, 8).cells[0].told is not None


def test_a_layer_with_a_function_of_its_own_is_written_out() -> None:
    assert calls_in_graph(ConvLSTM(1, 8, activation=torch.sin), torch.randn(3, 2, 1, 64, 64)) == 0
    assert calls_in_graph(ConvLSTM(1, 8, zoneout=0.1).eval(), torch.randn(3, 2, 1, 64, 64)) == 0
