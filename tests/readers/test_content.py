"""What the readers make of known pixels, and of real files."""

from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr
from tests import example_files

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io import reading


def test_fmi_levels_become_rain_by_fmis_relation(tmp_path: Path) -> None:
    level = np.array([[0, 64, 124], [255, 144, 65]], np.uint8)
    rain = reading.read(example_files.fmi_pgm(tmp_path, level=level)).values[0]
    # 30 dBZ is Z = 1000, so R = (1000 / 223)^(1 / 1.53) = 2.667; 40 dBZ gives 12.01
    np.testing.assert_allclose(rain[0], [0.0, 0.0, 2.667], rtol=1e-3)
    assert np.isnan(rain[1, 0])
    np.testing.assert_allclose(rain[1, 1], 12.01, rtol=1e-3)


def test_fmi_plain_and_packed_are_the_same(tmp_path: Path) -> None:
    packed = reading.read(example_files.fmi_pgm(tmp_path))
    plain = reading.read(example_files.fmi_pgm(tmp_path, packed=False))
    xr.testing.assert_identical(packed, plain)


def test_meteoswiss_palette_becomes_rain(tmp_path: Path) -> None:
    level = np.array([[0, 1, 150, 251, 255]], np.uint8)
    rain = reading.read(example_files.mch_gif(tmp_path, level=level)).values[0, 0, :5]
    # 10^((150 - 71.5) / 20) = 8414 = 316 A^1.5, so A = 8.917 mm in 5 minutes, 107.0 mm/h
    np.testing.assert_allclose(rain[:4], [0.0, 0.0, 107.0, 0.0], rtol=1e-3)
    assert np.isnan(rain[4])


def test_meteoswiss_needs_the_time_in_the_name(tmp_path: Path) -> None:
    path = example_files.mch_gif(tmp_path).rename(tmp_path / "rain.gif")
    with pytest.raises(UnreadableFile, match="tells no time"):
        reading.read(path)


def test_knmi_amounts_are_divided_by_their_interval(tmp_path: Path) -> None:
    rain = reading.read(example_files.knmi(tmp_path)).values[0]
    np.testing.assert_allclose(rain[0, :2], [0.0, 12.0], rtol=1e-6)  # 1.00 mm in 5 minutes
    assert np.isnan(rain[0, 2])


@pytest.mark.parametrize(
    ("units", "value", "rate"), [("mm h-1", 3.0, 3.0), ("dBZ", 30.0, 2.734), ("mm", 0.5, 6.0), ("kg m-2", 0.5, 6.0)]
)
def test_netcdf_units_become_mm_per_hour(units: str, value: float, rate: float, tmp_path: Path) -> None:
    made = example_files.field(np.full((2, 4, 5), value, np.float32))
    data = made.to_dataset(name="rain").reset_coords("crs")
    data["rain"].attrs = {"units": units, "grid_mapping": "crs"}
    data.to_netcdf(tmp_path / "rain.nc", engine="h5netcdf")
    np.testing.assert_allclose(reading.read(tmp_path / "rain.nc").values, rate, rtol=1e-3)


def test_netcdf_3_with_one_scalar_time_and_kilometres(tmp_path: Path) -> None:
    made = example_files.field(np.full((1, 4, 5), 2.0, np.float32))[0]
    data = made.to_dataset(name="rain").reset_coords("crs")
    data["crs"].attrs = {k: v for k, v in data["crs"].attrs.items() if isinstance(v, str | float)}
    data = data.assign_coords(
        x=("x", data.x.values / 1000, {"units": "km"}), y=("y", data.y.values / 1000, {"units": "km"})
    )
    data.to_netcdf(tmp_path / "rain.nc", engine="scipy")
    read = reading.read(tmp_path / "rain.nc")
    assert read.shape == (1, 4, 5)
    np.testing.assert_allclose(read.x.values, made.x.values)


def test_netcdf_without_georeference_is_refused(tmp_path: Path) -> None:
    data = example_files.field(example_files.blob(2)).to_dataset(name="rain").drop_vars("crs")
    del data["rain"].attrs["grid_mapping"]
    data.to_netcdf(tmp_path / "rain.nc", engine="h5netcdf")
    with pytest.raises(UnreadableFile, match="no grid mapping"):
        reading.read(tmp_path / "rain.nc")


def test_netcdf_of_something_else_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    data = example_files.field(example_files.blob(2)).to_dataset(name="wind").reset_coords("crs")
    data["wind"].attrs = {"units": "m s-1"}
    data.to_netcdf(tmp_path / "wind.nc", engine="h5netcdf")
    with pytest.raises(UnreadableFile, match=r"wind \[m s-1\]"):
        reading.read(tmp_path / "wind.nc")


@pytest.mark.data
def test_knmi_corners_are_where_the_file_says(data_kit: Path) -> None:
    field = reading.read(data_kit / "knmi/20100826/RAD_NL25_RAP_5min_201008260000.h5")
    to_degrees = pyproj.Transformer.from_crs(fields.crs(field), "EPSG:4326", always_xy=True)
    x, y = field.x.values, field.y.values
    lower_left = to_degrees.transform(x[0] - 500, y[-1] - 500)
    upper_right = to_degrees.transform(x[-1] + 500, y[0] + 500)
    np.testing.assert_allclose([*lower_left, *upper_right], [0.0, 49.362, 10.856, 55.389], atol=2e-3)


@pytest.mark.data
def test_fmi_lies_where_its_own_geotiff_lies(data_kit: Path) -> None:
    with rasterio.open(data_kit / "fmi/geotiff/201609281445_FINUTM.tif") as twin:
        levels, transform, crs = twin.read(1), twin.transform, twin.crs.to_wkt()
    name = "201609281445_fmi.radar.composite.lowest_FIN_SUOMI1.pgm.gz"
    field = reading.read(data_kit / "fmi/20160928" / name)
    to_twin = pyproj.Transformer.from_crs(fields.crs(field), crs, always_xy=True)
    east, north = to_twin.transform(*np.meshgrid(field.x.values, field.y.values))
    columns = np.floor((east - transform.c) / transform.a).astype(int)
    rows = np.floor((north - transform.f) / transform.e).astype(int)
    inside = (rows >= 0) & (rows < levels.shape[0]) & (columns >= 0) & (columns < levels.shape[1])
    level = levels[rows[inside], columns[inside]]
    dbz = np.where(level == 255, np.nan, (level.astype(np.float32) - 64) / 2)
    rain = fields.rain_rate(dbz, fields.ZR(223.0, 1.53, "FMI"))
    same = np.isclose(rain, field.values[0][inside], rtol=1e-5, equal_nan=True)
    # Nearest pixels of two different grids: most are the same, which a shift by one cell (0.80) would not reach.
    assert same.mean() > 0.9


@pytest.mark.data
def test_taasrad19_is_what_xarray_reads(data_kit: Path) -> None:
    path = data_kit / "taasrad19/train/run_00.nc"
    with xr.open_dataset(path) as data:
        dbz = data["reflectivity"].values
    expected = np.where(
        dbz > 0, (10 ** (dbz.astype(float) / 10) / 200) ** (1 / 1.6), np.where(np.isnan(dbz), np.nan, 0)
    )
    np.testing.assert_allclose(reading.read(path).values, expected, rtol=1e-5)
