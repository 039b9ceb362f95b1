"""Every option of the recurrent layers: what it computes, and which combinations are refused."""

from dataclasses import fields
from inspect import signature
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from definitions import lstm_step, randomised
from echocast.nn import LSTM, ConvGRU, ConvGRUCell, ConvLSTM, ConvLSTMCell
from echocast.nn.activations import ACTIVATIONS, activation
from echocast.nn.options import CellOptions, ConvGRUOptions, ConvLSTMOptions, LSTMOptions
from echocast.nn.settings import CellSettings, LayerSettings

F64: dict[str, Any] = {"dtype": torch.float64}


def next_state(cell: ConvLSTMCell, x_gates: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """A step from the input's share of the gates, by the book."""
    gate, squash = activation(cell.gate_activation), activation(cell.activation)
    i, f, g, o = (x_gates + F.conv2d(h, cell.weight_h, padding=1)).chunk(4, 1)
    peephole = torch.zeros(3, 1, 1, 1, dtype=h.dtype) if cell.peephole is None else cell.peephole
    new = gate(f + peephole[1] * c) * c + gate(i + peephole[0] * c) * squash(g)
    return gate(o + peephole[2] * new) * squash(new), new


@pytest.mark.parametrize(
    ("options", "padded", "call"),
    [
        ({"stride": 2}, (1, 1, 1, 1), {"stride": 2}),
        ({"stride": (1, 2)}, (1, 1, 1, 1), {"stride": (1, 2)}),
        ({"dilation": 2}, (2, 2, 2, 2), {"dilation": 2}),
        ({"groups": 2}, (1, 1, 1, 1), {"groups": 2}),
        ({"padding": "valid"}, (0, 0, 0, 0), {}),
        ({"padding": "valid", "input_kernel": 4}, (0, 0, 0, 0), {}),
        ({"input_kernel": (4, 2)}, (0, 1, 1, 2), {}),
        ({"padding": "keras", "stride": 2}, (1, 1, 0, 1), {"stride": 2}),
        ({"padding": "keras", "stride": 3, "input_kernel": 2}, (0, 0, 0, 0), {"stride": 3}),
        ({"padding": "keras", "dilation": 2}, (2, 2, 2, 2), {"dilation": 2}),
        ({"input_kernel": (3, 5)}, (2, 2, 1, 1), {}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_geometry_of_the_input_convolution(
    options: dict[str, Any], padded: tuple[int, ...], call: dict[str, Any], dtype: torch.dtype
) -> None:
    layer = randomised(ConvLSTM(2, 4, **options, dtype=dtype))
    cell, x = layer.cells[0], torch.randn(3, 2, 2, 8, 9, dtype=dtype)
    h = c = None
    for frame, made in zip(x, layer(x)[0], strict=True):
        x_gates = F.conv2d(F.pad(frame, padded), cell.weight_x, cell.bias, **call)
        if h is None or c is None:
            h = c = torch.zeros(2, 4, *x_gates.shape[2:], dtype=dtype)
        h, c = next_state(cell, x_gates, h, c)
        torch.testing.assert_close(made, h, rtol=0, atol=1e-12 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("mode", ["reflect", "circular", "learned"])
def test_what_lies_beyond_the_border(mode: Any) -> None:
    cell = randomised(ConvLSTMCell(2, 3, padding_mode=mode, input_kernel=5, state_kernel=3, **F64))
    x, (h, c) = torch.randn(1, 2, 6, 7, **F64), torch.randn(2, 1, 3, 6, 7, **F64)
    if mode == "learned":
        assert cell.learned_padding is not None
        padded = torch.stack(
            [F.pad(x[0, k], (2, 2, 2, 2), value=float(cell.learned_padding[k].detach())) for k in range(2)]
        )[None]
    else:
        padded = F.pad(x, (2, 2, 2, 2), mode=mode)
    expected = next_state(cell, F.conv2d(padded, cell.weight_x, cell.bias), h, c)
    torch.testing.assert_close(cell(x, (h, c)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("mode", ["reflect", "circular", "learned"])
def test_borders_in_every_dimension_pass_gradcheck(dims: int, mode: Any) -> None:
    layer = randomised(ConvLSTM(1, 1, dims=dims, padding_mode=mode, **F64))
    x = torch.randn(2, 1, 1, *(3, 2, 2)[:dims], **F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: layer(x)[0], (x, *layer.parameters()), fast_mode=True)


def test_circular_input_and_no_state_kernel_make_a_wrapped_shift_exact() -> None:
    layer = randomised(ConvLSTM(1, 2, padding_mode="circular", state_kernel=1, **F64))
    x = torch.randn(3, 1, 1, 6, 5, **F64)
    shifted = layer(x.roll((2, 1), dims=(-2, -1)))[0]
    torch.testing.assert_close(shifted, layer(x)[0].roll((2, 1), dims=(-2, -1)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    cell = randomised(ConvLSTMCell(1, 2, gate_activation=name, activation=name, **F64))
    x, (h, c) = torch.randn(1, 1, 3, 3, **F64), torch.randn(2, 1, 2, 3, 3, **F64)
    expected = lstm_step(
        x, h, c, wx=cell.weight_x, wh=cell.weight_h, bias=cell.bias, peephole=cell.peephole,
        gate=activation(name), squash=activation(name),
    )  # fmt: skip
    torch.testing.assert_close(cell(x, (h, c)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("hard_sigmoid", 1.0, 1 / 6 + 0.5),
        ("hard_sigmoid", 3.0, 1.0),
        ("hard_sigmoid_keras2", 1.0, 0.7),
        ("hard_sigmoid_keras2", 2.5, 1.0),
        ("leaky_relu", -1.0, -0.2),
        ("hard_tanh", -2.0, -1.0),
        ("softsign", 1.0, 0.5),
    ],
)
def test_activations_by_hand(name: str, at: float, value: float) -> None:
    assert float(activation(name)(torch.tensor(at))) == pytest.approx(value)


@pytest.mark.parametrize("make", [ConvLSTM, ConvGRU])
@pytest.mark.parametrize(("norm", "groups"), [("layer", 1), ("group", 1), ("group", 2)])
def test_normalised_gates_do_not_feel_the_size_of_the_weights(make: Any, norm: str, groups: int) -> None:
    layer = randomised(make(2, 4, norm=norm, norm_groups=groups, **F64), scale=1.0)
    x = torch.randn(3, 2, 2, 5, 6, **F64)
    before = layer(x)[0]
    with torch.no_grad():
        for cell in layer.cells:
            cell.weight_x.mul_(7)
            cell.weight_h.mul_(7)
    torch.testing.assert_close(layer(x)[0], before, rtol=0, atol=1e-4)  # the 1e-5 under the root is felt
    assert torch.autograd.gradcheck(
        lambda x, *_: layer(x)[0], (x[:2, :1, :, :2, :2].requires_grad_(), *layer.parameters()), fast_mode=True
    )


def test_layer_norm_is_over_a_gates_channels_and_group_norm_over_space_too() -> None:
    cell = randomised(ConvLSTMCell(1, 4, norm="layer", bias=False, peephole=None, **F64))
    x, (h, c) = torch.randn(1, 1, 3, 3, **F64), torch.randn(2, 1, 4, 3, 3, **F64)
    total = F.conv2d(x, cell.weight_x, padding=1) + F.conv2d(h, cell.weight_h, padding=1)
    by_pixel = F.layer_norm(total.unflatten(1, (4, 4)).movedim(2, -1), (4,)).movedim(-1, 2).flatten(1, 2)
    whole = F.group_norm(total, 4)
    for name, normal in (("layer", by_pixel), ("group", whole)):
        cell.norm = name
        i, f, g, o = (normal * cell.gain[:, None, None]).chunk(4, 1)
        new = f.sigmoid() * c + i.sigmoid() * g.tanh()
        torch.testing.assert_close(cell(x, (h, c)), (o.sigmoid() * new.tanh(), new), rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [ConvLSTM, ConvGRU, LSTM])
def test_zoneout_keeps_a_share_of_the_state_in_training_and_its_mean_in_use(make: Any) -> None:
    layer = randomised(make(1, 64, zoneout=0.3, **F64))
    space = (8, 8) if layer.dims else ()
    x, old = torch.randn(1, 4, 1, *space, **F64), torch.randn(1, 4, 64, *space, **F64)
    state = old if layer.num_states == 1 else (old, old)
    fresh = make(1, 64, **F64)
    fresh.load_state_dict(layer.state_dict())
    new = fresh(x, state)[0][0]
    made = layer(x, state)[0][0]
    kept = made == old[0]
    assert torch.equal(made[~kept], new[~kept])
    assert float(kept.double().mean()) == pytest.approx(0.3, abs=0.1 if layer.dims == 0 else 0.02)
    layer.eval()
    torch.testing.assert_close(layer(x, state)[0][0], 0.3 * old[0] + 0.7 * new, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [ConvLSTM, ConvGRU, LSTM])
def test_recurrent_dropout_hides_the_same_channels_in_every_step(make: Any) -> None:
    layer = randomised(make(1, 8, recurrent_dropout=0.5, **F64))
    cell = layer.cells[0]
    seen = []
    convolve = type(cell)._state_gates

    def spy(h: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        seen.append(h.detach()[:, -8:])  # the hidden state is last where the input lies before it
        return convolve(cell, h, weight, bias)

    cell._state_gates = spy
    space = (4, 4) if layer.dims else ()
    layer(torch.randn(5, 2, 1, *space, **F64))
    later = [h for h in seen if bool(h.any())]
    hidden = [(h == 0).flatten(2).all(-1) if layer.dims else h == 0 for h in later]
    assert all(torch.equal(mask, hidden[0]) for mask in hidden)
    assert 0 < int(hidden[0].sum()) < hidden[0].numel()
    seen.clear()
    layer.eval()
    layer(torch.randn(5, 2, 1, *space, **F64))
    assert all(bool(h.any(dim=(0, *range(2, h.dim()))).all()) for h in seen if bool(h.any()))


@pytest.mark.parametrize("make", [ConvLSTMCell, ConvGRUCell])
def test_initialisers(make: Any) -> None:
    torch.manual_seed(0)
    paper = make(16, 32, input_kernel=5, init="shi2015")
    assert 0.9 / 4 < paper.weight_x.detach().abs().max().item() <= 1 / 4  # 1 / sqrt(16), kernel area or not
    assert 0.9 / 32**0.5 < paper.weight_h.detach().abs().max().item() <= 1 / 32**0.5
    assert paper.bias.detach().abs().max().item() == 0
    gate = make(4, 8, init="orthogonal").weight_h[:8].flatten(1)
    torch.testing.assert_close(gate @ gate.T, torch.eye(8), rtol=0, atol=1e-5)
    torch.testing.assert_close(make(4, 8, init="xavier").bias, torch.zeros(8 * make.gates), rtol=0, atol=0)
    bound = 1 / (8 * 9) ** 0.5
    for parameter in make(4, 8, init="torch").parameters():
        assert 0.7 * bound < parameter.detach().abs().max().item() <= bound


def test_torchs_initialiser_draws_as_nn_lstm() -> None:
    torch.manual_seed(0)
    theirs = torch.nn.LSTM(30, 50)
    ours = LSTM(30, 50, init="torch")
    for mine, other in ((ours.cells[0].weight_x, theirs.weight_ih_l0), (ours.cells[0].bias, theirs.bias_ih_l0)):
        assert mine.detach().std().item() == pytest.approx((other.detach().std().item()), rel=0.1)


def test_forget_bias_comes_on_top_of_torchs_start() -> None:
    bias = ConvLSTMCell(1, 50, init="torch", forget_bias=3.0).bias
    assert bias is not None
    assert bias[50:100].detach().mean().item() == pytest.approx(3, abs=0.1)
    assert ConvGRUCell(1, 4, update_bias=1.0).bias[4:8].detach().mean().item() == 1


def test_types_and_defaults_of_the_options_have_the_same_names() -> None:
    assert {field.name for field in fields(CellSettings)} == set(CellOptions.__annotations__)


SPATIAL = {
    "dims", "input_kernel", "state_kernel", "stride", "dilation", "groups", "state_groups", "padding", "padding_mode",
}  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "cell", "types", "without"),
    [
        (ConvLSTM, ConvLSTMCell, ConvLSTMOptions, set()),
        (ConvGRU, ConvGRUCell, ConvGRUOptions, set()),
        (LSTM, ConvLSTMCell, LSTMOptions, SPATIAL | {"spatial_size"}),
    ],
)
def test_a_layers_types_name_its_cells_arguments(layer: Any, cell: Any, types: Any, without: set[str]) -> None:
    shown = {p.name: p.default for p in signature(layer).parameters.values() if p.kind is p.KEYWORD_ONLY}
    stacked = {field.name: field.default for field in fields(LayerSettings)}
    assert shown.items() >= stacked.items()
    assert set(shown) - set(stacked) == set(types.__annotations__)
    of_cell = {p.name: p.default for p in signature(cell).parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert set(types.__annotations__) == set(of_cell) - without
    assert {name: shown[name] for name in types.__annotations__} == {n: of_cell[n] for n in types.__annotations__}
    assert all(f"{name}:" in layer.__doc__ or f"{name}," in layer.__doc__ for name in shown)


REFUSED: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
    (ConvLSTM, (1, 4), {"state_groups": 3}, "state_groups=3 must divide hidden_channels=4"),
    (LSTM, (1, 4), {"state_groups": 2}, "an LSTM has no spatial dimensions; leave out state_groups=2"),
    (ConvLSTM, (1, 2), {"input_dropout": 1.0}, r"input_dropout must be in \[0, 1\); got 1.0"),
    (ConvLSTM, (1, 2), {"input_kernel": (3, 3, 3)}, r"input_kernel=\(3, 3, 3\) has 3 numbers; 2 dimensions"),
    (ConvLSTM, (1, 2), {"stride": 0}, "stride must be at least 1; got 0"),
    (ConvLSTM, (1, 2), {"dims": 4}, "dims must be 0, 1, 2 or 3; got 4"),
    (ConvLSTM, (-1, 2), {}, "in_channels=-1"),
    (ConvLSTM, (1, 0), {}, "hidden_channels=0"),
    (ConvLSTM, (3, 2), {"groups": 2}, "groups=2 must divide in_channels=3"),
    (ConvLSTM, (1, 2), {"padding": "full"}, "padding must be one of same, keras, valid; got 'full'"),
    (ConvLSTM, (1, 2), {"padding_mode": "wrap"}, "padding_mode must be one of .*got 'wrap'"),
    (
        ConvLSTM,
        (1, 2),
        {"padding": "valid", "padding_mode": "circular"},
        "padding='valid' pads nothing; leave out padding_mode='circular'",
    ),
    (ConvLSTM, (0, 2), {"stride": 2}, "in_channels=0 means that there is no input convolution; leave out stride"),
    (
        ConvLSTM,
        (1, 2),
        {"peephole": "pixel"},
        "peephole='pixel' needs spatial_size.*got peephole='pixel', spatial_size=None",
    ),
    (ConvLSTM, (1, 2), {"spatial_size": (4, 4)}, "peephole='channel', spatial_size=.4, 4."),
    (
        ConvLSTM,
        (1, 2),
        {"peephole": "pixel", "spatial_size": (4,)},
        r"spatial_size=\(4,\) has 1 numbers; this layer has dims=2",
    ),
    (ConvLSTM, (1, 2), {"peephole": "diagonal"}, "peephole must be None, 'channel' or 'pixel'; got 'diagonal'"),
    (ConvLSTM, (1, 2), {"bias": False, "forget_bias": 1.0}, "forget_bias=1.0 needs bias=True"),
    (ConvLSTM, (1, 2), {"gate_activation": "softmax"}, "there is no activation 'softmax'; choose one of sigmoid"),
    (ConvLSTM, (1, 2), {"norm": "batch"}, "norm must be None, 'layer' or 'group'; got 'batch'"),
    (ConvLSTM, (1, 3), {"norm": "group", "norm_groups": 2}, "norm_groups=2 must divide hidden_channels=3"),
    (ConvLSTM, (1, 4), {"norm_groups": 2}, "norm_groups=2 needs norm='group'"),
    (ConvLSTM, (1, 1), {"norm": "layer"}, "norm='layer' with hidden_channels=1 would make every gate 0"),
    (ConvLSTM, (1, 2), {"zoneout": 1.0}, r"zoneout must be in \[0, 1\); got 1.0"),
    (ConvLSTM, (1, 2), {"recurrent_dropout": -0.1}, "recurrent_dropout must be in"),
    (ConvLSTM, (1, 2), {"dropout": 2.0}, r"dropout must be in \[0, 1\]; got 2.0"),
    (ConvLSTM, (1, 2), {"init": "he"}, "init must be one of xavier, shi2015, orthogonal, torch; got 'he'"),
    (ConvLSTM, (1, []), {}, r"hidden_channels=\[\] gives 0 layers"),
    (ConvLSTM, (1, 2), {"num_layers": 0}, "hidden_channels=2 gives 0 layers and num_layers=0"),
    (ConvLSTM, (1, [2, 2]), {"num_layers": 3}, "gives 2 layers and num_layers=3"),
    (ConvLSTM, (1, [2, 2]), {"state_kernel": [3]}, r"state_kernel=\[3\] has 1 values for 2 layers"),
    (ConvLSTM, (0, 2), {"bidirectional": True}, "bidirectional=True needs an input"),
    (ConvLSTM, (1, 2), {"num_layers": 2, "stride": 2}, r"give hidden_channels as a list, \[2, 2\]"),
    (ConvGRU, (1, 2), {"bias": False, "update_bias": 1.0}, "update_bias=1.0 needs bias=True"),
    (LSTM, (1, 2), {"peephole": "pixel"}, "an LSTM has no spatial dimensions; leave out peephole='pixel'"),
    (LSTM, (1, 2), {"stride": 2}, "an LSTM has no spatial dimensions; leave out stride=2"),
    (ConvLSTM, (1, 2), {"dims": 0, "stride": 2}, "dims=0 has no spatial dimensions; leave out stride=2"),
]


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize(("make", "sizes", "options", "message"), REFUSED)
def test_impossible_combinations_are_refused_by_name(
    make: Any, sizes: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(*sizes, **options)


@pytest.mark.parametrize("make", [ConvLSTM, ConvGRU, LSTM, ConvLSTMCell, ConvGRUCell])
def test_an_unknown_option_is_a_type_error(make: Any) -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'kernel_size'; it takes dims, input_kernel, "):
        make(1, 2, kernel_size=3)


BAD_INPUT: list[tuple[str, Any, str]] = [
    ("rank", lambda: (ConvLSTM(1, 2), torch.zeros(3, 1, 4)), r"\(time, batch, channel, y, x\).*got \(3, 1, 4\)"),
    ("channels", lambda: (ConvLSTM(2, 2), torch.zeros(3, 1, 1, 4, 4)), r"takes 2 channels.*got a tensor of shape"),
    ("dtype", lambda: (ConvLSTM(1, 2), torch.zeros(3, 1, 1, 4, 4).double()), "float64, the layer's weights are"),
    ("whole", lambda: (ConvLSTM(1, 2), torch.zeros(3, 1, 1, 4, 4).int()), "must be floating point; got torch.int32"),
    ("device", lambda: (ConvLSTM(1, 2), torch.zeros(3, 1, 1, 4, 4, device="meta")), "on meta, .* weights are on cpu"),
    ("empty", lambda: (ConvLSTM(1, 2), torch.zeros(0, 1, 1, 4, 4)), "the input has 0 time steps and steps=None"),
    ("no batch", lambda: (ConvGRU(1, 2), torch.zeros(3, 4, 4)), r"got \(3, 4, 4\)"),
]  # fmt: skip


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize(("make", "message"), [case[1:] for case in BAD_INPUT], ids=[case[0] for case in BAD_INPUT])
def test_bad_input_says_what_was_expected_and_what_came(make: Any, message: str) -> None:
    layer, x = make()
    with pytest.raises(ValueError, match=message):
        layer(x)


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            lambda z: (z(1, 2, 2, 4, 5), z(1, 2, 2, 4, 5)),
            r"h of layer 0 must be .*\(2, 2, 4, 4\); got \(2, 2, 4, 5\)",
        ),
        (lambda z: (z(1, 2, 2, 4, 4), z(1, 2, 3, 4, 4)), "state c of layer 0 must be"),
        (lambda z: (z(2, 2, 2, 4, 4), z(2, 2, 2, 4, 4)), r"\(h_0, c_0\) with 1 layers x directions; got \[2, 2\]"),
        (lambda z: (z(1, 2, 2, 4, 4).double(), z(1, 2, 2, 4, 4)), "state h of layer 0 is torch.float64"),
        (lambda z: (z(1, 1, 2, 4, 4), z(1, 1, 2, 4, 4)), r"\(2, 2, 4, 4\); got \(1, 2, 4, 4\)"),
    ],
)
def test_a_wrong_state_is_refused(state: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConvLSTM(1, 2)(torch.zeros(3, 2, 1, 4, 4), state(torch.zeros))
    with pytest.raises(ValueError, match="state h must be"):
        ConvLSTMCell(1, 2)(torch.zeros(2, 1, 4, 4), (torch.zeros(2, 2, 4, 5), torch.zeros(2, 2, 4, 5)))
    with pytest.raises(ValueError, match="state h must be"):
        ConvGRUCell(1, 2)(torch.zeros(2, 1, 4, 4), torch.zeros(2, 2, 4, 5))


def test_lengths_and_masks_are_checked() -> None:
    layer, x = ConvLSTM(1, 2), torch.zeros(3, 2, 1, 4, 4)
    for lengths in ([3], [0, 3], [4, 1]):
        with pytest.raises(ValueError, match=r"lengths must be 2 numbers between 1 and 3; got"):
            layer(x, lengths=torch.tensor(lengths))
    with pytest.raises(ValueError, match=r"\(time, batch\) for 2 sequences of 3 time steps; got \(2, 3\)"):
        layer(x, mask=torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="not both"):
        layer(x, mask=torch.ones(3, 2, dtype=torch.bool), lengths=torch.tensor([1, 2]))


def test_pixel_peepholes_fix_the_grid_and_nothing_else_does() -> None:
    layer = ConvLSTM(1, [2, 2], peephole="pixel", spatial_size=(9, 8), stride=[2, 1])
    assert [cell.peephole.shape for cell in layer.cells] == [(3, 2, 5, 4), (3, 2, 5, 4)]
    assert layer(torch.zeros(2, 1, 1, 9, 8))[0].shape == (2, 1, 2, 5, 4)
    with pytest.raises(ValueError, match=r"peephole='pixel' fixes the state's size to \(5, 4\)"):
        layer(torch.zeros(2, 1, 1, 12, 8))


def test_bidirectional_layers_cannot_go_step_by_step() -> None:
    with pytest.raises(ValueError, match="needs the whole sequence at once"):
        ConvLSTM(1, 2, bidirectional=True).step(torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("make", [ConvLSTM, ConvGRU])
def test_groups_of_the_state_see_their_own_channels_alone(make: Any) -> None:
    layer = randomised(make(2, 4, state_groups=2, **F64))
    cell, h = layer.cells[0], torch.randn(1, 4, 5, 6, **F64)
    weight = cell.weight_h
    assert weight.shape == (4 * cell.gates, 2, 3, 3)
    halves = [F.conv2d(part, w, padding=1) for part, w in zip(h.chunk(2, 1), weight.chunk(2), strict=True)]
    torch.testing.assert_close(cell._state_gates(h, weight), torch.cat(halves, 1), rtol=0, atol=1e-12)
    assert layer(torch.randn(3, 1, 2, 5, 6, **F64))[0].shape == (3, 1, 4, 5, 6)


def test_an_even_state_kernel_pads_at_the_end() -> None:
    cell, h = randomised(ConvLSTMCell(0, 2, state_kernel=(2, 4), **F64)), torch.randn(1, 2, 5, 6, **F64)
    expected = F.conv2d(F.pad(h, (1, 2, 0, 1)), cell.weight_h)  # columns before and after, lines before and after
    torch.testing.assert_close(cell._state_gates(h, cell.weight_h), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [ConvLSTM, ConvGRU, LSTM])
def test_an_activation_may_be_a_function(make: Any) -> None:
    ours = randomised(make(2, 3, activation=F.softsign, gate_activation=[torch.sigmoid]))
    named = make(2, 3, activation="softsign")
    named.load_state_dict(ours.state_dict())
    x = torch.randn(3, 1, 2, *(5, 6)[: ours.dims])
    assert torch.equal(ours(x)[0], named(x)[0])


def test_learned_padding_leaves_the_inside_as_it_is() -> None:
    zeros = randomised(ConvLSTM(2, 3, input_kernel=5))
    learned = ConvLSTM(2, 3, input_kernel=5, padding_mode="learned")
    learned.load_state_dict({**zeros.state_dict(), "cells.0.learned_padding": torch.tensor([100.0, -100.0])})
    x = torch.randn(1, 1, 2, 9, 10)
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(learned(x)[0][inside], zeros(x)[0][inside], rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", [None, "layer", "group"])
@pytest.mark.parametrize("options", [{"input_kernel": 1}, {"input_kernel": 1, "stride": 2}, {"dims": 1, "dilation": 3}])
def test_learned_padding_exists_where_something_is_padded(norm: Any, options: dict[str, Any]) -> None:
    layer = ConvLSTM(2, [4, 4], padding_mode="learned", norm=norm, **options)
    pads = "dilation" in options
    assert ("cells.0.learned_padding" in layer.state_dict()) == pads
    output, _ = layer(torch.randn(3, 2, 2, *(8, 9)[: layer.dims]))
    output.sum().backward()
    assert all(p.grad is not None for p in layer.parameters())
    old = {**layer.state_dict(), "cells.0.learned_padding": torch.zeros(2), "cells.1.learned_padding": torch.zeros(4)}
    layer.load_state_dict(old)  # as files of earlier versions have them


def test_a_border_wider_than_the_grid_is_refused_in_one_line() -> None:
    for mode, size in (("reflect", (3, 3)), ("circular", (2, 2))):
        fits = ConvLSTM(1, 2, padding_mode=mode, input_kernel=5)
        assert fits(torch.zeros(1, 1, 1, *size))[0].shape[3:] == size
        with pytest.raises(ValueError, match=f"padding_mode='{mode}' cannot pad a grid of"):
            fits(torch.zeros(1, 1, 1, 1, 1))
