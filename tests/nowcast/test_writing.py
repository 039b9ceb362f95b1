"""A forecast that is written lead by lead is the one that is made as a whole, bit for bit."""

from pathlib import Path

import numpy as np
import pytest
from tests import example_files

from echocast import nowcast
from echocast.io import forecast_file
from echocast.motion import advection
from echocast.nowcast import writing
from echocast.plotting import reducing


def frames(folder: Path) -> Path:
    """Six frames of a shower that moves, which in part was not seen."""
    folder.mkdir()
    rain = example_files.blob(6, 48, 64, dx=1.3, dy=0.4)
    rain[:, :7, :9] = np.nan
    rain[2, 20:25, 10:15] = np.nan
    for number, frame in enumerate(rain):
        time = example_files.TIME + number * np.timedelta64(5, "m")
        example_files.netcdf(folder, time=time, rain=frame[None])
    return folder


@pytest.mark.parametrize("model", ["persistence", "optical_flow", "lagrangian"])
def test_strip_by_strip_and_lead_by_lead_are_the_same_bits(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = frames(tmp_path / "in")
    made = nowcast.nowcast([source], model, minutes=30)
    monkeypatch.setattr(advection, "STRIP_PIXELS", 64 * 8)
    done = writing.write([source], model, tmp_path / "f.nc", minutes=30)
    written = forecast_file.from_netcdf(tmp_path / "f.nc")
    np.testing.assert_array_equal(written.values, made.forecast.values)
    assert written.attrs["input_files"] == made.forecast.attrs["input_files"]
    np.testing.assert_array_equal(done.shown.forecast.values, made.forecast.values)
    assert done.shape == (48, 64)
    assert done.shown.used() == made.used()


def test_pictures_of_a_large_grid_get_means_of_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reducing, "factor", lambda _: 4)
    source = frames(tmp_path / "in")
    made = nowcast.nowcast([source], "persistence", minutes=10)
    shown = writing.write([source], "persistence", tmp_path / "f.zarr", minutes=10).shown
    assert (shown.forecast.shape, shown.past.shape) == ((2, 12, 16), (6, 12, 16))
    block = made.forecast.values[1, 4:8, 8:12]
    assert shown.forecast.values[1, 1, 2] == pytest.approx(np.nanmean(block))
    assert np.isnan(shown.forecast.values[0, 0, 0])
    assert shown.forecast.x.values[2] == pytest.approx(made.forecast.x.values[8:12].mean())


def test_members_are_written_as_before(tmp_path: Path) -> None:
    source = frames(tmp_path / "in")
    made = nowcast.nowcast([source], "lagrangian", minutes=10, members=2)
    nowcast.to_file(made.forecast, tmp_path / "whole.nc")
    writing.write([source], "lagrangian", tmp_path / "f.nc", minutes=10, members=2)
    whole, written = (forecast_file.from_netcdf(tmp_path / name) for name in ("whole.nc", "f.nc"))
    np.testing.assert_array_equal(written.values, whole.values)
