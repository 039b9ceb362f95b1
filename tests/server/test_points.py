"""Places: the short way to an answer gives what the long one gives, and its numbers are those of points.bin."""

import asyncio
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from covjson_pydantic.coverage import Coverage
from tests.server import issues
from tests.server.client import Answer, Client
from tests.server.edr.covjson_rules import SCHEMA

from echocast.operations.stamps import iso
from echocast.server.app import create_app
from echocast.server.routes.point import Points
from echocast.server.settings import Settings


@pytest.fixture(scope="module", params=[4, None])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> issues.Folder:
    return issues.filled(tmp_path_factory.mktemp("live"), request.param)


def served(folder: issues.Folder, **told: Any) -> Client:
    guard = create_app(Settings(folder=folder.layout.root, **told))
    guard.service.clock = lambda: issues.NOW
    guard.service.refresh()
    return Client(guard)


@pytest.fixture(scope="module")
def client(folder: issues.Folder) -> Client:
    return served(folder)


def place(row: float, column: float) -> tuple[float, float]:
    """Latitude and longitude, as a client would write them."""
    lon, lat = issues.GRID.places(np.array([row]), np.array([column]))
    return round(float(lat[0]), 4), round(float(lon[0]), 4)


PLACES = [place(30.4, 22.6), place(3.5, 3.5), place(12.2, 30.1), (10.0, 10.0)]
"""Two in the rain, one where nothing is known, one outside."""


def number(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def plainly(client: Client, lat: float, lon: float) -> dict[str, Any]:
    """`series`, `amounts` and `arrival` by loops over what points.bin holds, as docs/serving.md tells them."""
    issue = client.app.service.snapshot.newest  # type: ignore[attr-defined]
    cell = issue.grid.cell(lon, lat)
    values = {} if cell is None else issue.point_file.series(*cell)
    labels = {"rate": "rate", "rate.mean": "mean"} | {f"rate.p{n}": f"p{n}" for n in (10, 25, 50, 75, 90)}
    series = []
    for n, lead in enumerate(issue.point_file.leads("rate") if values else ()):
        row: dict[str, Any] = {"time": iso(issue.seconds + 60 * lead), "lead": lead}
        row |= {labels[name]: number(float(values[name][n])) for name in values if name in labels}
        chances = {name[10:]: number(float(v[n])) for name, v in values.items() if name.startswith("prob.rate.")}
        series.append(row | ({"probability": chances} if chances else {}))
    amounts = []
    for name in (one for one in values if one.startswith("amount.")):
        begin = f"prob.{name}."
        row = {"minutes": float(name[7:]), "amount": number(float(values[name][0]))}
        chances = {n.removeprefix(begin): number(float(v[0])) for n, v in values.items() if n.startswith(begin)}
        amounts.append(row | ({"probability": chances} if chances else {}))
    starts = {name[7:].lstrip(".") or "rate": float(v[0]) for name, v in values.items() if name.startswith("arrival")}
    known = bool(starts) and not any(math.isnan(one) for one in starts.values())
    return {
        "series": series,
        "amounts": amounts,
        "arrival": {name: number(one) for name, one in starts.items()} if known else None,
    }


def test_the_numbers_are_those_of_the_file(client: Client) -> None:
    for lat, lon in PLACES:
        answer = client.get(f"/v1/point?lat={lat}&lon={lon}")
        assert json.dumps(answer.json()) == answer.body.decode()  # the order and the numbers as Python writes them
        assert {name: answer.json()[name] for name in ("series", "amounts", "arrival")} == plainly(client, lat, lon)


def both_ways(client: Client, query: str, **headers: str) -> tuple[Answer, Answer]:
    """The answers by the short and the long way, which are told apart by a parameter that is not known."""
    points = Points(client.app.service)  # type: ignore[attr-defined]
    for text, is_short in ((query, True), (f"{query}&other=1", False)):
        scope = {"query_string": text.encode(), "headers": []}
        assert (asyncio.run(points.fast("", scope)) is not None) == is_short, text
    return client.get(f"/v1/point?{query}", **headers), client.get(f"/v1/point?{query}&other=1", **headers)


@pytest.mark.parametrize("form", ["", "&f=json", "&f=csv", "&f=covjson"])
def test_the_short_way_and_the_long_one_give_the_same(folder: issues.Folder, client: Client, form: str) -> None:
    older = next(iter(folder.forecasts))
    for lat, lon in PLACES:
        for query in (f"lat={lat}&lon={lon}{form}", f"lat={lat}&lon={lon}{form}&issue={older}"):
            for headers in ({}, {"accept_encoding": "gzip"}, {"method": "HEAD"}):
                short, long = both_ways(client, query, **headers)
                assert short == long
                assert short.status == 200
                again = both_ways(client, query, **headers, if_none_match=short.headers["etag"])
                assert again[0] == again[1]
                assert (again[0].status, again[0].body) == (304, b"")


@pytest.mark.parametrize(
    "query",
    ["lat=91&lon=0", "lat=nan&lon=0", "lon=0", "lat=60&lon=361", "lat=60&lon=24&f=xml", "lat=60&lon=24&issue=none"],
)
def test_what_is_wrong_is_told_alike(client: Client, query: str) -> None:
    first, other = client.get(f"/v1/point?{query}"), client.get(f"/v1/point?{query}&other=1")
    assert first == other
    assert (first.status // 100, first.headers["content-type"]) == (4, "application/problem+json")


def test_unusual_queries_are_understood(client: Client) -> None:
    lat, lon = PLACES[0]
    expected = client.get(f"/v1/point?lat={lat}&lon={lon}")
    for query in (
        f"lon={lon}&lat={lat}",
        f"lat=%2B{lat}&lon={lon}",
        f"lat={lat}e0&lon={lon}",
        f"lat=1&lat={lat}&lon={lon}",
    ):
        assert client.get(f"/v1/point?{query}") == expected, query


def test_tokens_and_rates_hold_on_the_short_way(folder: issues.Folder, tmp_path: Path) -> None:
    known = tmp_path / "tokens"
    known.write_text(hashlib.sha256(b"secret").hexdigest())
    path = "/v1/point?lat=64&lon=24"
    keyed = served(folder, token_file=known)
    assert keyed.get(path).status == 401
    answer = keyed.get(path, authorization="Bearer secret")
    assert (answer.status, answer.headers["cache-control"].split(",")[0]) == (200, "private")
    slow = served(folder, rate="1/s")
    assert [slow.get(path).status for _ in range(4)][-1] == 429


def test_coverage_json_has_the_same_numbers_and_none_outside(client: Client) -> None:
    for lat, lon in PLACES:
        answer = client.get(f"/v1/point?lat={lat}&lon={lon}&f=covjson")
        assert answer.headers["content-type"] == "application/prs.coverage+json"
        Coverage.model_validate_json(answer.body)
        read = answer.json()
        jsonschema.validate(read, SCHEMA)
        axes = read["domain"]["axes"]
        assert (axes["x"]["values"], axes["y"]["values"]) == ([lon], [lat])
        said = client.get(f"/v1/point?lat={lat}&lon={lon}").json()
        rates = [row["rate"] for row in said["series"]] or [None] * issues.LEADS
        found = read["ranges"]["rainfall_rate"]["values"]
        assert [one is None for one in found] == [one is None for one in rates]
        np.testing.assert_allclose([one or 0 for one in found], [one or 0 for one in rates], rtol=1e-3)
    assert axes["t"]["values"][0] == "2026-05-01T00:20:00Z"


def test_without_a_forecast_there_is_no_coverage(tmp_path: Path) -> None:
    client = served(issues.Folder(tmp_path / "live"))
    assert client.get("/v1/point?lat=64&lon=24").json()["coverage"] == "no_data"
    answer = client.get("/v1/point?lat=64&lon=24&f=covjson")
    assert (answer.status, answer.json()["detail"]) == (404, "there is no forecast with numbers of places yet")
