"""The ConvLSTM against a plain loop over the paper's equations, in 0 to 3 dimensions."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from definitions import by_the_book, randomised
from echocast.nn import LSTM, ConvGRU, ConvLSTM, ConvLSTMCell, fused

SPACE = (5, 4, 3)


@settings(max_examples=30, deadline=None)
@given(
    dims=st.integers(0, 3),
    in_channels=st.integers(0, 3),
    hidden=st.integers(1, 3),
    kernels=st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 5])),
    peephole=st.sampled_from([None, "channel", "pixel"]),
    seed=st.integers(0, 999),
)
def test_cell_is_the_papers_equation(
    dims: int, in_channels: int, hidden: int, kernels: tuple[int, int], peephole: Any, seed: int
) -> None:
    space = SPACE[:dims]
    cell = ConvLSTMCell(
        in_channels,
        hidden,
        dims=dims,
        input_kernel=kernels[0] if dims and in_channels else (3,) * dims,
        state_kernel=kernels[1] if dims else (),
        peephole=peephole if dims else "channel",
        spatial_size=space if dims and peephole == "pixel" else None,
        dtype=torch.float64,
    )
    randomised(cell, seed)
    x = torch.randn(2, in_channels, *space, dtype=torch.float64) if in_channels else None
    h, c = torch.randn(2, 2, hidden, *space, dtype=torch.float64)
    with torch.no_grad():
        for made, expected in zip(cell(x, (h, c)), by_the_book(cell, x, h, c), strict=True):
            torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [0, 1, 2, 3])
@pytest.mark.parametrize("peephole", [None, "channel"])
def test_cell_passes_gradcheck(dims: int, peephole: Any) -> None:
    space = (3, 2, 2)[:dims]
    cell = ConvLSTMCell(
        1, 1, dims=dims, input_kernel=(3,) * dims, state_kernel=(3,) * dims, peephole=peephole, dtype=torch.float64
    )
    randomised(cell)
    x, h, c = (torch.randn(1, 1, *space, dtype=torch.float64, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(lambda x, h, c, *_: cell(x, (h, c)), (x, h, c, *cell.parameters()), fast_mode=True)


def test_layer_passes_gradcheck_with_pixel_peepholes_and_two_layers() -> None:
    layer = randomised(ConvLSTM(1, 1, num_layers=2, peephole="pixel", spatial_size=(3, 2), dtype=torch.float64))
    x = torch.randn(2, 1, 1, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x)[0], (x, *layer.parameters()), fast_mode=True)


def test_one_cell_of_space_is_the_fully_connected_lstm() -> None:
    torch.manual_seed(0)
    space, line = ConvLSTM(3, 4, input_kernel=1, state_kernel=1, dtype=torch.float64), LSTM(3, 4, dtype=torch.float64)
    randomised(space)
    line.load_state_dict({name: value.reshape(value.shape[:2]) for name, value in space.state_dict().items()})
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    (flat, (h, c)), (deep, (hs, cs)) = line(x), space(x[..., None, None])
    for made, expected in ((flat, deep), (h, hs), (c, cs)):
        torch.testing.assert_close(made, expected[..., 0, 0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [ConvLSTM, ConvGRU])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_far_from_the_border_a_shifted_input_gives_a_shifted_output(make: Any, dims: int, dtype: torch.dtype) -> None:
    layer = randomised(make(1, 3, dims=dims, dtype=dtype))
    size, axes, shifts = (24, 24, 12)[:dims], tuple(range(-dims, 0)), (2, 3, 1)[:dims]
    x = torch.zeros(2, 1, 1, *size, dtype=dtype)
    x[(..., *[slice(5, 8)] * dims)] = torch.randn(2, 1, 1, *[3] * dims, dtype=dtype)
    made = layer(x.roll(shifts, dims=axes))[0]
    # Further from the border than two steps reach, a ConvGRU's two cells at a time, and than the shift wraps round.
    inner = (..., *(slice(6, n - 5) for n in size))
    atol = 1e-12 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(made[inner], layer(x)[0].roll(shifts, dims=axes)[inner], rtol=0, atol=atol)


def test_without_input_there_are_no_input_weights() -> None:
    layer = ConvLSTM(0, 4, batch_first=True)
    assert sum(p.numel() for p in layer.parameters()) == 4 * 4 * 4 * 9 + 4 * 4 + 3 * 4
    state = torch.randn(1, 1, 4, 5, 5), torch.randn(1, 1, 4, 5, 5)
    assert layer(None, state, steps=3)[0].shape == (1, 3, 4, 5, 5)
    with pytest.raises(ValueError, match="cannot take one"):
        layer(torch.zeros(1, 2, 1, 5, 5), state)
    with pytest.raises(ValueError, match="initial state and the number of time steps must be given"):
        layer(None)


def test_biases_and_peepholes_start_at_zero_and_the_forget_bias_where_told() -> None:
    cell = ConvLSTMCell(1, 2, forget_bias=1.5)
    assert cell.peephole is not None
    assert cell.peephole.abs().max() == 0
    assert cell.bias.tolist() == [0, 0, 1.5, 1.5, 0, 0, 0, 0]


def test_parameters_of_the_papers_fully_connected_network() -> None:
    """Two layers of 2048 each way and an output that reads the top one: 142,667,776 (Table 1)."""
    kind = {"device": "meta"}
    parts = [LSTM(4096, [2048, 2048], **kind), LSTM(0, [2048, 2048], **kind), torch.nn.Linear(2048, 4096, **kind)]
    assert sum(p.numel() for part in parts for p in part.parameters()) == 142_667_776


def test_nan_spreads_as_far_as_the_convolutions_reach_and_stays() -> None:
    layer, x = ConvLSTM(1, 2), torch.zeros(3, 1, 1, 16, 16)
    x[0, 0, 0, 8, 8] = torch.nan
    for switch in (fused.plain(), fused.direct()):
        with switch:
            lost = layer(x)[0].isnan().any(dim=2)[:, 0]
        assert [int(frame.sum()) for frame in lost] == [3 * 3, 5 * 5, 7 * 7]
    assert layer(x)[0][0, 0].isnan().any()  # tiles of 4 x 4 may carry it a few pixels further, never lose it
    assert not layer(x)[0][0, 0, :, 0, 0].isnan().any()
