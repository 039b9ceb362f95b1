"""A forecast file that others can read."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import torch
import xarray as xr
from tests import example_files

from echocast import fields
from echocast.errors import DataError, UnreadableFile
from echocast.io import forecast_file, packing
from echocast.nowcast import to_netcdf
from echocast.samples import tensors


def forecast(*, upside_down: bool = False, crs: str = example_files.CRS) -> xr.DataArray:
    """Two leads; 9 mm/h at row 2, column 5 of the first, unknown in the last column."""
    past = example_files.field(example_files.blob(3), crs=crs)
    if upside_down:
        past = past[:, ::-1]
    future = torch.zeros(1, 2, 1, 20, 24)
    future[0, 0, 0, 2, 5] = 9.0
    future[..., -1] = torch.nan
    made = tensors.to_forecast(future, past)
    made.attrs |= {"model": "a model", "input_files": "one two"}
    return made


def test_contents_are_as_promised(tmp_path: Path) -> None:
    forecast_file.to_netcdf(forecast(), tmp_path / "f.nc", command="echocast nowcast in --out f.nc")
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=False) as data:
        rain = data["rainfall_rate"]
        assert rain.dims == ("lead", "y", "x")
        assert (rain.dtype, rain.attrs["units"], rain.attrs["standard_name"]) == (np.float32, "mm h-1", "rainfall_rate")
        assert np.isnan(rain.values[..., -1]).all()
        assert data["forecast_reference_time"].values == np.datetime64("2016-09-28T14:55")
        assert data["forecast_period"].values.tolist() == [5, 10]
        assert data["time"].values[0] == np.datetime64("2016-09-28T15:00")
        assert data["crs"].attrs["grid_mapping_name"] == "azimuthal_equidistant"
        assert data["crs"].attrs["crs_wkt"].startswith("PROJCRS")
        assert data.attrs["Conventions"] == "CF-1.11"
        assert data.attrs["model"] == "a model"
        assert data.attrs["input_files"] == "one two"
        assert "echocast nowcast in --out f.nc" in data.attrs["history"]


@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize("crs", [example_files.CRS, "EPSG:21781", "EPSG:3067"])
def test_gdal_finds_every_pixel_where_it_lies(upside_down: bool, crs: str, tmp_path: Path) -> None:
    made = forecast(upside_down=upside_down, crs=crs)
    forecast_file.to_netcdf(made, tmp_path / "f.nc")
    x, y = made.x.values[5], made.y.values[2]
    with rasterio.open(f"netcdf:{tmp_path / 'f.nc'}:rainfall_rate") as raster:
        assert raster.count == 2
        assert next(iter(raster.sample([(x, y)], 1)))[0] == 9.0
        assert np.count_nonzero(np.nan_to_num(raster.read(1))) == 1
        assert pyproj.CRS.from_wkt(raster.crs.to_wkt()).equals(fields.crs(made), ignore_axis_order=True)


POLAR = "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378137 +b=6356752"


@pytest.mark.parametrize(
    ("crs", "latitude", "name"),
    [
        (POLAR, 90.0, "polar stereographic"),
        ("+proj=stere +lat_0=-90 +lat_ts=-71", -90.0, "polar stereographic"),
        ("EPSG:3857", None, "WGS 84 / Pseudo-Mercator"),
        ("+proj=geos +h=35785863", 0.0, "geostationary"),
    ],
)
def test_a_grid_mapping_has_what_cf_wants_and_a_name(crs: str, latitude: float | None, name: str) -> None:
    made = forecast(crs=crs)
    assert made.crs.attrs["grid_mapping_name"]
    assert made.crs.attrs.get("latitude_of_projection_origin") == latitude
    assert fields.crs_name(made) == name


@pytest.mark.parametrize("crs", [example_files.CRS, "EPSG:21781", POLAR])  # of Mercator it asks for single letters
def test_an_independent_checker_finds_no_error(crs: str, tmp_path: Path) -> None:
    forecast_file.to_netcdf(forecast(crs=crs), tmp_path / "f.nc")
    beside = Path(sys.executable).with_name(
        "compliance-checker"
    )  # with the lowest versions it is elsewhere on the path
    checker = str(beside) if beside.exists() else str(shutil.which("compliance-checker"))
    line = [checker, "--test=cf:1.11", "--format=json"]
    result = subprocess.run(
        [*line, f"--output={tmp_path / 'r.json'}", str(tmp_path / "f.nc")], capture_output=True, text=True, check=False
    )
    report = json.loads((tmp_path / "r.json").read_text())["cf:1.11"]
    assert report["possible_points"] > 10, result.stdout + result.stderr
    bad = [item for item in report["all_priorities"] if item["value"][0] != item["value"][1]]
    assert bad == []
    assert result.returncode == 0


def test_it_is_read_back_as_it_was(tmp_path: Path) -> None:
    made = forecast()
    forecast_file.to_netcdf(made, tmp_path / "f.nc")
    back = forecast_file.from_netcdf(tmp_path / "f.nc")
    np.testing.assert_array_equal(back.values, made.values)
    for name in ("lead", "time", "forecast_reference_time", "y", "x"):
        np.testing.assert_array_equal(back[name].values, made[name].values)
    assert fields.crs(back) == fields.crs(made)
    assert (back.attrs["model"], back.attrs["input_files"]) == ("a model", "one two")


def test_leads_of_half_minutes_stay_half_minutes(tmp_path: Path) -> None:
    made = forecast()
    half = np.array([150, 300], "timedelta64[s]").astype("timedelta64[ns]")
    made = made.assign_coords(lead=half, time=("lead", made.forecast_reference_time.values + half))
    forecast_file.to_netcdf(made, tmp_path / "f.nc")
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=False) as data:
        assert data["forecast_period"].values.tolist() == [2.5, 5.0]
    np.testing.assert_array_equal(forecast_file.from_netcdf(tmp_path / "f.nc").lead.values, half)


def test_other_files_are_no_forecasts(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no forecast of echocast"):
        forecast_file.from_netcdf(example_files.netcdf(tmp_path))


def other_quantity(quantity: str, crs: str | None, *, members: int = 0, channels: int = 0) -> xr.DataArray:
    """Two leads on a grid of 3 x 4."""
    dims = [("member", members), ("lead", 2), ("channel", channels), ("y", 3), ("x", 4)]
    shape = {name: size for name, size in dims if size}
    times = np.array(["2016-09-28T15:00", "2016-09-28T15:05"], "datetime64[ns]")
    grid = fields.make(
        np.zeros((2, 3, 4)), time=times, y=[2e3, 1e3, 0.0], x=[0.0, 1e3, 2e3, 3e3], crs=crs, quantity=quantity
    )
    issued = np.datetime64("2016-09-28T14:55", "ns")
    values = np.random.default_rng(0).normal(size=tuple(shape.values())).astype(np.float32)
    coords: dict[str, Any] = {name: grid[name] for name in ("y", "x", "crs") if name in grid.coords}
    coords |= {"lead": times - issued, "time": ("lead", times), "forecast_reference_time": issued}
    coords |= {"channel": [f"band {n}" for n in range(channels)]} if channels else {}
    coords |= {"member": ("member", np.arange(members), {"standard_name": "realization"})} if members else {}
    return fields.check(xr.DataArray(values, dims=tuple(shape), coords=coords, name=quantity, attrs=grid.attrs))


@pytest.mark.parametrize(
    ("quantity", "crs", "members", "channels"),
    [("reflectivity", "EPSG:3067", 3, 0), ("image", None, 0, 2), ("air_temperature", "EPSG:4326", 0, 0)],
)
def test_any_quantity_is_written_and_read_back(
    quantity: str, crs: str | None, members: int, channels: int, tmp_path: Path
) -> None:
    made = other_quantity(quantity, crs, members=members, channels=channels)
    to_netcdf(made, tmp_path / "f.nc")
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=False) as data:
        assert data[quantity].attrs["units"] == fields.QUANTITIES[quantity].units
        assert data.attrs["title"] == f"Nowcast of {fields.QUANTITIES[quantity].long_name}"
        assert ("crs" in data) == (crs is not None)
        assert not [name for name in data.data_vars if str(name).startswith("rainfall")]
    back = forecast_file.from_netcdf(tmp_path / "f.nc")
    np.testing.assert_array_equal(back.values, made.values)
    assert (back.name, back.dims) == (made.name, made.dims)
    if channels:
        assert back.channel.values.tolist() == made.channel.values.tolist()


def test_products_stand_beside_the_forecast(tmp_path: Path) -> None:
    made = forecast()
    beside = xr.Dataset({"wet": (("lead", "y", "x"), (made.values > 0).astype(np.float32), {"units": "1"})})
    beside = beside.assign_coords(lead=made.lead, y=made.y)
    forecast_file.to_netcdf(made, tmp_path / "f.nc", products=beside)
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=False) as data:
        assert data["wet"].encoding["coordinates"] == "forecast_reference_time time"
        assert data["wet"].values.sum() == 1
    assert forecast_file.from_netcdf(tmp_path / "f.nc").name == "rainfall_rate"
    assert "coordinates" not in beside["wet"].attrs


@pytest.mark.parametrize(("quantity", "crs"), [("reflectivity", "EPSG:3067"), ("image", None)])
def test_a_series_of_any_quantity_is_written(quantity: str, crs: str | None, tmp_path: Path) -> None:
    times = np.array(["2016-09-28T15:00"], "datetime64[ns]")
    field = fields.make(np.ones((1, 2, 2)), time=times, y=[1.0, 0.0], x=[0.0, 1.0], crs=crs, quantity=quantity)
    forecast_file.series_to_netcdf(field, tmp_path / "s.nc")
    with xr.open_dataset(tmp_path / "s.nc") as data:
        np.testing.assert_array_equal(data[quantity].values, field.values)
        assert data[quantity].attrs["units"] == field.attrs["units"]


def test_an_old_file_stays_if_the_new_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.nc"
    path.write_bytes(b"the old one")

    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing, "add_grids", full)
    with pytest.raises(DataError, match="No space left"):
        forecast_file.to_netcdf(forecast(), path)
    assert path.read_bytes() == b"the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["f.nc"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        forecast_file.to_netcdf(forecast(), tmp_path / "nowhere" / "f.nc")
