"""Which frames a nowcast is made from: gaps, age, times, time steps, crops."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import example_files

from echocast import fields, nowcast
from echocast.errors import DataError, MissingFrames
from echocast.io import forecast_geotiff, reading
from echocast.models import base
from echocast.nowcast.gaps import bridged
from echocast.nowcast.past import Selection, check_age, newest_past

MINUTE = np.timedelta64(1, "m")


def frames(*minutes: int) -> xr.DataArray:
    """A frame at each of some minutes, whose rain is that number."""
    times = example_files.TIME + np.array(minutes) * MINUTE
    rain = np.full((len(minutes), 2, 3), np.array(minutes, np.float32)[:, None, None])
    return fields.make(rain, time=times, y=range(2), x=range(3), crs="EPSG:3857")


def minutes_of(field: xr.DataArray) -> list[tuple[int, float]]:
    """The minute of each frame, and its rain; -1 if it is blank."""
    values = np.nan_to_num(field.values[:, 0, 0], nan=-1.0)
    return [
        (int((time - example_files.TIME) / MINUTE), float(rain))
        for time, rain in zip(field.time.values, values, strict=True)
    ]


def used(*minutes: int, takes_blank: bool = True, least: int = 2, most: int = 10) -> list[tuple[int, float]]:
    return minutes_of(bridged(frames(*minutes), most, takes_blank=takes_blank, least=least).field)


def test_a_missing_frame_is_blank_for_models_that_pass_over_it(caplog: pytest.LogCaptureFixture) -> None:
    assert used(0, 5, 10, 20) == [(0, 0), (5, 5), (10, 10), (15, -1), (20, 20)]
    assert "no frame at 2016-09-28 15:00 UTC; the forecast is made without (--strict refuses)" in caplog.text
    assert used(0, 5, 10, 15, 20) == [(n, n) for n in (0, 5, 10, 15, 20)]
    assert used(0, 5, 10, 25) == [(0, 0), (5, 5), (10, 10), (15, -1), (20, -1), (25, 25)]


def test_other_models_get_what_follows_the_gap_or_what_is_before_it(caplog: pytest.LogCaptureFixture) -> None:
    assert used(0, 5, 10, 20, 25, takes_blank=False) == [(20, 20), (25, 25)]
    assert "only the newest 2 frames are used" in caplog.text
    assert used(0, 5, 10, 20, takes_blank=False) == [(0, 0), (5, 5), (10, 10)]
    assert "issued at 2016-09-28 14:55 UTC, though the newest frame is of 2016-09-28 15:05 UTC" in caplog.text


def test_a_long_gap_is_not_left_blank() -> None:
    assert used(0, 5, 10, 15, 35, 40) == [(35, 35), (40, 40)]
    assert used(0, 5, 10, 15, 35) == [(0, 0), (5, 5), (10, 10), (15, 15)]


def test_a_past_is_no_longer_for_its_gap() -> None:
    assert used(0, 5, 10, 20, most=3) == [(10, 10), (15, -1), (20, 20)]


def test_a_blank_newest_frame_is_left_out_beside_a_gap(caplog: pytest.LogCaptureFixture) -> None:
    past = frames(0, 5, 10, 20, 25)
    past[-1] = np.nan
    made = bridged(past, 10, takes_blank=True, least=2)
    assert minutes_of(made.field)[-2:] == [(15, -1), (20, 20)]
    assert "the newest 1 frames, up to 2016-09-28 15:10 UTC, are blank" in caplog.text
    past = frames(0, 5, 10, 15)
    past[1] = np.nan
    assert minutes_of(bridged(past, 10, takes_blank=False, least=2).field) == [(10, 10), (15, 15)]
    assert minutes_of(bridged(past, 10, takes_blank=True, least=2).field)[1] == (5, -1)


def test_too_few_frames_everywhere() -> None:
    with pytest.raises(MissingFrames, match="no frame at 2016-09-28 14:55 UTC, and no 3 frames without a gap"):
        bridged(frames(0, 5, 15, 20), 10, takes_blank=False, least=3)


def test_frames_between_time_steps_are_refused_with_a_remedy_that_works() -> None:
    with pytest.raises(MissingFrames, match=r"remove one of them$"):
        bridged(frames(0, 5, 10, 15, 17), 10, takes_blank=True, least=2)


def test_old_frames_are_refused() -> None:
    newest, now = np.datetime64("2016-09-28T15:00", "ns"), np.datetime64("2016-09-28T15:30", "ns")
    check_age(newest, None, now=now)
    check_age(newest, 30, now=now)
    with pytest.raises(MissingFrames, match="of 2016-09-28 15:00 UTC, 30 min ago, and --max-age is 29 min"):
        check_age(newest, 29, now=now)
    with pytest.raises(MissingFrames, match="30 min ahead of this machine's clock"):
        check_age(now, 29, now=newest)
    with pytest.raises(MissingFrames, match="days ago"):
        check_age(newest, 1e4)


def files(folder: Path, *minutes: int) -> list[Path]:
    folder.mkdir()
    rain = example_files.blob(60, 20, 24)
    return [example_files.netcdf(folder, time=example_files.TIME + n * MINUTE, rain=rain[n : n + 1]) for n in minutes]


def past_of(folder: Path, opened: list[object] | None = None, **select: object) -> xr.DataArray:
    note = (opened if opened is not None else []).append
    return newest_past([folder], base.resolve("persistence"), Selection(**select), on_file=note).field


def test_at_a_time_and_every_so_many_minutes(tmp_path: Path) -> None:
    paths, opened = files(tmp_path / "in", *range(0, 60, 5)), []
    assert [n for n, _ in minutes_of(past_of(tmp_path / "in", at=example_files.TIME + 31 * MINUTE))] == [
        *range(0, 31, 5)
    ]
    assert [n for n, _ in minutes_of(past_of(tmp_path / "in", opened, every=15.0))] == [10, 25, 40, 55]
    assert set(opened) == {paths[n] for n in (2, 5, 8, 11)}
    with pytest.raises(MissingFrames, match="--every 7: the frames that fit it are 35 min apart"):
        past_of(tmp_path / "in", every=7.0)
    with pytest.raises(DataError, match="no frame up to 2016-09-28 13:00 UTC"):
        past_of(tmp_path / "in", at=np.datetime64("2016-09-28T13:00", "ns"))


def test_a_crop_of_means_is_forecast(tmp_path: Path) -> None:
    files(tmp_path / "in", 0, 5, 10)
    whole, small = past_of(tmp_path / "in"), past_of(tmp_path / "in", coarsen=4)
    assert small.shape == (3, 5, 6)
    blocks = whole.values.reshape(3, 5, 4, 6, 4)
    np.testing.assert_allclose(small.values, blocks.mean((2, 4)), rtol=1e-5)
    lon, lat = fields.degrees(whole)
    box = (float(lon.min()), float(lat.min()), float(np.median(lon)), float(lat.max()))
    assert past_of(tmp_path / "in", bbox=box).sizes["x"] < 20


@pytest.mark.parametrize(("model", "count"), [("persistence", 8), ("encoder_forecaster", 3)])
def test_a_truncated_file_among_the_newest(
    model: str, count: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = files(tmp_path / "in", *range(0, 50, 5))
    paths[6].write_bytes(paths[6].read_bytes()[:2000])
    made = nowcast.nowcast([tmp_path / "in"], model, minutes=5, select=Selection(frames=9))
    assert made.missing == (example_files.TIME + 30 * MINUTE,)
    assert made.forecast.attrs["missing_frames"] == "2016-09-28T15:15Z"
    assert len(made.files) == count
    assert "no frame at 2016-09-28 15:15 UTC" in caplog.text
    with pytest.raises(DataError, match=paths[6].name):
        nowcast.nowcast([tmp_path / "in"], model, minutes=5, select=Selection(strict=True))


def test_a_forecast_is_never_read_as_an_observation(tmp_path: Path) -> None:
    files(tmp_path / "in", 0, 5, 10)
    made = nowcast.nowcast([tmp_path / "in"], "persistence", minutes=15).forecast
    for name in ("f.nc", "f.tif", "f.zarr"):
        nowcast.to_file(made, tmp_path / name)
        with pytest.raises(DataError, match="is a forecast, not an observation"):
            reading.read(tmp_path / name)
    forecast_geotiff.to_geotiff(made[:1], tmp_path / "one.tif")
    with pytest.raises(DataError, match="is a forecast, not an observation"):
        reading.read(tmp_path / "one.tif")
