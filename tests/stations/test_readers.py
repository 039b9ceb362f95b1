"""Files of stations: each format, and what is refused by name."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from echocast import stations
from echocast.errors import DataError, EchocastError, UnreadableFile
from echocast.stations.converting import converted
from echocast.stations.files import Options

PLACES = "station,longitude,latitude,height\nKJFK,-73.78,40.64,4\nEGLL,-0.45,51.47,25\n"
REPORTS = """\
KJFK 112251Z 16010KT 10SM -RA FEW120 24/23 A2994 RMK AO2 SLP139 P0010 T02390233
KJFK 112351Z 16010KT 10SM FEW120 24/23 A2994 RMK AO2 SLP139 T02390233
KJFK 112315Z 16010KT 10SM FEW120 24/23 A2994 RMK AO2 P0005
KJFK 112251Z COR 16010KT 10SM -RA FEW120 24/23 A2994 RMK AO2 SLP139 P0020 T02390233
KJFK 120051Z 16010KT 10SM FEW120 24/23 A2994 RMK AO2 SLP139 PNO
KJFK 120151Z 16010KT 10SM FEW120 24/23 A2994 RMK AO2 P0000 EGLL 120150Z AUTO VRB02KT 9999 NCD 13/M02 Q1016
"""


@pytest.fixture
def metar(tmp_path: Path) -> Path:
    pytest.importorskip("metar")
    (tmp_path / "places.csv").write_text(PLACES)
    (tmp_path / "reports.txt").write_text(REPORTS)
    return tmp_path / "reports.txt"


def read_metar(path: Path, variable: str | None = None) -> xr.DataArray:
    return stations.read(path, Options(variable=variable, places=path.parent / "places.csv", month="2024-06"))


def test_metar_rain_is_that_of_routine_reports_and_their_corrections(metar: Path) -> None:
    rain = read_metar(metar).sel(station="KJFK").dropna("time")
    assert [str(time)[5:16] for time in rain.time.values] == ["06-11T22:51", "06-11T23:51", "06-12T01:51"]
    np.testing.assert_allclose(rain, [20 * 0.254, 0.0, 0.0], rtol=1e-6)  # corrected; no group of AO2; a trace
    assert np.isnan(read_metar(metar).sel(station="EGLL").values).all()  # no sensor: not known, not dry


def test_metar_temperature_humidity_pressure_and_wind(metar: Path) -> None:
    at = {"station": "KJFK", "time": np.datetime64("2024-06-11T22:51")}
    assert read_metar(metar, "air_temperature").sel(at).item() == pytest.approx(273.15 + 23.9)
    assert read_metar(metar, "air_pressure").sel(at).item() == pytest.approx(101_390)
    e = [6.112 * np.exp(17.67 * t / (t + 243.5)) for t in (23.3, 23.9)]  # Bolton 1980
    assert read_metar(metar, "relative_humidity").sel(at).item() == pytest.approx(e[0] / e[1], rel=0.002)
    wind = [read_metar(metar, f"{name}_wind").sel(at).item() for name in ("eastward", "northward")]
    speed = 10 * 1852 / 3600
    assert wind == pytest.approx([-speed * np.sin(np.radians(160)), -speed * np.cos(np.radians(160))], rel=1e-3)
    variable = read_metar(metar, "eastward_wind").sel(station="EGLL")
    assert np.isnan(variable.values).all()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"month": "2024-06"}, "give --places"),
        ({"places": "places.csv"}, "give the month with --month"),
        ({"places": "places.csv", "month": "June"}, "not of the form 2024-06"),
        ({"places": "places.csv", "month": "2024-06", "variable": "depth"}, "'depth' is no quantity"),
        ({"places": "places.csv", "month": "2024-06", "units": "mm"}, "has no option units"),
    ],
)
def test_metar_asks_for_what_reports_do_not_say(metar: Path, options: dict[str, str], why: str) -> None:
    given = {key: metar.parent / value if key == "places" else value for key, value in options.items()}
    with pytest.raises(DataError, match=why):
        stations.read(metar, Options(**given))  # type: ignore[arg-type]


def test_metar_dates_of_noaa_and_a_station_without_a_place(metar: Path) -> None:
    metar.write_text("2023/05/01 12:51\nKJFK 011251Z 16010KT 10SM 24/23 A2994 RMK AO2 P0001 T02390233\n")
    found = stations.read(metar, Options(places=metar.parent / "places.csv"))
    assert str(found.time.values[0])[:16] == "2023-05-01T12:51"
    metar.write_text("KXYZ 011251Z 16010KT 10SM 24/23 A2994 RMK AO2 P0001 T02390233\n")
    with pytest.raises(DataError, match="'KXYZ' has no place"):
        read_metar(metar)


TABLE = "time,A,B\n2024-06-01 00:10,0.1,NA\n2024-06-01 00:20,0.2,0.4\n"
ABOUT = """
[time]
zone = "+02:00"
marks = "start"
[values]
units = "in"
interval = 10
missing = ["NA"]
[stations.A]
longitude = 10.0
latitude = 50.0
height = 7
[stations.B]
longitude = 10.1
latitude = 50.0
"""


def table(folder: Path, text: str = TABLE, about: str = ABOUT) -> Path:
    (folder / "gauges.csv").write_text(text)
    (folder / "gauges.toml").write_text(about)
    return folder / "gauges.csv"


def test_a_table_becomes_utc_ends_and_millimetres(tmp_path: Path) -> None:
    rain = stations.read(table(tmp_path))
    assert [str(time)[:16] for time in rain.time.values] == ["2024-05-31T22:20", "2024-05-31T22:30"]
    np.testing.assert_allclose(rain.values, [[2.54, 5.08], [np.nan, 10.16]], rtol=1e-6)
    assert rain.height.values[0] == 7
    assert stations.interval_minutes(rain) == 10


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('zone = "+02:00"', "", "does not say its zone, and local times are not guessed"),
        ('zone = "+02:00"', 'zone = "Mars"', "is no time zone"),
        ('marks = "start"', "", "the end or the start of its interval"),
        ('units = "in"', "", "lacks units"),
        ('units = "in"', 'units = "mm/h"', "is not an amount"),
        ("interval = 10", "", "lacks interval"),
        ("interval = 10", "interval = 20", "overlap"),
        ('missing = ["NA"]', "", "'B' has 'NA' at 2024-06-01 00:10, which is no number"),
        ("[stations.B]", "[stations.C]", "there is no column 'C'"),
        ("longitude = 10.1", "longitud = 10.1", "did you mean 'longitude'"),
        ("[stations.A]", "[gauges.A]", r"has no table \[gauges\]"),
    ],
)
def test_a_table_that_does_not_say_enough_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    assert old in ABOUT
    with pytest.raises(DataError, match=why):
        stations.read(table(tmp_path, about=ABOUT.replace(old, new)))


def test_an_hour_that_the_clocks_show_twice_is_refused(tmp_path: Path) -> None:
    about = ABOUT.replace("+02:00", "Europe/Stockholm")
    with pytest.raises(DataError, match="changes its clocks"):
        stations.read(table(tmp_path, TABLE.replace("2024-06-01 00", "2024-10-27 02"), about))


def test_the_same_value_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'A' has two values at 2024-06-01 00:10"):
        stations.read(table(tmp_path, TABLE + "2024-06-01 00:10,0.1,NA\n"))


def test_the_year_of_hourly_airports(data_kit: Path, tmp_path: Path) -> None:
    (tmp_path / "nyc.csv.gz").write_bytes((data_kit / "metar" / "nyc_hourly_2013.csv.gz").read_bytes())
    (tmp_path / "nyc.toml").write_text(
        f"""
[time]
column = "time_hour"
[values]
quantity = "air_temperature"
column = "temp"
station = "origin"
units = "degF"
missing = ["NA"]
[places]
file = "{data_kit / "metar" / "nyc_airports.csv"}"
name = "faa"
longitude = "lon"
latitude = "lat"
height = "alt"
height_units = "ft"
"""
    )
    temperature = stations.read(tmp_path / "nyc.csv.gz")
    with gzip.open(tmp_path / "nyc.csv.gz", "rt") as file:
        first = next(line for line in file if line.startswith("JFK"))
    at = {"station": "JFK", "time": np.datetime64(first.split(",")[-1].strip().rstrip("Z"))}
    assert temperature.sel(at).item() == pytest.approx((float(first.split(",")[5]) - 32) * 5 / 9 + 273.15, abs=1e-3)
    assert temperature.sel(station="JFK").height.item() == pytest.approx(13 * 0.3048)


def cf(path: Path, **changed: object) -> Path:
    """A CF file of another service: kg m-2, times at the start of the interval, characters as names."""
    times = np.array([0, 3600])
    rain = (("station", "time"), np.array([[1.0, 2.0]]), {"standard_name": "precipitation_amount", "units": "kg m-2"})
    data = xr.Dataset(
        {
            "pr": rain,
            "time_bnds": (("time", "nv"), np.stack([times, times + 3600], axis=1)),
            "name": ("station", np.array([b"Kew"]), {"cf_role": "timeseries_id"}),
            "lat": ("station", [51.5], {"standard_name": "latitude"}),
            "lon": ("station", [-0.3], {"standard_name": "longitude"}),
        },
        {"time": ("time", times, {"units": "seconds since 2024-01-01", "bounds": "time_bnds"})},
        {"featureType": "timeSeries"},
    )
    for name, attrs in changed.items():
        data[name].attrs = dict(attrs)  # type: ignore[call-overload]
    data.to_netcdf(path, engine="h5netcdf")
    return path


def test_cf_bounds_say_the_interval_and_its_end(tmp_path: Path) -> None:
    rain = stations.read(cf(tmp_path / "kew.nc"))
    assert stations.interval_minutes(rain) == 60
    assert str(rain.time.values[0])[:16] == "2024-01-01T01:00"
    assert (rain.station.values.tolist(), rain.values.tolist()) == (["Kew"], [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"pr": {"standard_name": "precipitation_amount"}}, "no attribute units; give the unit with --units"),
        ({"pr": {"units": "mm"}}, "which variable is meant"),
        ({"name": {}}, "names the stations"),
        ({"time": {"units": "seconds since 2024-01-01"}}, "give them with --interval"),
        ({"lat": {}, "lon": {}, "name": {"cf_role": "timeseries_id", "sample_dimension": "obs"}}, "ragged array"),
    ],
)
def test_cf_files_that_lack_something(tmp_path: Path, changed: dict[str, dict[str, str]], why: str) -> None:
    with pytest.raises(DataError, match=why):
        stations.read(cf(tmp_path / "kew.nc", **changed))


def test_openmrg_and_openrainer(data_kit: Path) -> None:
    folder = data_kit / "openmrg"
    city = stations.read(folder / "openmrg_municp_gauge_8d.nc")
    assert (city.sizes["station"], stations.interval_minutes(city)) == (10, 1)
    assert float(city.sum()) == pytest.approx(489.1, abs=0.1)  # the kit's own figure, to a millimetre
    assert stations.interval_minutes(stations.read(folder / "openmrg_smhi_gauge_8d.nc")) == 15
    assert stations.read(folder / "openMRG_city_gauges_20150827.nc").sizes["station"] == 10  # the dims swapped
    emilia = stations.read(folder / "openrainer_gauges_8d.nc")
    assert (emilia.sizes["station"], float(emilia.height[0])) == (319, 42.0)


def test_what_no_reader_knows_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.dat").write_text("hello")
    with pytest.raises(UnreadableFile, match=r"no format of stations \(metar, netcdf, opensense, table\)"):
        stations.read(tmp_path / "x.dat")
    with pytest.raises(UnreadableFile, match="no such file"):
        stations.read(tmp_path / "nothing.csv")


@pytest.mark.parametrize(
    ("value", "units", "quantity", "expected"),
    [
        (1.0, "kt", "eastward_wind", 0.514444),
        (1.0, "mph", "northward_wind", 0.44704),
        (29.92, "inHg", "air_pressure", 101_320.8),
        (50.0, "%", "relative_humidity", 0.5),
        (1.0, "mm/5min", "rainfall_rate", 12.0),
    ],
)
def test_units_of_stations(value: float, units: str, quantity: str, expected: float) -> None:
    assert converted(np.array([value]), units, quantity)[0] == pytest.approx(expected, rel=1e-5)


def test_a_unit_of_something_else_is_refused() -> None:
    with pytest.raises(EchocastError, match="'mm' is not known for air_temperature"):
        converted(np.array([1.0]), "mm", "air_temperature")
