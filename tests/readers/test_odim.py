"""ODIM_H5 as real files write it: times, corners, and numbers that can mean two things."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from tests import example_files

from echocast import fields
from echocast.errors import DataError, GridMismatch, UnreadableFile, WrongUnits
from echocast.io import reading
from echocast.readers._odim_times import stamp

UPPER_LEFT = (-39.5357864125034, 67.0228327624372)


def changed(folder: Path, group: str, attributes: dict[str, Any], *, drop: str = "", **sample: Any) -> Path:
    """The sample with other attributes of a group, without those whose names begin with `drop`."""
    path = example_files.odim(folder, **sample)
    with h5py.File(path, "r+") as file:
        for name in [n for n in file[group].attrs if drop and n.startswith(drop)]:
            del file[group].attrs[name]
        file[group].attrs.update(attributes)
    return path


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *(("1205", "12:05:00"), ("2359", "23:59:00"), ("120500", "12:05:00"), ("12:05", "12:05:00")),
        *(("90500", "09:05:00"), ("12:05:30", "12:05:30"), ("120530Z", "12:05:30"), ("120530.250", "12:05:30")),
    ],
)
def test_times_are_what_they_say(written: str, read: str, tmp_path: Path) -> None:
    path = changed(tmp_path, "what", {"date": np.bytes_("2024-11-26"), "time": np.bytes_(written)})
    assert str(reading.read(path).time.values[0])[:19] == f"2024-11-26T{read}"


@pytest.mark.parametrize("written", ["12", "120560", "256000", "12h05", ""])
def test_what_is_no_time_is_refused(written: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        reading.read(changed(tmp_path, "what", {"time": np.bytes_(written)}))


def test_a_number_that_lost_its_zeros_is_read_where_it_means_one_time() -> None:
    assert str(stamp("20241126", "90500", is_text=False))[11:19] == "09:05:00"
    assert str(stamp("20241126", "0", is_text=False))[11:19] == "00:00:00"
    with pytest.raises(UnreadableFile, match="HHMM or MMSS"):
        stamp("20241126", "1205", is_text=False)


def corners(path: Path) -> dict[str, tuple[float, float]]:
    found = fields.corners(reading.read(path))
    return {"".join(word[0] for word in name.split()).upper(): at for name, at in found.items()}


@pytest.mark.parametrize("name", ["UR", "LL", "LR"])
def test_any_corner_places_the_grid(name: str, tmp_path: Path) -> None:
    usual = corners(example_files.odim(tmp_path))
    place = {f"{name}_lon": usual[name][0], f"{name}_lat": usual[name][1]}
    np.testing.assert_allclose(
        list(corners(changed(tmp_path, "where", place, drop="UL")).values()), list(usual.values())
    )


def test_two_opposite_corners_tell_the_size_of_cells(tmp_path: Path) -> None:
    usual = corners(example_files.odim(tmp_path))
    place = {"LR_lon": usual["LR"][0], "LR_lat": usual["LR"][1]}
    path = changed(tmp_path, "where", place)
    with h5py.File(path, "r+") as file:
        del file["where"].attrs["xscale"], file["where"].attrs["yscale"]
    assert fields.grid_km(reading.read(path)) == pytest.approx(2.0)
    with h5py.File(path, "r+") as file:
        del file["where"].attrs["LR_lon"]
    with pytest.raises(UnreadableFile, match="neither the size of its cells"):
        reading.read(path)


def test_corners_that_contradict_the_size_of_cells_are_refused(tmp_path: Path) -> None:
    usual = corners(example_files.odim(tmp_path))
    place = {"LR_lon": usual["LR"][0], "LR_lat": usual["LR"][1], "xscale": 3000.0}
    with pytest.raises(GridMismatch, match=r"corner LR is 1 cells off.*contradict each other"):
        reading.read(changed(tmp_path, "where", place))


def test_rows_from_the_south_are_turned(tmp_path: Path) -> None:
    usual = corners(example_files.odim(tmp_path))
    north, south = usual["UL"], usual["LL"]
    place = {"UL_lon": south[0], "UL_lat": south[1], "LL_lon": north[0], "LL_lat": north[1]}
    path = changed(tmp_path, "where", place)
    np.testing.assert_allclose(list(corners(path).values()), list(usual.values()))
    field = reading.read(path)
    # the first row of the file, which holds 30 dBZ in its second cell, is the southern one
    np.testing.assert_allclose(field.values[0, :, 1], [0.0, 2.734], rtol=1e-3)


@pytest.mark.parametrize("words", ["+units=km", "+to_meter=1000"])
def test_a_projection_in_kilometres_is_the_same_place(words: str, tmp_path: Path) -> None:
    usual = reading.read(example_files.odim(tmp_path))
    projdef = "+proj=laea +lat_0=55.0 +lon_0=10.0 +x_0=1950000 +y_0=-2100000 +ellps=WGS84"
    field = reading.read(changed(tmp_path, "where", {"projdef": f"{projdef} {words}"}))
    np.testing.assert_allclose(field.x.values, usual.x.values)
    assert fields.corners(field)["upper left"] == pytest.approx(UPPER_LEFT)


def test_cells_below_detection_that_may_be_unseen_are_told_by_missing_value(tmp_path: Path) -> None:
    path = changed(tmp_path, "dataset1/what", {"nodata": 0.0})
    with pytest.raises(UnreadableFile, match=r"nodata and undetect are both 0.*--missing-value"):
        reading.read(path)
    unseen = reading.read(path, reading.ReadOptions(missing_value=(0.0,)))
    dry = reading.read(path, reading.ReadOptions(missing_value=(255.0,)))
    assert np.isnan(unseen.values[0, 0, 0])
    np.testing.assert_array_equal(dry.values[0, 0, [0, 2]], np.array([0.0, np.nan], np.float32))


@pytest.mark.parametrize(
    ("kind", "attributes", "message"),
    [
        ("u1", {"gain": 0.0}, "gain 0"),
        ("i1", {}, "nodata is 255, which its numbers"),
        ("u1", {"quantity": np.bytes_("VRAD")}, "holds no rain .*dataset1/data1 VRAD"),
    ],
)
def test_numbers_that_cannot_be_are_refused(
    kind: str, attributes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    raw = np.array([[0, 124, 100], [100, 0, 64]], kind)
    with pytest.raises(UnreadableFile, match=message):
        reading.read(changed(tmp_path, "dataset1/what", attributes, raw=raw))


def test_not_a_number_means_what_the_file_says_of_it(tmp_path: Path) -> None:
    raw = np.array([[np.nan, 3.0, -1.0]], np.float32)
    numbers = {"quantity": np.bytes_("RATE"), "gain": 1.0, "offset": 0.0}
    unseen = changed(tmp_path, "dataset1/what", numbers | {"nodata": np.nan, "undetect": -1.0}, raw=raw)
    np.testing.assert_array_equal(reading.read(unseen).values[0, 0], np.array([np.nan, 3.0, 0.0], np.float32))
    dry = changed(tmp_path, "dataset1/what", numbers | {"nodata": -1.0, "undetect": np.nan}, raw=raw)
    np.testing.assert_array_equal(reading.read(dry).values[0, 0], np.array([0.0, 3.0, np.nan], np.float32))


def test_an_amount_without_its_interval_needs_it(tmp_path: Path) -> None:
    path = changed(tmp_path, "dataset1/what", {}, drop="start", quantity="ACRR")
    with pytest.raises(WrongUnits, match="--interval"):
        reading.read(path)
    # 30 mm in 60 minutes
    assert reading.read(path, reading.ReadOptions(interval=60.0)).values[0, 0, 1] == pytest.approx(30.0)
    with pytest.raises(WrongUnits, match="of 15 min by its start and end, not 60"):
        reading.read(example_files.odim(tmp_path, quantity="ACRR"), reading.ReadOptions(interval=60.0))


def test_frames_on_two_grids_are_refused(tmp_path: Path) -> None:
    path = example_files.odim(tmp_path)
    with h5py.File(path, "r+") as file:
        file.copy("dataset1", "dataset2")
        file["dataset2/what"].attrs["endtime"] = np.bytes_("145000")
        where = file.create_group("dataset2/where")
        where.attrs["UL_lon"] = 0.0
    with pytest.raises(GridMismatch, match="dataset2/data1 lies on another grid than dataset1/data1"):
        reading.read(path)


def test_frames_of_the_future_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = example_files.odim(tmp_path)
    with h5py.File(path, "r+") as file:
        file.copy("dataset1", "dataset2")
        file["dataset2/what"].attrs["endtime"] = np.bytes_("154500")
    reading.read(path)
    assert "is it a forecast?" in caplog.text


def test_a_file_without_a_corner_is_nowhere(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gives no corner"):
        reading.read(changed(tmp_path, "where", {}, drop="UL"))
