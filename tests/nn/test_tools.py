"""PyTorch's tools work on cells, layers and the network: compilers, exporters, transforms, copies, processes."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from definitions import randomised
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.nn import LSTM, ConvGRU, ConvGRUCell, ConvLSTM, ConvLSTMCell

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


class Network(nn.Module):
    """The network with a fixed count of forecast frames, as an exporter needs it."""

    def __init__(self) -> None:
        super().__init__()
        self.model = EncoderForecaster(hidden_channels=[6, 8], patch=2)

    def forward(self, past: Tensor) -> Tensor:
        return self.model(past, 4)


TIME, BATCH, ROWS, COLUMNS = Dim("time"), Dim("batch"), Dim("rows"), Dim("columns")
LAYER = {0: TIME, 1: BATCH, 3: ROWS, 4: COLUMNS}
EVEN = {0: BATCH, 1: TIME, 3: 2 * Dim("half_rows", max=2048), 4: 2 * Dim("half_columns", max=2048)}

MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...], dict[int, Any]]] = {
    "lstm_cell": (lambda: ConvLSTMCell(2, 6), (2, 2, 8, 12), (3, 2, 16, 4), {0: BATCH, 2: ROWS, 3: COLUMNS}),
    "gru_cell": (lambda: ConvGRUCell(2, 6), (2, 2, 8, 12), (3, 2, 16, 4), {0: BATCH, 2: ROWS, 3: COLUMNS}),
    "convlstm": (lambda: ConvLSTM(1, [6, 4]), (5, 2, 1, 8, 12), (7, 3, 1, 12, 4), LAYER),
    "convgru": (lambda: ConvGRU(1, [6, 4]), (5, 2, 1, 8, 12), (7, 3, 1, 12, 4), LAYER),
    "lstm": (lambda: LSTM(2, 6, num_layers=2), (5, 2, 2), (7, 3, 2), {0: TIME, 1: BATCH}),
    "network": (Network, (2, 5, 1, 8, 12), (3, 7, 1, 16, 20), EVEN),
}


def first(result: Any) -> Tensor:
    while not isinstance(result, Tensor):
        result = result[0]
    return result


@pytest.fixture(params=MODULES)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor, Tensor, dict[int, Any]]:
    make, shape, other, dynamic = MODULES[request.param]
    return randomised(make(), scale=0.3), torch.rand(shape), torch.rand(other), dynamic


Case = tuple[nn.Module, Tensor, Tensor, dict[int, Any]]


def only(*quick: str) -> pytest.MarkDecorator:
    """The cases named at once, the others where there is time."""
    cases = [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in sorted(MODULES)]
    return pytest.mark.parametrize("case", cases, indirect=True)


@pytest.mark.usefixtures("as_users_run")
@only("convlstm", "lstm_cell")
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compile(case: Case, backend: str) -> None:
    module, x, *_ = case
    torch.compiler.reset()
    output = first(torch.compile(module, fullgraph=True, backend=backend)(x))
    torch.testing.assert_close(output, first(module(x)), rtol=0, atol=1e-5)
    grads = torch.autograd.grad(output.sum(), list(module.parameters()), allow_unused=True)
    expected = torch.autograd.grad(first(module(x)).sum(), list(module.parameters()), allow_unused=True)
    for one, two in zip(grads, expected, strict=True):
        assert (one is None) == (two is None)
        if one is not None and two is not None:
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("as_users_run")
@only()  # the documents export a ConvLSTM
def test_export_with_any_batch_time_and_grid(case: Case) -> None:
    module, x, other, dynamic = case
    program = torch.export.export(module.eval(), (x,), dynamic_shapes=(dynamic,))
    for frames in (x, other):
        output = first(program.module()(frames))
        torch.testing.assert_close(output, first(module(frames)), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.slow  # seconds of exporting
@pytest.mark.parametrize("make", [ConvLSTM, ConvGRU])
def test_export_with_lengths_and_states_after_one_of_fixed_shape(make: Any) -> None:
    layer = randomised(make(1, [6, 4]), scale=0.3).eval()
    x, state = torch.rand(5, 2, 1, 8, 12), layer(torch.rand(5, 2, 1, 8, 12))[1]
    torch.export.export(layer, (x,))
    grid = {0: BATCH, 2: ROWS, 3: COLUMNS}
    of_state = (grid, grid) if layer.num_states == 1 else ((grid, grid),) * 2
    shapes = {"x": LAYER, "state": of_state, "lengths": {0: BATCH}}
    program = torch.export.export(layer, (x, state), {"lengths": torch.tensor([5, 3])}, dynamic_shapes=shapes)
    program = program.run_decompositions()  # as the ONNX exporter does
    x, lengths = torch.rand(7, 3, 1, 12, 4), torch.tensor([7, 2, 4])
    state = layer(torch.rand(1, 3, 1, 12, 4))[1]
    expected, made = layer(x, state, lengths=lengths), program.module()(x, state, lengths=lengths)
    torch.testing.assert_close(made[0], expected[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(first(made[1]), first(expected[1]), rtol=0, atol=1e-5)


@pytest.mark.slow  # seconds of exporting
@pytest.mark.usefixtures("as_users_run")
@only("convlstm")
def test_onnx_with_any_batch_time_and_grid(case: Case, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="it comes with the extra test")
    module, x, other, dynamic = case
    program = torch.onnx.export(module.eval(), (x,), dynamo=True, dynamic_shapes=(dynamic,), verbose=False)
    assert program is not None
    program.save(tmp_path / "model.onnx")
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", settings)
    for frames in (x, other):
        (output, *_) = session.run(None, {session.get_inputs()[0].name: frames.numpy()})
        with torch.no_grad():
            assert (torch.from_numpy(output) - first(module(frames))).abs().max() < 1e-4


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize(("make", "space"), [(ConvLSTM, (8, 8)), (ConvGRU, (8, 8)), (LSTM, ())])
def test_vmap_and_gradients_of_every_sample(make: Any, space: tuple[int, ...]) -> None:
    layer, x = randomised(make(1, 3), scale=0.3), torch.randn(4, 5, 2, 1, *space)
    for made, alone in zip(torch.func.vmap(lambda frames: layer(frames)[0])(x), x, strict=True):
        torch.testing.assert_close(made, layer(alone)[0], rtol=0, atol=1e-5)
    parameters = dict(layer.named_parameters())

    def loss(weights: dict[str, Tensor], frames: Tensor) -> Tensor:
        return torch.func.functional_call(layer, weights, (frames,))[0].pow(2).sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)
    for k, alone in enumerate(x):
        layer.zero_grad()
        layer(alone)[0].pow(2).sum().backward()
        for name, parameter in layer.named_parameters():
            torch.testing.assert_close(each[name][k], parameter.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(case: Case, dtype: torch.dtype) -> None:
    module, x, *_ = case
    with torch.autocast("cpu", dtype):
        output = first(module(x))
    # A ConvGRU's hidden state is its memory, and like a ConvLSTM's cell keeps the precision that it came with.
    assert output.dtype == (torch.float32 if isinstance(module, (ConvGRU, ConvGRUCell)) else dtype)
    torch.testing.assert_close(output.float(), first(module(x)), rtol=0, atol=0.05)
    output.float().sum().backward()


@pytest.mark.parametrize("how", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies(case: Case, how: Callable[[nn.Module], nn.Module]) -> None:
    module, x, *_ = case
    first(module(x)).sum().backward()  # after use, with whatever was cached
    again = how(module)
    assert torch.equal(first(again(x)), first(module(x)))
    assert not {p.data_ptr() for p in again.parameters()} & {p.data_ptr() for p in module.parameters()}


TWO = """
import sys
import torch
from torch.nn.parallel import DistributedDataParallel
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.nn import ConvGRU, ConvLSTM

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
shapes = {"lstm": (6, 2, 1, 8, 8), "gru": (6, 2, 1, 8, 8), "network": (2, 4, 1, 8, 8)}
for name, make in (
    ("lstm", lambda: ConvLSTM(1, [4, 4])), ("gru", lambda: ConvGRU(1, [4, 4])),
    ("network", lambda: EncoderForecaster(hidden_channels=[4, 4])),
):
    torch.manual_seed(0)
    model = make()
    x = torch.randn(2, *shapes[name])
    arguments = (3,) if name == "network" else ()
    parallel = DistributedDataParallel(model)  # an unused parameter would make the second step fail
    for _ in range(2):
        model.zero_grad()
        output = parallel(x[rank], *arguments)
        (output if name == "network" else output[0]).pow(2).mean().backward()
    grads = [p.grad.clone() for p in model.parameters()]
    assert all(g is not None for g in grads)
    model.zero_grad()
    for part in x:
        output = model(part, *arguments)
        ((output if name == "network" else output[0]).pow(2).mean() / 2).backward()
    for one, other in zip(grads, model.parameters()):
        torch.testing.assert_close(one, other.grad, rtol=1e-4, atol=1e-6)
print("both agree")
torch.distributed.destroy_process_group()
"""

SHARDED = """
import sys
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from echocast.nn import LSTM, ConvGRU, ConvLSTM

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))


def trained(make, space, how):
    torch.manual_seed(0)
    layer = make(2, [8, 8])
    if how:
        for module in [*(layer.cells if "cells" in how else []), *([layer] if "layer" in how else [])]:
            fully_shard(module, mesh=mesh)
        assert all(isinstance(p, DTensor) for p in layer.parameters())
    drawn, losses = torch.Generator().manual_seed(1), []
    optimiser = torch.optim.SGD(layer.parameters(), 1.0)
    for _ in range(3):
        x = torch.randn(3, 4, 2, *space, generator=drawn)
        x = x[:, 2 * rank : 2 * rank + 2] if how else x
        loss = (layer(x)[0] - 0.1).pow(2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        told = loss.detach().clone()
        if how:
            torch.distributed.all_reduce(told)
        losses.append(told / 2 if how else told)
    weights = [p.full_tensor() if how else p for p in layer.parameters()]
    with torch.no_grad():
        shown = layer(torch.ones(3, 1, 2, *space))[0]
    return [*losses, shown, *(w.detach() for w in weights)]


for make, space in ((ConvLSTM, (8, 8)), (ConvLSTM, (64, 64)), (ConvGRU, (8, 8)), (LSTM, ())):
    alone = trained(make, space, "")
    assert alone[2] < alone[0]
    for how in ("layer", "cells", "cells and layer"):
        for one, other in zip(trained(make, space, how), alone, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
print("both agree")
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow  # two processes start
@pytest.mark.parametrize("script", [TWO, SHARDED], ids=["copied", "sharded"])
def test_two_processes_train_together(script: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", script]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = [subprocess.Popen([*command, str(rank), str(tmp_path)], **pipes) for rank in range(2)]  # type: ignore[call-overload]
    for process in running:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert "both agree" in said


def test_memory_of_inference_does_not_grow_with_time() -> None:
    """The peak of a process that forecasts from 3 and then from 96 frames, without the frames themselves.

    A state is 1 MiB, so to keep each would take 93 MiB more; the allocator's own doing is up to 6.
    """
    script = """
import pathlib, re, sys, torch
from echocast.nn import ConvLSTM
def largest():  # not ru_maxrss, which a child process has from its parent
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
torch.set_num_threads(1)
layer = ConvLSTM(1, [16, 16]).eval()
frame = torch.rand(1, 1, 128, 128)
with torch.inference_mode():
    layer.last_state(frame.expand(3, 1, 1, 128, 128))
    before = largest()
    layer.last_state(frame.expand(int(sys.argv[1]), 1, 1, 128, 128))
    print(largest() - before)
"""
    done = subprocess.run([sys.executable, "-c", script, "96"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 16 * 1024, f"{done.stdout} KiB more for 96 frames than for 3; one state is 1 MiB"


@pytest.mark.parametrize("missing", ["llvmlite", "pydantic"])
def test_layers_need_neither_llvmlite_nor_pydantic(missing: str) -> None:
    """Nor do the weights of other implementations: without llvmlite the plain path runs."""
    script = f"""
import sys
sys.modules[{missing!r}] = None
import torch
from echocast.nn import ConvLSTM, compat, fused
with fused.always():
    print(tuple(ConvLSTM(1, 2)(torch.zeros(2, 1, 1, 4, 4))[0].shape), len(compat.names()) > 3)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(2, 1, 2, 4, 4) True"
    assert ("without their fused kernels" in done.stderr) == (missing == "llvmlite")
