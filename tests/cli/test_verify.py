"""echocast verify: which forecasts of a folder are scored, and what is said of things that are no archives."""

from pathlib import Path

import pytest
from tests import example_files
from tests.cli.test_cli import refused

from echocast import archive
from echocast.cli.main import status
from echocast.io import forecast_file
from echocast.models.persistence import Persistence
from echocast.nowcast import forecast_from


def test_forecasts_at_any_time_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At 15, 20 and 35 minutes: --stride 30 would meet one of them at most; the last has no future left."""
    rain = example_files.field(example_files.blob(9, 16, 16))
    example_files.netcdf(tmp_path, rain=rain.values)
    archive.write([tmp_path], tmp_path / "store.zarr")
    folder = tmp_path / "forecasts"
    folder.mkdir()
    for newest in (3, 4, 7):
        made = forecast_from(rain[newest - 2 : newest + 1], Persistence(), minutes=10)
        forecast_file.to_netcdf(made, folder / f"f{newest}.nc")
    line = ["verify", str(tmp_path / "store.zarr"), "--forecasts", str(folder), "--minutes", "10", "--workers", "1"]
    assert status([*line, "--scores", "contingency", "--out", str(tmp_path / "report")]) == 0
    said = capsys.readouterr()
    assert "2 cases" in said.out
    assert "2 of 3 forecasts are scored" in said.err


def test_what_is_no_archive_is_told_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = forecast_from(example_files.field(example_files.blob(3, 8, 8)), Persistence(), minutes=5)
    forecast_file.to_netcdf(made, tmp_path / "f.nc")
    assert "is a forecast, not an archive" in refused(capsys, "verify", tmp_path / "f.nc")
    assert f"--forecasts {tmp_path}" in refused(capsys, "archive", "info", tmp_path / "f.nc")
    radar = example_files.netcdf(tmp_path)
    assert f"archive add radar.zarr {radar}" in refused(capsys, "verify", radar)
    assert f"archive add {tmp_path / 'no.zarr'} INPUT" in refused(capsys, "verify", tmp_path / "no.nc")
