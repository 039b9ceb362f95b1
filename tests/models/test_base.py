"""Checkpoints, and what is refused."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from echocast.errors import CheckpointMismatch, DataError, ModelError
from echocast.models import base
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.models.scaling import RainScaling


def saved(folder: Path) -> Path:
    path = folder / "weights.safetensors"
    base.save(
        EncoderForecaster(hidden_channels=[4], scaling=RainScaling(ceiling_dbz=55.0), time_step_minutes=5.0), path
    )
    return path


def test_scaling_and_training_facts_travel_with_the_weights(tmp_path: Path) -> None:
    model = base.load(saved(tmp_path))
    assert isinstance(model, EncoderForecaster)
    assert model.scaling == RainScaling(ceiling_dbz=55.0)
    assert model.time_step_minutes == 5.0
    assert not model.training


def test_the_shipped_weights_load_by_name() -> None:
    model = base.resolve("encoder_forecaster")
    assert (model.grid_km, model.time_step_minutes) == (3.75, 5.0)
    assert base.weights("encoder_forecaster") == "shipped"
    assert base.weights("optical_flow") == "none needed"


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(ModelError, match=r"'encodr'.*encoder_forecaster, farneback.*optical_flow, persistence"):
        base.resolve("encodr")


def rewrite(path: Path, **changes: str) -> None:
    """The same weights with other metadata."""
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata()) | changes
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "echocast checkpoint 99"}, "'echocast checkpoint 99', this version reads"),
        ({"model": "no_such"}, "does not fit"),
        ({"model": "persistence"}, "does not fit"),
        ({"arguments": json.dumps({"hidden_channels": [5]})}, "does not fit"),
        ({"arguments": json.dumps({"hiden": [4]})}, "does not fit"),
        ({"arguments": "{"}, "does not fit"),
    ],
)
def test_a_checkpoint_of_another_model_or_version_is_refused(
    changes: dict[str, str], message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path)
    rewrite(path, **changes)
    with pytest.raises(CheckpointMismatch, match=message):
        base.load(path)


@pytest.mark.parametrize("content", [b"", b"garbage" * 99, None])
def test_what_is_no_checkpoint_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointMismatch, match=r"weights\.safetensors: (is no|no such) checkpoint"):
        base.resolve(path)


def test_foreign_safetensors_are_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"w": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointMismatch, match="no echocast checkpoint"):
        base.load(tmp_path / "w.safetensors")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be written"):
        saved(tmp_path / "missing")


def test_scaling_by_hand_and_back() -> None:
    scaling = RainScaling()
    rate = torch.tensor([0.0, 0.1, 1.0, 10.0, 100.0, 1e4, float("nan")], dtype=torch.float64)
    level = scaling.to_network(rate)
    # 1 mm/h is 23.01 dBZ, 23.01 / 60 = 0.3835; 10 mm/h is 39.01 dBZ
    torch.testing.assert_close(
        level[[0, 2, 3, 5, 6]], torch.tensor([0, 0.38350, 0.65017, 1, 0]).double(), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(scaling.to_values(level)[1:5], rate[1:5])
    assert scaling.to_values(torch.tensor([0.0, 0.05])).tolist() == [0.0, 0.0]
    assert scaling.level(1.0) == pytest.approx(0.3835, abs=1e-4)
    with pytest.raises(ValueError, match="floor_dbz=50 must be below ceiling_dbz=40"):
        RainScaling(floor_dbz=50.0, ceiling_dbz=40.0)
