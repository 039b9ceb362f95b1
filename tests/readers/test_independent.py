"""Each reader against another project's reading of the same real file, pixel by pixel."""

import gzip
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyproj
import pytest
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io import reading
from echocast.readers import radolan

DATA = Path(os.environ.get("ECHOCAST_DATA", "nowhere"))

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="ECHOCAST_DATA is not set: the real radar files are not here"),
    pytest.mark.filterwarnings("ignore"),  # other projects' warnings are theirs
]


def first(pattern: str) -> Path:
    return sorted(DATA.glob(pattern))[0]


def pysteps_importer(name: str) -> Callable[..., Any]:
    importers = pytest.importorskip("pysteps.io.importers", reason="pysteps is not installed (extra pysteps)")
    found: Callable[..., Any] = getattr(importers, name)
    return found


def raster(path: Path | str) -> Any:
    return pytest.importorskip("rasterio").open(path)


def same(ours: np.ndarray, theirs: np.ndarray, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Equal where both are numbers, and missing in the same cells."""
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def test_opera_rate_is_that_of_pysteps() -> None:
    path = first("opera/20180824/*.hdf")
    theirs, quality, about = pysteps_importer("import_opera_hdf5")(str(path))
    field = reading.read(path, reading.ReadOptions(max_rate=1e9))
    same(field.values[0], theirs)
    corner = pyproj.Transformer.from_crs("EPSG:4326", about["projection"], always_xy=True)
    x, y = corner.transform(-39.5357864125034, 67.0228327624372)
    assert (float(field.x[0]) - 1000, float(field.y[0]) + 1000) == pytest.approx((x, y), abs=1)
    masked = reading.read(path, reading.ReadOptions(max_rate=1e9, min_quality=0.5))
    low = np.isfinite(field.values[0]) & ~(quality >= 0.5)
    np.testing.assert_array_equal(np.isnan(masked.values[0]), np.isnan(field.values[0]) | low)
    assert low.any()


@pytest.mark.parametrize(("product", "quantity"), [("PAAH22", "RATE"), ("PASH22", "ACRR"), ("PABV21", "DBZH")])
def test_opera_of_2024_is_that_of_gdal(product: str, quantity: str) -> None:
    path = first(f"opera/20241126/*{product}*")
    field = reading.read(path, reading.ReadOptions(max_rate=1e9))
    with raster(f'HDF5:"{path}"://dataset1/data1/data') as file:
        raw = file.read(1)
    theirs = np.where(raw == -8888000.0, -32.0 if quantity == "DBZH" else 0.0, raw)
    theirs = np.where(raw == -9999000.0, np.nan, theirs)
    if quantity == "DBZH":
        theirs = np.where(theirs <= 0, 0.0, (10 ** (theirs / 10) / 200) ** (1 / 1.6))
    same(field.values[0], theirs.astype(np.float32), rtol=1e-5)
    assert field.time.values[0] == np.datetime64(f"2024-11-26T{path.stem[-6:-4]}:{path.stem[-4:-2]}:{path.stem[-2:]}")


def test_opera_by_wradlib_has_the_same_numbers() -> None:
    wradlib = pytest.importorskip("wradlib")
    path = first("opera/20241126/*PABV21*")
    content = wradlib.io.read_opera_hdf5(str(path))
    raw = content["dataset1/data1/data"]
    field = reading.read(path)
    seen = np.isfinite(field.values[0])
    np.testing.assert_array_equal(seen, raw != -9999000.0)
    wet = field.values[0] > 0
    np.testing.assert_allclose(fields.reflectivity(field.values[0][wet])[:1000], raw[wet][:1000], atol=1e-3)


def test_mrms_is_that_of_gdal() -> None:
    path = first("mrms/*/*.grib2")
    field = reading.read(path)
    with raster(path) as file:
        theirs = file.read(1)
        bounds = file.bounds
    same(field.values[0], np.where(theirs < 0, np.nan, theirs).astype(np.float32))
    left, top = float(field.x[0]) - 0.005, float(field.y[0]) + 0.005
    west = bounds.left - 360 if bounds.left > 180 else bounds.left
    assert (left, top) == pytest.approx((west, bounds.top), abs=1e-4)
    assert field.time.values[0] == np.datetime64("2019-06-10T00:00")


def test_mrms_packed_is_the_same(tmp_path: Path) -> None:
    path = first("mrms/*/*.grib2")
    packed = tmp_path / f"{path.name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    xr.testing.assert_identical(reading.read(packed), reading.read(path))


@pytest.mark.parametrize("pattern", ["ry/*1510*", "rw/*1811220750*", "products/*rw*", "products/*sf*", "products/*rx*"])
def test_radolan_is_that_of_wradlib(pattern: str) -> None:
    wradlib = pytest.importorskip("wradlib")
    path = first(f"radolan/{pattern}")
    field = reading.read(path)
    theirs, about = wradlib.io.read_radolan_composite(str(path), missing=-9999.0)
    theirs = np.where(theirs == -9999.0, np.nan, theirs)[::-1].astype(np.float64)
    clutter = np.zeros(theirs.size, bool)
    clutter[about.get("cluttermask", np.array([], int))] = True
    theirs[clutter.reshape(theirs.shape)[::-1]] = np.nan
    if about["producttype"] == "RX":
        theirs = theirs / 2 - 32.5  # wradlib gives the levels (RVP6) as they are
        theirs = np.where(theirs <= 0, 0.0, (10 ** (theirs / 10) / 200) ** (1 / 1.6))
    else:
        theirs = theirs * 3600.0 / about["intervalseconds"]
    same(field.values[0], theirs.astype(np.float32), rtol=1e-4)
    assert field.time.values[0] == np.datetime64(about["datetime"].replace(tzinfo=None), "ns")
    grid = wradlib.georef.get_radolan_grid(*theirs.shape)
    centres = grid[::-1] * 1000.0  # lower left corners of the cells, in km
    x, y = np.meshgrid(field.x.values, field.y.values)
    np.testing.assert_allclose(x, centres[..., 0] + 500, atol=0.01)
    np.testing.assert_allclose(y, centres[..., 1] + 500, atol=0.01)


@pytest.mark.parametrize("shape", [(900, 900), (1100, 900), (1500, 1400)])
def test_radolan_grids_are_those_of_wradlib(shape: tuple[int, int]) -> None:
    wradlib = pytest.importorskip("wradlib")
    _, y, x = radolan._grid(shape)
    corners = wradlib.georef.get_radolan_grid(*shape) * 1000.0
    np.testing.assert_allclose(x - 500, corners[0, :, 0], atol=0.01)
    np.testing.assert_allclose(y - 500, corners[::-1, 0, 1], atol=0.01)


def test_rv_lies_within_the_corners_that_dwd_gives() -> None:
    field = reading.read(first("radolan/products/*.tar.bz2"))
    to_grid = pyproj.Transformer.from_crs("EPSG:4326", fields.crs(field), always_xy=True)
    west, east = field.x.values[0] - 500, field.x.values[-1] + 500
    north, south = field.y.values[0] + 500, field.y.values[-1] - 500
    said = [
        (1.463301510, 55.86208711),
        (18.73161645, 55.84543856),
        (3.566994635, 45.69642538),
        (16.58086935, 45.68460578),
    ]
    for corner, edge in zip(said, [(west, north), (east, north), (west, south), (east, south)], strict=True):
        assert to_grid.transform(*corner) == pytest.approx(edge, abs=0.01)


def test_rv_is_the_first_member_of_its_tar() -> None:
    wradlib = pytest.importorskip("wradlib")
    path = first("radolan/products/*.tar.bz2")
    with tarfile.open(path) as tar:
        member = next(m for m in tar if m.name.endswith("_000"))
        stream = tar.extractfile(member)
        assert stream is not None
        theirs, _ = wradlib.io.read_radolan_composite(stream, missing=-9999.0)
    field = reading.read(path)
    theirs = np.where(theirs == -9999.0, np.nan, theirs)[::-1] * 12.0
    same(field.values[0], theirs.astype(np.float32), rtol=1e-4)
    assert field.time.values[0] == np.datetime64("2022-10-18T07:00")


def test_fmi_pgm_is_that_of_gdal_and_of_pysteps() -> None:
    path = first("fmi/20160928/*1445*.pgm.gz")
    field = reading.read(path)
    with raster(f"/vsigzip/{path}") as file:
        level = file.read(1)
    dbz = np.where(level == 255, np.nan, (level.astype(float) - 64) / 2)
    same(field.values[0], np.where(dbz <= 0, 0.0, (10 ** (dbz / 10) / 223) ** (1 / 1.53)).astype(np.float32))
    theirs, _, _ = pysteps_importer("import_fmi_pgm")(str(path), gzipped=True)
    same(dbz.astype(np.float32), np.asarray(theirs, np.float32))


def test_fmi_geotiff_is_that_of_gdal() -> None:
    path = first("fmi/geotiff/*1445*")
    field = reading.read(path)
    with raster(path) as file:
        level, bounds = file.read(1), file.bounds
    dbz = np.where(level == 255, np.nan, level.astype(float) / 2 - 32)
    dbz[level == 0] = -32
    same(field.values[0], np.where(dbz <= 0, 0.0, (10 ** (dbz / 10) / 223) ** (1 / 1.53)).astype(np.float32))
    assert (float(field.x[0]), float(field.y[0])) == pytest.approx((bounds.left + 125, bounds.top - 125), abs=0.1)


def test_knmi_is_that_of_pysteps() -> None:
    path = first("knmi/*/*0150*")
    theirs, _, _ = pysteps_importer("import_knmi_hdf5")(str(path), qty="ACRR", accutime=5.0, pixelsize=1.0)
    same(reading.read(path).values[0], (theirs * 12).astype(np.float32), atol=1e-4)


def test_meteoswiss_is_that_of_pysteps() -> None:
    path = first("mch/*/*1825*")
    theirs, _, about = pysteps_importer("import_mch_gif")(str(path), product="AQC", unit="mm", accutime=5)
    field = reading.read(path)
    ours = field.values[0] / 12
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert (float(field.x[0]) - 500, float(field.y[0]) + 500) == (about["x1"], about["y2"])


def test_bom_is_that_of_pysteps() -> None:
    path = first("bom/*/*124800*")
    theirs, _, about = pysteps_importer("import_bom_rf3")(str(path))
    field = reading.read(path)
    theirs = np.asarray(theirs) * 10  # mm in 6 minutes
    same(field.values[0], theirs.astype(np.float32), atol=1e-4)
    assert about["accutime"] == 6


def test_saf_is_that_of_pysteps() -> None:
    path = first("saf/*T070000Z.nc")
    theirs, _, about = pysteps_importer("import_saf_crri")(str(path))
    field = reading.read(path)
    same(field.values[0], np.asarray(theirs, np.float32), rtol=1e-5)
    assert float(field.x[0]) - 1500 == pytest.approx(about["x1"])


def test_meteonet_is_what_numpy_unpickles() -> None:
    path = first("meteonet/rainfall*")
    with np.load(path, allow_pickle=True) as whole:
        amount, dates = whole["data"], whole["dates"]
    field = reading.read(path)
    same(field.values, np.where(amount < 0, np.nan, amount * 0.12).astype(np.float32))
    np.testing.assert_array_equal(field.time.values, np.array([np.datetime64(d, "ns") for d in dates]))


@pytest.mark.parametrize(
    ("name", "variable", "factor"),
    [("openrainer_RAD.nc", "rainfall_amount", 4.0), ("openMRG*", "rainfall_amount", 1.0)],
)
def test_opensense_is_that_of_netcdf4(name: str, variable: str, factor: float) -> None:
    netcdf = pytest.importorskip("netCDF4")
    path = first(f"opensense/{name}")
    with netcdf.Dataset(path) as data:
        theirs = np.ma.filled(data[variable][:].astype(float), np.nan)
    options = reading.ReadOptions(units="mm/h") if factor == 1.0 else None
    same(reading.read(path, options).values, (theirs * factor).astype(np.float32))


def test_taasrad_is_that_of_netcdf4() -> None:
    netcdf = pytest.importorskip("netCDF4")
    path = first("taasrad19/test/*.nc")
    with netcdf.Dataset(path) as data:
        name = next(n for n, v in data.variables.items() if getattr(v, "units", "").lower() == "dbz")
        dbz = np.ma.filled(data[name][:].astype(float), np.nan)
    rate = np.where(dbz <= 0, 0.0, (10 ** (dbz / 10) / 200) ** (1 / 1.6))
    same(reading.read(path).values, rate.astype(np.float32))


def test_quality_is_named_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "copy.hdf"
    path.write_bytes(first("opera/20180824/*.hdf").read_bytes())
    with h5py.File(path, "r+") as file:
        del file["dataset2"]
    with pytest.raises(UnreadableFile, match=r"copy\.hdf.*no quality index"):
        reading.read(path, reading.ReadOptions(min_quality=0.5))
