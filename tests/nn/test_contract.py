"""All recurrent layers keep the contract of torch.nn.LSTM."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from definitions import by_the_book, gru_step, randomised
from echocast.nn import LSTM, ConvGRU, ConvLSTM

Make = Callable[..., Any]

LAYERS: dict[str, tuple[Make, tuple[int, ...]]] = {
    "lstm": (LSTM, ()),
    "convlstm_1d": (lambda *a, **k: ConvLSTM(*a, dims=1, **k), (6,)),
    "convlstm_2d": (ConvLSTM, (4, 6)),
    "convlstm_3d": (lambda *a, **k: ConvLSTM(*a, dims=3, **k), (3, 4, 2)),
    "convgru_1d": (lambda *a, **k: ConvGRU(*a, dims=1, **k), (6,)),
    "convgru_2d": (ConvGRU, (4, 6)),
    "convgru_2d_reset_after": (lambda *a, **k: ConvGRU(*a, reset_after=True, **k), (4, 6)),
    "convgru_3d": (lambda *a, **k: ConvGRU(*a, dims=3, **k), (3, 4, 2)),
}


@pytest.fixture(params=LAYERS)
def kind(request: pytest.FixtureRequest) -> tuple[Make, tuple[int, ...]]:
    return LAYERS[request.param]


def parts_of(layer: Any, state: Any) -> tuple[Any, ...]:
    return (state,) if layer.num_states == 1 else state


def close(made: Any, expected: Any, atol: float = 1e-12) -> None:
    torch.testing.assert_close(made, expected, rtol=0, atol=atol)


def test_shapes_are_those_of_nn_lstm(kind: tuple[Make, tuple[int, ...]]) -> None:
    make, space = kind
    layer = make(3, 5, num_layers=2, bidirectional=True)
    model = nn.LSTM(3, 5, num_layers=2, bidirectional=True)
    output, state = layer(torch.randn(7, 2, 3, *space))
    expected, (h_n, _) = model(torch.randn(7, 2, 3))
    assert output.shape == (*expected.shape, *space)
    assert all(part.shape == (*h_n.shape, *space) for part in parts_of(layer, state))


def test_batch_first_and_no_batch(kind: tuple[Make, tuple[int, ...]]) -> None:
    make, space = kind
    layer = randomised(make(3, 4, num_layers=2, dtype=torch.float64))
    other = make(3, 4, num_layers=2, batch_first=True, dtype=torch.float64)
    other.load_state_dict(layer.state_dict())
    x = torch.randn(5, 2, 3, *space, dtype=torch.float64)
    output, state = layer(x)
    swapped, same = other(x.transpose(0, 1))
    close(swapped.transpose(0, 1), output)
    alone, single = layer(x[:, 0])
    close(alone, output[:, 0])
    for all_of, other_of, one in zip(*(parts_of(layer, s) for s in (state, same, single)), strict=True):
        close(other_of, all_of)
        close(one, all_of[:, 0])


def test_a_state_goes_back_in_and_streaming_is_batched(kind: tuple[Make, tuple[int, ...]]) -> None:
    make, space = kind
    for dtype, atol in ((torch.float64, 1e-12), (torch.float32, 2e-6)):
        layer = randomised(make(2, [3, 4], dtype=dtype))
        x = torch.randn(6, 2, 2, *space, dtype=dtype)
        whole, last = layer(x)
        first, state = layer(x[:2])
        second, _ = layer(x[2:], state)
        close(torch.cat([first, second]), whole, atol)
        state = None
        for grad in (False, True):
            with torch.set_grad_enabled(grad):
                for t in range(6):
                    frame, state = layer.step(x[t], state if t else None)
                    close(frame, whole[t], atol)
                    assert frame.requires_grad == grad
        for made, expected in zip(parts_of(layer, state), parts_of(layer, last), strict=True):
            for one, other in zip(made, expected, strict=True):
                close(one, other, atol)


def test_bidirectional_is_two_runs(kind: tuple[Make, tuple[int, ...]]) -> None:
    make, space = kind
    layer = randomised(make(2, 3, bidirectional=True, dtype=torch.float64))
    x = torch.randn(5, 2, 2, *space, dtype=torch.float64)
    output, state = layer(x)
    for k, way in enumerate((x, x.flip(0))):
        one = make(2, 3, dtype=torch.float64)
        one.cells[0].load_state_dict(layer.cells[k].state_dict())
        expected, last = one(way)
        close(output[:, :, 3 * k : 3 * k + 3], expected if k == 0 else expected.flip(0))
        for made, want in zip(parts_of(layer, state), parts_of(one, last), strict=True):
            close(made[k], want[0])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_masked_is_a_shorter_sequence(kind: tuple[Make, tuple[int, ...]], bidirectional: bool) -> None:
    make, space = kind
    layer = randomised(make(2, 3, num_layers=2, bidirectional=bidirectional, dtype=torch.float64))
    x = torch.randn(6, 3, 2, *space, dtype=torch.float64)
    lengths = torch.tensor([6, 2, 4])
    output, state = layer(x, lengths=lengths)
    for b, length in enumerate(lengths.tolist()):
        alone, last = layer(x[:length, b])
        close(output[:length, b], alone)
        for made, expected in zip(parts_of(layer, state), parts_of(layer, last), strict=True):
            close(made[:, b], expected)
    shown = torch.arange(6)[:, None] < lengths
    close(layer(x, mask=shown)[0], output)


def test_a_masked_step_leaves_the_state_as_it_was(kind: tuple[Make, tuple[int, ...]]) -> None:
    make, space = kind
    layer = randomised(make(2, 3, dtype=torch.float64))
    x = torch.randn(4, 1, 2, *space, dtype=torch.float64)
    shown = torch.tensor([[True], [False], [True], [True]])
    close(layer(x, mask=shown)[0][[0, 2, 3]], layer(x[[0, 2, 3]])[0])


def test_recomputation_changes_nothing(kind: tuple[Make, tuple[int, ...]]) -> None:
    make, space = kind
    x = torch.randn(7, 2, 2, *space, dtype=torch.float64)
    grads = []
    for gradient_checkpointing in (False, True):
        layer = randomised(make(2, 3, num_layers=2, gradient_checkpointing=gradient_checkpointing, dtype=torch.float64))
        output, state = layer(x)
        loss = output.pow(2).sum() + sum(part.sum() for part in parts_of(layer, state))
        grads.append([output, *torch.autograd.grad(loss, list(layer.parameters()))])
    for one, other in zip(*grads, strict=True):
        close(one, other)


def test_dropout_acts_between_layers_in_training_only(kind: tuple[Make, tuple[int, ...]]) -> None:
    make, space = kind
    layer = randomised(make(2, 3, num_layers=2, dropout=0.5))
    x = torch.randn(4, 2, 2, *space)
    torch.manual_seed(1)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])
    with pytest.warns(UserWarning, match="acts between layers"):
        make(2, 3, dropout=0.5)


def test_last_state_is_the_forwards(kind: tuple[Make, tuple[int, ...]]) -> None:
    make, space = kind
    layer = randomised(make(2, 3, num_layers=2))
    x = torch.randn(4, 2, 2, *space)
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            for made, expected in zip(*(parts_of(layer, s) for s in (layer.last_state(x), layer(x)[1])), strict=True):
                close(made, expected, 2e-6)


def test_device_and_dtype(kind: tuple[Make, tuple[int, ...]]) -> None:
    make, _ = kind
    layer = make(2, 3, device="meta", dtype=torch.bfloat16)
    assert {(p.device.type, p.dtype) for p in layer.parameters()} == {("meta", torch.bfloat16)}


def test_grids_may_change_between_calls() -> None:
    layer = ConvLSTM(1, 2, batch_first=True)
    for size in ((4, 8), (7, 5), (1, 1)):
        assert layer(torch.zeros(1, 2, 1, *size))[0].shape == (1, 2, 2, *size)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_without_peepholes_the_lstm_is_torchs(bias: bool, bidirectional: bool) -> None:
    theirs = nn.LSTM(3, 4, 2, bias=bias, bidirectional=bidirectional, dtype=torch.float64)
    ours = LSTM(3, 4, num_layers=2, peephole=None, bias=bias, bidirectional=bidirectional, dtype=torch.float64)
    with torch.no_grad():
        for k, cell in enumerate(ours.cells):
            layer, way = divmod(k, 2) if bidirectional else (k, 0)
            name = f"l{layer}{'_reverse' * way}"
            cell.weight_x.copy_(getattr(theirs, f"weight_ih_{name}"))
            cell.weight_h.copy_(getattr(theirs, f"weight_hh_{name}"))
            if bias:
                cell.bias.copy_(getattr(theirs, f"bias_ih_{name}") + getattr(theirs, f"bias_hh_{name}"))
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    start = tuple(torch.randn(4 if bidirectional else 2, 2, 4, dtype=torch.float64) for _ in range(2))
    (output, state), (expected, last) = ours(x, start), theirs(x, start)
    close(output, expected)
    close(state, last)


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_gru_is_its_equations(dims: int, reset_after: bool) -> None:
    space = (4, 3, 2)[:dims]
    layer = randomised(ConvGRU(2, 3, dims=dims, reset_after=reset_after, state_kernel=5, dtype=torch.float64))
    cell, x = layer.cells[0], torch.randn(3, 2, 2, *space, dtype=torch.float64)
    h = torch.zeros(2, 3, *space, dtype=torch.float64)
    for frame, made in zip(x, layer(x)[0], strict=True):
        h = gru_step(frame, h, wx=cell.weight_x, wh=cell.weight_h, bias=cell.bias, bias_h=cell.bias_h)
        close(made, h)
    start = torch.randn(1, 3, *space, dtype=torch.float64, requires_grad=True)
    small = x[0, :1, :, *[slice(0, 2)] * dims].detach().requires_grad_()
    inner = start[:, :, *[slice(0, 2)] * dims].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, h, *_: cell(x, h), (small, inner, *cell.parameters()), fast_mode=True)


def test_reset_after_on_one_cell_is_torchs_gru() -> None:
    theirs = nn.GRU(2, 3, dtype=torch.float64)
    ours = ConvGRU(2, 3, dims=1, input_kernel=1, state_kernel=1, reset_after=True, dtype=torch.float64)
    cell = ours.cells[0]
    with torch.no_grad():
        cell.weight_x.copy_(theirs.weight_ih_l0[..., None])
        cell.weight_h.copy_(theirs.weight_hh_l0[..., None])
        cell.bias.copy_(theirs.bias_ih_l0)
        cell.bias[:6] += theirs.bias_hh_l0[:6]
        cell.bias_h.copy_(theirs.bias_hh_l0[6:])
    x = torch.randn(5, 2, 2, dtype=torch.float64)
    close(ours(x[..., None])[0][..., 0], theirs(x)[0])


def test_layers_differ_in_size_and_kernel_and_each_is_the_book(tmp_path: Any) -> None:
    layer = randomised(ConvLSTM(2, [3, 4], input_kernel=[3, (1, 5)], state_kernel=[(5, 3), 1], dtype=torch.float64))
    x = torch.randn(3, 1, 2, 4, 5, dtype=torch.float64)
    output, (h_n, c_n) = layer(x)
    assert [tuple(h.shape) for h in h_n] == [(1, 3, 4, 5), (1, 4, 4, 5)]
    below: Tensor = x
    for k, (cell, hidden) in enumerate(zip(layer.cells, (3, 4), strict=True)):
        h = c = torch.zeros(1, hidden, 4, 5, dtype=torch.float64)
        frames = []
        for frame in below:
            h, c = by_the_book(cell, frame, h, c)
            frames.append(h)
        below = torch.stack(frames)
        close(h_n[k], h)
        close(c_n[k], c)
    close(output, below)
    close(layer.all_layers(x)[0][1], below)


def test_a_list_of_states_by_layer_is_not_taken_for_all_h_and_all_c() -> None:
    x = torch.randn(3, 2, 1, 5, 6)
    layers = ConvLSTM(1, [4, 4])
    with torch.no_grad():
        _, (h, c) = layers(x)
        expected = layers(x, (h, c))[0]
        pairs = list(zip(h, c, strict=True))
        for wrong in (pairs, [list(h), list(c)]):
            with pytest.raises(ValueError, match=r"may be \(h, c\) by layer; give the tuple \(h_0, c_0\)"):
                layers(x, wrong)
            with pytest.raises(ValueError, match="by layer"):
                layers.step(x[0], wrong)
        stacked = (torch.stack(list(h)), torch.stack(list(c)))
        for right in ((h, c), (list(h), list(c)), tuple(zip(*pairs, strict=True)), stacked, list(stacked)):
            assert torch.equal(layers(x, right)[0], expected)
        three = ConvLSTM(1, [4, 4, 4])
        _, (h, c) = three(x)
        with pytest.raises(ValueError, match="by layer"):
            three(x, list(zip(h, c, strict=True)))


def test_a_grid_of_which_valid_padding_leaves_nothing_is_refused() -> None:
    layer = ConvLSTM(1, 4, padding="valid", input_kernel=5)
    assert layer(torch.zeros(2, 1, 1, 5, 5))[0].shape[-2:] == (1, 1)
    with pytest.raises(
        ValueError, match=r"grid of \(4, 5\) is too small for padding='valid' with a kernel of \(5, 5\)"
    ):
        layer(torch.zeros(2, 1, 1, 4, 5))
