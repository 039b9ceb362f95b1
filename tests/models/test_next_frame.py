"""Keras' next-frame network and viorik's autoencoder against plain loops, and the squares that they learn from."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv3d, max_pool2d

from echocast.models.conv_autoencoder import ConvAutoencoder
from echocast.models.keras_next_frame import Backbone, KerasNextFrame
from echocast.nn.compat import viorik_untied
from echocast.synthetic import moving_squares


def video(time: int = 4, y: int = 5, x: int = 6) -> Tensor:
    return torch.rand(2, time, 1, y, x, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def next_frame(**options: object) -> KerasNextFrame:
    torch.manual_seed(0)
    model = KerasNextFrame(hidden_channels=[3, 2], **options).double().eval()  # type: ignore[arg-type]
    for norm in model.backbone.norms:
        for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            torch.nn.init.uniform_(value, 0.5, 1.5)  # type: ignore[arg-type]  # Tensor | Module
    return model


def keras_layer(frames: list[Tensor], model: Backbone, n: int) -> list[Tensor]:
    """ConvLSTM2D of Keras 1 and batch normalisation with its running statistics, one frame after another."""
    cell, norm = model.recurrent[n].cells[0], model.norms[n]  # type: ignore[index, union-attr]
    h = c = torch.zeros(len(frames[0]), cell.hidden_channels, *frames[0].shape[2:], dtype=torch.float64)
    made = []
    for x in frames:
        gates = conv2d(x, cell.weight_x, cell.bias, padding=1) + conv2d(h, cell.weight_h, padding=1)
        i, f, g, o = gates.chunk(4, dim=1)
        i, f, o = ((0.2 * gate + 0.5).clamp(0, 1) for gate in (i, f, o))
        c = f * c + i * torch.tanh(g)
        h = o * torch.tanh(c)
        scale = norm.weight / (norm.running_var + 1e-3).sqrt()
        made.append((h - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None])
    return made


def test_keras_example_has_its_number_of_weights() -> None:
    with torch.device("meta"):
        model = KerasNextFrame()
    running = sum(one.numel() for name, one in model.named_buffers() if "running" in name)
    assert sum(weight.numel() for weight in model.parameters()) + running == 407_001
    assert running == 320


@pytest.mark.parametrize("causal", [True, False])
def test_next_frames_are_what_the_equations_say(causal: bool) -> None:
    model, frames = next_frame(causal=causal), video()
    features = list(frames.unbind(1))
    for n in range(2):
        features = keras_layer(features, model.backbone, n)
    zero = torch.zeros_like(features[0])
    around = [zero, zero, *features] if causal else [zero, *features, zero]
    volume = torch.stack(around, dim=2)
    wanted = [
        conv3d(volume[:, :, t : t + 3], model.output.weight, model.output.bias, padding=(0, 1, 1))[:, :, 0]
        for t in range(4)
    ]
    torch.testing.assert_close(model.next_frames(frames), torch.stack(wanted, dim=1), rtol=0, atol=1e-12)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(torch.stack(wanted[:3], dim=1), frames[:, 1:])
    if causal:  # else the last of three outputs would see zeros where it sees a frame here
        torch.testing.assert_close(model.training_loss(frames, 2), loss, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["causal", "centred", "autoencoder"])
def test_more_frames_come_from_their_own_forecasts(name: str) -> None:
    model: KerasNextFrame | ConvAutoencoder = next_frame(causal=name == "causal")
    if name == "autoencoder":
        torch.manual_seed(0)
        model = ConvAutoencoder(features=3, hidden_channels=2, kernel=3).double().eval()
    known = video()
    for _ in range(3):
        out = model.next_frames(known)
        last = out[0][:, -1:] if isinstance(out, tuple) else out[:, -1:]
        known = torch.cat([known, torch.sigmoid(last)], dim=1)
    torch.testing.assert_close(model.forecast(video(), 3), known[:, 4:].detach(), rtol=0, atol=1e-10)


def test_only_the_causal_convolution_keeps_the_answer_from_the_network() -> None:
    frames = video()
    other = frames.clone()
    other[:, 2] = 1.0
    apart = {
        causal: (model.next_frames(frames) - model.next_frames(other)).abs().amax((0, 2, 3, 4))
        for causal in (True, False)
        for model in [next_frame(causal=causal)]
    }
    assert apart[True][1] == 0.0
    assert apart[False][1] > 0.0  # the output that is to forecast frame 2 has seen it


def test_the_backbone_goes_on_from_its_state() -> None:
    model, frames = next_frame().backbone, video(5)
    whole, _ = model(frames)
    first, state = model(frames[:, :2])
    rest, _ = model(frames[:, 2:], state)
    torch.testing.assert_close(torch.cat([first, rest], dim=1), whole, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="channels=1; got frames of 3"):
        model(frames.expand(-1, -1, 3, -1, -1))


def test_the_autoencoder_is_what_the_equations_say() -> None:
    torch.manual_seed(0)
    model = ConvAutoencoder(features=3, hidden_channels=2, kernel=3).double().eval()
    frames, cell, first = video(y=4), model.recurrent.cells[0], model.first
    assert first is not None
    wanted, h, c = [], None, None
    for x in frames.unbind(1):
        coded = max_pool2d(torch.tanh(conv2d(x, model.coder.weight, model.coder.bias, padding=1)), 2)
        if h is None:
            i, g, o = conv2d(coded, first.weight, first.bias, padding=1).chunk(3, dim=1)
            c = torch.sigmoid(i) * torch.tanh(g)
        else:
            gates = conv2d(coded, cell.weight_x, cell.bias, padding=1) + conv2d(h, cell.weight_h, padding=1)
            i, f, g, o = gates.chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        large = h.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        wanted.append(conv2d(large, model.decoder.weight, model.decoder.bias, padding=1))
    torch.testing.assert_close(model.next_frames(frames)[0], torch.stack(wanted, dim=1), rtol=0, atol=1e-12)


def test_the_autoencoders_untied_layer_is_that_of_converted_weights() -> None:
    torch.manual_seed(0)
    model = ConvAutoencoder(features=3, hidden_channels=2, kernel=3)
    cell, first = model.recurrent.cells[0], model.first
    assert first is not None
    names = ("input", "forget", "cell", "output")
    weights = {f"{gate}.input.weight": part for gate, part in zip(names, cell.weight_x.chunk(4), strict=True)}
    weights |= {f"{gate}.input.bias": part for gate, part in zip(names, cell.bias.chunk(4), strict=True)}
    weights |= {f"{gate}.state.weight": part for gate, part in zip(names, cell.weight_h.chunk(4), strict=True)}
    for kind, value in (("weight", first.weight), ("bias", first.bias)):
        own = ("input", "cell", "output")
        weights |= {f"first.{gate}.{kind}": part for gate, part in zip(own, value.chunk(3), strict=True)}  # type: ignore[union-attr]
    from echocast.nn import compat

    layer = compat.convert(viorik_untied.__name__.rpartition(".")[2], weights).layer()
    coded = torch.rand(2, 4, 3, 4, 6)
    hidden, _ = model._recur(coded, None)
    torch.testing.assert_close(hidden, layer(coded.movedim(1, 0))[0].movedim(0, 1), rtol=0, atol=1e-6)


def test_squares_move_straight_and_are_as_the_example_has_them() -> None:
    clean = moving_squares.sequences(count=30, seed=5, noise=False)
    noisy = moving_squares.sequences(count=30, seed=5)
    assert clean.shape == (30, 15, 40, 40)
    assert set(np.unique(clean)) == {0.0, 1.0}
    assert 0.0 <= noisy.min() <= noisy.max() <= 1.0
    off = np.abs(noisy - clean)
    assert off.max() == pytest.approx(0.2, abs=0.11)
    assert 0.005 < (off > 0).mean() < 0.2
    lit = clean[:, 0].sum((1, 2))  # 3 to 7 squares of 16 or 36 pixels, some cut off or over each other
    assert lit.min() >= 12
    assert 60 < lit.mean() < 150
    assert lit.max() <= 7 * 36
    again = moving_squares.sequences(count=2, seed=5)
    np.testing.assert_array_equal(again, noisy[:2])
    one = moving_squares.generate(count=2, seed=5)
    assert one.sizes["time"] == 30
    np.testing.assert_allclose(one.values[:15], noisy[0], atol=0.5 / 255)
    with pytest.raises(ValueError, match="0 sequences"):
        moving_squares.sequences(count=0)


def test_training_and_validation_squares_differ() -> None:
    sets = moving_squares.training_fields(count=3, validation_sequences=2, frames=4)
    assert {name: field.sizes["time"] for name, field in sets.items()} == {"train": 12, "validation": 8}
    assert not np.array_equal(sets["train"].values[:4], sets["validation"].values[:4])
