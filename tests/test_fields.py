"""The noun and its guard."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import example_files

from echocast import fields
from echocast.errors import DataError, GridMismatch, WrongUnits
from echocast.zr import DRY_DBZ


def test_marshall_palmer_by_hand() -> None:
    # 23.01 dBZ is Z = 200, so R = 1 mm/h; 39.03 dBZ is 10 mm/h
    rate = fields.rain_rate(np.array([23.0103, 39.0103, 0.0, -32.0, np.nan], np.float32))
    np.testing.assert_allclose(rate[:4], [1.0, 10.0, 0.0, 0.0], rtol=1e-4)
    assert np.isnan(rate[4])


@given(st.floats(0.04, 500.0), st.floats(100, 400), st.floats(1.2, 2.0))
def test_reflectivity_and_back(rate: float, a: float, b: float) -> None:
    zr = fields.ZR(a, b, "some")
    dbz = fields.reflectivity(np.array([rate]), zr)
    if dbz[0] > DRY_DBZ:
        np.testing.assert_allclose(fields.rain_rate(dbz, zr), rate, rtol=1e-4)


@pytest.mark.parametrize(("units", "kind"), [("mm/h", "rate"), ("dBZ", "reflectivity"), (" kg m-2", "amount")])
def test_units(units: str, kind: str) -> None:
    assert fields.kind_of_unit(units) == kind


def test_unknown_unit_is_named_with_those_known() -> None:
    with pytest.raises(WrongUnits, match=r"'furlong'.*mm/h.*dbz"):
        fields.kind_of_unit("furlong")


def test_amounts_need_their_interval() -> None:
    np.testing.assert_allclose(fields.to_rain_rate(np.array([1.0]), "mm", interval_s=300.0), 12.0)
    with pytest.raises(WrongUnits, match="interval"):
        fields.to_rain_rate(np.array([1.0]), "mm")


def test_check_refuses_what_is_no_field() -> None:
    good = example_files.field(example_files.blob(3))
    assert fields.check(good) is good
    with pytest.raises(DataError, match="float32"):
        fields.check(good.astype(np.float64))
    with pytest.raises(WrongUnits, match="'dBZ'"):
        fields.check(good.assign_attrs(units="dBZ"))
    with pytest.raises(DataError, match="dims"):
        fields.check(good.transpose("y", "x", "time"))
    with pytest.raises(DataError, match="crs"):
        fields.check(good.drop_vars("crs"))
    with pytest.raises(DataError, match="must increase"):
        fields.check(good[::-1])
    with pytest.raises(DataError, match="evenly spaced"):
        fields.check(good.assign_coords(x=good.x.values**3))


def test_other_grids_are_refused_by_name() -> None:
    good = example_files.field(example_files.blob(2))
    with pytest.raises(GridMismatch, match=r"other\.nc has 10 cells along y"):
        fields.check_same_grid(good, good[:, :10], "other.nc")
    with pytest.raises(GridMismatch, match="lies elsewhere along x"):
        fields.check_same_grid(good, good.assign_coords(x=good.x + 3000.0))
    with pytest.raises(GridMismatch, match="projection"):
        fields.check_same_grid(good, example_files.field(example_files.blob(2), crs="EPSG:3067"))


def test_grid_km() -> None:
    assert fields.grid_km(example_files.field(example_files.blob(1), spacing=2000.0)) == pytest.approx(2.0)
    degrees = example_files.field(example_files.blob(1), spacing=0.01, crs="EPSG:4326")
    assert fields.grid_km(degrees) == pytest.approx(1.112, abs=0.01)


def test_step_is_the_commonest_difference() -> None:
    minutes = np.array([0, 5, 10, 20, 25]) * np.timedelta64(1, "m")
    assert fields.time_step(example_files.TIME + minutes) == np.timedelta64(5, "m")
    with pytest.raises(DataError, match="at least two"):
        fields.time_step([example_files.TIME])
