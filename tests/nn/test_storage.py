"""Layers go to files and come back; weights of others come from files."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch

from definitions import randomised
from echocast.cli.main import status
from echocast.errors import CheckpointMismatch, UnreadableFile
from echocast.nn import LSTM, ConvGRU, ConvLSTM, load, save
from echocast.nn.compat import files


@pytest.mark.parametrize(
    ("layer", "space"),
    [
        (ConvLSTM(1, [2, 3], input_kernel=[3, (1, 3)], forget_bias=1.0, batch_first=True), (5, 6)),
        (ConvLSTM(1, 2, num_layers=2, peephole="pixel", spatial_size=(5, 6), bidirectional=True), (5, 6)),
        (ConvLSTM(1, 2, dims=3, norm="layer", zoneout=0.1, dtype=torch.float64), (3, 4, 5)),
        (ConvGRU(1, 2, reset_after=True, activation="leaky_relu"), (5, 6)),
        (LSTM(1, 2, num_layers=2, peephole=None), ()),
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


def test_what_is_no_layer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    with pytest.raises(CheckpointMismatch, match="does not exist"):
        load(path)
    path.write_bytes(b"not a file of weights")
    with pytest.raises(CheckpointMismatch, match="is no safetensors file"):
        load(path)
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointMismatch, match="is no 'echocast layer 1' file: its header says None"):
        load(path)


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
        (["--from", "keras3"], "keras3 weights need 'kernel'; there are: 'cell_list.0.conv.bias'"),
        (["--from", "ndrplz", "--set", "forget_bias=1"], "ndrplz has no key 'forget_bias'"),
        (["--from", "ndrplz", "--set", "forget_bias"], "--set forget_bias: write KEY=VALUE"),
        (["--from", "nobody"], "'nobody' is not one of"),
    ):
        assert status(["convert", str(source), *arguments, "--to", str(tmp_path / "none.safetensors")]) == 1
        assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "none.safetensors").exists()
