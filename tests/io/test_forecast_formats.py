"""Forecasts as GeoTIFF and Zarr, by the suffix of their path, come back as they were."""

import os
from datetime import datetime, tzinfo
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import xarray as xr
from tests import example_files

from echocast import nowcast
from echocast.cli import arguments
from echocast.errors import DataError
from echocast.io import forecast_file, forecast_formats
from echocast.io.forecast_leads import Leads, without_values
from echocast.samples import tensors


def forecast(*, flipped: bool = False, crs: str = example_files.CRS, members: int = 0) -> xr.DataArray:
    """Two leads; 9 mm/h at row 2, column 5 of the first, unknown in the last column."""
    past = example_files.field(example_files.blob(3), crs=crs)
    past = past[:, ::-1, ::-1] if flipped else past
    future = torch.zeros(1, *([members] if members else []), 2, 1, 20, 24)
    future[..., 0, 0, 2, 5] = 9.0
    future[..., -1] = torch.nan
    return tensors.to_forecast(future, past)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("crs", [example_files.CRS, "EPSG:3067"])
def test_a_geotiff_is_cloud_optimised_and_has_everything_in_its_place(flipped: bool, crs: str, tmp_path: Path) -> None:
    made = forecast(flipped=flipped, crs=crs)
    forecast_formats.to_file(made, tmp_path / "f.tif", command="echocast nowcast in --out f.tif")
    with rasterio.open(tmp_path / "f.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        row, column = file.index(made.x.values[5], made.y.values[2])
        first, second = file.read()
        assert (first[row, column], first[~np.isnan(first)].sum(), np.nanmax(second)) == (9.0, 9.0, 0.0)
        assert np.isnan(file.nodata)
        assert int(np.isnan(first).sum()) == 20
        assert (file.dtypes[0], file.units) == ("float32", ("mm h-1", "mm h-1"))
        assert file.descriptions == ("+5 min, 2016-09-28T15:00:00Z", "+10 min, 2016-09-28T15:05:00Z")
        assert file.tags(2)["valid_time"] == "2016-09-28T15:05:00Z"
        assert file.tags(2)["lead_minutes"] == "10"
        assert file.tags()["forecast_reference_time"] == "2016-09-28T14:55:00Z"
        assert file.transform.e < 0
        assert file.crs == rasterio.CRS.from_user_input(crs)


def test_a_geotiff_of_an_ensemble_holds_its_mean(tmp_path: Path) -> None:
    made = forecast(members=3)
    made[0, 0, 2, 5] = 18.0
    nowcast.to_file(made, tmp_path / "f.tif")
    with rasterio.open(tmp_path / "f.tif") as file:
        assert file.count == 2
        assert np.nanmax(file.read(1)) == 12.0
    with pytest.raises(DataError, match="holds no members; write NetCDF or Zarr"):
        forecast_formats.to_file(made, tmp_path / "f.tif")


def read(path: Path) -> xr.Dataset:
    """All that a file holds, but for when it was made."""
    if path.suffix == ".tif":
        with rasterio.open(path) as file:
            tags = [file.tags(band) for band in (0, *file.indexes)]
            attrs = {"tags": str(tags), "profile": str(file.profile), "bands": str((file.descriptions, file.units))}
            assert [file.overviews(band) for band in file.indexes]
            return xr.Dataset({"rain": (("lead", "y", "x"), file.read())}, attrs=attrs)
    data = xr.open_zarr(path) if path.suffix == ".zarr" else xr.open_dataset(path)
    return data.load().drop_attrs(deep=False)


@pytest.mark.parametrize("suffix", [".nc", ".tif", ".zarr"])
def test_lead_by_lead_makes_the_same_file(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_file, "datetime", Noon)
    made = forecast(flipped=True)
    late = made.copy(data=without_values(made.shape))
    leads = Leads(("rainfall_rate",), ({"rainfall_rate": frame} for frame in made.values))
    forecast_formats.to_file(made, tmp_path / f"whole{suffix}", command="one")
    forecast_formats.to_file(late, tmp_path / f"late{suffix}", command="one", leads=leads)
    xr.testing.assert_identical(read(tmp_path / f"late{suffix}"), read(tmp_path / f"whole{suffix}"))


@pytest.mark.parametrize("suffix", [".nc", ".tif", ".zarr"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_lead_too_few_or_too_many_leaves_no_file(suffix: str, count: int, tmp_path: Path) -> None:
    made = forecast()
    leads = Leads(("rainfall_rate",), ({"rainfall_rate": made.values[0]} for _ in range(count)))
    with pytest.raises(ValueError, match="lead times came"):
        forecast_formats.to_file(made, tmp_path / f"f{suffix}", leads=leads)
    assert list(tmp_path.iterdir()) == []


class Noon(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Noon":
        return cls(2016, 9, 28, 12, tzinfo=tz)


@pytest.mark.parametrize("members", [0, 3])
def test_a_zarr_holds_what_the_netcdf_does(members: int, tmp_path: Path) -> None:
    made = forecast(members=members)
    for _ in range(2):  # the second replaces the first
        nowcast.to_file(made, tmp_path / "f.zarr")
    nowcast.to_file(made, tmp_path / "f.nc")
    with (
        xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False) as zarr,
        xr.open_dataset(tmp_path / "f.nc", decode_timedelta=False) as netcdf,
    ):
        assert set(zarr.variables) == set(netcdf.variables)
        np.testing.assert_array_equal(zarr["rainfall_rate"], made.values)
        np.testing.assert_array_equal(zarr["time"], netcdf["time"])
        assert zarr["forecast_reference_time"].values == np.datetime64("2016-09-28T14:55")
        assert zarr["rainfall_rate"].attrs["units"] == "mm h-1"
        assert zarr["crs"].attrs["crs_wkt"] == netcdf["crs"].attrs["crs_wkt"]
        assert {n: v.dtype for n, v in zarr.variables.items()} == {n: v.dtype for n, v in netcdf.variables.items()}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_zarr_does_not_replace_what_is_no_forecast(tmp_path: Path) -> None:
    (tmp_path / "data.zarr").mkdir()
    (tmp_path / "data.zarr" / "precious").write_text("data")
    with pytest.raises(DataError, match="is there and is no forecast"):
        nowcast.to_file(forecast(), tmp_path / "data.zarr")
    assert (tmp_path / "data.zarr" / "precious").read_text() == "data"


def test_another_suffix_is_refused_and_the_command_line_knows_the_same(tmp_path: Path) -> None:
    assert tuple(forecast_formats.WRITERS) == arguments.FORECASTS
    with pytest.raises(DataError, match=r"must end in one of .nc, .tif, .tiff, .zarr"):
        nowcast.to_file(forecast(), tmp_path / "f.h5")


def test_files_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        forecast_file.to_netcdf(forecast(), tmp_path / "f.nc")
        forecast_formats.to_file(forecast(), tmp_path / "f.tif")
    finally:
        os.umask(before)
    assert [oct((tmp_path / name).stat().st_mode & 0o777) for name in ("f.nc", "f.tif")] == ["0o640", "0o640"]
