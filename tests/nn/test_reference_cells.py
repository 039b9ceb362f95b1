"""The cells that TensorFlow users know, transcribed from their definitions, and the LSTM's history by its switches."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.nn import keras_scripts
from torch import Tensor

from definitions import randomised
from echocast.nn import LSTM, ConvGRU, ConvLSTM, ConvLSTMCell, compat, fused

STEPS, BATCH, INPUTS, HIDDEN = 6, 2, 3, 4
Array = np.ndarray[Any, Any]


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def put(cell: Any, **weights: Array) -> None:
    with torch.no_grad():
        for name, value in weights.items():
            getattr(cell, name).copy_(torch.from_numpy(value.copy()).reshape(getattr(cell, name).shape))


def close(made: Tensor, expected: Array, atol: float = 1e-12) -> None:
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(made.detach().numpy(), expected, rtol=0, atol=atol)


def connected_gru(**options: Any) -> ConvGRU:
    return ConvGRU(INPUTS, HIDDEN, dims=0, input_kernel=(), state_kernel=(), dtype=torch.float64, **options)


def test_basic_rnn_cell_is_a_gru_whose_gates_do_not_move() -> None:
    """TensorFlow's BasicRNNCell: h = tanh([x, h] W + b)."""
    x, w, b = drawn(STEPS, BATCH, INPUTS), drawn(INPUTS + HIDDEN, HIDDEN), drawn(HIDDEN)
    h, outputs = np.zeros((BATCH, HIDDEN)), []
    for frame in x:
        h = np.tanh(np.concatenate([frame, h], 1) @ w + b)
        outputs.append(h)
    layer, zero = connected_gru(), np.zeros((2 * HIDDEN, INPUTS))
    always, never = np.full(HIDDEN, 1e9), np.full(HIDDEN, -1e9)
    put(
        layer.cells[0],
        weight_x=np.concatenate([zero, w[:INPUTS].T]),
        weight_h=np.concatenate([np.zeros((2 * HIDDEN, HIDDEN)), w[INPUTS:].T]),
        bias=np.concatenate([always, never, b]),
    )
    close(layer(torch.from_numpy(x))[0], np.stack(outputs))


def test_gru_cell() -> None:
    """TensorFlow's GRUCell: gates r, u in one kernel; the reset acts before the candidate's product."""
    x, wg, bg = drawn(STEPS, BATCH, INPUTS), drawn(INPUTS + HIDDEN, 2 * HIDDEN), drawn(2 * HIDDEN)
    wc, bc = drawn(INPUTS + HIDDEN, HIDDEN, seed=1), drawn(HIDDEN, seed=1)
    h, outputs = np.zeros((BATCH, HIDDEN)), []
    for frame in x:
        r, u = np.split(sigmoid(np.concatenate([frame, h], 1) @ wg + bg), 2, axis=1)
        c = np.tanh(np.concatenate([frame, r * h], 1) @ wc + bc)
        h = u * h + (1 - u) * c
        outputs.append(h)
    layer = connected_gru()
    put(
        layer.cells[0],
        weight_x=np.concatenate([wg[:INPUTS].T, wc[:INPUTS].T]),
        weight_h=np.concatenate([wg[INPUTS:].T, wc[INPUTS:].T]),
        bias=np.concatenate([bg, bc]),
    )
    close(layer(torch.from_numpy(x))[0], np.stack(outputs))


def as_ifgo(kernel: Array, *, forget_bias: float = 0.0) -> Array:
    """The last axis from TensorFlow's i, j, f, o (j the candidate) to i, f, g, o."""
    i, j, f, o = np.split(kernel, 4, axis=-1)
    return np.concatenate([i, f + forget_bias, j, o], axis=-1)


@pytest.mark.parametrize("peepholes", [False, True])
def test_basic_lstm_cell_and_lstm_cell_with_peepholes(peepholes: bool) -> None:
    """TensorFlow's BasicLSTMCell and LSTMCell(use_peepholes=True): 1 is added to f as it runs; o sees the new cell."""
    x, w, b = drawn(STEPS, BATCH, INPUTS), drawn(INPUTS + HIDDEN, 4 * HIDDEN), drawn(4 * HIDDEN)
    w_i, w_f, w_o = drawn(3, HIDDEN) * peepholes
    h = c = np.zeros((BATCH, HIDDEN))
    outputs = []
    for frame in x:
        i, j, f, o = np.split(np.concatenate([frame, h], 1) @ w + b, 4, axis=1)
        c = sigmoid(f + 1.0 + w_f * c) * c + sigmoid(i + w_i * c) * np.tanh(j)
        h = sigmoid(o + w_o * c) * np.tanh(c)
        outputs.append(h)
    layer = LSTM(INPUTS, HIDDEN, peephole="channel" if peepholes else None, dtype=torch.float64)
    weights = {"weight_x": as_ifgo(w[:INPUTS]).T, "weight_h": as_ifgo(w[INPUTS:]).T, "bias": as_ifgo(b, forget_bias=1)}
    put(layer.cells[0], **weights, **({"peephole": np.stack([w_i, w_f, w_o])} if peepholes else {}))
    output, (_, c_n) = layer(torch.from_numpy(x))
    close(output, np.stack(outputs))
    close(c_n[0], c)


def test_demonstration_of_the_basic_convlstm_cell() -> None:
    """Five frames of two sequences, 3x3 pixels, 3 channels in and 6 out: outputs of (5, 2, 3, 3, 6), channels last."""
    x, kernel = drawn(5, 2, 3, 3, 3), 0.3 * drawn(3, 3, 3 + 6, 4 * 6)
    h = c = np.zeros((2, 3, 3, 6))
    outputs = []
    for frame in x:
        padded = np.pad(np.concatenate([frame, h], -1), ((0, 0), (1, 1), (1, 1), (0, 0)))
        taps = [padded[:, a : a + 3, b : b + 3] @ kernel[a, b] for a in range(3) for b in range(3)]
        i, j, f, o = np.split(np.sum(taps, axis=0), 4, axis=-1)
        c = c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j)
        h = np.tanh(c) * sigmoid(o)
        outputs.append(h)
    layer = compat.convert("basic_convlstm", {"kernel": torch.from_numpy(kernel)}).layer()
    output = layer(torch.from_numpy(x).movedim(-1, 2))[0].movedim(2, -1)
    assert output.shape == (5, 2, 3, 3, 6)
    close(output, np.stack(outputs))


@pytest.mark.parametrize("forget_gate", [False, True])
@pytest.mark.parametrize("peephole", [None, "channel"])
def test_the_four_lstms_of_history(forget_gate: bool, peephole: Any) -> None:
    layer = randomised(LSTM(INPUTS, HIDDEN, peephole=peephole, forget_gate=forget_gate, dtype=torch.float64))
    cell: Any = layer.cells[0]
    x = drawn(STEPS, BATCH, INPUTS)
    wx, wh, b = (cell.get_parameter(name).detach().numpy() for name in ("weight_x", "weight_h", "bias"))
    names = "ifgo" if forget_gate else "igo"
    seen = dict.fromkeys("ifo", np.zeros(HIDDEN))
    if peephole:
        seen |= dict(zip(names.replace("g", ""), cell.peephole.detach().numpy(), strict=True))
    h = c = np.zeros((BATCH, HIDDEN))
    outputs = []
    for frame in x:
        at = dict(zip(names, np.split(frame @ wx.T + h @ wh.T + b, len(names), axis=1), strict=True))
        f = sigmoid(at["f"] + seen["f"] * c) if forget_gate else 1.0
        c = f * c + sigmoid(at["i"] + seen["i"] * c) * np.tanh(at["g"])
        h = sigmoid(at["o"] + seen["o"] * c) * np.tanh(c)
        outputs.append(h)
    close(layer(torch.from_numpy(x))[0], np.stack(outputs))


def test_without_forget_gate_there_are_no_weights_for_it_and_no_fused_path() -> None:
    gates, peepholes = 3, 2
    cell = ConvLSTMCell(2, 5, forget_gate=False)
    assert sum(p.numel() for p in cell.parameters()) == gates * 5 * (9 * 7 + 1) + peepholes * 5
    layer = randomised(ConvLSTM(2, 4, forget_gate=False), scale=0.2)
    double = ConvLSTM(2, 4, forget_gate=False, dtype=torch.float64)
    double.load_state_dict(layer.state_dict())
    x = torch.randn(3, 1, 2, 8, 8)
    with fused.always():
        torch.testing.assert_close(layer(x)[0].double(), double(x.double())[0], rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match=r"forget_bias=1.0 needs forget_gate=True"):
        ConvLSTMCell(1, 2, forget_gate=False, forget_bias=1.0)


def test_the_error_carousel_keeps_a_gradient_that_a_forget_gate_loses() -> None:
    """With nothing flowing in, the cell state of the first step reaches the last one undiminished."""
    found = []
    for forget_gate in (True, False):
        layer = LSTM(1, 1, peephole=None, forget_gate=forget_gate, dtype=torch.float64)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.zero_()
        c_0 = torch.full((1, 1, 1), 0.5, dtype=torch.float64, requires_grad=True)
        _, (_, c_n) = layer(torch.zeros(10, 1, 1, dtype=torch.float64), (torch.zeros_like(c_0), c_0))
        found.append(float(torch.autograd.grad(c_n.sum(), c_0)[0].sum()))
    assert found == [pytest.approx(0.5**10), 1.0]


KERAS = """
import sys
import numpy as np
import keras

keras.config.set_floatx("float64")
layers = {
    "rnn": keras.layers.SimpleRNN(4, return_sequences=True),
    "gru_before": keras.layers.GRU(4, return_sequences=True, reset_after=False),
    "gru_after": keras.layers.GRU(4, return_sequences=True),
    "lstm": keras.layers.LSTM(4, return_sequences=True),
}
x = np.random.default_rng(0).normal(size=(2, 6, 3))
content = {"x": x}
for name, layer in layers.items():
    layer.build(x.shape)
    layer.set_weights([np.random.default_rng(k).normal(size=w.shape) for k, w in enumerate(layer.get_weights())])
    content[name] = keras.ops.convert_to_numpy(layer(x))
    content |= {f"{name}_{k}": w for k, w in enumerate(layer.get_weights())}
np.savez(sys.argv[1], **content)
"""


@pytest.mark.slow  # it starts Keras in a process of its own
def test_kerass_own_recurrent_layers(tmp_path: Path) -> None:
    keras_scripts.run(("recurrent", KERAS, str(tmp_path / "k.npz")))
    content = dict(np.load(tmp_path / "k.npz"))

    def weights(name: str) -> list[Array]:
        return [content[f"{name}_{k}"] for k in range(3)]

    def in_rur(kernel: Array) -> Array:
        """Keras has the update gate (z) before the reset gate."""
        z, r, n = np.split(kernel, 3, axis=-1)
        return np.concatenate([r, z, n], axis=-1)

    x = torch.from_numpy(content["x"]).transpose(0, 1)
    layers: dict[str, Any] = {"rnn": connected_gru(), "lstm": LSTM(3, 4, peephole=None, dtype=torch.float64)}
    k, u, b = weights("rnn")
    zero, still = np.zeros((8, 3)), np.concatenate([np.full(4, 1e9), np.full(4, -1e9)])
    put(
        layers["rnn"].cells[0],
        weight_x=np.concatenate([zero, k.T]),
        weight_h=np.concatenate([np.zeros((8, 4)), u.T]),
        bias=np.concatenate([still, b]),
    )
    k, u, b = weights("lstm")
    put(layers["lstm"].cells[0], weight_x=k.T, weight_h=u.T, bias=b)  # i, f, c, o as here
    k, u, b = (in_rur(w) for w in weights("gru_before"))
    layers["gru_before"] = connected_gru()
    put(layers["gru_before"].cells[0], weight_x=k.T, weight_h=u.T, bias=b)
    k, u, b = (in_rur(w) for w in weights("gru_after"))
    layers["gru_after"] = connected_gru(reset_after=True)
    bias = b[0] + np.concatenate([b[1][:8], np.zeros(4)])
    put(layers["gru_after"].cells[0], weight_x=k.T, weight_h=u.T, bias=bias, bias_h=b[1][8:])
    for name, layer in layers.items():
        close(layer(x)[0].transpose(0, 1), content[name], atol=1e-6)  # Keras computes part of it in 32 bits
