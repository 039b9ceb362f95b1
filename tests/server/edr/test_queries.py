"""Answers: values are those of xarray, and each form is what its standard says."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import shapely
import xarray as xr
from covjson_pydantic.coverage import Coverage as CheckedCoverage
from tests.server.edr.covjson_rules import SCHEMA
from tests.server.edr.issues import ISSUED, LEADS, TIMES, SmallIssue

from echocast.server.edr import projection, queries
from echocast.server.edr.queries import Limits
from echocast.server.edr.refusals import Refused, TooMuch

ROUNDING = 5e-4
"""Half precision, relative; numbers below 6e-5 are coarser."""
LIMITS = Limits()


@pytest.fixture(scope="module")
def issue(tmp_path_factory: pytest.TempPathFactory) -> SmallIssue:
    return SmallIssue(tmp_path_factory.mktemp("issue"))


@pytest.fixture(scope="module")
def truth(issue: SmallIssue) -> xr.Dataset:
    """The issue as xarray has it."""
    y, x = projection.centres(issue.grid.y), projection.centres(issue.grid.x)
    arrays = issue.arrays
    rate = {name: (("lead", "y", "x"), arrays[name]) for name in ("rate", "rate.p90")}
    return xr.Dataset(rate | {"amount.10": (("y", "x"), arrays["amount.10"][0])}, {"lead": list(LEADS), "y": y, "x": x})


def ask(issue: SmallIssue, kind: str, limits: Limits = LIMITS, **asked: str) -> bytes:
    """The answer to a query; names with a line below for one in the middle."""
    named = {name.replace("_", "-"): value for name, value in asked.items()}
    plan = queries.plan(queries.read(kind, named, issue, limits), issue, limits)
    return b"".join(queries.answer(plan, issue, limits)) if plan else b""


def covjson(issue: SmallIssue, kind: str, **asked: str) -> dict[str, np.ndarray]:
    """The ranges of an answer that both checkers of CoverageJSON accept."""
    content = ask(issue, kind, **asked)
    CheckedCoverage.model_validate_json(content)
    read = json.loads(content, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    jsonschema.validate(read, SCHEMA)
    for one in read["ranges"].values():
        assert len(one["values"]) == np.prod(one["shape"])
    return {
        name: np.array([np.nan if v is None else v for v in one["values"]], np.float64).reshape(one["shape"])
        for name, one in read["ranges"].items()
    } | {"domain": read["domain"]}


def near(found: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.allclose(found, expected, rtol=ROUNDING, atol=1e-7, equal_nan=True))


def xy(issue: SmallIssue, longitude: float, latitude: float) -> tuple[float, float]:
    import pyproj

    x, y = pyproj.Transformer.from_crs("EPSG:4326", issue.grid.crs, always_xy=True).transform(longitude, latitude)
    return x, y


@pytest.mark.parametrize("place", [(25.05, 62.8), (25.33, 63.05), (26.1, 62.77)])
def test_a_point_is_xarrays_nearest(issue: SmallIssue, truth: xr.Dataset, place: tuple[float, float]) -> None:
    found = covjson(issue, "position", coords=f"POINT({place[0]} {place[1]})")
    x, y = xy(issue, *place)
    expected = truth.sel(x=x, y=y, method="nearest")
    assert found["domain"]["domainType"] == "PointSeries"
    assert found["domain"]["axes"]["t"]["values"] == list(TIMES)
    assert near(found["rainfall_rate"], expected["rate"].values)
    assert near(found["rainfall_rate_p90"], expected["rate.p90"].values)
    assert near(found["rainfall_amount_10min"][1], expected["amount.10"].values)
    assert np.isnan(found["rainfall_amount_10min"][[0, 2]]).all()


def test_points_outside_have_no_values(issue: SmallIssue, truth: xr.Dataset) -> None:
    found = covjson(
        issue, "position", coords="MULTIPOINT((25.1 62.8), (0 0), (25.33 63.05))", parameter_name="rainfall_rate"
    )
    assert found["domain"]["domainType"] == "MultiPointSeries"
    assert found["rainfall_rate"].shape == (3, 3)
    assert np.isnan(found["rainfall_rate"][:, 1]).all()
    x, y = xy(issue, 25.33, 63.05)
    assert near(found["rainfall_rate"][:, 2], truth["rate"].sel(x=x, y=y, method="nearest").values)


def test_what_is_unknown_is_null(issue: SmallIssue) -> None:
    found = covjson(issue, "position", coords="POINT(401500 6998500)", crs="native", parameter_name="rainfall_rate")
    assert np.isnan(found["rainfall_rate"]).all()


@pytest.mark.parametrize("kind", ["area", "cube"])
def test_cells_of_the_grid_as_they_are(issue: SmallIssue, truth: xr.Dataset, kind: str) -> None:
    text = "POLYGON((25 62.7, 26.2 62.7, 25.6 63.05, 25 62.7))"
    asked = {"coords": text} if kind == "area" else {"bbox": "25,62.7,26.2,63.05"}
    found = covjson(issue, kind, parameter_name="rainfall_rate,rainfall_amount_10min", datetime=TIMES[1], **asked)
    axes = found["domain"]["axes"]
    x, y = (np.linspace(axes[name]["start"], axes[name]["stop"], axes[name]["num"]) for name in "xy")
    part = truth.sel(x=x, y=y, lead=LEADS[1])
    longitude, latitude = projection.degrees(issue.grid, *np.meshgrid(x, y))
    geometry = shapely.from_wkt(text) if kind == "area" else shapely.box(25, 62.7, 26.2, 63.05)
    inside = shapely.contains_xy(geometry, longitude, latitude)
    assert found["rainfall_rate"].shape == (1, y.size, x.size)
    assert near(found["rainfall_rate"][0], np.where(inside, part["rate"], np.nan))
    assert near(found["rainfall_amount_10min"][0], np.where(inside, part["amount.10"], np.nan))


def test_a_grid_of_degrees_has_the_nearest_values(issue: SmallIssue, truth: xr.Dataset) -> None:
    found = covjson(issue, "cube", bbox="25,62.75,25.8,63", crs="CRS84", parameter_name="rainfall_rate")
    assert found["domain"]["referencing"][0]["system"]["id"].endswith("CRS84")
    axes = found["domain"]["axes"]
    longitude, latitude = (np.linspace(axes[name]["start"], axes[name]["stop"], axes[name]["num"]) for name in "xy")
    for row in (0, latitude.size // 2, latitude.size - 1):
        for column in (0, longitude.size // 3, longitude.size - 1):
            if np.isfinite(found["rainfall_rate"][0, row, column]):
                x, y = xy(issue, longitude[column], latitude[row])
                expected = truth["rate"].sel(x=x, y=y, method="nearest").values
                assert near(found["rainfall_rate"][:, row, column], expected)


def test_csv_has_a_row_for_each_time_and_cell(issue: SmallIssue, truth: xr.Dataset) -> None:
    content = ask(issue, "area", coords="POLYGON((25 62.7, 25.3 62.7, 25.2 62.9, 25 62.7))", f="CSV")
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    x = np.array([float(row["x"]) for row in rows])
    y = np.array([float(row["y"]) for row in rows])
    lead = np.array([float(row["lead_minutes"]) for row in rows])
    at = {name: xr.DataArray(values, dims="row") for name, values in (("x", x), ("y", y), ("lead", lead))}
    expected = truth["rate"].sel(at).values
    found = np.array([float(row["rainfall_rate"] or "nan") for row in rows])
    assert len(rows) > 100
    assert len(rows) % 3 == 0
    assert near(found, expected)
    assert {row["rainfall_amount_10min"] == "" for row in rows if row["datetime"] != TIMES[1]} == {True}
    longitude, latitude = projection.degrees(issue.grid, x, y)
    assert np.allclose([float(row["longitude"]) for row in rows], longitude, atol=1e-6)
    assert np.allclose([float(row["latitude"]) for row in rows], latitude, atol=1e-6)


def test_geojson_has_a_feature_for_each_time_and_cell(issue: SmallIssue) -> None:
    asked = {"coords": "POLYGON((25 62.7, 25.3 62.7, 25.2 62.9, 25 62.7))", "parameter_name": "rainfall_rate_p90"}
    features = json.loads(ask(issue, "area", f="GeoJSON", **asked))["features"]
    rows = list(csv.DictReader(io.StringIO(ask(issue, "area", f="CSV", **asked).decode(), newline="")))
    assert len(features) == len(rows)
    for feature, row in zip(features, rows, strict=True):
        assert shapely.geometry.shape(feature["geometry"]).coords[0] == (
            float(row["longitude"]),
            float(row["latitude"]),
        )
        assert feature["properties"]["datetime"] == row["datetime"]
        assert feature["properties"]["rainfall_rate_p90"] == (
            float(row["rainfall_rate_p90"]) if row["rainfall_rate_p90"] else None
        )


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("position", {"coords": "MULTIPOINT((25.1 62.8), (25.33 63.05))"}),
        ("area", {"coords": "POLYGON((25 62.7, 26.2 62.7, 25.6 63.05, 25 62.7))"}),
        ("cube", {"bbox": "25,62.75,25.8,63", "crs": "CRS84"}),
    ],
)
def test_netcdf_is_cf_and_says_the_same(issue: SmallIssue, tmp_path: Path, kind: str, asked: dict[str, str]) -> None:
    path = tmp_path / "answer.nc"
    path.write_bytes(ask(issue, kind, f="NetCDF", **asked))
    assert cf_problems(path) == []
    same = covjson(issue, kind, **asked)
    with xr.open_dataset(path) as data:
        assert [str(time)[:19] + "Z" for time in data.time.values] == list(TIMES)
        assert data.forecast_reference_time.values == np.datetime64(int(ISSUED), "s")
        for name in ("rainfall_rate", "rainfall_rate_p90", "rainfall_amount_10min"):
            values = data[name].transpose("time", ...).values
            assert np.allclose(values, same[name], rtol=1e-5, equal_nan=True)


def cf_problems(path: Path) -> list[str]:
    """What the checker of CF 1.11 finds, of any priority."""
    checker = Path(sys.executable).with_name("compliance-checker")
    line = [str(checker), "--test=cf:1.11", "--format=json", f"--output={path}.json", str(path)]
    subprocess.run(line, capture_output=True, check=False)
    report = json.loads(Path(f"{path}.json").read_text())["cf:1.11"]
    assert report["possible_points"] > 10
    return [str(item) for item in report["all_priorities"] if item["value"][0] != item["value"][1]]


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("position", {"coords": "POINT(0 0)"}),
        ("position", {"coords": "POINT(25.1 62.8)", "datetime": "2030-01-01T00:00Z"}),
        ("area", {"coords": "POLYGON((0 0, 1 0, 1 1, 0 0))"}),
        ("cube", {"bbox": "0,0,1,1"}),
    ],
)
def test_where_nothing_is_there_is_no_answer(issue: SmallIssue, kind: str, asked: dict[str, str]) -> None:
    assert ask(issue, kind, **asked) == b""


@pytest.mark.parametrize(
    ("kind", "asked", "message"),
    [
        ("position", {}, "coords is missing; an example is"),
        ("cube", {}, "bbox is missing; an example is"),
        (
            "position",
            {"coords": "POINT(25.1 62.8)", "parametername": "rate"},
            "'parametername' is no parameter of this",
        ),
        (
            "position",
            {"coords": "POINT(25.1 62.8)", "parameter_name": "rain"},
            "'rain' is not known; there are: rainfall",
        ),
        (
            "position",
            {"coords": "POINT(25.1 62.8)", "f": "xls"},
            "'xls' is not known; there are: CoverageJSON, GeoJSON",
        ),
        ("position", {"coords": "POINT(25.1 62.8)", "crs": "EPSG:4326"}, "'EPSG:4326' is not known; there are: CRS84"),
        ("position", {"coords": "POINT(25.1 62.8)", "z": "high"}, "'high' is no height"),
        ("position", {"coords": "POINT(25 91)"}, "25 91 is not longitude and latitude"),
        ("position", {"coords": "POINT(1e308 1e308)"}, "not longitude and latitude"),
        ("position", {"coords": "POLYGON((0 0, 1 0, 1 1, 0 0))"}, "position takes POINT or MULTIPOINT, not POLYGON"),
        ("area", {"coords": "POINT(25.1 62.8)"}, "area takes POLYGON or MULTIPOLYGON, not POINT"),
    ],
)
def test_what_is_wrong_is_told(issue: SmallIssue, kind: str, asked: dict[str, str], message: str) -> None:
    with pytest.raises(Refused, match=message):
        ask(issue, kind, **asked)


def test_huge_numbers_of_the_projection_are_nowhere(issue: SmallIssue) -> None:
    assert ask(issue, "position", coords="POINT(1e308 -1e308)", crs="native") == b""
    assert ask(issue, "cube", bbox="-1e308,-1e308,1e308,1e308", crs="native", parameter_name="rainfall_rate")


def test_heights_are_ignored(issue: SmallIssue) -> None:
    plain = ask(issue, "position", coords="POINT(25.1 62.8)")
    assert ask(issue, "position", coords="POINT Z (25.1 62.8 100)", z="0/1000") == plain


def test_too_much_is_refused_before_it_is_read(issue: SmallIssue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echocast.server.edr.reading.values", lambda *_: pytest.fail("values were read"))
    with pytest.raises(TooMuch, match=r"2,800 cells x 3 times x 3 parameters are 25,200 values; the most is 20,000"):
        ask(issue, "cube", Limits(values=20_000), bbox="0,50,40,70")
    for form in ("CSV", "GeoJSON", "CoverageJSON", "NetCDF"):
        with pytest.raises(TooMuch, match=f"as {form} this would be about"):
            ask(issue, "cube", Limits(bytes=50_000), bbox="0,50,40,70", f=form)


@pytest.mark.parametrize("form", queries.FORMATS, ids=lambda form: form.name)
def test_the_expected_size_is_about_the_size(issue: SmallIssue, form: queries.Format) -> None:
    query = queries.read("cube", {"bbox": "0,50,40,70", "f": form.name}, issue, LIMITS)
    plan = queries.plan(query, issue, LIMITS)
    assert plan is not None
    size = sum(map(len, queries.answer(plan, issue, LIMITS)))
    assert 0.3 < size / queries.expected_bytes(query, plan.domain) < 1.1


def test_the_form_may_be_asked_by_what_is_accepted(issue: SmallIssue) -> None:
    def form(accept: str, **asked: str) -> str:
        return queries.read("position", {"coords": "POINT(25.1 62.8)"} | asked, issue, LIMITS, accept).form.name

    assert form("text/csv") == "CSV"
    assert form("text/html, application/geo+json;q=0.9, */*;q=0.8") == "GeoJSON"
    assert form("*/*") == "CoverageJSON"
    assert form("text/csv", f="application/netcdf") == "NetCDF"
