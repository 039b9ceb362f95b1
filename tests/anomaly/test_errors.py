"""Errors of forecasters and autoencoders against plain loops, and what they refuse."""

import numpy as np
import pytest
import torch
import xarray as xr

from echocast import fields
from echocast.anomaly.errors import NextFrame, Reconstruction
from echocast.anomaly.spatiotemporal import SpatioTemporal
from echocast.context import Context
from echocast.errors import MissingFrames, WrongUnits
from echocast.models.base import Forecaster
from echocast.models.optical_flow import OpticalFlow
from echocast.models.persistence import Persistence


def clip(frames: np.ndarray, quantity: str = "image") -> xr.DataArray:
    times = np.datetime64("2000-01-01", "ns") + np.arange(len(frames)) * np.timedelta64(300, "s")
    rows, columns = frames.shape[-2:]
    crs = None if quantity == "image" else "EPSG:3857"
    return fields.make(frames, time=times, y=range(rows), x=range(columns), quantity=quantity, crs=crs)


class Trend(Forecaster):
    """Each pixel goes on as it went between the last two frames."""

    min_frames = 2
    quantity = "image"  # type: ignore[assignment]

    def _forecast(self, past: torch.Tensor, steps: int, context: Context) -> torch.Tensor:
        newest, change = past[:, -1:], past[:, -1:] - past[:, -2:-1]
        return newest + change * torch.arange(1, steps + 1)[:, None, None, None]


def all_of(finder: NextFrame | Reconstruction, field: xr.DataArray) -> np.ndarray:
    return np.concatenate(list(finder.maps(field)))


@pytest.mark.parametrize("lead", [1, 2])
@pytest.mark.parametrize("both", [False, True])
def test_errors_of_a_forecaster_are_those_of_a_plain_loop(lead: int, both: bool) -> None:
    frames = np.random.default_rng(0).random((18, 3, 3)).astype(np.float32)  # more than are worked on at once
    frames[7, 1, 1] = np.nan
    model = Trend()
    found = all_of(NextFrame(model, past=2, lead=lead, both=both), clip(frames))
    for number in range(18):
        ways = [[number - lead - 1, number - lead], *([[number + lead + 1, number + lead]] if both else [])]
        errors = []
        for pair in ways:
            if min(pair) >= 0 and max(pair) < 18:
                past = torch.from_numpy(frames[pair])[None, :, None]
                made = model.forecast(past, lead)[0, -1, 0].numpy()
                errors.append(np.abs(made.clip(0, 1) - frames[number]))
        expected = np.fmin.reduce(errors) if len(errors) == len(ways) else np.full((3, 3), np.nan)
        np.testing.assert_allclose(found[number], expected, atol=1e-5)


def test_a_single_odd_frame_is_not_blamed_on_its_neighbours() -> None:
    frames = np.zeros((9, 6, 6), np.float32)
    frames[4] = 1.0
    forwards = all_of(NextFrame(Persistence(), past=1), clip(frames)).max(axis=(1, 2))
    both = all_of(NextFrame(Persistence(), past=1, both=True), clip(frames)).max(axis=(1, 2))
    assert np.flatnonzero(forwards > 0.5).tolist() == [4, 5]
    assert np.flatnonzero(both > 0.5).tolist() == [4]
    assert np.isnan(both[[0, -1]]).all()  # with a forecast from one side alone the error would be larger


@pytest.mark.parametrize("count", [2, 4, 5, 8, 11])
def test_errors_of_an_autoencoder_are_those_of_its_windows(count: int) -> None:
    torch.manual_seed(0)
    network = SpatioTemporal(spatial_channels=(3, 3), temporal_channels=(3, 2, 3), frames=4).eval()
    frames = np.random.default_rng(0).random((count, 27, 27)).astype(np.float32)
    found = all_of(Reconstruction(network), clip(frames))
    assert len(found) == count
    last = torch.from_numpy(frames[-4:])[None, :, None]
    made = network.reconstruct(last)[0, -1, 0].numpy()
    np.testing.assert_allclose(found[-1], np.abs(made - frames[-1]), atol=1e-6)


def test_too_few_frames_and_other_quantities_are_refused() -> None:
    one = clip(np.zeros((1, 4, 4), np.float32))
    with pytest.raises(MissingFrames, match=r"one\.mp4: has 1 frames in a row, and an error needs 4"):
        NextFrame(Persistence(), past=3).check(one, "one.mp4")
    with pytest.raises(MissingFrames, match="has 1 frame in a row"):
        Reconstruction(SpatioTemporal(spatial_channels=(3, 3), temporal_channels=(3, 2, 3))).check(one, "one")
    with pytest.raises(WrongUnits, match="hold image, but OpticalFlow is for rainfall_rate"):
        NextFrame(OpticalFlow()).check(one, "one")
    rain = clip(np.zeros((4, 4, 4), np.float32), "rainfall_rate")
    with pytest.raises(WrongUnits, match="hold rainfall_rate, but SpatioTemporal is for image"):
        Reconstruction(SpatioTemporal(spatial_channels=(3, 3), temporal_channels=(3, 2, 3))).check(rain, "rain")
    with pytest.raises(ValueError, match="past=1 and lead=1: OpticalFlow needs 2"):
        NextFrame(OpticalFlow(), past=1)
