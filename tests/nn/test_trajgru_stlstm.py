"""TrajGRU and ST-LSTM against plain loops over their equations, in float64."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from definitions import correlate, randomised
from echocast.nn import fused
from echocast.nn.stlstm import STLSTM, STLSTMCell
from echocast.nn.trajgru import TrajGRU, TrajGRUCell, warped

F64: dict[str, Any] = {"dtype": torch.float64}


def close(made: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-11)


def looked_up(h: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Equation 4 of Shi et al. 2017, pixel by pixel: (batch, hidden, y, x) at places given by (batch, y, x)."""
    out = torch.zeros_like(h)
    batch, _, rows, columns = h.shape
    for b in range(batch):
        for i in range(rows):
            for j in range(columns):
                y, x = i + float(dy[b, i, j]), j + float(dx[b, i, j])
                for m in {math.floor(y), math.floor(y) + 1} & set(range(rows)):
                    for n in {math.floor(x), math.floor(x) + 1} & set(range(columns)):
                        out[b, :, i, j] += h[b, :, m, n] * max(0, 1 - abs(y - m)) * max(0, 1 - abs(x - n))
    return out


def trajgru_step(cell: TrajGRUCell, x: Tensor | None, h: Tensor) -> Tensor:
    hidden = cell.hidden_channels
    flow = correlate(cell.flow_h.weight, h) + cell.flow_h.bias[:, None, None]
    total = cell.bias[:, None, None].repeat(1, *h.shape[2:])
    if x is not None:
        flow = flow + correlate(cell.flow_x.weight, x) + cell.flow_x.bias[:, None, None]
        total = total + correlate(cell.weight_x, x)
    places = correlate(cell.flows.weight, torch.where(flow > 0, flow, 0.2 * flow)) + cell.flows.bias[:, None, None]
    seen = torch.zeros(len(h), 3 * hidden, *h.shape[2:], **F64)
    for link in range(cell.links):
        there = looked_up(h, places[:, 2 * link], places[:, 2 * link + 1])
        seen = seen + correlate(cell.weight_h[:, link * hidden : (link + 1) * hidden], there)
    r, u = (torch.sigmoid((total + seen)[..., k * hidden : (k + 1) * hidden, :, :]) for k in (0, 1))
    n = total[..., 2 * hidden :, :, :] + r * (seen[:, 2 * hidden :] + cell.bias_h[:, None, None])
    return u * h + (1 - u) * torch.where(n > 0, n, 0.2 * n)


@torch.no_grad()
@pytest.mark.parametrize("inputs", [0, 2])
def test_trajgru_is_its_equations(inputs: int) -> None:
    layer = randomised(TrajGRU(inputs, 2, links=3, num_layers=1, **F64), scale=0.15)
    cell: Any = layer.cells[0]
    x = torch.randn(3, 2, inputs, 4, 5, **F64) if inputs else None
    h = start = torch.randn(2, 2, 4, 5, **F64)
    output, h_n = layer(x, start[None], steps=None if inputs else 3)
    assert cell.displacements(h, None if x is None else cell.input_gates(x[0])[:, 6:]).abs().max() > 0.5
    for t in range(3):
        h = trajgru_step(cell, None if x is None else x[t], h)
        close(output[t], h)
    close(h_n[0], h)


def test_trajgru_follows_a_pattern_that_moves() -> None:
    """A link whose displacement is (2 right, 1 down) sees the state shifted by that, zeros where nothing was."""
    h = torch.arange(20.0).reshape(1, 1, 4, 5)
    places = torch.tensor([2.0, 1.0]).reshape(1, 1, 2, 1, 1).expand(1, 1, 2, 4, 5)
    expected = torch.zeros(1, 1, 4, 5)
    expected[..., :3, :3] = h[..., 1:, 2:]
    torch.testing.assert_close(warped(h, places), expected)


def test_trajgru_passes_gradcheck_and_starts_with_all_links_at_home() -> None:
    cell = TrajGRUCell(1, 2, links=2, **F64)
    x, h = torch.randn(1, 1, 3, 4, **F64), torch.randn(1, 2, 3, 4, **F64)
    assert cell.displacements(h).abs().max() == 0
    randomised(cell, scale=0.1)
    inputs = (x.requires_grad_(), h.requires_grad_(), *cell.parameters())
    assert torch.autograd.gradcheck(lambda x, h, *_: cell(x, h), inputs, fast_mode=True)


def test_trajgru_keeps_the_contract() -> None:
    layer = randomised(TrajGRU(2, [3, 4], links=[2, 3], **F64), scale=0.2)
    x = torch.randn(5, 2, 2, 6, 5, **F64)
    output, h_n = layer(x)
    assert [tuple(h.shape) for h in h_n] == [(2, 3, 6, 5), (2, 4, 6, 5)]
    first, state = layer(x[:2])
    close(torch.cat([first, layer(x[2:], state)[0]]), output)
    close(layer.last_state(x)[1], output[-1])
    close(layer(x, lengths=torch.tensor([5, 3]))[1][1][1], output[2, 1])
    other = TrajGRU(2, [3, 4], links=[2, 3], batch_first=True, **F64)
    other.load_state_dict(layer.state_dict())
    close(other(x.transpose(0, 1))[0].transpose(0, 1), output)


@pytest.mark.usefixtures("as_users_run")
def test_trajgru_refuses_by_name() -> None:
    with pytest.raises(ValueError, match="links must be at least 1; got 0"):
        TrajGRU(1, 2, links=0)
    with pytest.raises(TypeError, match="a TrajGRU has no option 'state_kernel'; it takes links, input_kernel"):
        TrajGRU(1, 2, state_kernel=3)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"takes 1 channels .* got a tensor of shape \(1, 2, 4, 4\)"):
        TrajGRU(1, 2, links=2)(torch.zeros(3, 1, 2, 4, 4))


def stlstm_step(cell: STLSTMCell, x: Tensor, h: Tensor, c: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Equation 3 of PredRNN, gate by gate."""
    gx = correlate(cell.x.weight, x).chunk(7, 1)
    gh, gm = correlate(cell.h.weight, h).chunk(4, 1), correlate(cell.m.weight, m).chunk(3, 1)
    i, f, g = gx[0] + gh[0], gx[1] + gh[1], gx[2] + gh[2]
    c = torch.sigmoid(f + 1.0) * c + torch.sigmoid(i) * torch.tanh(g)
    i, f, g = gx[3] + gm[0], gx[4] + gm[1], gx[5] + gm[2]
    m = torch.sigmoid(f + 1.0) * m + torch.sigmoid(i) * torch.tanh(g)
    hidden = cell.hidden_channels
    from_c, from_m = (correlate(cell.o.weight[:, k : k + hidden], s) for k, s in ((0, c), (hidden, m)))
    o = torch.sigmoid(gx[6] + gh[3] + from_c + from_m)
    return o * torch.tanh(correlate(cell.last.weight, torch.cat([c, m], 1))), c, m


@torch.no_grad()
def test_stlstm_is_its_equations_and_the_memory_zigzags() -> None:
    layer = randomised(STLSTM(2, 3, num_layers=2, kernel=3, **F64), scale=0.3)
    x = torch.randn(3, 2, 2, 4, 5, **F64)
    output, (h_n, c_n, m_n) = layer(x)
    zero = torch.zeros(2, 3, 4, 5, **F64)
    h, c, m = [zero, zero], [zero, zero], zero
    for t in range(3):
        below = x[t]
        for k, cell in enumerate(layer.cells):
            below, c[k], m = stlstm_step(cell, below, h[k], c[k], m)  # type: ignore[arg-type]
            h[k] = below
        close(output[t], below)
    close(h_n, torch.stack(h))
    close(c_n, torch.stack(c))
    close(m_n, m)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_stlstm_passes_gradcheck(layer_norm: bool) -> None:
    layer = randomised(STLSTM(1, 1, num_layers=2, kernel=3, bias=True, layer_norm=layer_norm, **F64))
    x = torch.randn(2, 1, 1, 3, 4, **F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x)[0], (x, *layer.parameters()), fast_mode=True)


def test_stlstm_keeps_the_contract() -> None:
    layer = randomised(STLSTM(2, 3, num_layers=2, kernel=3, **F64), scale=0.3)
    x = torch.randn(5, 2, 2, 4, 5, **F64)
    output, last = layer(x)
    first, state = layer(x[:2])
    close(torch.cat([first, layer(x[2:], state)[0]]), output)
    for ragged, whole in zip(layer(x, lengths=torch.tensor([5, 3]))[1], layer(x[:3])[1], strict=True):
        close(ragged[..., 1, :, :, :], whole[..., 1, :, :, :])
    alone, single = layer(x[:, 0])
    close(alone, output[:, 0])
    close(layer(x[:, 0], single)[0], layer(x[:, :1], tuple(p[..., :1, :, :, :] for p in last))[0][:, 0])
    other = STLSTM(2, 3, num_layers=2, kernel=3, batch_first=True, **F64)
    other.load_state_dict(layer.state_dict())
    close(other(x.transpose(0, 1))[0].transpose(0, 1), output)


def test_weights_of_the_published_cell() -> None:
    """64 hidden channels from 64, 5x5, no bias: x 7, h 4, m 3, o 2 blocks of 64 x 64 x 25, and 2 of 64 x 64."""
    assert sum(p.numel() for p in STLSTMCell(64, 64).parameters()) == (16 * 25 + 2) * 64 * 64


@pytest.mark.usefixtures("as_users_run")
def test_stlstm_refuses_by_name() -> None:
    layer = STLSTM(1, 2)
    for call, message in (
        (lambda: STLSTM(1, 2, kernel=4), "kernel must be odd"),
        (lambda: STLSTM(1, 2, num_layers=0), "num_layers must be at least 1; got 0"),
        (lambda: STLSTM(0, 2), "in_channels and hidden_channels must be at least 1; got 0 and 2"),
        (lambda: layer(torch.zeros(3, 1, 2, 4, 4)), r"takes 1 channels .* got a tensor of shape \(1, 2, 4, 4\)"),
        (lambda: layer(torch.zeros(0, 1, 1, 4, 4)), "0 time steps"),
        (lambda: layer.step(torch.zeros(1, 1, 4, 4), layer.zero_state(torch.zeros(1, 1, 5, 4))), "the state .h, c, m."),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(("kernel", "bias"), [(3, False), (5, True)])
def test_time_steps_prepared_once_give_the_same(kernel: int, bias: bool) -> None:
    torch.manual_seed(0)
    layers = STLSTM(3, 17, num_layers=2, kernel=kernel, bias=bias)
    x = torch.randn(3, 2, 3, 6, 9, requires_grad=True)
    found = []
    with fused.always():
        steps = layers.stepper(x[0]), layers.step
    for step in steps:
        state, shown = None, []
        for frame in x:
            hidden, state = step(frame, state)
            shown.append(hidden)
        output = torch.stack(shown)
        weights = torch.linspace(-1, 1, output.numel()).view_as(output)
        found.append([output, *torch.autograd.grad((output * weights).sum(), [x, *layers.parameters()])])
    assert type(steps[0]) is not type(steps[1])
    for one, other in zip(*found, strict=True):
        assert (one - other).abs().max() <= 1e-4 * other.abs().max()
