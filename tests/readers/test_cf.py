"""What CF data prove and what is refused: variable, unit, numbers, place, times and intervals of small files."""

from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import xarray as xr
from tests import example_files
from tests.known import netcdf

from echocast import fields
from echocast.archive.transforms import parse
from echocast.errors import DataError
from echocast.io import forecast_file, reading
from echocast.io.reading import ReadOptions

NOON = np.datetime64("2016-09-28T12:00", "ns")
FIVE = np.timedelta64(5, "m")
SINCE = "minutes since 2016-09-28 12:00:00"
LON = {"units": "degrees_east"}
LAT = {"units": "degrees_north"}
BRIGHT, DRY = 20.0, 0.0


def frames(*numbers: Any, dtype: Any = "f4") -> np.ndarray:
    """One frame of 2 x 3 cells for each number, which stands in the first cell of an otherwise dry frame."""
    made = np.zeros((len(numbers), 2, 3), dtype)
    made[:, 0, 0] = numbers
    return made


def read(folder: Path, rain: np.ndarray, options: dict[str, Any] | None = None, **attrs: Any) -> xr.DataArray:
    """A file of rain on degrees, every 5 minutes from noon; `attrs` of the rain, `also` more variables, before it."""
    attrs = {"units": "mm/h", "long_name": "rain rate"} | attrs
    also, before = attrs.pop("also", {}), attrs.pop("before", {})
    variables = before | {
        "rain": (("time", "y", "x"), rain, attrs),
        "time": (("time",), 5 * np.arange(len(rain)), {"units": SINCE}),
        "y": (("y",), np.array([46.0, 45.99]), LAT),
        "x": (("x",), np.array([11.0, 11.01, 11.02]), LON),
    }
    path = netcdf.to_hdf5(folder / "rain.nc", variables | also, {})
    return reading.read(path, ReadOptions(**(options or {})))


def first(field: xr.DataArray) -> list[float]:
    return [float(v) for v in field.values[:, 0, 0]]


@pytest.mark.parametrize("stored", [[358.0, 359.0, 0.0, 1.0], [358.0, 359.0, 360.0, 361.0], [-2.0, -1.0, 0.0, 1.0]])
def test_longitudes_run_through_greenwich(stored: list[float], tmp_path: Path) -> None:
    x = {"x": (("x",), np.array(stored), LON)}
    field = read(tmp_path, np.zeros((1, 2, 4), "f4"), also=x | {"y": (("y",), np.array([46.0, 45.0]), LAT)})
    np.testing.assert_allclose(field.x.values, [-2.0, -1.0, 0.0, 1.0])


def globe() -> xr.DataArray:
    """The longitude (0 to 355) of each cell of a grid around the Earth."""
    x = np.arange(0.0, 360.0, 5.0)
    values = np.broadcast_to(x, (1, 3, 72)).astype(np.float32)
    return fields.make(values, time=[NOON], y=[5.0, 0.0, -5.0], x=x, crs="EPSG:4326")


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (-12, 12, [350, 355, 0, 5, 10]),
        (170, -170, [170, 175, 180, 185, 190]),
        (-90, -80, [270, 275, 280]),
        (95, 100, [95, 100]),
    ],
)
def test_a_region_finds_its_cells_on_any_turn_of_longitudes(left: float, right: float, expected: list[float]) -> None:
    (crop,) = parse([f"crop left={left} right={right} bottom=-1 top=1"])
    cut = crop(globe())
    np.testing.assert_array_equal(cut.values[0, 0], expected)
    np.testing.assert_allclose(np.mod(cut.x.values, 360.0), expected)
    assert cut.x.values.min() >= left


def test_regrid_finds_cells_beyond_180() -> None:
    (regrid,) = parse(["regrid crs=EPSG:4326 left=-32.5 top=2.5 cell=5 height=1 width=4"])
    np.testing.assert_array_equal(regrid(globe()).values[0, 0], [330, 335, 340, 345])


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_unsigned_is_heeded(kind: str, tmp_path: Path) -> None:
    signed = frames(200, dtype=kind).view(f"i{kind[1]}")
    field = read(tmp_path, signed, scale_factor=0.1, _Unsigned="true", _FillValue=np.dtype(f"i{kind[1]}").type(-1))
    assert first(field) == pytest.approx([20.0])


@pytest.mark.parametrize(
    ("dtype", "number"),
    [("f4", 9.969209968386869e36), ("f8", 9.969209968386869e36), ("i2", -32767), ("u2", 65535), ("i4", -2147483647)]
    + [("f4", code) for code in (-9999.0, -999.0, -32768.0, 1e20, -9999.9, np.inf)] + [("i2", -32768), ("i2", -9999)],
)  # fmt: skip
@pytest.mark.parametrize(("units", "rate"), [("mm/h", 30.0), ("dBZ", 2.734)])
def test_numbers_that_can_be_no_rain_are_not_observed(
    dtype: str, number: float, units: str, rate: float, tmp_path: Path
) -> None:
    field = read(tmp_path, frames(number, 30, dtype=dtype), units=units)
    assert first(field) == pytest.approx([np.nan, rate], rel=1e-3, nan_ok=True)
    assert (field.values[:, 1] == 0).all()


@pytest.mark.parametrize(
    "attrs",
    [
        {"valid_range": np.array([0, 200], "i2")},
        {"valid_max": np.int16(200)},
        {"valid_max": 20.0, "scale_factor": 0.1, "add_offset": 0.0},
        {"missing_value": np.array([-5, 250], "i2")},
        {"missing_value": "250"},
        {"_FillValue": np.int16(-1), "missing_value": np.int16(250)},
    ],
)
def test_declared_limits_and_codes_are_heeded(attrs: dict[str, Any], tmp_path: Path) -> None:
    assert np.isnan(first(read(tmp_path, frames(250, 100, dtype="i2"), **attrs))).tolist() == [True, False]


def test_an_unknown_code_is_refused_until_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"can be no rain.*-3 .*--missing-value -3"):
        read(tmp_path, frames(-3.0, 30.0))
    assert np.isnan(first(read(tmp_path, frames(-3.0, 30.0), {"missing_value": (-3.0,)}))[0])
    with pytest.raises(DataError, match="--missing-value -99"):  # "no echo" at MRMS, "not observed" elsewhere
        read(tmp_path, frames(-99.0, 30.0), units="dBZ")
    assert first(read(tmp_path, frames(-np.inf, 30.0), units="dBZ"))[0] == 0.0


def store(folder: Path, attrs: dict[str, Any], *, chosen: bool) -> Path:
    """A store of Zarr 2 whose fill values are all 0, or only that of the rain."""
    zarr = pytest.importorskip("zarr")
    path = folder / "rain.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=2)
    variables = {
        "rain": (("time", "y", "x"), frames(124, dtype="u1"), attrs | {"long_name": "rain"}),
        "time": (("time",), np.array([0]), {"units": SINCE}),
        "y": (("y",), np.array([0.0, 0.01]), LAT),
        "x": (("x",), np.array([0.0, 0.01, 0.02]), LON),
    }
    for name, (dims, array, about) in variables.items():
        fill = 0 if name == "rain" or not chosen else None
        made = root.create_array(name, shape=array.shape, dtype=array.dtype, fill_value=fill)
        made[...] = array
        made.attrs.update(about | {"_ARRAY_DIMENSIONS": dims})
    return path


@pytest.mark.filterwarnings("ignore")
def test_zarr_2_with_the_fill_value_0_has_dry_cells(tmp_path: Path) -> None:
    packed = {"units": "dBZ", "scale_factor": 0.5, "add_offset": -32.0}
    by_itself = reading.read(store(tmp_path, packed, chosen=False))
    np.testing.assert_allclose(by_itself.values[0], [[2.734, 0, 0], [0, 0, 0]], rtol=1e-3)
    np.testing.assert_array_equal(by_itself.x.values, [0.0, 0.01, 0.02])
    assert (reading.read(store(tmp_path, {"units": "mm/h"}, chosen=True)).values[0, 1] == 0).all()
    assert np.isnan(reading.read(store(tmp_path, packed, chosen=True)).values[0, 1]).all()


@pytest.mark.parametrize("unit", ["days since 1970-01-01", "hours since 1900-01-01", "days since 0001-01-01"])
def test_broken_times_lie_on_the_clock(unit: str, tmp_path: Path) -> None:
    since = np.datetime64(unit[-10:], "s")
    of = np.timedelta64(86400 if unit.startswith("days") else 3600, "s")
    times = (NOON + np.arange(12) * FIVE).astype("datetime64[s]")
    raw = (times - since) / of
    calendar = {"calendar": "proleptic_gregorian"}
    field = read(tmp_path, frames(*range(12)), also={"time": (("time",), raw, {"units": unit} | calendar)})
    np.testing.assert_array_equal(field.time.values, times.astype("datetime64[ns]"))


@pytest.mark.parametrize(
    ("raw", "attrs", "why"),
    [
        (np.array([0, 5]), {}, "no unit.*--time-pattern"),
        (np.array([0, 5]), {"units": "minutes"}, "--time-pattern"),
        (np.array([0, 5]), {"units": "minutes since 2016-09-28 12:00 CEST"}, "--time-pattern"),
        (np.array([0.0, np.nan]), {"units": SINCE}, "frame 2 of 2 has no time"),
        (np.array([17000.5, 17000.6], "f4"), {"units": "days since 1970-01-01"}, "tells them to .* s only"),
        (np.array([0, 5]), {"units": SINCE, "calendar": "noleap"}, "no real dates"),
    ],
)
def test_times_that_prove_nothing_are_refused(raw: np.ndarray, attrs: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        read(tmp_path, frames(1, 2), also={"time": (("time",), raw, attrs)})


def test_the_name_tells_the_time_if_it_is_said_how(tmp_path: Path) -> None:
    also = {"time": (("time",), np.array([5]), {})}
    with pytest.raises(DataError, match="is not spelled as --time-pattern"):
        read(tmp_path, frames(1), {"time_pattern": "%Y.nc"}, also=also)
    named = (tmp_path / "rain.nc").rename(tmp_path / "r201609281405+0200.nc")
    assert reading.read(named, ReadOptions(time_pattern="r%Y%m%d%H%M%z.nc")).time.values[0] == NOON + FIVE


GEOS = {"grid_mapping_name": "geostationary", "perspective_point_height": 35786023.0, "sweep_angle_axis": "x"}
GEOS |= {"longitude_of_projection_origin": -75.0, "latitude_of_projection_origin": 0.0}
GEOS |= {"semi_major_axis": 6378137.0, "semi_minor_axis": 6356752.31414}
ROTATED = {"grid_mapping_name": "rotated_latitude_longitude"}
ROTATED |= {"grid_north_pole_latitude": 39.25, "grid_north_pole_longitude": -162.0}
STERE = {"crs_wkt": pyproj.CRS("+proj=stere +lat_0=90 +lat_ts=60 +a=6378137 +b=6356752 +units=km").to_wkt()}
FEET = {"crs_wkt": pyproj.CRS("EPSG:2263").to_wkt()}


def on(folder: Path, mapping: dict[str, Any], y: list[float], x: list[float], units: str, name: str) -> xr.DataArray:
    also = {
        "y": (("y",), np.array(y), {"units": units, "standard_name": name.format("y", "latitude")}),
        "x": (("x",), np.array(x), {"units": units, "standard_name": name.format("x", "longitude")}),
        "crs": ((), 0, mapping),
    }
    return read(folder, frames(1), also=also, grid_mapping="crs")


def test_angles_of_a_geostationary_grid_are_multiplied_by_the_height(tmp_path: Path) -> None:
    field = on(tmp_path, GEOS, [0.08, 0.079], [-0.01, -0.009, -0.008], "rad", "projection_{0}_angular_coordinate")
    np.testing.assert_allclose(field.x.values, np.array([-0.01, -0.009, -0.008]) * 35786023.0)
    assert field.x.attrs["units"] == "m"


@pytest.mark.parametrize(("units", "factor"), [("km", 1.0), ("m", 1000.0)])
def test_kilometres_and_metres_on_a_grid_in_kilometres(units: str, factor: float, tmp_path: Path) -> None:
    y, x = np.array([-3650.0, -3651.0]), np.array([0.0, 1.0, 2.0])
    field = on(tmp_path, STERE, list(y * factor), list(x * factor), units, "projection_{0}_coordinate")
    np.testing.assert_allclose(field.y.values, y)
    assert (field.x.attrs["units"], field.y.attrs["units"]) == ("km", "km")
    assert fields.corners(field)["upper left"][1] == pytest.approx(56.0, abs=1.0)


def test_feet_and_rotated_poles_are_labelled_as_what_they_are(tmp_path: Path) -> None:
    feet = on(tmp_path, FEET, [61000.0, 60000.0], [300000.0, 301000.0, 302000.0], "m", "projection_{0}_coordinate")
    assert feet.x.attrs["units"] == "US_survey_foot"
    assert float(feet.x[0]) == pytest.approx(300000.0 * 3937 / 1200)
    turned = on(tmp_path, ROTATED, [0.0, -0.02], [0.0, 0.02, 0.04], "degrees", "grid_{1}")
    assert turned.x.attrs == {"standard_name": "grid_longitude", "units": "degrees", "axis": "X"}
    longitude, latitude = fields.degrees(turned)
    assert (longitude[0, 0], latitude[0, 0]) == pytest.approx((18.0, 50.75))  # 90 degrees from the pole at 39.25 N


def test_a_unit_that_is_none_of_the_projection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'y' is in 'degrees'"):
        on(tmp_path, STERE, [60.0, 59.0], [1.0, 2.0, 3.0], "degrees", "projection_{0}_coordinate")
    with pytest.raises(DataError, match="is in 'furlong'"):
        on(tmp_path, STERE, [60.0, 59.0], [1.0, 2.0, 3.0], "furlong", "projection_{0}_coordinate")


def test_a_grid_mapping_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names the grid mapping 'lambert', which it does not hold"):
        read(tmp_path, frames(1), grid_mapping="lambert")


@pytest.mark.parametrize("own", [True, False])
def test_columns_and_rows_are_told_by_their_coordinates(own: bool, tmp_path: Path) -> None:
    lon, lat = np.array([11.0, 11.01, 11.02]), np.array([46.0, 45.99])
    rain = np.zeros((1, 3, 2), "f4")
    rain[0, 2, 1] = 7.0
    names = ("col", "row") if own else ("longitude", "latitude")
    variables = {
        "rain": (("t", "col", "row"), rain, {"units": "mm/h"}),
        "t": (("t",), np.array([0]), {"units": SINCE}),
        names[0]: (("col",), lon, LON),
        names[1]: (("row",), lat, LAT),
    }
    field = reading.read(netcdf.to_hdf5(tmp_path / "x.nc", variables, {}))
    assert field.shape == (1, 2, 3)
    assert float(field.values[0, 1, 2]) == 7.0
    np.testing.assert_array_equal(field.x.values, lon)


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (1, 1)])
def test_one_row_or_column_is_an_axis(shape: tuple[int, int], tmp_path: Path) -> None:
    also = {"y": (("y",), 46.0 - np.arange(shape[0]) / 100, LAT), "x": (("x",), 11.0 + np.arange(shape[1]) / 100, LON)}
    assert read(tmp_path, np.ones((2, *shape), "f4"), also=also).shape == (2, *shape)


def bounds(*edges: tuple[float, float]) -> dict[str, Any]:
    return {"time_bnds": (("time", "nv"), np.array(edges, float), {})}


def amounts(folder: Path, rain: np.ndarray, *edges: tuple[float, float], at: int = 0, **options: Any) -> xr.DataArray:
    """Amounts with bounds; `at` says which edge is the time."""
    time = {"time": (("time",), np.array(edges)[:, at], {"units": SINCE, "bounds": "time_bnds"})}
    return read(folder, rain, options, units="mm", also=time | bounds(*edges))


@pytest.mark.parametrize("at", [0, 1])
def test_amounts_have_the_end_of_their_bounds_and_each_its_own(at: int, tmp_path: Path) -> None:
    field = amounts(tmp_path, frames(1.0, 1.0), (0, 5), (5, 20), at=at)
    assert first(field) == pytest.approx([12.0, 4.0])
    np.testing.assert_array_equal(field.time.values, [NOON + FIVE, NOON + 4 * FIVE])


def test_running_sums_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="running sums: several begin at 2016-09-28T12:00"):
        amounts(tmp_path, frames(1.0, 2.0, 3.0), (0, 5), (0, 10), (0, 15), at=1)
    with pytest.raises(DataError, match="is a running sum"):
        read(tmp_path, frames(1.0, 2.0, 3.0), units="mm")
    with pytest.raises(DataError, match="is a running sum"):
        read(tmp_path, frames(1.0, 0.5), units="mm", long_name="rain accumulated since the start of the run")
    assert first(read(tmp_path, frames(1.0, 3.0, 2.0), units="mm")) == pytest.approx([12.0, 36.0, 24.0])


@pytest.mark.parametrize(
    "words",
    ["15 minutes", " 900 s ", "15 min", "PT15M", "0.25 hr", "0.25 hours", "900 seconds", "15 minutes comment: gauges"],
)
def test_the_interval_of_cell_methods(words: str, tmp_path: Path) -> None:
    field = read(tmp_path, frames(1.0), units="mm", cell_methods=f"area: mean time: sum (interval: {words})")
    assert first(field) == pytest.approx([4.0])


def test_an_interval_that_nothing_tells_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give --interval MINUTES"):
        read(tmp_path, frames(1.0), units="mm")
    assert first(read(tmp_path, frames(1.0), {"interval": 10.0}, units="mm")) == pytest.approx([6.0])
    with pytest.raises(DataError, match="which --interval 10 contradicts"):
        amounts(tmp_path, frames(1.0), (0, 5), interval=10.0)
    with pytest.raises(DataError, match="an interval that is not understood"):
        read(tmp_path, frames(1.0), units="mm", cell_methods="time: sum (interval: 3 moons)")


@pytest.mark.parametrize(
    ("name", "attrs"),
    [
        ("rain_error", {"units": "mm/h", "standard_name": "rainfall_rate"}),
        ("rain_quality", {"units": "mm/h"}),
        ("rain_probability", {"units": "mm"}),
        ("n", {"units": "mm/h", "standard_name": "rainfall_rate number_of_observations"}),
        ("rain_se", {"units": "mm/h", "standard_name": "rainfall_rate standard_error"}),
        ("rain_std", {"units": "mm/h"}),
        ("wind_speed", {"units": "m s-1"}),
        ("altitude", {"units": "m", "standard_name": "surface_altitude"}),
        ("swe", {"units": "kg m-2", "standard_name": "surface_snow_amount"}),
        ("clwp", {"units": "kg m-2", "long_name": "cloud liquid water path"}),
        ("tcw", {"units": "kg m-2", "long_name": "total column precipitable water"}),
        ("evaporation", {"units": "mm/h"}),
    ],
)
def test_what_only_goes_with_rain_is_never_taken(name: str, attrs: dict[str, Any], tmp_path: Path) -> None:
    other = {name: (("time", "y", "x"), frames(9), attrs)}
    assert first(read(tmp_path, frames(1), before=other)) == [1.0]
    only = {name: other[name]}
    with pytest.raises(DataError, match=f"named like rain; it holds .*{name} "):
        read(tmp_path, frames(1), before=only, units="1")


def test_ancillary_variables_and_equals_are_not_taken(tmp_path: Path) -> None:
    other = {"rain_b": (("time", "y", "x"), frames(9), {"units": "mm/h"})}
    assert first(read(tmp_path, frames(1), before=other, ancillary_variables="rain_b")) == [1.0]
    assert first(read(tmp_path, frames(1), before=other, standard_name="rainfall_rate")) == [1.0]
    with pytest.raises(DataError, match=r"holds rain and rain_b, which may both be meant.*--variable"):
        read(tmp_path, frames(1), before=other)
    assert first(read(tmp_path, frames(1), {"variable": "rain"}, before=other)) == [1.0]


def test_a_unit_that_contradicts_the_files_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it is in 'dBZ', which --units mm/h contradicts"):
        read(tmp_path, frames(37), {"units": "mm/h"}, units="dBZ")
    assert first(read(tmp_path, frames(1), {"units": "mm h-1"})) == [1.0]
    assert first(read(tmp_path, frames(1), {"units": "mm/h"}, units="")) == [1.0]


@pytest.mark.parametrize(
    "also",
    [
        {"issued": ((), 0, {"units": SINCE, "standard_name": "forecast_reference_time"})},
        {"period": (("time",), np.array([5, 10]), {"units": "minutes", "standard_name": "forecast_period"})},
        {"lead_time": (("time",), np.array([5, 10]), {"units": "minutes"})},
        {"time": (("time",), np.array([5, 10]), {"units": SINCE, "long_name": "forecast time"})},
    ],
)
def test_a_forecast_with_valid_times_is_no_observation(also: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a forecast, not an observation"):
        read(tmp_path, frames(1, 2), also=also)


def test_an_analysis_is_an_observation_and_echocasts_forecasts_are_none(tmp_path: Path) -> None:
    issued = {"issued": (("time",), np.array([0, 5]), {"units": SINCE, "standard_name": "forecast_reference_time"})}
    assert first(read(tmp_path, frames(1, 2), also=issued)) == [1.0, 2.0]
    made = example_files.field(example_files.blob(2))
    forecast = made.assign_coords(time=[FIVE, 2 * FIVE]).rename(time="lead")
    forecast = forecast.assign_coords(forecast_reference_time=NOON, time=("lead", NOON + forecast.lead.values))
    forecast_file.to_netcdf(forecast, tmp_path / "forecast.nc")
    with pytest.raises(DataError, match="is a forecast"):
        reading.read(tmp_path / "forecast.nc")
