"""Weights of other implementations give the numbers that those implementations' equations give."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.nn import keras_scripts
from torch import Tensor
from torch.nn import functional as F

from echocast.errors import CheckpointMismatch
from echocast.nn import compat

STEPS, BATCH, INPUTS, HIDDEN, SIZE = 6, 2, 3, 4, (7, 6)


class Draw:
    """Random weights under the names that an implementation gives them."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(7)
        self.made: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        self.made[name] = 0.4 * torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return self.made[name]


Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def unroll(step: Step, x: Tensor) -> tuple[Tensor, Tensor]:
    h = c = torch.zeros(x.shape[1], HIDDEN, *x.shape[3:], dtype=x.dtype)
    outputs = []
    for t, frame in enumerate(x):
        if t == 0 and (size := step(frame, h, c)[0].shape[2:]) != h.shape[2:]:
            raise AssertionError(f"the state's grid is {size}")
        h, c = step(frame, h, c)
        outputs.append(h)
    return torch.stack(outputs), c


def same(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.conv2d(x, weight, bias, padding=(weight.shape[-2] // 2, weight.shape[-1] // 2))


def hwio(kernel: Tensor) -> Tensor:
    return kernel.permute(3, 2, 0, 1)


def ndrplz(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """One convolution over [x, h], in the order i, f, o, g; two layers."""
    sizes = [(INPUTS, 3, 5), (HIDDEN, 5, 3)]
    layers = [
        (
            draw(f"cell_list.{n}.conv.weight", 4 * HIDDEN, inputs + HIDDEN, *kernel),
            draw(f"cell_list.{n}.conv.bias", 4 * HIDDEN),
        )
        for n, (inputs, *kernel) in enumerate(sizes)
    ]

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        cell = x
        for weight, bias in layers:

            def step(frame: Tensor, h: Tensor, c: Tensor, w: Tensor = weight, b: Tensor = bias) -> Any:
                i, f, o, g = same(torch.cat([frame, h], 1), w, b).split(HIDDEN, 1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                return o.sigmoid() * c.tanh(), c

            x, cell = unroll(step, x)
        return x, cell

    return run


def automan000(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Eight convolutions; those of the input have biases; peepholes per pixel where they were saved."""
    w = {g: draw(f"cell0.Wx{g}.weight", HIDDEN, INPUTS, 3, 3) for g in "ifco"}
    b = {g: draw(f"cell0.Wx{g}.bias", HIDDEN) for g in "ifco"}
    u = {g: draw(f"cell0.Wh{g}.weight", HIDDEN, HIDDEN, 3, 3) for g in "ifco"}
    p = {g: draw(f"cell0.Wc{g}", 1, HIDDEN, *SIZE) for g in "ifo"}

    def step(x: Tensor, h: Tensor, c: Tensor) -> Any:
        at = {g: same(x, w[g], b[g]) + same(h, u[g]) for g in "ifco"}
        i, f = torch.sigmoid(at["i"] + c * p["i"]), torch.sigmoid(at["f"] + c * p["f"])
        new = f * c + i * at["c"].tanh()
        return torch.sigmoid(at["o"] + new * p["o"]) * new.tanh(), new

    return lambda x: unroll(step, x)


def openstl(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Two convolutions without bias, i, f, g, o, and two that are never used."""
    wx = draw("cell_list.0.conv_x.0.weight", 4 * HIDDEN, INPUTS, 5, 5)
    wh = draw("cell_list.0.conv_h.0.weight", 4 * HIDDEN, HIDDEN, 5, 5)
    draw("cell_list.0.conv_o.0.weight", HIDDEN, 2 * HIDDEN, 5, 5)
    draw("cell_list.0.conv_last.weight", HIDDEN, 2 * HIDDEN, 1, 1)

    def step(x: Tensor, h: Tensor, c: Tensor) -> Any:
        i, f, g, o = (same(x, wx) + same(h, wh)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    return lambda x: unroll(step, x)


def basic_convlstm(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """TensorFlow's layout, i, j, f, o, no bias, 1 added to f."""
    kernel = draw("kernel", 3, 3, INPUTS + HIDDEN, 4 * HIDDEN)

    def step(x: Tensor, h: Tensor, c: Tensor) -> Any:
        i, j, f, o = same(torch.cat([x, h], 1), hwio(kernel)).chunk(4, 1)
        c = c * torch.sigmoid(f + 1.0) + i.sigmoid() * j.tanh()
        return c.tanh() * o.sigmoid(), c

    return lambda x: unroll(step, x)


def loliverhennigh(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The same with a bias and other names."""
    kernel, bias = draw("Conv/Matrix", 5, 5, INPUTS + HIDDEN, 4 * HIDDEN), draw("Conv/Bias", 4 * HIDDEN)

    def step(x: Tensor, h: Tensor, c: Tensor) -> Any:
        i, j, f, o = same(torch.cat([x, h], 1), hwio(kernel), bias).chunk(4, 1)
        c = c * torch.sigmoid(f + 0.5) + i.sigmoid() * j.tanh()
        return c.tanh() * o.sigmoid(), c

    return lambda x: unroll(step, x)


def carlthome(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """j, i, f, o with peepholes per pixel, 1 added to f after its peephole."""
    kernel, bias = draw("kernel", 3, 3, INPUTS + HIDDEN, 4 * HIDDEN), draw("bias", 4 * HIDDEN)
    p = {g: draw(f"W_c{g}", *SIZE, HIDDEN).permute(2, 0, 1) for g in "ifo"}

    def step(x: Tensor, h: Tensor, c: Tensor) -> Any:
        j, i, f, o = same(torch.cat([x, h], 1), hwio(kernel), bias).chunk(4, 1)
        i, f = i + p["i"] * c, f + p["f"] * c
        c = c * torch.sigmoid(f + 1.0) + i.sigmoid() * j.tanh()
        return torch.sigmoid(o + p["o"] * c) * c.tanh(), c

    return lambda x: unroll(step, x)


def fifth(x: Tensor) -> Tensor:
    return (x / 5 + 0.5).clamp(0, 1)


def keras1(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Twelve arrays, hard sigmoid of slope 0.2."""
    w = {g: hwio(draw(f"W_{g}", 3, 3, INPUTS, HIDDEN)) for g in "icfo"}
    u = {g: hwio(draw(f"U_{g}", 3, 3, HIDDEN, HIDDEN)) for g in "icfo"}
    b = {g: draw(f"b_{g}", HIDDEN) for g in "icfo"}

    def step(x: Tensor, h: Tensor, c: Tensor) -> Any:
        at = {g: same(x, w[g], b[g]) + same(h, u[g]) for g in "icfo"}
        c = fifth(at["f"]) * c + fifth(at["i"]) * at["c"].tanh()
        return fifth(at["o"]) * c.tanh(), c

    return lambda x: unroll(step, x)


def keras2(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Three arrays, i, f, c, o, hard sigmoid of slope 0.2."""
    kernel, recurrent = draw("kernel", 3, 3, INPUTS, 4 * HIDDEN), draw("recurrent_kernel", 3, 3, HIDDEN, 4 * HIDDEN)
    bias = draw("bias", 4 * HIDDEN)

    def step(x: Tensor, h: Tensor, c: Tensor) -> Any:
        i, f, g, o = (same(x, hwio(kernel), bias) + same(h, hwio(recurrent))).chunk(4, 1)
        c = fifth(f) * c + fifth(i) * g.tanh()
        return fifth(o) * c.tanh(), c

    return lambda x: unroll(step, x)


def keras3(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """As Keras 2 with the true sigmoid."""
    kernel, recurrent = draw("kernel", 3, 3, INPUTS, 4 * HIDDEN), draw("recurrent_kernel", 3, 3, HIDDEN, 4 * HIDDEN)
    bias = draw("bias", 4 * HIDDEN)

    def step(x: Tensor, h: Tensor, c: Tensor) -> Any:
        i, f, g, o = (same(x, hwio(kernel), bias) + same(h, hwio(recurrent))).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    return lambda x: unroll(step, x)


def sparnn(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Theano: true convolutions, one peephole per channel; o sees the new cell."""
    w = {g: draw(f"W_x{g}", HIDDEN, INPUTS, 3, 3) for g in "ifco"}
    u = {g: draw(f"W_h{g}", HIDDEN, HIDDEN, 3, 3) for g in "ifco"}
    b = {g: draw(f"b_{g}", HIDDEN) for g in "ifco"}
    p = {g: draw(f"W_c{g}", HIDDEN)[:, None, None] for g in "ifo"}

    def turned(image: Tensor, kernel: Tensor) -> Tensor:
        # A true convolution is a transposed correlation: its own definition in PyTorch, no flip written here.
        return F.conv_transpose2d(image, kernel.transpose(0, 1), padding=1)

    def step(x: Tensor, h: Tensor, c: Tensor) -> Any:
        at = {g: turned(x, w[g]) + turned(h, u[g]) + b[g][:, None, None] for g in "ifco"}
        i, f = torch.sigmoid(at["i"] + p["i"] * c), torch.sigmoid(at["f"] + p["f"] * c)
        new = f * c + i * at["c"].tanh()
        return torch.sigmoid(at["o"] + p["o"] * new) * new.tanh(), new

    return lambda x: unroll(step, x)


GATES = ("input", "forget", "cell", "output")


def viorik(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Convolutions of different size for input (with bias) and state (without)."""
    w = {g: draw(f"{g}.input.weight", HIDDEN, INPUTS, 5, 5) for g in GATES}
    b = {g: draw(f"{g}.input.bias", HIDDEN) for g in GATES}
    u = {g: draw(f"{g}.state.weight", HIDDEN, HIDDEN, 3, 3) for g in GATES}

    def step(x: Tensor, h: Tensor, c: Tensor) -> Any:
        i, f, g, o = (same(x, w[n], b[n]) + same(h, u[n]) for n in GATES)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    return lambda x: unroll(step, x)


def viorik_untied(draw: Draw) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The first step by itself: no state, no forget gate."""
    rest = viorik(draw)
    del rest
    w, u = draw.made, {g: draw.made[f"{g}.state.weight"] for g in GATES}
    first = {g: (draw(f"first.{g}.weight", HIDDEN, INPUTS, 5, 5), draw(f"first.{g}.bias", HIDDEN)) for g in GATES[::2]}
    first["output"] = draw("first.output.weight", HIDDEN, INPUTS, 5, 5), draw("first.output.bias", HIDDEN)

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        i, g, o = (same(x[0], *first[name]) for name in ("input", "cell", "output"))
        c = i.sigmoid() * g.tanh()
        outputs = [o.sigmoid() * c.tanh()]
        for frame in x[1:]:
            i, f, g, o = (
                same(frame, w[f"{n}.input.weight"], w[f"{n}.input.bias"]) + same(outputs[-1], u[n]) for n in GATES
            )
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            outputs.append(o.sigmoid() * c.tanh())
        return torch.stack(outputs), c

    return run


IMPLEMENTATIONS: list[tuple[str, Any, dict[str, Any]]] = [
    ("ndrplz", ndrplz, {}),
    ("torchgeo", ndrplz, {}),
    ("automan000", automan000, {}),
    ("openstl", openstl, {}),
    ("basic_convlstm", basic_convlstm, {}),
    ("basic_convlstm", loliverhennigh, {"forget_bias": 0.5}),
    ("carlthome", carlthome, {}),
    ("keras1", keras1, {"border_mode": "same"}),
    ("keras2", keras2, {"padding": "same"}),
    ("keras3", keras3, {"padding": "same"}),
    ("sparnn", sparnn, {}),
    ("viorik", viorik, {}),
    ("viorik_untied", viorik_untied, {}),
]


@pytest.mark.parametrize(
    ("name", "implementation", "hints"), IMPLEMENTATIONS, ids=[f"{n}-{i.__name__}" for n, i, _ in IMPLEMENTATIONS]
)
def test_the_same_numbers(name: str, implementation: Any, hints: dict[str, Any]) -> None:
    draw = Draw()
    run = implementation(draw)
    x = torch.randn(STEPS, BATCH, INPUTS, *SIZE, dtype=torch.float64)
    expected, cell = run(x)
    imported = compat.convert(name, draw.made, **hints)
    output, (_, c_n) = imported.layer()(x)
    assert (output - expected).abs().max() < 1e-10
    assert (c_n[-1] - cell).abs().max() < 1e-10
    assert expected.abs().max() > 0.1, "a test of zeros shows nothing"


def test_every_implementation_is_tested() -> None:
    assert {name for name, *_ in IMPLEMENTATIONS} | {"torch_lstm"} == set(compat.names())
    assert all(compat.summary(name) for name in compat.names())


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_torchs_lstm_itself(bidirectional: bool, bias: bool) -> None:
    theirs = torch.nn.LSTM(3, 4, 2, bias=bias, bidirectional=bidirectional, dtype=torch.float64)
    ours = compat.convert("torch_lstm", theirs.state_dict()).layer()
    x = torch.randn(STEPS, BATCH, 3, dtype=torch.float64)
    (output, state), (expected, last) = ours(x), theirs(x)
    assert (output - expected).abs().max() < 1e-10
    for made, want in zip(state, last, strict=True):
        assert (made - want).abs().max() < 1e-10


@pytest.fixture(scope="module")
def keras_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Keras 3 itself makes of random weights."""
    return keras_scripts.outputs(tmp_path_factory) / "layers"


@pytest.mark.parametrize("name", keras_scripts.LAYER_CASES)
def test_keras_itself(name: str, keras_runs: Path) -> None:
    content: Mapping[str, Any] = np.load(keras_runs / f"{name}.npz")
    chosen = ("padding", "strides", "dilation_rate", "recurrent_activation", "activation")
    hints = {key: value for key, value in keras_scripts.LAYER_CASES[name].items() if key in chosen}
    weights = {key: content[key] for key in ("kernel", "recurrent_kernel", "bias") if key in content}
    layer = compat.convert("keras3", weights, **hints).layer(batch_first=True)
    output, (_, c_n) = layer(torch.from_numpy(content["x"]).movedim(-1, 2))
    assert np.abs(output.movedim(2, -1).detach().numpy() - content["output"]).max() < 1e-10
    assert np.abs(c_n[-1].movedim(1, -1).detach().numpy() - content["c"]).max() < 1e-10


def test_a_keras_file(keras_runs: Path) -> None:
    from echocast.nn.compat import files

    content = files.read(keras_runs / "model.keras")
    prefix = next(name for name in content if name.endswith("cell/vars/0")).removesuffix("vars/0")
    layer = compat.convert("keras3", content, prefix=prefix).layer()
    assert layer.cells[0].weight_x.shape == (16, 3, 3, 3)
    assert layer.cells[0].input_convolution.padding == "valid"


def keys(draw: Draw, drop: str = "", **more: Tensor) -> dict[str, Tensor]:
    return {name: value for name, value in {**draw.made, **more}.items() if name != drop}


def test_unknown_missing_and_misshapen_weights_are_named() -> None:
    draw = Draw()
    ndrplz(draw)
    extra = torch.zeros(3)
    for weights, message in (
        (keys(draw, **{"head.weight": extra}), r"ndrplz has no weights named 'head.weight'"),
        ({"head.weight": extra}, r"weights of ndrplz have names like cell_list.*; these are named 'head.weight'"),
        (
            keys(draw, **{"cell_list.1.conv.bias": extra}),
            r"1.conv.bias' must have the shape \(16\); got \(3,\)",
        ),
        (
            keys(draw, **{"cell_list.0.conv.weight": torch.zeros(16, 4, 3, 3)}),
            r"must be \(4 F, C \+ F, ...\).*16, 4, 3, 3",
        ),
    ):
        with pytest.raises(CheckpointMismatch, match=message):
            compat.convert("ndrplz", weights)
    draw = Draw()
    automan000(draw)
    with pytest.raises(
        CheckpointMismatch, match=r"weights of automan000 must contain 'cell0.Whf.weight'; these are named "
    ):
        compat.convert("automan000", keys(draw, drop="cell0.Whf.weight"))
    with pytest.raises(CheckpointMismatch, match="did you mean 'ndrplz'"):
        compat.convert("ndrplzz", {})
    with pytest.raises(CheckpointMismatch, match=r"no weight's name begins with prefix='encoder.'; the names are: 'a'"):
        compat.convert("ndrplz", {"a": extra}, prefix="encoder.")
    with pytest.raises(CheckpointMismatch, match="ndrplz has no key 'forget_bias'"):
        compat.convert("ndrplz", draw.made, forget_bias=1.0)
    with pytest.raises(CheckpointMismatch, match="strides=2 with padding='same'"):
        compat.convert("keras3", {"kernel": extra}, strides=2, padding="same")


def test_a_layer_inside_a_larger_model() -> None:
    draw = Draw()
    run = ndrplz(draw)
    weights = {f"encoder.{name}": value for name, value in draw.made.items()} | {"head.weight": torch.zeros(1)}
    x = torch.randn(2, 1, INPUTS, *SIZE, dtype=torch.float64)
    assert (compat.convert("ndrplz", weights, prefix="encoder.").layer()(x)[0] - run(x)[0]).abs().max() < 1e-10


@pytest.mark.parametrize(
    "wrapped", ["module.{}", "_orig_mod.{}", "module._orig_mod.encoder.{}", "encoder._orig_mod.{}"]
)
def test_the_prefixes_of_wrapped_models_are_seen_through(wrapped: str) -> None:
    draw = Draw()
    run = ndrplz(draw)
    weights = {wrapped.format(name): value for name, value in draw.made.items()}
    x = torch.randn(2, 1, INPUTS, *SIZE, dtype=torch.float64)
    prefix = "encoder." if "encoder" in wrapped else ""
    for given in {prefix, wrapped.format("")}:  # as the names are without the wrappers, or as they are
        layer = compat.convert("ndrplz", weights, prefix=given).layer()
        assert (layer(x)[0] - run(x)[0]).abs().max() < 1e-10


def test_a_layer_that_echocast_does_not_have_is_told() -> None:
    with pytest.raises(CheckpointMismatch, match=r"echocast has no layer for these weights: .*odd"):
        compat.convert("ndrplz", {"cell_list.0.conv.weight": torch.zeros(8, 3, 4, 4)}).layer()
    with pytest.raises(CheckpointMismatch, match=r"echocast has no layer for these weights: .*swoosh"):
        compat.convert("ndrplz", {"cell_list.0.conv.weight": torch.zeros(8, 3, 3, 3)}).layer(activation="swoosh")
