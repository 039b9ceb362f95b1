"""What the readers of ODIM, GRIB, RADOLAN, GeoTIFF, MeteoNet, NWC SAF, Zarr and pictures make of known numbers."""

import gzip
import io
import pickle
import sys
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio
import xarray as xr
from PIL import Image
from tests import example_files

from echocast import fields
from echocast.errors import DataError, MissingDependency, UnreadableFile
from echocast.io import reading

FIVE = np.timedelta64(5, "m")


def test_odim_nodata_undetect_gain_and_offset(tmp_path: Path) -> None:
    rain = reading.read(example_files.odim(tmp_path)).values[0]
    # 124 is 30 dBZ, Z = 1000 = 200 R^1.6, so R = 5^(1 / 1.6) = 2.734; 100 is 18 dBZ, 0.486; 64 is 0 dBZ, dry
    np.testing.assert_allclose(rain, [[0.0, 2.734, np.nan], [0.4862, 0.0, 0.0]], rtol=1e-3)


def test_odim_takes_the_files_own_relation_and_the_asked_one_before_it(tmp_path: Path) -> None:
    path = example_files.odim(tmp_path, how={"zr_a": 300.0, "zr_b": 1.4})
    field = reading.read(path)
    assert field.attrs["zr"] == "Z = 300 R^1.4 (the file's own)"
    assert field.values[0, 0, 1] == pytest.approx((1000 / 300) ** (1 / 1.4), rel=1e-4)
    asked = reading.read(path, reading.ReadOptions(zr=fields.zr_relation("200,1.6")))
    assert asked.values[0, 0, 1] == pytest.approx(2.734, rel=1e-3)


def test_odim_amounts_are_divided_by_their_interval_and_have_its_end(tmp_path: Path) -> None:
    field = reading.read(example_files.odim(tmp_path, quantity="ACRR"))
    assert field.values[0, 0, 1] == pytest.approx(30.0 * 4)  # 30 mm in 15 minutes
    assert field.time.values[0] == example_files.TIME


def test_odim_quality_masks_and_what_is_no_rain_is_named(tmp_path: Path) -> None:
    quality = np.array([[1.0, 0.4, 1.0], [0.6, 1.0, 0.0]])
    path = example_files.odim(tmp_path, quality=quality)
    masked = reading.read(path, reading.ReadOptions(min_quality=0.5)).values[0]
    np.testing.assert_array_equal(np.isnan(masked), [[False, True, True], [False, False, True]])
    with pytest.raises(UnreadableFile, match=r"holds no rain .*dataset2/data1 QIND"):
        reading.read(path, reading.ReadOptions(variable="QIND"))
    with pytest.raises(UnreadableFile, match="holds no 'VRADH'; it holds dataset1/data1 DBZH"):
        reading.read(path, reading.ReadOptions(variable="VRADH"))


def test_odim_several_times_in_a_file_are_frames_and_doubles_are_refused(tmp_path: Path) -> None:
    path = example_files.odim(tmp_path)
    with h5py.File(path, "r+") as file:
        file.copy("dataset1", "dataset2")
        file["dataset2/what"].attrs["endtime"] = np.bytes_("145000")
    assert [str(t)[11:16] for t in reading.read(path).time.values] == ["14:45", "14:50"]
    with h5py.File(path, "r+") as file:
        file["dataset2/what"].attrs["endtime"] = np.bytes_("144500")
    with pytest.raises(UnreadableFile, match="more than once for the same time"):
        reading.read(path)
    assert reading.read(path, reading.ReadOptions(variable="dataset2/data1")).sizes["time"] == 1


def test_odim_a_volume_is_refused_by_name(tmp_path: Path) -> None:
    path = example_files.odim(tmp_path)
    with h5py.File(path, "r+") as file:
        file["what"].attrs["object"] = np.bytes_("PVOL")
    with pytest.raises(UnreadableFile, match="is a PVOL of ODIM_H5, not a composite"):
        reading.read(path)


def test_grib_of_mrms(tmp_path: Path) -> None:
    field = reading.read(example_files.grib(tmp_path))
    np.testing.assert_allclose(field.values[0], [[0.0, 2.5, np.nan], [10.0, 0.0, 0.5]], atol=2e-3)
    np.testing.assert_allclose(field.x.values, [-100.0, -99.99, -99.98])
    np.testing.assert_allclose(field.y.values, [45.0, 44.99])


def test_grib_with_several_messages_is_several_frames(tmp_path: Path) -> None:
    first, second = example_files.grib(tmp_path), example_files.grib(tmp_path, time=example_files.TIME + FIVE)
    both = tmp_path / "both.grib2"
    both.write_bytes(second.read_bytes() + first.read_bytes())
    np.testing.assert_array_equal(reading.read(both).time.values, [example_files.TIME, example_files.TIME + FIVE])
    both.write_bytes(first.read_bytes() + b"rubbish")
    with pytest.raises(UnreadableFile, match="7 bytes that are no message"):
        reading.read(both)


def test_radolan_flags_precision_and_interval(tmp_path: Path) -> None:
    rain = reading.read(example_files.radolan(tmp_path)).values[0]
    # hundredths of a millimetre in 5 minutes: 25 is 3 mm/h, 7 is 0.84; the file begins in the south west
    np.testing.assert_allclose(rain[-1, :3], [0.0, 3.0, np.nan], rtol=1e-6)
    np.testing.assert_allclose(rain[-2, :3], [0.84, np.nan, 0.0], rtol=1e-6)
    hourly = reading.read(example_files.radolan(tmp_path, product="RW")).values[0]
    assert hourly[-1, 1] == pytest.approx(2.5)  # tenths of a millimetre in an hour
    daily = reading.read(example_files.radolan(tmp_path, product="SF")).values[0]
    assert daily[-1, 1] == pytest.approx(2.5 / 24)


def test_radolan_reflectivity(tmp_path: Path) -> None:
    level = np.array([[0, 125, 249, 250]], np.uint8)
    rain = reading.read(example_files.radolan(tmp_path, level=level, product="RX")).values[0, -1, :4]
    np.testing.assert_allclose(rain, [0.0, 2.734, np.nan, np.nan], rtol=1e-3)  # 125 / 2 - 32.5 = 30 dBZ


@pytest.mark.parametrize("form", ["w", "w:gz", "w:bz2"])
def test_radolan_a_tar_is_its_observations(form: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    path = tmp_path / f"RY.tar{form[1:].replace(':', '.')}"
    with tarfile.open(path, form) as tar:
        for n in range(2):
            tar.add(example_files.radolan(inside, time=example_files.TIME + n * FIVE), arcname=f"raa01-ry_{n}")
        tar.add(example_files.radolan(inside, product="RV", lead=15), arcname="raa01-rv_15")
    field = reading.read(path)
    np.testing.assert_array_equal(field.time.values, [example_files.TIME, example_files.TIME + FIVE])
    assert sorted(tmp_path.iterdir()) == sorted([inside, path])


def test_radolan_a_tar_with_wicked_names_writes_nothing(tmp_path: Path) -> None:
    content = gzip.decompress(example_files.radolan(tmp_path).read_bytes())
    box = tmp_path / "box"
    box.mkdir()
    path = box / "RY.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("../../outside", "/tmp/outside", "raa01-ry"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("raa01-link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    assert reading.read(path, "radolan").sizes["time"] == 1
    assert [p.name for p in box.iterdir()] == ["RY.tar"]


def test_radolan_a_forecast_alone_and_an_unknown_grid_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="only forecasts"):
        reading.read(example_files.radolan(tmp_path, product="RV", lead=15))
    path = example_files.radolan(tmp_path)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"GP 900x 900", b"GP 810x1000")))
    with pytest.raises(UnreadableFile, match="grid of 810 x 1000 is none of DWD's"):
        reading.read(path)


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "raa01-ry_10000-2001011510-dwd---bin.gz"
    head = gzip.decompress(example_files.radolan(tmp_path).read_bytes())[:200]
    with gzip.open(path, "wb", 1) as file:
        file.write(head)
        for _ in range(300):
            file.write(bytes(2**20))
    with pytest.raises(UnreadableFile, match="unpacks to more than"):
        reading.read(path)


def test_geotiff_with_fmis_tags(tmp_path: Path) -> None:
    field = reading.read(example_files.geotiff(tmp_path))
    # FMI's own relation, as in its PGM: 124 is 30 dBZ, (1000 / 223)^(1 / 1.53) = 2.667
    np.testing.assert_allclose(field.values[0], [[0.0, 2.6665, np.nan], [0.0, 0.4382, 0.0]], rtol=1e-3)
    assert field.attrs["zr"] == "Z = 223 R^1.53 (FMI)"
    assert (field.x.values[0], field.y.values[0]) == (50_500.0, 7_799_500.0)
    assert "TM35FIN" in fields.crs(field).name


def written(path: Path, bands: int = 1, **profile: object) -> Path:
    from rasterio.transform import from_origin

    options = {
        "driver": "GTiff",
        "dtype": "float32",
        "height": 2,
        "width": 3,
        "count": bands,
        "crs": "EPSG:3067",
    } | profile
    with rasterio.open(path, "w", transform=from_origin(0, 0, 1000, 1000), **options) as file:
        for band in range(1, bands + 1):
            file.write(np.full((2, 3), band, np.float32), band)
            file.update_tags(band, time=f"2016-09-28T14:{40 + 5 * band}")
    return path


def test_geotiff_bands_are_times(tmp_path: Path) -> None:
    path = written(tmp_path / "rain.tif", 2)
    with pytest.raises(UnreadableFile, match="does not say its unit; give it with --units"):
        reading.read(path)
    field = reading.read(path, reading.ReadOptions(units="mm/h"))
    assert field.values[:, 0, 0].tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(field.time.values, [example_files.TIME, example_files.TIME + FIVE])
    assert reading.read(path, reading.ReadOptions(units="mm/h", variable="2")).values.max() == 2.0
    with pytest.raises(UnreadableFile, match="its bands are 1 to 2"):
        reading.read(path, reading.ReadOptions(units="mm/h", variable="3"))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_geotiff_without_time_or_place_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "rain.tif")
    with rasterio.open(path, "r+") as file:
        file.update_tags(1, time="")
    with pytest.raises(UnreadableFile, match="tells no time; name the file like"):
        reading.read(path, reading.ReadOptions(units="mm/h"))
    named = path.rename(tmp_path / "20160928_1445_rain.tif")
    assert reading.read(named, reading.ReadOptions(units="mm/h")).time.values[0] == example_files.TIME
    with pytest.raises(UnreadableFile, match="does not say where it lies"):
        reading.read(written(tmp_path / "nowhere.tif", crs=None), reading.ReadOptions(units="mm/h"))


def test_meteonet_hundredths_in_five_minutes(tmp_path: Path) -> None:
    field = reading.read(example_files.meteonet(tmp_path))
    np.testing.assert_allclose(field.values[0], [[0.0, 3.0, np.nan], [12.0, 0.0, 0.36]], rtol=1e-6)
    np.testing.assert_allclose(field.y.values, [51.9, 51.89])
    (tmp_path / "radar_coords_NW.npz").unlink()
    with pytest.raises(UnreadableFile, match=r"its coordinates, radar_coords_NW\.npz, must lie beside it"):
        reading.read(next(tmp_path.glob("rainfall*")))


class Wicked:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_meteonet_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    example_files.meteonet(tmp_path)
    path, mark = tmp_path / "rainfall_NW_wicked.npz", tmp_path / "mark"
    np.savez(path, data=np.zeros((1, 2, 3), np.int16), dates=np.array([Wicked(mark)], object))
    with pytest.raises(UnreadableFile, match="0 dates for data"):
        reading.read(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Wicked(mark)))  # so the trap does work
    assert mark.exists()


def test_nwcsaf_scale_and_range(tmp_path: Path) -> None:
    field = reading.read(example_files.nwcsaf(tmp_path))
    np.testing.assert_allclose(field.values[0], [[0.0, 2.5, np.nan], [0.7, 0.0, 0.3]], rtol=1e-5)
    assert reading.recognise(example_files.nwcsaf(tmp_path)) == "nwcsaf", "before the general reader of NetCDF"


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_of_both_versions(version: int, tmp_path: Path) -> None:
    field = reading.read(example_files.zarr(tmp_path, version=version))
    np.testing.assert_array_equal(field.values, example_files.blob(2))


def test_zarr_comes_a_stretch_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from echocast.readers import zarr

    monkeypatch.setattr(zarr, "_STRETCH_BYTES", 3 * 4 * 20 * 24)
    path = example_files.zarr(tmp_path, rain=example_files.blob(7))
    found = list(reading.pieces(path))
    assert [piece.sizes["time"] for piece in found] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([piece.values for piece in found]), example_files.blob(7))


def test_pictures_by_scale_and_by_palette(tmp_path: Path) -> None:
    field = reading.read(example_files.images(tmp_path))
    np.testing.assert_allclose(field.values[0], [[0.0, 2.734, np.nan], [0.0, 0.4862, 0.0]], rtol=1e-3)
    note = tmp_path / "images.toml"
    kept = note.read_text().partition("gain")[0].replace("dBZ", "mm/h")
    grid = '[grid]\ncrs = "EPSG:3067"\nleft = 0.0\ntop = 0.0\ncell = 1000.0\n'
    note.write_text(
        f'{kept}palette = [{{ color = "#0000ff", value = 1.5 }}]\nnodata = ["#808080"]\ndry = ["#ffffff"]\n{grid}'
    )
    path = next(tmp_path.glob("*.png"))
    colours = np.array([[[0, 0, 255], [128, 128, 128], [255, 255, 255]]], np.uint8)
    Image.fromarray(colours).save(path)
    np.testing.assert_array_equal(reading.read(path).values[0], [[1.5, np.nan, 0.0]])
    colours[0, 0] = (255, 0, 0)
    Image.fromarray(colours).save(path)
    with pytest.raises(UnreadableFile, match=r"colours that images\.toml does not name: #ff0000"):
        reading.read(path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('units = "dBZ"', 'units = "stones"', "unit 'stones' is not known"),
        ("gain = 0.5\n", "", "needs either gain"),
        ("cell = 1000.0", "cell = -1.0", "grid.cell: Input should be greater than 0"),
        ('crs = "EPSG:3067"', 'crs = "EPQG:3067"', "cannot be read"),
        ('pattern = "radar_%Y%m%d_%H%M.png"', 'pattern = "%Y.png"', "its name is not as images.toml says"),
        ("left = 50000.0", "left = 50000.0\nleftt = 1.0", "grid.leftt: Extra inputs"),
    ],
)
def test_pictures_with_a_wrong_note_say_what_is_wrong(old: str, new: str, why: str, tmp_path: Path) -> None:
    path = example_files.images(tmp_path)
    note = tmp_path / "images.toml"
    note.write_text(note.read_text().replace(old, new))
    with pytest.raises(DataError, match=why):
        reading.read(path)


def test_pictures_as_arrays(tmp_path: Path) -> None:
    example_files.images(tmp_path)
    note = tmp_path / "images.toml"
    note.write_text(note.read_text().replace(".png", ".npy"))
    np.save(tmp_path / "radar_20160928_1445.npy", np.array([[124, 255]], np.uint16))
    np.testing.assert_allclose(
        reading.read(tmp_path / "radar_20160928_1445.npy").values[0], [[2.734, np.nan]], rtol=1e-3
    )
    np.save(tmp_path / "radar_20160928_1445.npy", np.array([None, 1], object))
    with pytest.raises(UnreadableFile, match=r"cannot be read as images .*Python objects"):
        reading.read(tmp_path / "radar_20160928_1445.npy")


def test_netcdf_comes_a_stretch_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from echocast.readers import netcdf

    monkeypatch.setattr(netcdf, "_STRETCH_BYTES", 3 * 4 * 20 * 24)
    path = example_files.netcdf(tmp_path, rain=example_files.blob(7))
    found = list(reading.pieces(path))
    assert [piece.sizes["time"] for piece in found] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([piece.values for piece in found]), example_files.blob(7))


def test_netcdf_by_name_and_unit(tmp_path: Path) -> None:
    made = example_files.field(example_files.blob(1)).to_dataset(name="thing").reset_coords("crs")
    made.thing.attrs = {"grid_mapping": "crs"}
    made.to_netcdf(tmp_path / "thing.nc", engine="h5netcdf")
    with pytest.raises(UnreadableFile, match=r"holds .*thing \[no unit\].*name one with --variable and --units"):
        reading.read(tmp_path / "thing.nc")
    field = reading.read(tmp_path / "thing.nc", reading.ReadOptions(variable="thing", units="mm/h"))
    np.testing.assert_array_equal(field.values, example_files.blob(1))
    with pytest.raises(UnreadableFile, match="has no variable 'thong'"):
        reading.read(tmp_path / "thing.nc", reading.ReadOptions(variable="thong"))


def test_netcdf_packed_numbers_are_decoded_as_xarray_does(tmp_path: Path) -> None:
    values = np.round(np.random.default_rng(0).gamma(0.5, 4.0, (3, 200, 200)), 1)
    values[:, :5] = np.nan
    made = example_files.field(values.astype(np.float32)).to_dataset().reset_coords("crs")
    packing = {"dtype": "int16", "scale_factor": 0.1, "add_offset": 1.0, "_FillValue": np.int16(-1)}
    made.to_netcdf(tmp_path / "packed.nc", engine="h5netcdf", encoding={"rainfall_rate": packing})
    with xr.open_dataset(tmp_path / "packed.nc", engine="h5netcdf") as data:
        np.testing.assert_allclose(
            reading.read(tmp_path / "packed.nc").values, data.rainfall_rate.values, rtol=1e-5, atol=1e-6
        )


def test_one_member_is_read_and_several_are_not(tmp_path: Path) -> None:
    made = example_files.field(example_files.blob(3)).to_dataset(name="precip_intensity").reset_coords("crs")
    made.precip_intensity.attrs |= {"units": "mm h-1", "long_name": "instantaneous precipitation rate"}
    del made.precip_intensity.attrs["standard_name"]
    one = made.copy()
    one["precip_intensity"] = made.precip_intensity.expand_dims(ens_number=[1])
    one.to_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    np.testing.assert_array_equal(reading.read(tmp_path / "one.nc").values, example_files.blob(3))
    many = made.copy()
    many["precip_intensity"] = made.precip_intensity.expand_dims(ens_number=[1, 2])
    many.to_netcdf(tmp_path / "many.nc", engine="h5netcdf")
    with pytest.raises(UnreadableFile, match="ens_number"):
        reading.read(tmp_path / "many.nc")


def test_relations_by_name_and_number() -> None:
    assert str(fields.zr_relation("wsr-88d")) == "Z = 300 R^1.4 (WSR-88D, convective)"
    assert fields.zr_relation("58.53,1.56").a == 58.53
    for wrong in ("", "200", "a,b", "-1,2", "200,1.6,3"):
        with pytest.raises(DataError, match="is no Z-R relation; give a and b"):
            fields.zr_relation(wrong)


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("grib", "eccodes", "grib"), ("geotiff", "rasterio", "geotiff")]
)
def test_a_missing_package_is_named_with_its_extra(
    name: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = getattr(example_files, name)(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=rf"{package} is not installed.*echocast\[{extra}\]"):
        reading.read(path)


@pytest.mark.filterwarnings("ignore")  # pysteps' own
def test_a_forecast_that_pysteps_exports_is_no_observation(tmp_path: Path) -> None:
    exporters = pytest.importorskip("pysteps.io.exporters", reason="pysteps is not installed (extra pysteps)")
    crs = "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=10 +a=6378137 +b=6356752 +x_0=0 +y_0=0 +units=m"
    about = {"x1": 0.0, "x2": 24000.0, "y1": -20000.0, "y2": 0.0, "projection": crs, "cartesian_unit": "m"}
    about |= {"yorigin": "upper", "unit": "mm/h", "xpixelsize": 1000.0, "ypixelsize": 1000.0, "institution": "someone"}
    start = example_files.TIME.astype("datetime64[s]").item()
    exporter = exporters.initialize_forecast_exporter_netcdf(
        str(tmp_path), "forecast", start, 5, 3, (20, 24), about, n_ens_members=1, incremental=None
    )
    exporters.export_forecast_dataset(example_files.blob(3), exporter)
    exporters.close_forecast_files(exporter)
    with pytest.raises(UnreadableFile, match="is a forecast, not an observation"):
        reading.read(tmp_path / "forecast.nc")
