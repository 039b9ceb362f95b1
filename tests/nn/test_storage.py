"""Layers go to files and come back; weights of others come from files."""

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch

from definitions import randomised
from echocast import checkpoint
from echocast.cli.main import status
from echocast.errors import CheckpointMismatch, DataError, UnreadableFile
from echocast.nn import LSTM, STLSTM, ConvGRU, ConvLSTM, TrajGRU, load, save, torch_names
from echocast.nn.compat import files


@pytest.mark.parametrize(
    ("layer", "space"),
    [
        (ConvLSTM(1, [2, 3], input_kernel=[3, (1, 3)], forget_bias=1.0, batch_first=True), (5, 6)),
        (ConvLSTM(1, 2, num_layers=2, peephole="pixel", spatial_size=(5, 6), bidirectional=True), (5, 6)),
        (ConvLSTM(1, 2, dims=3, norm="layer", zoneout=0.1, dtype=torch.float64), (3, 4, 5)),
        (ConvGRU(1, 2, reset_after=True, activation="leaky_relu"), (5, 6)),
        (LSTM(1, 2, num_layers=2, peephole=None), ()),
        (TrajGRU(1, [2, 3], links=2), (5, 6)),
        (STLSTM(1, 2, num_layers=2, kernel=3, layer_norm=True, batch_first=True), (5, 6)),
    ],
)
def test_a_layer_comes_back_as_it_was(layer: Any, space: tuple[int, ...], tmp_path: Path) -> None:
    randomised(layer).eval()
    save(layer, tmp_path / "layer.safetensors")
    again = load(tmp_path / "layer.safetensors").eval()
    x = torch.randn(3, 2, 1, *space, dtype=next(layer.parameters()).dtype)
    shaped = x.transpose(0, 1) if layer.batch_first else x
    assert torch.equal(again(shaped)[0], layer(shaped)[0])
    assert type(again) is type(layer)
    assert repr(again) == repr(layer)


def test_a_file_is_given_by_name_or_path_and_anyone_may_read_it(tmp_path: Path) -> None:
    layer = ConvLSTM(1, 2)
    save(layer, str(tmp_path / "layer.safetensors"))
    assert torch.equal(load(str(tmp_path / "layer.safetensors")).cells[0].weight_h, layer.cells[0].weight_h)
    (tmp_path / "other").write_bytes(b"")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("layer.safetensors", "other"), modes["other"])


@pytest.mark.usefixtures("as_users_run")
def test_only_layers_that_can_be_loaded_are_saved(tmp_path: Path) -> None:
    class Mine(ConvLSTM):
        """A layer that `load` does not know."""

    for layer in (Mine(1, 2), torch.nn.LSTM(1, 2)):
        with pytest.raises(TypeError, match=f"ConvLSTM, .*, STLSTM can be saved, not .*{type(layer).__name__}"):
            save(layer, tmp_path / "layer.safetensors")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="there is no folder"):
        save(ConvLSTM(1, 2), tmp_path / "nowhere" / "layer.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_layer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    with pytest.raises(CheckpointMismatch, match="no such checkpoint"):
        load(path)
    path.write_bytes(b"not a file of weights")
    with pytest.raises(CheckpointMismatch, match="is no checkpoint"):
        load(path)
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(
        CheckpointMismatch, match="is 'no echocast checkpoint', this version reads 'echocast checkpoint 2'"
    ):
        load(path)


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "forecaster"}, "holds weights of a forecaster, not of a layer"),
        ({"name": "PredRNN"}, "holds a layer 'PredRNN'; the layers are ConvLSTM, ConvGRU, LSTM"),
        (
            {"arguments": {"in_channels": 1, "hidden_channels": 2, "recompute": True}},
            "do not describe a ConvLSTM .*recompute",
        ),
        ({"arguments": {"in_channels": 1, "hidden_channels": 0}}, "do not describe a ConvLSTM .*hidden_channels=0"),
        ({"arguments": {"in_channels": 1, "hidden_channels": 3}}, "do not describe a ConvLSTM .*size mismatch"),
        ({"weights": {}}, "do not describe a ConvLSTM .*Missing key"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    layer = ConvLSTM(1, 2)
    stored = checkpoint.Checkpoint("layer", "ConvLSTM", layer.arguments, layer.state_dict())
    checkpoint.write(tmp_path / "layer.safetensors", replace(stored, **changes))
    with pytest.raises(CheckpointMismatch, match=message):
        load(tmp_path / "layer.safetensors")


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"cell_list.0.conv.weight": torch.randn(8, 3, 3, 3), "cell_list.0.conv.bias": torch.randn(8)}


def written(path: Path) -> Path:
    tensors = weights()
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(tensors, path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in tensors.items()})
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, value in tensors.items():
                file[name] = value.numpy()
    else:
        torch.save({"epoch": 3, "state_dict": tensors}, path)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors", ".npz", ".h5"])
def test_files_of_weights(suffix: str, tmp_path: Path) -> None:
    read = files.read(written(tmp_path / f"model{suffix}"))
    assert {name: np.asarray(value).shape for name, value in read.items()} == {
        "cell_list.0.conv.weight": (8, 3, 3, 3),
        "cell_list.0.conv.bias": (8,),
    }


def test_files_that_are_none(tmp_path: Path) -> None:
    for suffix in files.SUFFIXES:
        path = tmp_path / f"broken{suffix}"
        path.write_bytes(b"\x00\x01 no weights at all")
        with pytest.raises(UnreadableFile, match=f"broken{suffix}"):
            files.read(path)
    with pytest.raises(UnreadableFile, match=r"end in .pt, .pth"):
        files.read(tmp_path / "model.onnx")
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(UnreadableFile, match="holds a list"):
        files.read(tmp_path / "list.pt")


class Evil:
    """Code that a pickle would run."""

    def __reduce__(self) -> Any:
        return (print, ("this must never be printed",))


def test_no_code_of_a_file_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UnreadableFile):
        files.read(tmp_path / "evil.pt")
    assert "never" not in capsys.readouterr().out


def test_convert_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, to = written(tmp_path / "model.pt"), tmp_path / "layer.safetensors"
    assert status(["convert", str(source), "--from", "ndrplz", "--to", str(to)]) == 0
    assert "224 weights of ndrplz" in capsys.readouterr().out
    assert load(to).cells[0].weight_h.shape == (8, 2, 3, 3)
    for arguments, message in (
        (["--from", "keras3"], "weights of keras3 must contain 'kernel'; these are named 'cell_list.0.conv.bias'"),
        (["--from", "ndrplz", "--set", "forget_bias=1"], "ndrplz has no key 'forget_bias'"),
        (["--from", "ndrplz", "--set", "forget_bias"], "--set forget_bias: write KEY=VALUE"),
        (["--from", "nobody"], "there is no implementation 'nobody'"),
        (["--from", "files"], "there is no implementation 'files'; there are: automan000"),
    ):
        assert status(["convert", str(source), *arguments, "--to", str(tmp_path / "none.safetensors")]) == 1
        assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "none.safetensors").exists()


class ConvLSTMOfMine(ConvLSTM):
    """A class that `load` cannot know."""


def test_what_could_not_be_made_again_is_not_saved(tmp_path: Path) -> None:
    mine = type("ConvLSTM", (ConvLSTM,), {"__module__": "mine"})
    for layer, name in ((ConvLSTMOfMine(1, 2), r"test_storage\.ConvLSTMOfMine"), (mine(1, 2), r"mine\.ConvLSTM")):
        with pytest.raises(TypeError, match=f"only echocast's own ConvLSTM, .*, STLSTM can be saved, not .*{name}"):
            save(layer, tmp_path / "layer.safetensors")
    with pytest.raises(TypeError, match="a function cannot be saved, and activation of this ConvLSTM is one"):
        save(ConvLSTM(1, 2, activation=torch.tanh), tmp_path / "layer.safetensors")


@pytest.mark.parametrize("bidirectional", [False, True])
def test_weights_go_to_nn_lstm_and_back_by_its_names(bidirectional: bool) -> None:
    ours = randomised(LSTM(3, 4, num_layers=2, peephole=None, bidirectional=bidirectional))
    theirs = torch.nn.LSTM(3, 4, 2, bidirectional=bidirectional)
    theirs.load_state_dict(torch_names.state_dict(ours))
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(theirs(x)[0], ours(x)[0], rtol=0, atol=1e-6)
    again = LSTM(3, 4, num_layers=2, peephole=None, bidirectional=bidirectional)
    randomised(theirs, seed=1)
    torch_names.load_state_dict(again, theirs.state_dict())
    torch.testing.assert_close(again(x)[0], theirs(x)[0], rtol=0, atol=1e-6)


def test_weights_go_to_nn_gru_and_back_by_its_names() -> None:
    theirs = torch.nn.GRU(2, 3)
    ours = ConvGRU(2, 3, dims=0, input_kernel=(), state_kernel=(), reset_after=True)
    torch_names.load_state_dict(ours, theirs.state_dict())
    x = torch.randn(5, 2, 2)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=0, atol=1e-6)
    theirs.load_state_dict(torch_names.state_dict(randomised(ours)))
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=0, atol=1e-6)


def test_other_weights_are_refused_by_name_and_change_nothing() -> None:
    layer = randomised(ConvLSTM(2, 3))
    right, before = torch_names.state_dict(layer), torch_names.state_dict(layer)
    assert set(right) == {f"{name}_l0" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_peephole")}
    for weights, message in (
        ({k: v for k, v in right.items() if k != "bias_hh_l0"}, "'bias_hh_l0' is missing"),
        ({**right, "weight_hh_l1": right["weight_hh_l0"]}, "no weights named weight_hh_l1"),
        ({**right, "weight_hh_l0": right["weight_ih_l0"]}, r"'weight_hh_l0' must have the shape \(12, 3, 3, 3\)"),
    ):
        with pytest.raises(CheckpointMismatch, match=message):
            torch_names.load_state_dict(layer, weights)
    assert all(torch.equal(v, before[k]) for k, v in torch_names.state_dict(layer).items())
