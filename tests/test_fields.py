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


@pytest.mark.parametrize(
    ("units", "kind", "value"),
    [
        *[(units, "rate", 1.0) for units in ("mm/h", "mm h**-1", "mm.hr^-1", "kg m-2 h-1", "mm·h⁻¹", "mm per hour")],
        *[(units, "rate", 3600.0) for units in ("mm/s", "kg m-2 s-1", "kg/m^2/s", "kg m⁻² s⁻¹")],
        *[(units, "rate", 12.0) for units in ("mm/5min", "mm/5 min", "mm/(5 min)", "mm (5 min)-1", "mm per 5 minutes")],
        *[(units, "rate", 25.4) for units in ("in/hr", "in h-1", "inch/hour", "inches per hour")],
        ("m s-1", "rate", 3.6e6),
        ("cm/day", "rate", 10 / 24),
        *[(units, "amount", 12.0) for units in ("mm", " kg m-2", "1e-3 m", "l m-2")],
        ("0.01 mm", "amount", 0.12),
        ("1/100 mm", "amount", 0.12),
        ("in", "amount", 304.8),
    ],
)
def test_units(units: str, kind: str, value: float) -> None:
    assert fields.kind_of_unit(units) == kind
    np.testing.assert_allclose(fields.to_rain_rate(np.ones(1), units, interval_s=300.0), value, rtol=1e-6)


@pytest.mark.parametrize("units", ["mm2", "mm/0 min", "h-1", "mm/h/s", "mm -1", "K", "", "m2 s-2", "kg m-3"])
def test_what_is_no_unit_of_rain_is_refused(units: str) -> None:
    with pytest.raises(WrongUnits):
        fields.kind_of_unit(units)


def test_reflectivity_is_a_unit() -> None:
    assert fields.kind_of_unit("dBZ") == fields.kind_of_unit("10*log10(mm6 m-3)") == "reflectivity"


def test_corners_are_those_of_the_outer_edges() -> None:
    field = fields.make(
        np.zeros((1, 2, 3)), time=[example_files.TIME], y=[10.5, 11.5], x=[20.5, 21.5, 22.5], crs="EPSG:4326"
    )
    assert fields.corners(field) == {
        "upper left": (20.0, 12.0),
        "upper right": (23.0, 12.0),
        "lower right": (23.0, 10.0),
        "lower left": (20.0, 10.0),
    }


def test_unknown_unit_is_named_with_those_known() -> None:
    with pytest.raises(WrongUnits, match=r"'furlong'.*mm/h.*dBZ"):
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


def test_a_field_is_cropped_to_a_box_also_across_the_date_line() -> None:
    field = fields.make(
        np.arange(30.0).reshape(1, 5, 6),
        time=[np.datetime64("2016-09-28T14:45")],
        y=[14.0, 13.0, 12.0, 11.0, 10.0],
        x=[177.0, 178.0, 179.0, 180.0, 181.0, 182.0],
        crs="EPSG:4326",
    )
    cut = fields.cropped(field, (178.5, 10.5, -178.5, 12.5))
    assert cut.x.values.tolist() == [179.0, 180.0, 181.0]
    assert cut.y.values.tolist() == [12.0, 11.0]
    assert cut.values.tolist() == [[[14.0, 15.0, 16.0], [20.0, 21.0, 22.0]]]
    with pytest.raises(GridMismatch, match=r"no cell lies in 0 to 10 E, 10 to 12 N; the corners are: upper left 176.5"):
        fields.cropped(field, (0, 10, 10, 12))
    with pytest.raises(DataError, match="is no box"):
        fields.cropped(field, (0, 12, 10, 12))
