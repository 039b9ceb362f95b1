"""The ConvGRU's fused path computes what the plain path defines, and steps aside where it cannot."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from definitions import randomised
from echocast.nn import ConvGRU, ConvGRUCell, fused
from echocast.nn.carried import CellState, CellWeights, Dropout


@pytest.fixture(autouse=True)
def however_small() -> Iterator[None]:
    with fused.always():
        yield


def outcome(layer: ConvGRU, x: Tensor | None, state: Tensor, steps: int | None = None) -> list[Tensor]:
    """Output, state and every gradient."""
    output, h = layer(x, state, steps=steps)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    loss = (output * weights).sum() + h.pow(2).sum()
    given = [state, *layer.parameters()] if x is None else [x, state, *layer.parameters()]
    return [output, h, *torch.autograd.grad(loss, given)]


def exactly(layer: ConvGRU, x: Tensor | None, state: Tensor, steps: int | None = None) -> list[Tensor]:
    """The same in 64 bits, where the plain path runs."""
    exact = ConvGRU(**{**layer.arguments, "dtype": torch.float64})
    exact.load_state_dict(layer.state_dict())
    x = None if x is None else x.detach().double().requires_grad_()
    return [t.float() for t in outcome(exact, x, state.detach().double().requires_grad_(), steps)]


def agree(made: list[Tensor], expected: list[Tensor], rtol: float) -> None:
    for one, other in zip(made, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert (one - other).abs().max() <= rtol * (other.abs().max() + 1e-6)


def fuses(layer: ConvGRU, state: Tensor) -> bool:
    cell: Any = layer.cells[0]
    return bool(cell._fuses(None, (state[0],), cell.weights(), 20))


@pytest.mark.parametrize(("dims", "space"), [(1, (9,)), (2, (7, 6)), (2, (8, 12)), (3, (4, 3, 5))])
@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("kernels", [(3, 3), pytest.param((5, 5), marks=pytest.mark.slow), (5, 3), (1, 1)])
def test_forwards_and_backwards(dims: int, space: tuple[int, ...], reset_after: bool, kernels: tuple[int, int]) -> None:
    layer = ConvGRU(
        3, 5, num_layers=2, dims=dims, input_kernel=kernels[0], state_kernel=kernels[1], reset_after=reset_after
    )  # fmt: skip
    # With larger weights the recurrence itself makes rounding grow, in single operations too.
    randomised(layer, scale=layer.cells[1].weight_h[0].numel() ** -0.5)
    x = torch.randn(5, 2, 3, *space, requires_grad=True)
    state = torch.randn(2, 2, 5, *space, requires_grad=True)
    assert fuses(layer, state)
    made, expected = outcome(layer, x, state), exactly(layer, x, state)
    agree(made, expected, 1e-4)
    for switch in (fused.plain, fused.direct):
        with switch():
            agree(outcome(layer, x, state), expected, 3e-5)
    with torch.no_grad():
        output, h = layer(x, state)
        # An input with a convolution of its own is convolved frame by frame here, and at once above.
        torch.testing.assert_close(output, made[0].detach(), rtol=0, atol=1e-5)
        torch.testing.assert_close(h, made[1].detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("options", [{"stride": 2}, {"padding_mode": "circular"}, {"dilation": 2}, {"bias": False}])
def test_an_input_with_a_convolution_of_its_own(options: dict[str, Any], reset_after: bool) -> None:
    layer = randomised(ConvGRU(3, 4, reset_after=reset_after, **options), scale=0.3)
    x, size = torch.randn(4, 2, 3, 8, 8, requires_grad=True), 4 if "stride" in options else 8
    state = torch.randn(1, 2, 4, size, size, requires_grad=True)
    assert fuses(layer, state)
    agree(outcome(layer, x, state), exactly(layer, x, state), 1e-5)


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_without_input(reset_after: bool, bias: bool) -> None:
    layer = randomised(ConvGRU(0, 6, reset_after=reset_after, bias=bias), scale=0.3)
    state = torch.randn(1, 2, 6, 8, 8, requires_grad=True)
    assert fuses(layer, state)
    agree(outcome(layer, None, state, steps=4), exactly(layer, None, state, steps=4), 1e-5)


@pytest.mark.parametrize("reset_after", [False, True])
def test_as_initialised_on_larger_grids(reset_after: bool) -> None:
    torch.manual_seed(0)
    layer = ConvGRU(16, 16, reset_after=reset_after)
    x = torch.randn(10, 2, 16, 32, 33, requires_grad=True)
    state = torch.randn(1, 2, 16, 32, 33, requires_grad=True)
    agree(outcome(layer, x, state), exactly(layer, x, state), 2e-5)


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("bias", [-12.0, 12.0])
def test_gradients_where_the_update_gate_is_open_or_shut(reset_after: bool, bias: float) -> None:
    layer = randomised(ConvGRU(2, 8, reset_after=reset_after), scale=0.3)
    x = torch.randn(6, 1, 2, 8, 8, requires_grad=True)
    state = (3 * torch.randn(1, 1, 8, 8, 8)).requires_grad_()
    with torch.no_grad():
        layer.cells[0].bias[8:16] += bias
    agree(outcome(layer, x, state), exactly(layer, x, state), 1e-4)


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("grid", [(96, 1000), (8, 12288)])
def test_large_images_go_in_strips(grid: tuple[int, int], reset_after: bool) -> None:
    for size in (grid, (grid[0] + 1, grid[1] + 2)):  # by tiles, and directly
        layer = randomised(ConvGRU(1, 8, reset_after=reset_after), scale=0.2)
        x = torch.randn(2, 2, 1, *size)
        with torch.no_grad():
            made = layer(x)[0]
            with fused.direct():
                directly = layer(x)[0]
            with fused.plain():
                expected = layer(x)[0]
        torch.testing.assert_close(made, expected, rtol=0, atol=2e-5)
        torch.testing.assert_close(directly, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"dims": 1}, {"bias": False}, {"in_channels": 0}])
def test_second_derivatives_are_those_of_the_plain_path(options: dict[str, Any], reset_after: bool) -> None:
    layer = randomised(ConvGRU(**{"in_channels": 1, "hidden_channels": 2, "reset_after": reset_after} | options))
    x = torch.randn(3, 1, 1, *(4, 4)[: layer.dims], requires_grad=True) if layer.in_channels else None
    size = tuple(2 if "stride" in options else 4 for _ in range(layer.dims))
    state = torch.randn(1, 1, 2, *size, requires_grad=True)
    found = []
    for switch in (fused.always, fused.plain):
        with switch():
            output, h = layer(x, state, steps=None if layer.in_channels else 3)
        (slope,) = torch.autograd.grad((output + h).pow(2).sum(), state, create_graph=True)
        (curve,) = torch.autograd.grad(slope.pow(2).sum(), state, create_graph=True)
        given = [state, *layer.parameters()] if x is None else [x, state, *layer.parameters()]
        found.append([slope, curve, *torch.autograd.grad(curve.sum(), given)])
    agree(found[0], found[1], 1e-3)


@pytest.mark.parametrize("reset_after", [False, True])
def test_what_a_user_changes_afterwards_changes_no_gradient(reset_after: bool) -> None:
    layer, x = randomised(ConvGRU(2, 1, reset_after=reset_after)), torch.randn(4, 1, 2, 8, 8)
    expected = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
    output, h = layer(x)
    with torch.no_grad():
        output.mul_(0)
        h.mul_(0)
    for one, other in zip(torch.autograd.grad(output.sum(), list(layer.parameters())), expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("reset_after", [False, True])
def test_frame_by_frame_it_is_the_same(reset_after: bool) -> None:
    layer, x = randomised(ConvGRU(2, 4, num_layers=2, reset_after=reset_after), scale=0.3), torch.randn(3, 2, 2, 8, 8)
    with torch.no_grad():
        output, last = layer(x)
        state, kept = None, []
        for frame in x:
            shown, state = layer.step(frame, state)
            kept.append(state)
            torch.testing.assert_close(shown, output[len(kept) - 1], rtol=0, atol=1e-6)
        torch.testing.assert_close(kept[-1], last, rtol=0, atol=1e-6)
        torch.testing.assert_close(layer.step(x[1], kept[0])[1], kept[1])  # no later step has overwritten it
        torch.testing.assert_close(layer.last_state(x), last, rtol=0, atol=1e-6)


def test_one_thread_and_two_compute_the_same() -> None:
    layer, x = randomised(ConvGRU(2, 8)), torch.randn(3, 4, 2, 32, 32)
    made = layer(x)[0]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.testing.assert_close(layer(x)[0], made, rtol=0, atol=1e-5)
    finally:
        torch.set_num_threads(threads)


def test_what_the_fused_path_does_not_know_takes_the_plain_one() -> None:
    class Slower(ConvGRUCell):
        """A cell whose state changes by half."""

        def update(
            self, x_gates: Tensor | None, state: CellState, weights: CellWeights, dropout: Dropout | None = None
        ) -> tuple[Tensor]:
            (new,) = super().update(x_gates, state, weights, dropout)
            return ((new + state[0]) / 2,)

    x, state = torch.randn(2, 1, 8, 8), torch.randn(2, 4, 8, 8)
    slower, usual = Slower(1, 4), ConvGRUCell(1, 4)
    usual.load_state_dict(slower.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(slower(x, state), (usual(x, state) + state) / 2)
    others: list[dict[str, Any]] = [{"activation": "leaky_relu"}, {"gate_activation": "hard_sigmoid"}, {"zoneout": 0.1}]
    others += [{"norm": "layer"}, {"state_kernel": 4}, {"state_groups": 2}, {"dtype": torch.float64}]
    for options in others:
        assert not fuses(ConvGRU(1, 4, **options), state[None])
    with torch.autocast("cpu", torch.bfloat16):
        assert not fuses(ConvGRU(1, 4), state[None])
