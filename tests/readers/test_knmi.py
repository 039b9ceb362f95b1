"""KNMI's files of today: kilometres in every place, forecasts, reflectivity, images of other kinds."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests import example_files

from echocast import fields
from echocast.errors import GridMismatch, UnreadableFile, WrongUnits
from echocast.io import reading

PROJ4 = "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378137 +b=6356752 +x_0=0 +y_0=0"
IN_KM = PROJ4.replace("6378137", "6378.137").replace("6356752", "6356.752")
CORNERS = np.array([0.0, 49.362, 0.0, 55.974, 10.856, 55.389, 9.009, 48.895], np.float32)


def changed(folder: Path, attributes: dict[str, Any], **sample: Any) -> Path:
    """The sample with other attributes, by the paths of their groups: ``image1/image_geo_parameter``."""
    path = example_files.knmi(folder, **sample)
    with h5py.File(path, "r+") as file:
        for name, value in attributes.items():
            group, _, attribute = name.rpartition("/")
            file.require_group(group).attrs[attribute] = np.bytes_(value) if isinstance(value, str) else value
    return path


@pytest.mark.parametrize("proj4", [f"{PROJ4} +units=km", PROJ4, f"{PROJ4} +units=m", IN_KM, f"{IN_KM} +units=km"])
def test_amsterdam_is_in_holland(proj4: str, tmp_path: Path) -> None:
    amount = np.zeros((765, 700), np.uint16)
    amount[398, 343] = 100
    attributes = {"geographic/map_projection/projection_proj4_params": proj4, "geographic/geo_product_corners": CORNERS}
    field = reading.read(changed(tmp_path, attributes, amount=amount))
    row, column = np.argwhere(field.values[0] > 0)[0]
    longitude, latitude = (found[row, column] for found in fields.degrees(field))
    assert (longitude, latitude) == pytest.approx((4.85, 52.37), abs=0.02)
    assert fields.grid_km(field) == pytest.approx(1.0)


def test_metres_of_pixels_are_read_and_a_mixture_refused(tmp_path: Path) -> None:
    usual = reading.read(example_files.knmi(tmp_path))
    metres = {
        "geographic/geo_dim_pixel": "M,M",
        "geographic/geo_pixel_size_x": 1000.0,
        "geographic/geo_pixel_size_y": -1e3,
    }
    np.testing.assert_allclose(reading.read(changed(tmp_path, metres)).y.values, usual.y.values)
    with pytest.raises(UnreadableFile, match="pixels in KM,M"):
        reading.read(changed(tmp_path, {"geographic/geo_dim_pixel": "KM,M"}))


def test_corners_that_are_not_the_files_own_are_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, {"geographic/geo_product_corners": CORNERS, "geographic/geo_row_offset": 3652.0},
                   amount=np.zeros((765, 700), np.uint16))  # fmt: skip
    with pytest.raises(GridMismatch, match=r"corner LL is 1.99 cells off"):
        reading.read(path)


def forecast(folder: Path) -> Path:
    """Three images of rain from 14:45 to 14:55, with an overview of all."""
    path = changed(folder, {"image1/image_geo_parameter": "PRECIP_[MM]"})
    with h5py.File(path, "r+") as file:
        file["overview"].attrs["product_datetime_end"] = np.bytes_("28-SEP-2016;14:55:00.000")
        for number in (1, 2, 3):
            if number > 1:
                file.copy("image1", f"image{number}")
            valid = f"28-SEP-2016;14:{40 + 5 * number}:00.000"
            file[f"image{number}"].attrs["image_datetime_valid"] = np.bytes_(valid)
    return path


def test_a_forecast_is_no_observation(tmp_path: Path) -> None:
    path = forecast(tmp_path)
    with pytest.raises(
        UnreadableFile, match=r"3 images of PRECIP_\[MM\] valid from 28-SEP-2016;14:45.*--variable image1"
    ):
        reading.read(path)
    with pytest.raises(WrongUnits, match="--interval"):
        reading.read(path, reading.ReadOptions(variable="image2"))
    field = reading.read(path, reading.ReadOptions(variable="image2", interval=5.0))
    assert str(field.time.values[0])[:16] == "2016-09-28T14:50"
    assert field.values[0, 0, 1] == pytest.approx(12.0)
    with h5py.File(path, "r+") as file:
        del file["image2"], file["image3"]
    with pytest.raises(UnreadableFile, match="may be part of a forecast"):
        reading.read(path)


def test_reflectivity_is_read_by_its_relation(tmp_path: Path) -> None:
    attributes = {
        "image1/image_geo_parameter": "REFLECTIVITY_[DBZ]",
        "image1/calibration/calibration_formulas": "GEO = 0.500000 * PV + -32.000000",
        "image1/calibration/calibration_missing_data": np.array([0]),
        "image1/calibration/calibration_out_of_image": np.array([255]),
    }
    path = changed(tmp_path, attributes, amount=np.array([[0, 124, 255]], np.uint8))
    field = reading.read(path)
    np.testing.assert_allclose(field.values[0, 0], [0.0, 2.734, np.nan], rtol=1e-3)  # 124 is 30 dBZ, 0 is no echo
    other = reading.read(path, reading.ReadOptions(zr=fields.ZR(300.0, 1.4, "asked for"), missing_value=(0.0,)))
    np.testing.assert_allclose(other.values[0, 0], [np.nan, 2.363, np.nan], rtol=1e-3)
    assert other.attrs["zr"] == "Z = 300 R^1.4 (asked for)"


def test_quality_and_adjustment_are_not_taken_for_rain(tmp_path: Path) -> None:
    path = changed(tmp_path, {"image1/image_geo_parameter": "QUALITY_[-]"})
    with pytest.raises(UnreadableFile, match=r"holds no rain .*image1 QUALITY_\[-\]"):
        reading.read(path)
    with h5py.File(path, "r+") as file:
        file.copy("image1", "image2")
        file["image2"].attrs["image_geo_parameter"] = np.bytes_("PRECIP_[MM]")
    assert reading.read(path).values[0, 0, 1] == pytest.approx(12.0)
