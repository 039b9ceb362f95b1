"""Files of quantities that are no rain."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from echocast import fields
from echocast.errors import DataError, UnreadableFile, WrongUnits
from echocast.fields.times import NO_TIME
from echocast.io import quantities


def temperatures(path: Path, hours: list[int], units: str = "degC", **more: np.ndarray) -> Path:
    """A file of two rows and three columns; the value is the hour."""
    values = np.broadcast_to(np.array(hours, np.float32)[:, None, None], (len(hours), 2, 3))
    data = xr.Dataset(
        {"t2m": (("time", "lat", "lon"), values, {"standard_name": "air_temperature", "units": units})}
        | {name: (("time", "lat", "lon"), one, {"units": "m s-1"}) for name, one in more.items()},
        {
            "time": (
                "time",
                np.array(hours, float),
                {"units": "hours since 2024-06-01"},
            ),
            "lat": ("lat", [51.0, 50.0], {"units": "degrees_north"}),
            "lon": ("lon", [5.0, 6.0, 7.0], {"units": "degrees_east"}),
        },
    )
    data.to_netcdf(path, engine="h5netcdf")
    return path


def test_several_files_are_one_field_in_the_unit_of_its_quantity(tmp_path: Path) -> None:
    paths = [temperatures(tmp_path / "b.nc", [3, 4]), temperatures(tmp_path / "a.nc", [0, 1])]
    made = quantities.read(paths, "air_temperature")
    assert (made.name, made.attrs["units"], made.shape) == ("air_temperature", "K", (4, 2, 3))
    np.testing.assert_allclose(made.values[:, 0, 0], np.array([0, 1, 3, 4]) + 273.15, rtol=1e-6)
    assert made.time.values[2] == np.datetime64("2024-06-01T03:00", "ns")
    with pytest.raises(DataError, match="two files hold air_temperature of 2024-06-01T01"):
        quantities.read([*paths, temperatures(tmp_path / "c.nc", [1])], "air_temperature")


def test_the_variable_is_that_of_its_standard_name_or_the_only_one(tmp_path: Path) -> None:
    wind = np.ones((1, 2, 3), np.float32)
    path = temperatures(tmp_path / "a.nc", [0], gust=wind, mean=2 * wind)
    assert quantities.read([path], "air_temperature").max() == pytest.approx(273.15)
    with pytest.raises(UnreadableFile, match=r"a.nc: holds several variables that may be wind_speed .*name one"):
        quantities.read([path], "wind_speed")
    assert quantities.read([path], "wind_speed", variable="mean").max() == 2.0
    with pytest.raises(UnreadableFile, match="has no variable 'u10'; it holds t2m"):
        quantities.read([path], "wind_speed", variable="u10")


def test_units_that_are_none_of_a_quantity_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUnits, match="'t2m' is in 'mm', which is no unit of air_temperature; it may be: "):
        quantities.read([temperatures(tmp_path / "a.nc", [0], units="mm")], "air_temperature")
    with pytest.raises(DataError, match="quantity 'temperature': did you mean 'air_temperature'"):
        quantities.read([tmp_path / "a.nc"], "temperature")


def test_a_geotiff_of_heights(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    heights = np.array([[10, -9999], [30, 40]], np.int16)
    with rasterio.open(
        tmp_path / "dem.tif", "w", driver="GTiff", width=2, height=2, count=1, dtype="int16", nodata=-9999,
        crs="EPSG:3035", transform=rasterio.transform.from_origin(4e6, 3e6, 1000.0, 1000.0),
    ) as file:  # fmt: skip
        file.write(heights, 1)
    with pytest.raises(WrongUnits, match=r"dem.tif: band 1 has no unit; give that of its numbers, such as units = 'm'"):
        quantities.read([tmp_path / "dem.tif"], "surface_altitude")
    made = quantities.read([tmp_path / "dem.tif"], "surface_altitude", units="m")
    assert made.time.values[0] == NO_TIME
    assert made.values[0].ravel().tolist()[::2] == [10.0, 30.0]
    assert np.isnan(made.values[0, 0, 1])
    assert (made.x.values.tolist(), made.y.values.tolist()) == ([4000500.0, 4001500.0], [2999500.0, 2998500.0])
    assert fields.crs(made).to_epsg() == 3035


@pytest.mark.data
def test_a_parameter_of_grib_is_found_by_its_quantity(data_kit: Path) -> None:
    path = data_kit / "nwp" / "arpege_P_sea_level_NW_20180501000000.grib"
    made = quantities.read([path], "air_pressure")
    assert (made.name, made.sizes["time"]) == ("air_pressure", 25)
    assert 95_000 < float(made.mean()) < 105_000
    with pytest.raises(UnreadableFile, match="holds nothing that may be wind_speed, of: "):
        quantities.read([path], "wind_speed")
