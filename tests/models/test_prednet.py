"""PredNet against plain loops over its equations, its published number of weights, and Keras' files of weights."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scipy.signal import correlate
from torch import Tensor

from echocast.cli.main import status
from echocast.errors import CheckpointMismatch, UnreadableFile
from echocast.models import base
from echocast.models.prednet import PredNet
from echocast.nn import fused

CHANNELS = [2, 4, 3]
"""Of each layer of the small networks here."""
UNITS = ("a", "ahat", "c", "f", "i", "o")


def small(seed: int = 0, **options: object) -> PredNet:
    torch.manual_seed(seed)
    model = PredNet(channels=CHANNELS[0], hidden_channels=CHANNELS[1:], **options)  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    return model.eval()


def frames(time: int = 4, y: int = 8, x: int = 12, seed: int = 1) -> Tensor:
    return torch.rand(2, time, CHANNELS[0], y, x, generator=torch.Generator().manual_seed(seed))


class Transcription:
    """The authors' equations with arrays (y, x, channel), one image, in their names of units."""

    def __init__(
        self, weights: dict[str, list[tuple[np.ndarray, np.ndarray]]], *, extrapolate_from: int = 1000
    ) -> None:
        self.weights, self.extrapolate_from = weights, extrapolate_from

    def conv(self, unit: str, layer: int, x: np.ndarray) -> np.ndarray:
        kernel, bias = self.weights[unit][layer]
        around = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        channels = [correlate(around, kernel[..., k], mode="valid")[..., 0] for k in range(kernel.shape[-1])]
        return np.stack(channels, axis=-1) + bias

    def run(self, video: np.ndarray) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
        """Predictions and errors, by time step."""
        count = len(self.weights["ahat"])
        space = [(video.shape[1] >> n, video.shape[2] >> n) for n in range(count)]
        sizes = [len(bias) for _, bias in self.weights["ahat"]]
        r = [np.zeros((*s, n)) for s, n in zip(space, sizes, strict=True)]
        c, e = [v.copy() for v in r], [np.concatenate([v, v], -1) for v in r]
        predictions: list[np.ndarray] = []
        errors: list[list[np.ndarray]] = []
        for t, frame in enumerate(video):
            for n in reversed(range(count)):
                inputs = [r[n], e[n]] + ([r[n + 1].repeat(2, 0).repeat(2, 1)] if n + 1 < count else [])
                seen = np.concatenate(inputs, -1)
                i, f, o = (np.clip(0.2 * self.conv(u, n, seen) + 0.5, 0, 1) for u in "ifo")
                c[n] = f * c[n] + i * np.tanh(self.conv("c", n, seen))
                r[n] = o * np.tanh(c[n])
            a = frame if t < self.extrapolate_from else predictions[-1]
            for n in range(count):
                made = np.maximum(self.conv("ahat", n, r[n]), 0)
                if n == 0:
                    made = np.minimum(made, 1)
                    predictions.append(made)
                e[n] = np.concatenate([np.maximum(made - a, 0), np.maximum(a - made, 0)], -1)
                if n + 1 < count:
                    up = np.maximum(self.conv("a", n, e[n]), 0)
                    a = up.reshape(up.shape[0] // 2, 2, up.shape[1] // 2, 2, -1).max((1, 3))
            errors.append(list(e))
        return predictions, errors


def units_of(model: PredNet) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """A network's weights as the authors have them."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {unit: [] for unit in UNITS}

    def take(unit: str, weight: Tensor, bias: Tensor) -> None:
        found[unit].append((weight.detach().numpy().transpose(2, 3, 1, 0), bias.detach().numpy()))

    for cell in model.layers.cells:
        for unit, weight, bias in zip("ifoc", cell.weight.chunk(4), cell.bias.chunk(4), strict=True):
            take(unit, weight, bias)
    for convolution in model.layers.predictions:
        take("ahat", convolution.weight, convolution.bias)
    for convolution in model.layers.targets:
        take("a", convolution.weight, convolution.bias)
    return found


def as_keras(path: Path, units: dict[str, list[tuple[np.ndarray, np.ndarray]]], *, names_by_unit: bool) -> None:
    """A file as Keras 2 writes it for a model with a PredNet and two dense layers."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"input_1", b"prednet_1", b"dense_1"]
        file.create_group("input_1").attrs["weight_names"] = []
        group, names = file.create_group("prednet_1"), []
        for unit in UNITS:
            for layer, pair in enumerate(units[unit]):
                for kind, value in zip(("kernel", "bias"), pair, strict=True):
                    stem = f"layer_{unit}_{layer}" if names_by_unit else f"convolution2d_{100 - len(names)}"
                    names.append(f"prednet_1/{stem}/{kind}:0")
                    group[names[-1]] = value
        group.attrs["weight_names"] = [name.encode() for name in names]
        dense = file.create_group("dense_1")
        dense["dense_1/kernel:0"], dense["dense_1/bias:0"] = np.ones((3, 1)), np.zeros(1)
        dense.attrs["weight_names"] = [b"dense_1/kernel:0", b"dense_1/bias:0"]


def test_it_has_the_published_number_of_weights() -> None:
    with torch.device("meta"):
        model = PredNet()
    assert sum(weight.numel() for weight in model.parameters()) == 6_915_948


def test_it_is_what_the_equations_say() -> None:
    model, video = small().double(), frames().double()
    made, errors = model.predictions(video), model.error_maps(video)
    for case in range(2):
        wanted, maps = Transcription(units_of(model)).run(video[case].permute(0, 2, 3, 1).numpy())
        np.testing.assert_allclose(made[case].permute(0, 2, 3, 1).detach(), wanted, rtol=0, atol=1e-12)
        for layer, found in enumerate(errors):
            by_time = np.stack([step[layer] for step in maps])
            np.testing.assert_allclose(found[case].permute(0, 2, 3, 1).detach(), by_time, rtol=0, atol=1e-12)
            means = model.layer_errors(video)[case, :, layer].detach()
            np.testing.assert_allclose(means, by_time.mean((1, 2, 3)), rtol=0, atol=1e-12)


def test_after_the_last_frame_the_prediction_before_stands_for_the_frame() -> None:
    model, video = small().double(), frames(6).double()
    wanted, _ = Transcription(units_of(model), extrapolate_from=3).run(video[0].permute(0, 2, 3, 1).numpy())
    made = model.forecast(video[:1, :3], steps=3)[0].permute(0, 2, 3, 1)
    np.testing.assert_allclose(made, wanted[3:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", ["L_0", "L_all", "extrapolation"])
def test_the_losses_are_those_of_the_paper(loss: str) -> None:
    model, video = small(loss=loss).double(), frames(5).double()
    found = float(model.training_loss(video, 3).detach())
    totals = []
    for case in video.permute(0, 1, 3, 4, 2).numpy():
        seen = 3 if loss == "extrapolation" else 1000
        made, errors = Transcription(units_of(model), extrapolate_from=seen).run(case)
        if loss == "extrapolation":
            totals.append(0.5 * np.abs(np.array(made) - case)[1:].mean())
        else:
            weights = (1, 0, 0) if loss == "L_0" else (1, 0.1, 0.1)
            steps = [sum(w * e.mean() for w, e in zip(weights, step, strict=True)) for step in errors]
            totals.append(sum(steps[1:]) / 4)
    assert found == pytest.approx(np.mean(totals), abs=1e-12)


def test_the_fast_path_gives_the_same_and_the_same_gradients() -> None:
    torch.manual_seed(0)
    # Layers of few and of many channels go different ways; 6 and 3 rows are no whole number of tiles.
    model, video = PredNet(channels=2, hidden_channels=[16, 24], loss="L_all"), frames(4, 12, 20)
    video[0, 2, :, 3:] = torch.nan
    found = {}
    for name, path in (("plain", fused.plain), ("fast", fused.always)):
        model.zero_grad()
        with path():
            loss = model.training_loss(video, 3)
        loss.backward()
        found[name] = [loss.detach(), *(weight.grad.clone() for weight in model.parameters())]  # type: ignore[union-attr]
    for fast, plain in zip(found["fast"], found["plain"], strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-6)


def test_what_is_not_observed_gives_no_error() -> None:
    model, video = small(), frames(5, 9, 13)  # the layers cannot halve this grid
    assert model.predictions(video).shape == video.shape
    blank = video.clone()
    blank[:, 2], blank[:, 3, :, :4] = torch.nan, torch.nan
    lowest = model.error_maps(blank)[0]
    assert not lowest[:, 2].any()
    assert not lowest[:, 3, :, :4].any()
    assert lowest[:, 3, :, 4:].any()
    expected = lowest[:, 3, :, 4:].mean((1, 2, 3))
    torch.testing.assert_close(model.layer_errors(blank)[:, 3, 0], expected)


@pytest.mark.parametrize("names_by_unit", [True, False])
def test_weights_of_the_authors_give_the_same(names_by_unit: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    units: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {unit: [] for unit in UNITS}
    for layer, (n, up) in enumerate(zip(CHANNELS, [*CHANNELS[1:], 0], strict=True)):
        shapes = {"ahat": (n, n), **dict.fromkeys("cfio", (3 * n + up, n))} | ({"a": (2 * n, up)} if up else {})
        for unit, (inputs, outputs) in shapes.items():
            kernel = rng.normal(0, 0.3, (3, 3, inputs, outputs)).astype(np.float32)
            units[unit].append((kernel, rng.normal(0, 0.3, outputs).astype(np.float32)))
        assert len(units["ahat"]) == layer + 1
    as_keras(tmp_path / "weights.hdf5", units, names_by_unit=names_by_unit)
    model = PredNet.from_keras(tmp_path / "weights.hdf5")
    video = frames()
    wanted, _ = Transcription(units).run(video[0].permute(0, 2, 3, 1).numpy())
    made = model.predictions(video)[0].permute(0, 2, 3, 1).detach()
    np.testing.assert_allclose(made, wanted, rtol=0, atol=1e-5)


def test_the_command_line_converts_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    units = units_of(small(5))
    as_keras(tmp_path / "weights.hdf5", units, names_by_unit=True)
    out = tmp_path / "prednet.safetensors"
    assert status(["convert", str(tmp_path / "weights.hdf5"), "--from", "prednet", "--to", str(out)]) == 0
    assert f"{sum(weight.numel() for weight in small().parameters()):,} weights of prednet" in capsys.readouterr().out
    torch.testing.assert_close(base.load(out).forecast(frames(), 2), small(5).forecast(frames(), 2), rtol=0, atol=0)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.hdf5").write_text("no")
    with pytest.raises(UnreadableFile, match=r"text\.hdf5.*authors"):
        PredNet.from_keras(tmp_path / "text.hdf5")
    units = units_of(small())
    as_keras(tmp_path / "less.hdf5", {**units, "a": units["a"][:1]}, names_by_unit=True)
    with pytest.raises(CheckpointMismatch, match="holds no PredNet"):
        PredNet.from_keras(tmp_path / "less.hdf5")
    theano = {unit: [(kernel.transpose(3, 2, 0, 1), bias) for kernel, bias in pairs] for unit, pairs in units.items()}
    as_keras(tmp_path / "theano.hdf5", theano, names_by_unit=True)
    with pytest.raises(CheckpointMismatch, match=r"layer 0, i: must be a kernel \(3, 3, 10, 2\)"):
        PredNet.from_keras(tmp_path / "theano.hdf5")


@pytest.mark.usefixtures("as_users_run")
def test_wrong_frames_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="loss must be one of L_0, L_all, extrapolation; got 'all'"):
        PredNet(loss="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="channels=2; got frames of 3"):
        small().forecast(torch.zeros(1, 3, 3, 8, 8), 1)
    with pytest.raises(ValueError, match="at least 2 frames; got 1"):
        small().training_loss(frames(1), 1)
