"""Forecasts from a past with frames, or parts of frames, in which nothing is observed."""

import numpy as np
import pytest
import torch
from tests import example_files

from echocast import nowcast
from echocast.context import Context
from echocast.errors import MissingFrames
from echocast.models import base
from echocast.models._lagrangian.advection import frames_at_issue
from echocast.samples import segments

MODELS = ["optical_flow", "lucas_kanade", "rover1", "rover2", "rover3", "lagrangian"]


def past() -> np.ndarray:
    """Ten frames of a shower that moves two columns and one row a step, from column 24, row 30."""
    rows, columns = np.mgrid[:80, :80]
    frames = [9 * np.exp(-((columns - 24 - 2 * n) ** 2 + (rows - 30 - n) ** 2) / 40) for n in range(10)]
    return np.where(np.array(frames) < 0.05, 0.0, frames).astype(np.float32)


def at_lead_6(name: str, frames: np.ndarray) -> tuple[float, float]:
    """Column and row of the middle of the shower."""
    made = base.resolve(name).forecast(torch.from_numpy(frames)[None, :, None], 6, Context(1.0, 5.0))[0, 5, 0]
    rain = made.nan_to_num(0.0).numpy()
    rain = np.where(rain > 0.3 * rain.max(), rain, 0.0)
    rows, columns = np.mgrid[:80, :80]
    return float((columns * rain).sum() / rain.sum()), float((rows * rain).sum() / rain.sum())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("hidden", [(-2,), (-2, slice(None), slice(None, 40))])
def test_a_blank_frame_does_not_slow_the_rain(name: str, hidden: tuple[object, ...]) -> None:
    frames = past()
    frames[hidden] = np.nan
    column, row = at_lead_6(name, frames)
    assert column == pytest.approx(54.0, abs=2.0)
    assert row == pytest.approx(45.0, abs=1.5)


def test_the_network_is_given_the_mean_of_the_frames_around_a_blank_one() -> None:
    frames = torch.ones(1, 5, 1, 8, 8) * torch.arange(5.0).view(1, 5, 1, 1, 1)
    frames[:, [0, 2, 3]] = torch.nan
    rain, observed = frames_at_issue(frames, torch.zeros(1, 2, 8, 8))
    assert rain[0, :, 0, 4, 4].tolist() == [1.0, 1.0, 2.0, 3.0, 4.0]
    assert observed.min() == 1.0


def test_models_that_take_blank_frames_for_dry_refuse_them() -> None:
    frames = past()
    frames[-3] = np.nan
    with pytest.raises(MissingFrames, match=r"no cell is observed at 2016-09-28 15:20 UTC.*--frames 2"):
        nowcast.forecast_from(example_files.field(frames), base.resolve("encoder_forecaster"))
    made = nowcast.forecast_from(example_files.field(frames), base.resolve("persistence"), minutes=5)
    assert np.isfinite(made.values).all()


def test_a_blank_newest_frame_is_never_forecast_from(caplog: pytest.LogCaptureFixture) -> None:
    frames = past()
    frames[[0, -2, -1]] = np.nan
    field = example_files.field(frames)
    with pytest.raises(MissingFrames, match="no cell of the newest frame, of 2016-09-28 15:30 UTC, is observed"):
        nowcast.forecast_from(field, base.resolve("optical_flow"))
    used = segments.newest_segment(field, 10)
    assert used.time.values[[0, -1]].tolist() == field.time.values[[1, 7]].tolist()
    assert "the newest 2 frames, up to 2016-09-28 15:30 UTC, are blank" in caplog.text
    with pytest.raises(MissingFrames, match="no cell is observed in any of the 2 newest frames"):
        segments.newest_segment(field, 2)
