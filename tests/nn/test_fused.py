"""The fused path computes what the plain path defines, and steps aside where it cannot."""

import importlib
import logging
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from definitions import randomised
from echocast.nn import ConvLSTM, ConvLSTMCell, fused, torch_internals
from echocast.nn.fused import compiler, convolutions, lanes, winograd
from echocast.nn.fused.buffers import bordered, inner
from echocast.nn.fused.convolutions import choose
from echocast.nn.fused.geometry import TILE
from echocast.nn.fused.product import product


@pytest.fixture(autouse=True)
def however_small() -> Iterator[None]:
    with fused.always():
        yield


def outcome(layer: ConvLSTM, x: Tensor, state: Any) -> list[Tensor]:
    """Output, states and every gradient."""
    output, (h, c) = layer(x, state)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    loss = (output * weights).sum() + h.pow(2).sum() + c.pow(3).sum()
    return [output, h, c, *torch.autograd.grad(loss, [x, *state, *layer.parameters()])]


def agree(made: list[Tensor], expected: list[Tensor], rtol: float) -> None:
    for one, other in zip(made, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert (one - other).abs().max() <= rtol * (other.abs().max() + 1e-6)


@pytest.mark.parametrize(("dims", "space"), [(1, (9,)), (2, (7, 6)), (2, (8, 12)), (3, (4, 3, 5))])
@pytest.mark.parametrize(
    "peephole", [pytest.param(None, marks=pytest.mark.slow), "channel", "pixel"]
)  # drawn elsewhere
@pytest.mark.parametrize("kernels", [(3, 3), pytest.param((5, 5), marks=pytest.mark.slow), (5, 3), (1, 1)])
@pytest.mark.parametrize("hidden", [5, 16])
def test_forwards_and_backwards(
    dims: int, space: tuple[int, ...], peephole: Any, kernels: tuple[int, int], hidden: int
) -> None:
    layer = ConvLSTM(
        3, hidden, num_layers=2, dims=dims, input_kernel=kernels[0], state_kernel=kernels[1],
        peephole=peephole, spatial_size=space if peephole == "pixel" else None,
    )  # fmt: skip
    randomised(layer, scale=0.2)
    x = torch.randn(5, 2, 3, *space, requires_grad=True)
    state = tuple(torch.randn(2, 2, hidden, *space, requires_grad=True) for _ in range(2))
    assert fused.takes(layer.cells[0].weight_h, x, products=1)
    made = outcome(layer, x, state)
    exact = ConvLSTM(**{**layer.arguments, "dtype": torch.float64})
    exact.load_state_dict(layer.state_dict())
    doubles = [t.detach().double().requires_grad_() for t in (x, *state)]
    expected = [t.float() for t in outcome(exact, doubles[0], tuple(doubles[1:]))]
    agree(made, expected, 1e-4)
    with fused.plain():
        agree(outcome(layer, x, state), expected, 3e-5)
    with fused.direct():
        agree(outcome(layer, x, state), expected, 3e-5)
    with torch.no_grad():
        # An input with a convolution of its own is convolved frame by frame here, channels-last, and at once above. In
        # 48 draws they differed by up to 2.8e-6, and each from 64 bits by 3.0e-6 and 4.4e-6.
        atol = 1e-6 if kernels[0] == kernels[1] else 5e-6
        torch.testing.assert_close(layer(x, state)[0], made[0].detach(), rtol=0, atol=atol)


@pytest.mark.parametrize(("hidden", "gate"), [(12, "hard_sigmoid"), (24, "hard_sigmoid_keras2")])
def test_hard_gates_and_channels_that_are_no_multiple_of_16(hidden: int, gate: str) -> None:
    layer = randomised(ConvLSTM(3, hidden, gate_activation=gate), scale=0.4)
    x = torch.randn(4, 2, 3, 8, 12, requires_grad=True)
    state = tuple(torch.randn(1, 2, hidden, 8, 12, requires_grad=True) for _ in range(2))
    exact = ConvLSTM(**{**layer.arguments, "dtype": torch.float64})
    exact.load_state_dict(layer.state_dict())
    doubles = [t.detach().double().requires_grad_() for t in (x, *state)]
    expected = [t.float() for t in outcome(exact, doubles[0], tuple(doubles[1:]))]
    agree(outcome(layer, x, state), expected, 1e-3)  # rounding moves a gate across the edge of its slope
    with torch.autocast("cpu", dtype=torch.bfloat16):  # which would round a gate to where it has no slope
        made = layer(x, state)[0]
        with fused.plain():
            assert torch.equal(made, layer(x, state)[0])


@pytest.mark.parametrize("options", [{"stride": 2}, {"padding_mode": "circular"}, {"dilation": 2}, {"bias": False}])
def test_an_input_with_a_convolution_of_its_own(options: dict[str, Any]) -> None:
    layer = randomised(ConvLSTM(3, 4, **options), scale=0.3)
    x = torch.randn(4, 2, 3, 8, 8, requires_grad=True)
    size = 4 if "stride" in options else 8
    state = tuple(torch.randn(1, 2, 4, size, size, requires_grad=True) for _ in range(2))
    made = outcome(layer, x, state)
    with fused.plain():
        agree(made, outcome(layer, x, state), 1e-5)


def test_bfloat16_is_as_close_to_the_truth_as_the_plain_path() -> None:
    layer = randomised(ConvLSTM(3, 16, num_layers=2), scale=0.1)
    x, errors = torch.randn(6, 2, 3, 16, 16), {}
    truth = layer.double()(x.double())[0]
    layer.float()
    for name, switch in (("fused", torch.enable_grad()), ("plain", fused.plain()), ("direct", fused.direct())):
        with switch, torch.autocast("cpu", torch.bfloat16):
            output, (h, c) = layer(x)
        assert (output.dtype, h.dtype, c.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
        errors[name] = (output.double() - truth).pow(2).mean().sqrt().item()
        output.float().sum().backward()
    assert errors["fused"] <= 1.2 * errors["plain"]
    assert errors["direct"] <= 1.2 * errors["plain"]
    low = ConvLSTM(3, 16, dtype=torch.bfloat16)
    output, (h, c) = low(x.bfloat16())
    assert {output.dtype, h.dtype, c.dtype} == {torch.bfloat16}
    with fused.plain():
        torch.testing.assert_close(low(x.bfloat16())[0], output, rtol=0, atol=0.03)


def test_where_a_processor_has_no_bfloat16_it_is_convolved_in_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = randomised(ConvLSTM(3, 8, dims=1), scale=0.1), torch.randn(4, 2, 3, 12)
    found = []
    for has, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(convolutions, "has_bf16", lambda has=has: has)
        assert choose(layer.cells[0].weight_h[..., None], (12, 1), torch.bfloat16, keep=True).weight.dtype == dtype
        with torch.autocast("cpu", torch.bfloat16):
            output, (_, c) = layer(x)
        assert (output.dtype, c.dtype) == (torch.bfloat16, torch.float32)
        gradients = torch.autograd.grad(output.float().pow(2).sum() + c.sum(), list(layer.parameters()))
        found.append([output.float(), c, *gradients])
    for one, other in zip(*found, strict=True):
        assert (one - other).abs().max() <= 2**-5 * other.abs().max()


@pytest.mark.parametrize("grid", [(96, 1000), (400, 248), (8, 12288)])
def test_large_images_go_in_strips(grid: tuple[int, int]) -> None:
    for size in (grid, (grid[0] + 1, grid[1] + 2)):  # by tiles, and directly
        layer = randomised(ConvLSTM(1, 8, peephole="pixel", spatial_size=size), scale=0.2)
        x = torch.randn(2, 2, 1, *size)
        with torch.no_grad():
            assert len(choose(torch.zeros(32, 9, 3, 3), size, torch.float32, keep=False).parts(2)) > 2
            made = layer(x)[0]
            with fused.plain():
                torch.testing.assert_close(made, layer(x)[0], rtol=0, atol=2e-5)


def test_a_graph_may_be_walked_twice_and_an_output_dropped() -> None:
    layer = randomised(ConvLSTM(2, 3))
    output, (h, _) = layer(torch.randn(4, 1, 2, 8, 8))
    once = torch.autograd.grad(output.sum(), list(layer.parameters()), retain_graph=True)
    twice = torch.autograd.grad(output.sum(), list(layer.parameters()), retain_graph=True)
    for one, other in zip(once, twice, strict=True):
        assert torch.equal(one, other)
    assert all(g is not None for g in torch.autograd.grad(h.sum(), list(layer.parameters())))


@pytest.mark.parametrize("hidden", [1, 3])
def test_what_a_user_changes_afterwards_changes_no_gradient(hidden: int) -> None:
    """Also where the output lies in memory as the backward pass has it: with one channel."""
    layer, x = randomised(ConvLSTM(2, hidden)), torch.randn(4, 1, 2, 8, 8)
    expected = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
    output, _ = layer(x)
    with torch.no_grad():
        output.mul_(0)
    for one, other in zip(torch.autograd.grad(output.sum(), list(layer.parameters())), expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2}, {"dims": 1}, {"bias": False, "peephole": None}, {"gate_activation": "hard_sigmoid_keras2"}],
)
def test_second_derivatives_are_those_of_the_plain_path(options: dict[str, Any]) -> None:
    layer = randomised(ConvLSTM(1, 2, **options))
    x = torch.randn(3, 1, 1, *(4, 4)[: layer.dims], requires_grad=True)
    found = []
    for switch in (fused.always, fused.plain):
        with switch():
            output, (h, c) = layer(x)
        (slope,) = torch.autograd.grad((output + h + c).pow(2).sum(), x, create_graph=True)
        (curve,) = torch.autograd.grad(slope.pow(2).sum(), x, create_graph=True)
        found.append([slope, curve, *torch.autograd.grad(curve.sum(), [x, *layer.parameters()])])
    agree(found[0], found[1], 1e-3)


def test_the_backward_pass_of_what_was_computed_directly_is_direct() -> None:
    layer, x = randomised(ConvLSTM(2, 3)), torch.randn(2, 1, 2, 8, 8, requires_grad=True)
    with fused.direct():
        output, _ = layer(x)
        expected = torch.autograd.grad(output.sum(), x, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(output.sum(), x)[0], expected)


def test_the_same_numbers_every_time() -> None:
    layer, x = randomised(ConvLSTM(2, 8)), torch.randn(3, 4, 2, 32, 32, requires_grad=True)
    state = tuple(torch.zeros(1, 4, 8, 32, 32, requires_grad=True) for _ in range(2))
    for one, other in zip(outcome(layer, x, state), outcome(layer, x, state), strict=True):
        assert torch.equal(one, other)


def test_one_thread_computes_the_same() -> None:
    layer, x = randomised(ConvLSTM(2, 8)), torch.randn(3, 4, 2, 32, 32)
    made = layer(x)[0]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.testing.assert_close(layer(x)[0], made, rtol=0, atol=2e-5)
    finally:
        torch.set_num_threads(threads)


def test_without_llvm_the_plain_path_runs_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError("no LLVM here")

    monkeypatch.setattr("echocast.nn.fused.kernels.step", broken)
    fused._kernels_compile.cache_clear()
    layer, x = ConvLSTM(1, 2), torch.randn(2, 1, 1, 8, 8)
    try:
        with caplog.at_level(logging.WARNING):
            made = layer(x)[0]
            layer(x)
        assert [record.message for record in caplog.records] == [
            "ConvLSTM layers run without their fused kernels, more slowly: no LLVM here"
        ]
    finally:
        monkeypatch.undo()
        fused._kernels_compile.cache_clear()
    torch.testing.assert_close(made, layer(x)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch.utils._python_dispatch", "_get_current_dispatch_mode"),
        ("torch._C._functorch", "peek_interpreter_stack"),
    ],
)
def test_without_a_private_function_of_pytorch_the_plain_path_runs_and_says_so_once(
    module: str, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    layer, x = randomised(ConvLSTM(1, 2)), torch.randn(2, 1, 1, 8, 8)
    with fused.plain():
        expected = layer(x)[0]
    present = importlib.import_module(module)
    lacking = types.SimpleNamespace(**{key: value for key, value in vars(present).items() if key != name})
    monkeypatch.setattr(
        torch_internals, "import_module", lambda asked: lacking if asked == module else importlib.import_module(asked)
    )
    torch_internals._probes.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert not fused.takes(layer.cells[0].weight_h, x, products=1)
            assert torch.equal(layer(x)[0], expected)
        assert [name in record.message for record in caplog.records] == [True]
        assert "without their fused kernels" in caplog.text
    finally:
        monkeypatch.undo()
        torch_internals._probes.cache_clear()
    assert fused.takes(layer.cells[0].weight_h, x, products=1)


@pytest.mark.usefixtures("as_users_run")
def test_without_scan_an_exported_layer_has_one_number_of_time_steps(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    layer, x = randomised(ConvLSTM(1, 2)).eval(), torch.randn(3, 1, 1, 8, 8)
    monkeypatch.setitem(sys.modules, "torch._higher_order_ops.scan", None)
    with caplog.at_level(logging.WARNING):
        program = torch.export.export(layer, (x,))
    assert "has no scan" in caplog.text
    torch.testing.assert_close(program.module()(x)[0], layer(x)[0], rtol=0, atol=1e-6)


def test_sigmoid_and_tanh_to_the_last_places() -> None:
    x = torch.cat([torch.linspace(-100, 100, 4001), torch.logspace(-38, 1, 2000), -torch.logspace(-38, 1, 2000)])
    for name, function in (("sigmoid", lanes.sigmoid), ("tanh", lanes.tanh)):
        made = torch.empty_like(x)

        def body(load: compiler.Load, store: compiler.Store, function: Any = function) -> None:
            store("y", function(load("x")))

        kernel = compiler.compile_kernel(name, {"x": compiler.Rows(), "y": compiler.Rows()}, body)
        kernel({"x": x[:, None], "y": made[:, None]}, rows=len(x), width=1)
        kernel({"x": x[None], "y": (vectors := torch.empty_like(x))[None]}, rows=1, width=len(x))
        assert torch.equal(made, vectors)
        exact = getattr(torch, name)(x.double())
        normal = exact.abs() > 2e-38
        assert ((made - exact) / exact).abs()[normal].max() < 4 * 2**-24
        assert (made - exact).abs().max() < 4 * 2**-24
        special = torch.tensor([[torch.nan, torch.inf, -torch.inf, 0.0]])
        kernel({"x": special, "y": (seen := torch.empty_like(special))}, rows=1, width=4)
        torch.testing.assert_close(seen, getattr(torch, name)(special), equal_nan=True, rtol=1e-6, atol=2e-38)


def test_bfloat16_is_rounded_to_nearest_even() -> None:
    x = torch.cat([torch.randn(1000), torch.tensor([1.00390625, 1.01171875, torch.nan, torch.inf, 3.4e38])])[None]
    made = torch.empty_like(x, dtype=torch.bfloat16)
    tensors = {"x": compiler.Rows(), "y": compiler.Rows(bf16=True)}
    compiler.compile_kernel("round", tensors, lambda load, store: store("y", load("x")))(
        {"x": x, "y": made}, rows=1, width=x.shape[1]
    )
    torch.testing.assert_close(made, x.bfloat16(), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("columns", [16, 48, 64, 176, 20])
@pytest.mark.parametrize("rows", [1, 3, 13])
def test_products_of_planes(rows: int, columns: int) -> None:
    torch.manual_seed(0)
    a, b, start = torch.randn(5, rows, 7), torch.randn(5, 7, columns), torch.randn(5, rows, columns)
    made = torch.empty(5, rows, columns)
    product(a, b, made)
    torch.testing.assert_close(made, a @ b, rtol=0, atol=1e-5)
    product(a.transpose(1, 2).contiguous().transpose(1, 2), b, start_copy := start.clone(), add=True)
    torch.testing.assert_close(start_copy, start + a @ b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kernel", [3, 5])
def test_winograds_matrices_are_exact_in_fractions(kernel: int) -> None:
    output, weight, inputs = winograd.matrices(kernel)
    side = kernel + TILE - 1
    signal, taps = [k * k - 3 for k in range(side)], [2 * k + 1 for k in range(kernel)]
    products = [
        sum(w * t for w, t in zip(row, taps, strict=True)) * sum(b * s for b, s in zip(other, signal, strict=True))
        for row, other in zip(weight, inputs, strict=True)
    ]
    made = [sum(a * p for a, p in zip(row, products, strict=True)) for row in output]
    assert made == [sum(taps[j] * signal[i + j] for j in range(kernel)) for i in range(TILE)]


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("space", [(16, 20), (13, 18), (67, 129)])
def test_winograds_convolution_and_its_gradients(kernel: int, dtype: torch.dtype, space: tuple[int, int]) -> None:
    torch.manual_seed(0)
    images, channels, results = 3, 20, 24
    weight = torch.randn(results, channels, kernel, kernel) / (channels * kernel**2) ** 0.5
    convolution = choose(weight, space, dtype, keep=True)
    assert convolution.wide
    buffer = bordered(images, convolution.room, channels, convolution.border, dtype)
    inner(buffer, convolution.border, space)[:] = torch.randn(images, *space, channels)
    gradient = bordered(images, convolution.room, results, convolution.border, dtype)
    inner(gradient, convolution.border, space)[:] = torch.randn(images, *space, results)
    x = inner(buffer, convolution.border, space).movedim(-1, 1).double().requires_grad_()
    w = weight.double().requires_grad_()
    bias = torch.randn(results)
    expected = F.conv2d(x, w, bias.double(), padding=kernel // 2)
    shown = inner(gradient, convolution.border, space)
    dx, dw = torch.autograd.grad(expected, (x, w), shown.movedim(-1, 1).double())
    made = torch.empty(images, *space, results)
    for part in convolution.parts(images):
        made[part] = convolution.forward(buffer, part, bias)
    sums = convolution.weight_gradient()
    sums.add(gradient, buffer)
    for one, other in (
        (made.movedim(-1, 1), expected),
        (convolution.back(gradient).movedim(-1, 1), dx),
        (sums.result(), dw),
    ):
        error = (one - other).pow(2).mean().sqrt() / other.pow(2).mean().sqrt()
        assert error < 1e-5, "Winograd's rounding is about ten times a direct convolution's, a few 1e-6"


def test_small_layers_take_the_plain_path() -> None:
    weight = torch.zeros(8, 2, 3, 3)
    assert fused.takes(weight, products=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused.switches, "min_products", lambda: 10_000_000)
        assert not fused.takes(weight, products=9_999_999)
        assert fused.takes(weight, products=10_000_000)
    assert not fused.takes(weight.double(), products=1 << 40)
    assert not fused.takes(weight.to("meta"), products=1 << 40)


def test_cells_step_by_step_too() -> None:
    cell = randomised(ConvLSTMCell(2, 4))
    x, state = torch.randn(2, 2, 8, 8), (torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8))
    with torch.no_grad():
        made = cell(x, state)
    torch.testing.assert_close(made, cell(x, state), rtol=0, atol=1e-5)
