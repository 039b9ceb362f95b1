"""Files of other people: what is a ConvLSTM is found and gives equal outputs, what is none is named, no code is run."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.nn import keras_scripts
from torch import Tensor
from torch.nn import functional as F

from echocast import nn
from echocast.cli.main import status
from echocast.errors import CheckpointMismatch, UnreadableFile
from echocast.nn import compat
from echocast.nn.compat import files

Weights = dict[str, Tensor]


def random(**shapes: tuple[int, ...]) -> Weights:
    generator = torch.Generator().manual_seed(3)
    return {
        name.replace("__", "."): 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }


def ifog(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A cell with one convolution over [x, h] and gates i, f, o, g; x (time, batch, channel, y, x)."""
    hidden = len(weight) // 4
    h = c = x.new_zeros(x.shape[1], hidden, *x.shape[3:])
    states = []
    for frame in x:
        gates = F.conv2d(torch.cat([frame, h], 1), weight, bias, padding=weight.shape[-1] // 2)
        i, f, o, g = gates.split(hidden, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states)


def cell() -> Weights:
    return random(
        cell__conv__weight=(20, 8, 3, 3), cell__conv__bias=(20,), output__weight=(1, 5, 1, 1), output__bias=(1,)
    )


def test_a_checkpoint_with_all_that_training_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = cell()
    moments = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(20, 8, 3, 3)}}, "param_groups": [{}]}
    torch.save(
        {"epoch": 28, "model_state_dict": weights, "optimizer_state_dict": moments, "best_loss": 0.4},
        tmp_path / "w.pth",
    )
    target = tmp_path / "layer.safetensors"
    assert status(["convert", str(tmp_path / "w.pth"), "--to", str(target)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "weights of ndrplz, from cell.*" in said
    assert "assumed: gates in the order i, f, o, g" in said
    assert "not converted, for it is no ConvLSTM: output.weight (1 x 5 x 1 x 1), output.bias (1)" in said
    assert "left out: 2 tensors of optimizer_state_dict" in said
    x = torch.randn(4, 2, 3, 6, 7, dtype=torch.float64)
    expected = ifog(x, weights["cell.conv.weight"], weights["cell.conv.bias"])
    assert (nn.load(target)(x)[0] - expected).abs().max() < 1e-10


def test_another_order_of_gates_is_given() -> None:
    weights = cell()
    i, f, o, g = weights["cell.conv.weight"].chunk(4)
    i_b, f_b, o_b, g_b = weights["cell.conv.bias"].chunk(4)
    other = weights | {"cell.conv.weight": torch.cat([g, f, i, o]), "cell.conv.bias": torch.cat([g_b, f_b, i_b, o_b])}
    (found,) = compat.find(files.WeightsFile(other), order="gfio").found
    assert not found.notes
    x = torch.randn(3, 1, 3, 5, 5, dtype=torch.float64)
    expected = ifog(x, weights["cell.conv.weight"], weights["cell.conv.bias"])
    assert (found.imported.layer()(x)[0] - expected).abs().max() < 1e-10
    with pytest.raises(CheckpointMismatch, match="order='ifxx' must be the letters i, f, o and g"):
        compat.convert("ndrplz", weights, prefix="cell.", order="ifxx")


@pytest.mark.parametrize("wrapped", ["{}", "module.{}", "net.{}", "net.encoder.{}"])
def test_cells_are_found_inside_other_models(wrapped: str) -> None:
    held = {wrapped.format(name): value for name, value in cell().items()}
    found = compat.find(files.WeightsFile(held))
    assert [len(layer.weights) for layer in found.found] == [2]
    assert len(found.others) == 2


def test_several_layers_are_found_in_the_order_of_the_file() -> None:
    held = random(
        first_cell__conv__weight=(8, 5, 3, 3), first_cell__conv__bias=(8,), conv__weight=(16, 16, 3, 3),
        down__1__conv__weight=(16, 16, 3, 3), lstm__weight_ih_l0=(8, 3), lstm__weight_hh_l0=(8, 2),
        decoder__cell_list__0__conv__weight=(8, 3, 5, 5), decoder__cell_list__1__conv__weight=(8, 4, 3, 3),
        gru__weight_ih_l0=(6, 3), gru__weight_hh_l0=(6, 2),
    )  # fmt: skip
    search = compat.find(files.WeightsFile(held))
    assert [(layer.source, layer.prefix) for layer in search.found] == [
        ("ndrplz", "first_cell."), ("torch_lstm", "lstm."), ("ndrplz", "decoder."),
    ]  # fmt: skip
    assert len(search.found[2].imported.cells) == 2
    # A convolution whose name says nothing of a cell may have the shape of one; it is not taken for one.
    assert search.others == ["conv.weight", "down.1.conv.weight", "gru.weight_ih_l0", "gru.weight_hh_l0"]
    assert [text.partition(":")[0] for text in search.refused] == ["gru. as torch_lstm"]


def test_a_file_without_a_convlstm_says_what_it_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model_state_dict": {"weight": torch.zeros(1, 10), "bias": torch.zeros(1)}}, tmp_path / "w.pt")
    target = tmp_path / "layer.safetensors"
    assert status(["convert", str(tmp_path / "w.pt"), "--to", str(target)]) == 1
    said = capsys.readouterr().err
    assert "w.pt: holds no ConvLSTM whose names are known; it holds weight (1 x 10), bias (1); if one" in said
    assert len(said.strip().splitlines()) == 1
    assert not target.exists()


def test_an_empty_file_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"epoch": 1}, tmp_path / "w.pt")
    assert status(["convert", str(tmp_path / "w.pt"), "--to", str(tmp_path / "layer.safetensors")]) == 1
    assert "it holds no tensors" in capsys.readouterr().err


class Harmful:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("harmed",)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
def test_nothing_is_unpickled_that_is_no_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": cell(), "arguments": Harmful()}, "w.pt")
    with pytest.raises(UnreadableFile, match=r"w.pt: holds more than tensors \(\w+\.mkdir\).*state_dict"):
        files.read("w.pt")
    Path("plain.pt").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(UnreadableFile, match=r"plain.pt"):
        files.read("plain.pt")
    assert not Path("harmed").exists()


def equal_to_keras(layer: Any, expected: Any, name: str) -> None:
    output = layer.layer(batch_first=True)(torch.from_numpy(expected[f"{name}.x"]).movedim(-1, 2))[0]
    np.testing.assert_allclose(output.movedim(2, -1).detach().numpy(), expected[f"{name}.y"], atol=1e-5)


@pytest.fixture(scope="module")
def keras_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keras_scripts.outputs(tmp_path_factory) / "model"


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_layers_of_a_keras_model(keras_model: Path, suffix: str) -> None:
    search = compat.find(files.read_file(keras_model / f"model.{suffix}"))
    expected = np.load(keras_model / "expected.npz")
    by_name = {layer.name + ("_back" if "backward" in layer.prefix else ""): layer for layer in search.found}
    assert set(by_name) == {"a", "both", "both_back", "c", "inside"}, [layer.prefix for layer in search.found]
    for name, layer in by_name.items():
        equal_to_keras(layer.imported, expected, name)
        backwards = any("backwards" in note for note in layer.notes)
        assert backwards == (name in ("c", "both_back")), name
        assert not any("assumed" in note for note in layer.notes)
    assert len(search.others) == 4 + 2, "batch normalisation and a dense layer"
    assert not search.refused


def test_keras_weights_without_a_description_are_noted(keras_model: Path) -> None:
    content = files.read_file(keras_model / "model.keras")
    search = compat.find(files.WeightsFile(content.tensors), padding="same")
    assert all(not layer.notes for layer in search.found)
    assert all(
        "assumed: Keras' own" in layer.notes[0] for layer in compat.find(files.WeightsFile(content.tensors)).found
    )


@pytest.mark.data
@pytest.mark.parametrize("name", ["climatetwin_convlstm_best", "climatetwin_convlstm_up"])
def test_real_pytorch_files(name: str, data_kit: Path) -> None:
    path = data_kit / "weights" / f"{name}.pth"
    weights, search = files.read(path), compat.find(files.read_file(path))
    (found,) = search.found
    assert search.others == ["output.weight", "output.bias"]
    x = torch.randn(6, 2, found.imported.cells[0].x.shape[1], 9, 8)
    expected = ifog(x, weights["cell.conv.weight"], weights["cell.conv.bias"])
    torch.testing.assert_close(found.imported.layer()(x)[0], expected, atol=1e-5, rtol=0)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        pytest.param("convlstm_vbase_masked_seed42", ["convlstm_1"], marks=pytest.mark.slow),  # less of the same
        (keras_scripts.SHORTEST, ["convlstm_1", "convlstm_2"]),
    ],
)
def test_real_keras_files(
    name: str, layers: list[str], data_kit: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, expected = data_kit / "weights" / f"{name}.keras", tmp_path / f"{name}.npz"
    if name == keras_scripts.SHORTEST:
        expected = keras_scripts.outputs(tmp_path_factory) / expected.name
    else:
        keras_scripts.run(("file", keras_scripts.FILE, str(path), str(expected)))
    search = compat.find(files.read_file(path))
    assert [layer.name for layer in search.found] == layers
    for layer in search.found:
        equal_to_keras(layer.imported, np.load(expected), layer.name)
        assert any("mixed_float16" in note for note in layer.notes)


@pytest.mark.data
def test_a_real_file_without_a_convlstm(data_kit: Path) -> None:
    search = compat.find(files.read_file(data_kit / "weights/climatetwin_test_checkpoint.pth"))
    assert not search.found
    assert search.others == ["weight", "bias"]
