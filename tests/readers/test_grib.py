"""GRIB: scanning modes, intervals, running sums, MRMS' own parameters, and what must be named."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import eccodes
import numpy as np
import pytest

from echocast import fields
from echocast.errors import GridMismatch, UnreadableFile, WrongUnits
from echocast.io import reading

FIVE_MM = np.array([[0.0, 5.0, 0.0], [0.0, 0.0, 1.0]])
TP = {"discipline": 0, "parameterCategory": 1, "parameterNumber": 52}
REFD = {"discipline": 0, "parameterCategory": 15, "parameterNumber": 1}


def message(values: np.ndarray, *, edition: int = 2, **keys: Any) -> bytes:
    """Of 2024-06-01 12:00 on cells of a degree from 50 N, 5 E to the south and east, unless `keys` say otherwise."""
    rows, columns = values.shape
    handle = eccodes.codes_grib_new_from_samples(f"regular_ll_sfc_grib{edition}")
    usual = {"dataDate": 20240601, "dataTime": 1200, "Ni": columns, "Nj": rows, "bitsPerValue": 24}
    usual |= {"latitudeOfFirstGridPointInDegrees": 50.0, "latitudeOfLastGridPointInDegrees": 51.0 - rows}
    usual |= {"longitudeOfFirstGridPointInDegrees": 5.0, "longitudeOfLastGridPointInDegrees": 4.0 + columns}
    usual |= {"iDirectionIncrementInDegrees": 1.0, "jDirectionIncrementInDegrees": 1.0}
    for key, value in (usual | keys).items():
        eccodes.codes_set(handle, key, value)
    eccodes.codes_set_values(handle, values.ravel())
    content: bytes = eccodes.codes_get_message(handle)
    eccodes.codes_release(handle)
    return content


def amount(steps: str, values: np.ndarray = FIVE_MM, **keys: Any) -> bytes:
    return message(
        values, productDefinitionTemplateNumber=8, **TP, typeOfStatisticalProcessing=1, stepRange=steps, **keys
    )


def mrms(category: int, number: int, values: np.ndarray = FIVE_MM, **keys: Any) -> bytes:
    return message(values, discipline=209, centre=161, parameterCategory=category, parameterNumber=number, **keys)


def saved(folder: Path, *contents: bytes) -> Path:
    path = folder / "rain.grib2"
    path.write_bytes(b"".join(contents))
    return path


def test_a_grid_across_greenwich_is_where_it_is(tmp_path: Path) -> None:
    values = np.zeros((2, 25))
    values[1, 6] = 5.0
    keys = {"longitudeOfFirstGridPointInDegrees": 356.06, "longitudeOfLastGridPointInDegrees": 20.06}
    field = reading.read(saved(tmp_path, mrms(6, 1, values, **keys)))
    assert float(field.x[6]) == pytest.approx(2.06)
    assert field.values[0, 1, 6] == pytest.approx(5.0, rel=1e-5)
    np.testing.assert_allclose(np.diff(field.x.values), 1.0)


@pytest.mark.parametrize(
    ("steps", "minutes", "end"),
    [
        ("0m-15m", 15, "12:15"),
        ("15m-30m", 15, "12:30"),
        ("0s-450s", 7.5, "12:07"),
        ("3-6", 180, "18:00"),
        ("0-1", 60, "13:00"),
    ],
)
def test_amounts_are_divided_by_their_range(steps: str, minutes: float, end: str, tmp_path: Path) -> None:
    field = reading.read(saved(tmp_path, amount(steps)))
    assert field.values[0, 0, 1] == pytest.approx(5.0 * 60 / minutes, rel=1e-5)
    assert str(field.time.values[0])[11:16] == end


@pytest.mark.parametrize(("unit", "first", "last", "minutes"), [(0, 15, 30, 15), (1, 3, 6, 180), (13, 0, 1, 15)])
def test_amounts_of_edition_1(unit: int, first: int, last: int, minutes: float, tmp_path: Path) -> None:
    keys = {"table2Version": 2, "indicatorOfParameter": 61, "centre": 7, "timeRangeIndicator": 4}
    keys |= {"indicatorOfUnitOfTimeRange": unit, "P1": first, "P2": last}
    field = reading.read(saved(tmp_path, message(FIVE_MM, edition=1, **keys)))
    assert field.values[0, 0, 1] == pytest.approx(5.0 * 60 / minutes, rel=1e-4)


def test_an_amount_without_an_interval_needs_it(tmp_path: Path) -> None:
    path = saved(tmp_path, message(FIVE_MM, edition=1, table2Version=2, indicatorOfParameter=61, centre=7, P1=6))
    with pytest.raises(WrongUnits, match=r"tp surface 0 .* whose interval the file does not tell.*--interval"):
        reading.read(path)
    assert reading.read(path, reading.ReadOptions(interval=30.0)).values[0, 0, 1] == pytest.approx(10.0, rel=1e-4)
    with pytest.raises(WrongUnits, match="of 15 min by the file, not of 30"):
        reading.read(saved(tmp_path, amount("0m-15m")), reading.ReadOptions(interval=30.0))


def test_running_sums_are_differenced(tmp_path: Path) -> None:
    field = reading.read(saved(tmp_path, amount("0-1"), amount("0-2", FIVE_MM * 3), amount("0-3", FIVE_MM * 3)))
    np.testing.assert_allclose(field.values[:, 0, 1], [5.0, 10.0, 0.0], atol=1e-4)
    with pytest.raises(UnreadableFile, match=r"loses up to 5 kg m.*split the file"):
        reading.read(saved(tmp_path, amount("0-1", FIVE_MM), amount("0-2", FIVE_MM * 0.0)))


def test_levels_and_members_of_one_time_are_named(tmp_path: Path) -> None:
    level = {
        "typeOfFirstFixedSurface": 103,
        "scaleFactorOfFirstFixedSurface": 0,
        "scaledValueOfFirstFixedSurface": 1000,
    }
    low = message(np.full((2, 3), 30.0), **REFD, **level)
    high = message(np.full((2, 3), 40.0), **REFD, **(level | {"scaledValueOfFirstFixedSurface": 4000}))
    path = saved(tmp_path, low, high)
    with pytest.raises(UnreadableFile, match=r"bref heightAboveGround 1000, bref heightAboveGround 4000.*--variable"):
        reading.read(path)
    one = reading.read(path, reading.ReadOptions(variable="bref heightAboveGround 1000"))
    np.testing.assert_allclose(one.values, 2.734, rtol=1e-3)
    keys = {"productDefinitionTemplateNumber": 11, **TP, "typeOfStatisticalProcessing": 1, "stepRange": "0-1"}
    members = [message(FIVE_MM * n, **keys, perturbationNumber=n) for n in (1, 2)]
    with pytest.raises(UnreadableFile, match="member 1, tp surface 0 member 2"):
        reading.read(saved(tmp_path, *members))
    second = reading.read(saved(tmp_path, *members), reading.ReadOptions(variable="tp surface 0 member 2"))
    assert second.values[0, 0, 1] == pytest.approx(10.0, rel=1e-5)


def test_two_intervals_with_one_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"60 min and 120 min|120 min and 60 min"):
        reading.read(saved(tmp_path, amount("0-1"), amount("1-2"), amount("0-2")))


def test_a_second_grid_is_refused(tmp_path: Path) -> None:
    other = {"longitudeOfFirstGridPointInDegrees": 8.0, "longitudeOfLastGridPointInDegrees": 10.0}
    with pytest.raises(GridMismatch, match=r"holds two grids: .*50, 5 to 49, 7 and .*50, 8 to 49, 10"):
        reading.read(saved(tmp_path, amount("0-1"), amount("1-2", **other)))


@pytest.mark.parametrize("residue", [-1e-9, -1e-3])
def test_a_residue_of_packing_is_dry(residue: float, tmp_path: Path) -> None:
    values = np.where(FIVE_MM == 0, residue, FIVE_MM)
    for content in (mrms(6, 1, values), amount("0-1", values)):
        assert reading.read(saved(tmp_path, content)).values[0, 0, 0] == 0.0


def test_a_number_that_is_no_rain_needs_its_meaning(tmp_path: Path) -> None:
    path = saved(tmp_path, amount("0-1", np.where(FIVE_MM == 1, -9999.0, FIVE_MM)))
    with pytest.raises(UnreadableFile, match="-9999 mm/h, but rain is not negative; give --missing-value"):
        reading.read(path)
    values = reading.read(path, reading.ReadOptions(missing_value=(-9999.0,))).values[0]
    np.testing.assert_allclose(values[[0, 1], [0, 2]], [0.0, np.nan], atol=0.01)


@pytest.mark.parametrize(
    ("number", "minutes"),
    [
        *(((6, 1), 60), ((6, 45), 15), ((6, 2), 60), ((6, 3), 180), ((6, 4), 360), ((6, 5), 720), ((6, 6), 1440)),
        *(((6, 7), 2880), ((6, 8), 4320), ((6, 9), 60), ((6, 22), 4320), ((6, 29), 4320), ((6, 30), 60)),
        *(((6, 36), 4320), ((6, 37), 60), ((6, 38), 180), ((6, 41), 1440), ((6, 43), 4320)),
    ],
)
def test_mrms_rain_by_number(number: tuple[int, int], minutes: float, tmp_path: Path) -> None:
    values = np.array([[0.0, 5.0, -3.0], [-1.0, 0.0, 0.0]])
    rain = reading.read(saved(tmp_path, mrms(*number, values))).values[0]
    np.testing.assert_allclose(rain[0], [0.0, 5.0 * 60 / minutes, np.nan], rtol=1e-4, atol=1e-5)
    assert np.isnan(rain[1, 0])


@pytest.mark.parametrize("number", [(8, 8), (10, 0), (10, 2), (3, 57), (3, 58), (9, 0), (11, 0), (11, 3)])
def test_mrms_reflectivity_by_number(number: tuple[int, int], tmp_path: Path) -> None:
    values = np.array([[-99.0, 30.0, -999.0]])
    rain = reading.read(saved(tmp_path, mrms(*number, values))).values[0, 0]
    np.testing.assert_allclose(rain, [0.0, 2.734, np.nan], rtol=1e-3)  # no echo, 30 dBZ, no coverage


@pytest.mark.parametrize(
    "number", [(8, 0), (8, 1), (8, 5), (8, 17), (6, 0), (6, 44), (3, 28), (10, 1), (10, 7), (13, 1)]
)
def test_other_products_of_mrms_are_refused_by_number(number: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=rf"no rain .*MRMS {number[0]}\.{number[1]} "):
        reading.read(saved(tmp_path, mrms(*number)))


def test_reflectivity_aloft_is_read_only_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path, mrms(3, 54, np.full((2, 3), 30.0)))
    with pytest.raises(UnreadableFile, match="name it with --variable"):
        reading.read(path)
    np.testing.assert_allclose(reading.read(path, reading.ReadOptions(variable="MRMS 3.54")).values, 2.734, rtol=1e-3)


def test_what_has_a_unit_of_rain_and_is_none_is_refused(tmp_path: Path) -> None:
    wind = message(FIVE_MM, discipline=0, parameterCategory=2, parameterNumber=1)  # m s-1
    column = message(FIVE_MM, discipline=0, parameterCategory=1, parameterNumber=3)  # kg m-2
    for content in (wind, column):
        with pytest.raises(UnreadableFile, match="no rain that is known as such"):
            reading.read(saved(tmp_path, content))


def test_a_parameter_that_nobody_knows_needs_name_and_unit(tmp_path: Path) -> None:
    path = saved(tmp_path, message(FIVE_MM, discipline=0, parameterCategory=1, parameterNumber=222))
    with pytest.raises(WrongUnits, match="--units"):
        reading.read(path, reading.ReadOptions(variable="0.1.222"))
    field = reading.read(path, reading.ReadOptions(variable="0.1.222", units="mm/h"))
    assert field.values[0, 0, 1] == pytest.approx(5.0, rel=1e-5)


def test_wmos_total_precipitation_is_known_of_every_centre(tmp_path: Path) -> None:
    keys = {"productDefinitionTemplateNumber": 8, "typeOfStatisticalProcessing": 1, "stepRange": "0-1"}
    path = saved(tmp_path, message(FIVE_MM, **(TP | {"parameterNumber": 8}), **keys))
    assert reading.read(path).values[0, 0, 1] == pytest.approx(5.0, rel=1e-5)


@pytest.mark.parametrize(
    ("keys", "message_"),
    [
        ({"gridDefinitionTemplateNumber": 1}, "its grid is 'rotated_ll'"),
        ({"jScansPositively": 1}, "the scanning mode says the other way"),
        ({"iScansNegatively": 1}, "cells of 1 degrees along i, but"),
    ],
)
def test_grids_that_are_not_what_they_say_are_refused(keys: dict[str, int], message_: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=message_):
        reading.read(saved(tmp_path, amount("0-1", **keys)))


def test_between_messages_may_be_zeros(tmp_path: Path) -> None:
    assert reading.read(saved(tmp_path, amount("0-1"), bytes(8), amount("1-2"), bytes(3))).sizes["time"] == 2


SCRIPT = """
import eccodes
from echocast import fields
from echocast.io import reading
field = reading.read({path!r})
print(round(fields.corner(fields.known_crs("EPSG:3035"), 10.0, 52.0)[0]), field.shape)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="where libraries can be told to look for their own names first")
def test_eccodes_before_pyproj_breaks_nothing_and_says_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path, message(FIVE_MM, discipline=0, parameterCategory=1, parameterNumber=222), amount("0-1"))
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(path=str(path))], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "4321000 (1, 2, 3)\n", "")


@pytest.mark.data
def test_a_models_running_sums_become_hours(data_kit: Path) -> None:
    path = data_kit / "nwp/arpege_PRECIP_NW_20180501000000.grib"
    field = reading.read(path)
    with path.open("rb") as file:
        sums = []
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            sums.append(eccodes.codes_get_values(handle).reshape(field.shape[1:]))
            eccodes.codes_release(handle)
    assert [str(t)[11:13] for t in field.time.values[:3]] == ["01", "02", "03"]
    reached = np.max(sums[:5], axis=0)  # what a cell loses by interpolation it has to gain again before it counts
    np.testing.assert_allclose(field.values[5], np.maximum(sums[5] - reached, 0.0), atol=1e-4)
    assert fields.corners(field)["upper left"] == pytest.approx((-5.892, 51.946), abs=1e-6)
