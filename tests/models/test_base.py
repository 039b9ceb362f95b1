"""Checkpoints, what a forecaster is given, and what is refused."""

import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from tests import example_files

from echocast import checkpoint, fields
from echocast.context import Context
from echocast.errors import CheckpointMismatch, DataError, ModelError, WrongUnits
from echocast.models import base
from echocast.models.base import Forecaster
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.models.lagrangian import DetailSettings, HeavyRainBounds, Lagrangian, MotionSettings
from echocast.models.optical_flow import OpticalFlow
from echocast.models.persistence import Persistence
from echocast.models.scaling import ImageScaling, RainScaling
from echocast.nowcast import forecast_from


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
    names = "encoder_forecaster, expected_rain, farneback.*optical_flow, persistence"
    with pytest.raises(ModelError, match=rf"'encodr'.*{names}"):
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
        ({"name": "no_such"}, "no_such"),
        ({"name": "persistence"}, "does not fit"),
        ({"arguments": json.dumps({"hidden_channels": [5]})}, "does not fit"),
        ({"arguments": json.dumps({"hiden": [4]})}, "does not fit"),
        ({"arguments": "{"}, "header is broken"),
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


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        saved(tmp_path / "missing")


def test_chosen_settings_are_saved_with_the_weights(tmp_path: Path) -> None:
    detail, motion = DetailSettings(band_widths_cells=(3, 5, 9), min_observed_fraction=0.6), MotionSettings(pairs=2)
    model = Lagrangian(hidden_channels=[4], detail_settings=detail, motion_settings=motion)
    base.save(model, tmp_path / "weights.safetensors")
    again = base.load(tmp_path / "weights.safetensors")
    assert isinstance(again, Lagrangian)
    assert (again.detail_settings, again.motion_settings) == (detail, motion)


def test_the_shipped_weights_name_every_setting() -> None:
    model = base.resolve("lagrangian")
    with resources.as_file(resources.files("echocast.weights") / "lagrangian.safetensors") as path:
        stored = checkpoint.read(path, task=base.TASK).arguments
    for group in ("network_settings", "motion_settings", "detail_settings", "noise_settings", "heavy_rain_bounds"):
        assert stored[group].keys() == asdict(getattr(model, group)).keys()


def test_settings_come_from_tables_and_wrong_ones_are_named() -> None:
    made = base.construct("lagrangian", {"hidden_channels": [4], "heavy_rain_bounds": {"max_area_growth": 3}})
    assert isinstance(made, Lagrangian)
    assert made.heavy_rain_bounds == HeavyRainBounds(max_area_growth=3.0)
    with pytest.raises(ModelError, match=r"detail_settings.*band_width"):
        base.construct("lagrangian", {"detail_settings": {"band_width": 3}})
    with pytest.raises(ModelError, match="must be odd and rising"):
        base.construct("lagrangian", {"detail_settings": {"band_widths_cells": [3, 4]}})


class Recorder(Forecaster):
    """Repeats the newest frame and keeps the context that it was given."""

    grid_km = 4.0

    def _forecast(self, past: torch.Tensor, steps: int, context: Context) -> torch.Tensor:
        self.given = context
        return past[:, -1:].expand(-1, steps, -1, -1, -1)


def test_a_context_is_passed_on_on_the_grid_of_the_frames() -> None:
    times = np.array(["2016-07-01T00:05", "2016-07-01T00:10"], "datetime64[ns]")
    height = torch.arange(64.0).view(1, 1, 1, 8, 8)
    model = Recorder()
    fine = Context(grid_km=1.0, time_step_minutes=5.0, valid_times=times, covariates={"height": height})
    model.forecast(torch.ones(1, 2, 1, 8, 8), 2, fine)
    assert (model.given.grid_km, model.given.time_step_minutes) == (4.0, 5.0)
    assert model.given.valid_times is times
    assert model.given.covariates["height"].shape == (1, 1, 1, 2, 2)
    assert model.given.covariates["height"][0, 0, 0, 0, 0] == height[..., :4, :4].mean()
    usual = Context(grid_km=4.0, covariates={"height": height})
    model.forecast(torch.ones(1, 2, 1, 8, 8), 2, usual)
    assert model.given is usual


def test_a_forecaster_knows_its_quantity_and_refuses_another() -> None:
    network = EncoderForecaster(hidden_channels=[4], channels=3, scaling=ImageScaling())
    assert (Persistence().quantity, network.quantity) == ("rainfall_rate", "image")
    with pytest.raises(WrongUnits, match="hold image, but OpticalFlow forecasts rainfall_rate"):
        OpticalFlow().check_past(4, 5.0, "image")
    Persistence().check_past(4, 5.0, "image")  # the last frame again is a forecast of anything
    with pytest.raises(WrongUnits, match="hold rainfall_rate, but EncoderForecaster forecasts image"):
        forecast_from(example_files.field(example_files.blob(3)), network)


def test_images_of_three_channels_are_forecast_by_a_network_of_their_own() -> None:
    times = np.datetime64("2016-07-01", "ns") + np.arange(3) * np.timedelta64(1, "m")
    values = np.random.default_rng(0).random((3, 3, 10, 12)).astype(np.float32)
    clip = fields.make(values, time=times, y=range(10), x=range(12), quantity="image", channels=["r", "g", "b"])
    torch.manual_seed(0)
    made = forecast_from(clip, EncoderForecaster(hidden_channels=[4], channels=3, scaling=ImageScaling()), minutes=2)
    assert made.dims == ("lead", "channel", "y", "x")
    assert made.shape == (2, 3, 10, 12)
    assert 0.0 <= float(made.min()) < float(made.max()) <= 1.0
