"""EDR over HTTP: metadata as the standard has it, caching, errors, limits."""

import gzip
import json
from pathlib import Path

import edr_pydantic.collections
import pytest
from edr_pydantic.capabilities import ConformanceModel, LandingPageModel
from openapi_spec_validator import validate
from tests.server.client import Answer, Client
from tests.server.edr.folder import publish, service
from tests.server.edr.issues import TIMES, SmallIssue

from echocast.errors import DataError
from echocast.server.app import create_app
from echocast.server.edr.serving import Held
from echocast.server.problems import Problem

HERE = "/edr/collections/nowcast"
PLACES = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "id": "town", "geometry": {"type": "Point", "coordinates": [25.1, 62.8]}},
        {
            "type": "Feature",
            "properties": {"id": "basin", "name": "Basin"},
            "geometry": {"type": "Polygon", "coordinates": [[[25.1, 62.8], [25.5, 62.8], [25.5, 63], [25.1, 62.8]]]},
        },
    ],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("live")
    publish(found)
    (found / "places.geojson").write_text(json.dumps(PLACES))
    return found


@pytest.fixture(scope="module")
def client(root: Path) -> Client:
    own = service(root, locations=root / "places.geojson")
    return Client(create_app(own.settings, own))


def ask(client: Client, address: str, **headers: str) -> Answer:
    return client.get(address.replace(" ", "%20"), **headers)


def test_the_landing_page_and_what_it_links(client: Client) -> None:
    page = LandingPageModel.model_validate_json(ask(client, "/edr/").body)
    links = {link.rel: link for link in page.links}
    assert links["service-desc"].href == "http://localhost/openapi.json"
    conformance = ConformanceModel.model_validate_json(ask(client, "/edr/conformance").body)
    assert "http://www.opengis.net/spec/ogcapi-edr-1/1.2/conf/core" in conformance.conformsTo
    for relation in ("service-desc", "service-doc", "conformance", "data"):
        assert ask(client, links[relation].href.removeprefix("http://localhost")).status == 200


def test_the_collection_and_its_instances(client: Client) -> None:
    all_of_them = edr_pydantic.collections.Collections.model_validate_json(ask(client, "/edr/collections").body)
    collection = edr_pydantic.collections.Collection.model_validate_json(ask(client, HERE).body)
    assert all_of_them.collections == [collection]
    assert collection.extent.temporal is not None
    assert collection.extent.temporal.values == list(TIMES)
    assert collection.output_formats == ["CoverageJSON", "GeoJSON", "CSV", "NetCDF"]
    assert list(collection.parameter_names.root) == ["rainfall_rate", "rainfall_rate_p90", "rainfall_amount_10min"]
    assert collection.crs == ["CRS84", "native", "http://www.opengis.net/def/crs/EPSG/0/3067"]
    west, south, east, north = collection.extent.spatial.bbox[0]
    assert (25, 62.7) < (west, south) < (east, north) < (26.5, 63.2)
    instances = edr_pydantic.collections.Instances.model_validate_json(ask(client, f"{HERE}/instances").body)
    one = instances.instances[0]
    assert one == edr_pydantic.collections.Instance.model_validate_json(ask(client, f"{HERE}/instances/{one.id}").body)
    for link in [*collection.links, *one.links]:
        address = link.href.removeprefix("http://localhost")
        asked = {"position": "?coords=POINT(25.1 62.8)", "cube": "?bbox=25,62,26,63"}.get(
            address.rsplit("/", 1)[-1], ""
        )
        asked = asked or ("?coords=POLYGON((25 62,26 62,26 63,25 62))" if address.endswith("/area") else "")
        assert ask(client, address + asked).status == 200, address


def test_an_instance_is_the_same_as_the_newest(client: Client) -> None:
    where = "position?coords=POINT(25.1 62.8)"
    newest = ask(client, f"{HERE}/{where}")
    one = ask(client, f"{HERE}/instances/{SmallIssue(Path()).id}/{where}")
    assert newest.body == one.body
    assert newest.headers["content-type"] == "application/prs.coverage+json"
    assert one.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert newest.headers["cache-control"].startswith("public, max-age=10")
    assert "expires" in newest.headers


def test_what_the_client_has_is_not_sent_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    where = f"{HERE}/cube?bbox=25,62,26.5,63.5&f=CSV"
    plain, zipped = ask(client, where), ask(client, where, accept_encoding="gzip")
    assert gzip.decompress(zipped.body) == plain.body
    assert plain.headers["etag"] != zipped.headers["etag"]
    assert "Accept-Encoding" in zipped.headers["vary"]
    monkeypatch.setattr("echocast.server.edr.queries.plan", lambda *_: pytest.fail("it was made again"))
    for answer, more in ((plain, {}), (zipped, {"accept_encoding": "gzip"})):
        again = ask(client, where, if_none_match=f'"other", W/{answer.headers["etag"]}', **more)
        assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    ("address", "status", "detail"),
    [
        (f"{HERE}/position", 400, "coords is missing"),
        (f"{HERE}/position?coords=POINT(25.1 62.8)&coords=POINT(1 2)", 400, "given twice"),
        (f"{HERE}/position?coords=POINT(25.1 62.8)&crs=EPSG:3857", 400, "'EPSG:3857' is not known"),
        (f"{HERE}/instances/20260101T000000Z-00000000/position?coords=POINT(1 2)", 404, "there is no forecast"),
        (f"{HERE}/instances/..%2f..%2fetc", 404, ""),
        (f"{HERE}/locations/nowhere", 404, "there is no place 'nowhere'"),
        (f"{HERE}/instances?limit=0", 400, "limit: '0'"),
        (f"{HERE}/instances?limit=١", 400, "limit"),
        (f"{HERE}/trajectory?coords=LINESTRING(1 2,3 4)", 404, "there is nothing at"),
        (f"{HERE}/position?coords=POINT(0 0)", 204, ""),
    ],
)
def test_errors_are_problems(client: Client, address: str, status: int, detail: str) -> None:
    answer = ask(client, address.replace("١", "%D9%A1"))
    assert answer.status == status
    if status != 204:
        assert answer.headers["content-type"] == "application/problem+json"
        assert detail in answer.json()["detail"]
        assert answer.json().get("description", answer.json()["detail"]) == answer.json()["detail"]


def test_more_than_the_limit_is_refused(root: Path) -> None:
    own = service(root, limits={"values": 1000, "points": 2, "vertices": 5, "wkt_bytes": 200})
    client = Client(create_app(own.settings, own))
    for asked, told in (
        ("cube?bbox=0,50,40,70", "the most is 1,000"),
        ("position?coords=MULTIPOINT(1 2,3 4,5 6)", "more than 2 points"),
        ("area?coords=POLYGON((0 0,1 0,1 1,.5 1,0 1,0 0))", "more than 5 vertices"),
        ("position?coords=POINT(1 2)" + "%20" * 300, "the most is 200"),
    ):
        answer = ask(client, f"{HERE}/{asked}")
        assert answer.status == 413
        assert told in answer.json()["description"]


def test_room_for_large_answers_ends(root: Path) -> None:
    held = Held(100_000)
    taken = held.take(90_000)
    with pytest.raises(Problem, match="on their way") as refused:
        held.take(70_000)
    assert (refused.value.status, refused.value.retry_after) == (503, 5)
    assert held.take(1000) == 0
    held.give_back(taken)
    assert held.take(500_000) == 500_000  # one alone is always made: the size of an answer has a limit of its own


def test_places_are_points_and_areas(client: Client) -> None:
    listed = ask(client, f"{HERE}/locations")
    features = {feature["id"]: feature for feature in listed.json()["features"]}
    assert listed.headers["content-type"] == "application/geo+json"
    assert features["basin"]["geometry"] == PLACES["features"][1]["geometry"]  # type: ignore[index]
    assert features["basin"]["properties"]["label"] == "Basin"
    endpoint = features["town"]["properties"]["edrqueryendpoint"].removeprefix("http://localhost")
    at_town = ask(client, f"{endpoint}?f=CSV").body
    assert at_town == ask(client, f"{HERE}/position?coords=POINT(25.1 62.8)&f=CSV").body
    in_basin = ask(client, f"{HERE}/locations/basin?f=CSV").body
    assert in_basin == ask(client, f"{HERE}/area?coords=POLYGON((25.1 62.8,25.5 62.8,25.5 63,25.1 62.8))&f=CSV").body


def test_without_places_the_list_is_empty(root: Path) -> None:
    own = service(root)
    assert ask(Client(create_app(own.settings, own)), f"{HERE}/locations").json()["features"] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no GeoJSON"),
        ('{"features": [{"geometry": {"type": "Point", "coordinates": [1, 2]}}]}', "feature 0: its id is ''"),
        ('{"features": [{"id": "a", "geometry": {"type": "LineString", "coordinates": []}}]}', "a: is a LineString"),
        (
            '{"features": [{"id": "a", "geometry": {"type": "Point", "coordinates": [1, 200]}}]}',
            "1 200 is not longitude",
        ),
        ('{"features": [{"id": "a", "geometry": {"type": "Polygon", "coordinates": [[[1, 2]]]}}]}', "is not closed"),
        (json.dumps({"features": [PLACES["features"][0]] * 2}), "the same id"),  # type: ignore[index]
    ],
)
def test_a_file_of_places_that_is_wrong_ends_the_start(root: Path, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "places.geojson").write_text(content)
    own = service(root, locations=tmp_path / "places.geojson")
    with pytest.raises(DataError, match=message):
        create_app(own.settings, own)


def test_without_a_forecast_nothing_is_there(tmp_path: Path) -> None:
    own = service(tmp_path)
    client = Client(create_app(own.settings, own))
    assert ask(client, "/edr/collections").json()["collections"] == []
    for address in (HERE, f"{HERE}/position?coords=POINT(1 2)", f"{HERE}/locations"):
        assert ask(client, address).status == 404
        assert "no forecast is published yet" in ask(client, address).json()["detail"]


def test_a_damaged_file_is_an_error_and_no_values(tmp_path: Path) -> None:
    issue = publish(tmp_path)
    path = issue.folder / "points.bin"
    path.write_bytes(path.read_bytes()[:1000])
    own = service(tmp_path)
    answer = ask(Client(create_app(own.settings, own)), f"{HERE}/cube?bbox=25,62,26.5,63.5")
    assert answer.status == 503
    assert str(tmp_path) not in answer.body.decode()


def test_openapi_is_valid_and_tells_the_limits(client: Client) -> None:
    described = ask(client, "/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    validate(described)
    position = described["paths"][f"{HERE}/position"]["get"]
    assert [one["name"] for one in position["parameters"]] == ["coords", "datetime", "parameter-name", "z", "crs", "f"]
    assert "at most 100 points" in position["parameters"][0]["description"]
    assert set(position["responses"]) == {"200", "204", "304", "400", "404", "413", "503"}
    assert set(position["responses"]["200"]["content"]) == {
        "application/prs.coverage+json",
        "application/geo+json",
        "text/csv",
        "application/netcdf",
    }


def test_the_documentation_is_served_from_here(client: Client) -> None:
    page = ask(client, "/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"//" not in page.body.replace(b"//localhost", b"")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style")
    script = ask(client, "/docs/rapidoc.js", accept_encoding="gzip")
    assert b"RapiDoc 9.3.8" in gzip.decompress(script.body)
