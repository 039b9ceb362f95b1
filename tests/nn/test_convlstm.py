"""The ConvLSTM against a plain loop over the paper's equations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from echocast.nn.convlstm import ConvLSTM, ConvLSTMCell


def by_the_book(cell: ConvLSTMCell, x: Tensor | None, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Equation 3 of Shi et al. 2015, pixel by pixel, in loops."""
    hidden = cell.hidden_channels
    batch, _, height, width = h.shape
    new_h, new_c = torch.empty_like(h), torch.empty_like(c)

    def conv(weight: torch.Tensor, image: torch.Tensor, b: int, row: int, col: int) -> torch.Tensor:
        reach = weight.shape[-1] // 2
        total = torch.zeros(weight.shape[0], dtype=image.dtype)
        for i in range(-reach, reach + 1):
            for j in range(-reach, reach + 1):
                if 0 <= row + i < height and 0 <= col + j < width:
                    total = total + weight[:, :, i + reach, j + reach] @ image[b, :, row + i, col + j]
        return total

    for b in range(batch):
        for row in range(height):
            for col in range(width):
                gates = conv(cell.weight_h, h, b, row, col) + cell.bias
                if x is not None:
                    gates = gates + conv(cell.weight_x, x, b, row, col)
                i, f, g, o = gates.split(hidden)
                wi, wf, wo = cell.peephole[:, :, 0, 0]
                old = c[b, :, row, col]
                i, f = torch.sigmoid(i + wi * old), torch.sigmoid(f + wf * old)
                new = f * old + i * torch.tanh(g)
                o = torch.sigmoid(o + wo * new)
                new_c[b, :, row, col], new_h[b, :, row, col] = new, o * torch.tanh(new)
    return new_h, new_c


def random_cell(in_channels: int, hidden: int, input_kernel: int, state_kernel: int, seed: int) -> ConvLSTMCell:
    torch.manual_seed(seed)
    cell = ConvLSTMCell(in_channels, hidden, input_kernel=input_kernel, state_kernel=state_kernel).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_(0, 0.5)
    return cell


@settings(max_examples=12, deadline=None)
@given(
    in_channels=st.integers(0, 3),
    hidden=st.integers(1, 3),
    input_kernel=st.sampled_from([1, 3, 5]),
    state_kernel=st.sampled_from([1, 3, 5]),
    seed=st.integers(0, 999),
)
def test_cell_is_the_papers_equation(
    in_channels: int, hidden: int, input_kernel: int, state_kernel: int, seed: int
) -> None:
    cell = random_cell(in_channels, hidden, input_kernel, state_kernel, seed)
    x = torch.randn(2, in_channels, 4, 5, dtype=torch.float64) if in_channels else None
    h, c = torch.randn(2, 2, hidden, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        for made, expected in zip(cell(x, (h, c)), by_the_book(cell, x, h, c), strict=True):
            torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)


def test_cell_passes_gradcheck() -> None:
    cell = random_cell(1, 1, 3, 3, 0)
    x, h, c = (torch.randn(1, 1, 3, 2, dtype=torch.float64, requires_grad=True) for _ in range(3))
    assert torch.autograd.gradcheck(lambda x, h, c, *_: cell(x, (h, c)), (x, h, c, *cell.parameters()))


def test_a_sequence_is_its_steps() -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(2, [3, 4], state_kernels=[3, 5]).double()
    x = torch.randn(2, 5, 2, 6, 7, dtype=torch.float64)
    output, states = layer(x)
    current = [cell.zero_state(2, 6, 7) for cell in layer.cells]
    for t in range(5):
        below = x[:, t]
        for level, cell in enumerate(layer.cells):
            current[level] = cell(below, current[level])
            below = current[level][0]
        torch.testing.assert_close(output[:, t], below, rtol=0, atol=1e-12)
    for made, expected in zip(states, current, strict=True):
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-12)


def test_a_state_goes_back_in() -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(1, [3]).double()
    x = torch.randn(1, 6, 1, 5, 5, dtype=torch.float64)
    whole, _ = layer(x)
    first, states = layer(x[:, :2])
    second, _ = layer(x[:, 2:], states)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=0, atol=1e-12)


def test_far_from_the_border_a_shifted_input_gives_a_shifted_output() -> None:
    torch.manual_seed(0)
    layer = ConvLSTM(1, [3]).double()
    x = torch.zeros(1, 3, 1, 24, 24, dtype=torch.float64)
    x[..., 8:12, 8:12] = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    shifted = layer(x.roll((2, 3), dims=(-2, -1)))[0]
    inner = (..., slice(8, 16), slice(8, 16))
    torch.testing.assert_close(shifted[inner], layer(x)[0].roll((2, 3), dims=(-2, -1))[inner], rtol=0, atol=1e-12)


def test_without_input_there_are_no_input_weights() -> None:
    layer = ConvLSTM(0, [4])
    assert sum(p.numel() for p in layer.parameters()) == 4 * 4 * 4 * 9 + 4 * 4 + 3 * 4
    states = [(torch.randn(1, 4, 5, 5), torch.randn(1, 4, 5, 5))]
    assert layer(None, states, steps=3)[0].shape == (1, 3, 4, 5, 5)
    with pytest.raises(ValueError, match="cannot take one"):
        layer(torch.zeros(1, 2, 1, 5, 5), states)
    with pytest.raises(ValueError, match="states to start from"):
        layer(None)


def test_biases_and_peepholes_start_at_zero_and_the_forget_bias_where_told() -> None:
    cell = ConvLSTMCell(1, 2, forget_bias=1.5)
    assert cell.peephole.abs().max() == 0
    assert cell.bias.tolist() == [0, 0, 1.5, 1.5, 0, 0, 0, 0]


@pytest.mark.parametrize("bad", [{"input_kernel": 4}, {"state_kernel": 0}])
def test_even_kernels_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must be odd"):
        ConvLSTMCell(1, 2, **bad)


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="takes 2 channels; got 1"):
        ConvLSTM(2, [3])(torch.zeros(1, 2, 1, 4, 4))
    with pytest.raises(ValueError, match="differ in length"):
        ConvLSTM(1, [3, 3], state_kernels=[3])
    with pytest.raises(ValueError, match="must be positive"):
        ConvLSTMCell(1, 0)
