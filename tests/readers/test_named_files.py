"""GeoTIFF, pictures, MeteoSwiss and FMI: what stands in tags and names, what is hidden, what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin
from tests import example_files

from echocast.errors import DataError, GridMismatch, UnreadableFile
from echocast.io import reading
from echocast.io.reading import ReadOptions

RATE = np.array([[0.0, 5.0, 2.0]], np.float32)


def tiff(path: Path, values: np.ndarray = RATE, *, mask: np.ndarray | None = None, **tags: str) -> Path:
    profile: dict[str, Any] = {"driver": "GTiff", "dtype": values.dtype, "count": 1, "crs": "EPSG:3067"}
    profile |= {"height": values.shape[0], "width": values.shape[1], "transform": from_origin(3e5, 7e6, 1000, 1000)}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", **profile) as file:
        file.write(values, 1)
        file.update_tags(**({"units": "mm/h"} | tags))
        if mask is not None:
            file.write_mask(mask)
    return path


def test_when_a_geotiff_was_made_comes_after_the_time_in_its_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = {"TIFFTAG_DATETIME": "2016:09:29 08:00:00"}
    assert reading.read(tiff(tmp_path / "201609281445.tif", **made)).time.values[0] == example_files.TIME
    field = reading.read(tiff(tmp_path / "rain.tif", **made))
    assert field.time.values[0] == np.datetime64("2016-09-29T08:00")
    assert "when the file was made" in caplog.text
    local = tiff(tmp_path / "x.tif", time="2016-09-28T16:45:00+0200", **made)
    assert reading.read(local).time.values[0] == example_files.TIME


def test_two_stamps_in_the_name_of_a_geotiff_need_a_pattern(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a_201609281445_b_201609281500.tif")
    with pytest.raises(UnreadableFile, match=r"two different times.*--time-pattern"):
        reading.read(path)
    options = ReadOptions(time_pattern="a_%Y%m%d%H%M_b_*.tif")
    assert reading.read(path, options).time.values[0] == example_files.TIME
    assert reading.newest([path], 1, options=options)[1] == [path]


def test_what_the_mask_of_a_geotiff_hides_is_missing(tmp_path: Path) -> None:
    path = tiff(tmp_path / "201609281445.tif", mask=np.array([[True, True, False]]))
    np.testing.assert_array_equal(reading.read(path).values[0], [[0.0, 5.0, np.nan]])


@pytest.mark.parametrize(("units", "number"), [("dBZ", -9999.0), ("dBZ", -32768.0), ("mm/h", -1.0), ("mm/h", 9.97e36)])
def test_a_number_that_can_hardly_be_rain_needs_to_be_declared(units: str, number: float, tmp_path: Path) -> None:
    path = tiff(tmp_path / "201609281445.tif", np.array([[0.0, 30.0, number]], np.float32), units=units)
    with pytest.raises(DataError, match=r"in 1 cells, which can hardly be .*--missing-value"):
        reading.read(path)
    rain = reading.read(path, ReadOptions(missing_value=(float(np.float32(number)),))).values[0, 0]
    assert np.isnan(rain).tolist() == [False, False, True]
    assert reading.read(path, ReadOptions(missing_value=(float("nan"),))).values[0, 0, 2] in (0.0, 300.0)


@pytest.mark.parametrize("quantity", ["Echo top", "Hydrometeor class", "Differential reflectivity", "Rain type"])
def test_a_geotiff_of_something_else_is_refused(quantity: str, tmp_path: Path) -> None:
    path = tiff(tmp_path / "201609281445.tif", quantity=quantity)
    with pytest.raises(UnreadableFile, match=rf"says {quantity!r}, which is not known to be rain; --variable 1"):
        reading.read(path)
    np.testing.assert_array_equal(reading.read(path, ReadOptions(variable="1")).values[0], RATE)


def picture(folder: Path, *, above: str = "", pattern: str = "radar_%Y%m%d_%H%M.png", more: str = "") -> Path:
    """An images.toml of mm/h (a tenth of the grey), and where its picture goes."""
    (folder / "images.toml").write_text(
        f'pattern = "{pattern}"\nunits = "mm/h"\ngain = 0.1\nnodata = [255]\n{more}'
        '[grid]\ncrs = "EPSG:3067"\nleft = 3e5\ntop = 7e6\ncell = 1000.0\n'
    )
    path = folder / above / f"{example_files.TIME.astype('datetime64[s]').item():{pattern.rpartition('/')[2]}}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def indexed() -> Image.Image:
    """Greys 0, 100, 255 by the indices 2, 0, 1."""
    made = Image.new("P", (3, 1))
    made.putpalette([100, 100, 100, 255, 255, 255, 0, 0, 0])
    made.putdata([2, 0, 1])
    return made


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_a_grey_picture_with_a_palette_is_read_by_its_greys(ending: str, tmp_path: Path) -> None:
    path = picture(tmp_path, pattern=f"radar_%Y%m%d_%H%M.{ending}")
    indexed().save(path)
    np.testing.assert_allclose(reading.read(path).values[0], [[0.0, 10.0, np.nan]])
    picture(tmp_path, pattern=f"radar_%Y%m%d_%H%M.{ending}", more='pixel = "index"\n')
    assert reading.read(path).values.max() <= 0.3


def test_pixels_of_16_bits_of_1_bit_and_transparent_ones(tmp_path: Path) -> None:
    path = picture(tmp_path)
    Image.fromarray(np.array([[0, 100, 1000]], np.uint16)).save(path)
    np.testing.assert_allclose(reading.read(path).values[0], [[0.0, 10.0, 100.0]])
    Image.fromarray(np.array([[0, 100, 255]], np.uint8)).convert("1", dither=Image.Dither.NONE).save(path)
    np.testing.assert_allclose(reading.read(path).values[0], [[0.0, 0.0, np.nan]])
    Image.fromarray(np.array([[[0, 255], [100, 255], [50, 0]]], np.uint8)).save(path)
    np.testing.assert_allclose(reading.read(path).values[0], [[0.0, 10.0, np.nan]])


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_an_animation_is_refused(ending: str, tmp_path: Path) -> None:
    path = picture(tmp_path, pattern=f"radar_%Y%m%d_%H%M.{ending}")
    indexed().save(path, save_all=True, append_images=[Image.new("L", (3, 1), 50)])
    with pytest.raises(UnreadableFile, match=r"is an animation of 2 pictures.*save each as a file"):
        reading.read(path)


@pytest.mark.parametrize("pattern", ["radar_%Y%m%d_%H%M.png", "%Y/%m/%d/%H%M.png", "%Y/%m/%d/%Y%m%d%H%M.png"])
def test_images_toml_may_lie_above_day_folders(pattern: str, tmp_path: Path) -> None:
    path = picture(tmp_path, above="2016/09/28", pattern=pattern)
    Image.fromarray(np.array([[0, 100, 255]], np.uint8)).save(path)
    for given in (tmp_path, tmp_path / "2016" / "09"):
        assert reading.find([given]) == [path]
    assert reading.read(path).time.values[0] == example_files.TIME


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("LZC162721445F_00005.801.gif", r"is of product LZC; known are AQC"),
        ("AQC162721445F.801.gif", "no interval.*--interval"),
        ("AQC162721445_AQC162721500_00005.gif", "different times.*--time-pattern"),
    ],
)
def test_meteoswiss_product_interval_and_time_are_proved(name: str, why: str, tmp_path: Path) -> None:
    path = example_files.mch_gif(tmp_path)
    hour = reading.read(path.rename(tmp_path / "AQC162721445F_00060.801.gif"))
    assert hour.values[0, 0, 0] == pytest.approx((10 ** ((72 - 71.5) / 20) / 316) ** (2 / 3), rel=1e-4)
    with pytest.raises(UnreadableFile, match=why):
        reading.read((tmp_path / "AQC162721445F_00060.801.gif").rename(tmp_path / name))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("LOWEST", "ETOP_20", "its productname is 'ETOP_20'.*--variable ETOP_20"),
        ("LOWEST", "LOWEST\n# param HydrometeorClass", "its param is 'HydrometeorClass'"),
        ("LOWEST", "LOWEST\n# metersperpixel_x 500", "cells of .* its metersperpixel_x says 500"),
    ],
)
def test_fmi_product_and_corners_are_proved(old: str, new: str, why: str, tmp_path: Path) -> None:
    path = example_files.fmi_pgm(tmp_path, packed=False)
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    with pytest.raises((UnreadableFile, GridMismatch), match=why):
        reading.read(path)
