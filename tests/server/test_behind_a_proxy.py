"""Below a path of a proxy (--root-path): every address that the server tells leads back to it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from tests.server import issues
from tests.server.client import Answer, Client
from tests.server.edr.test_routes import PLACES

from echocast.server.app import create_app
from echocast.server.settings import Settings

ROOT, PUBLIC = "/weather/rain", "https://radar.example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> issues.Folder:
    return issues.filled(tmp_path_factory.mktemp("live"))


@pytest.fixture(params=["handed on", "taken away"])
def client(request: pytest.FixtureRequest, folder: issues.Folder, tmp_path: Path) -> Client:
    """A client of the proxy: it asks below the path, which the proxy hands on or takes away."""
    (tmp_path / "places.geojson").write_text(json.dumps(PLACES))
    told: dict[str, Any] = {"root_path": ROOT, "public_url": PUBLIC, "locations": tmp_path / "places.geojson"}
    guard = create_app(Settings(folder=folder.layout.root, **told))
    guard.service.clock = lambda: issues.NOW
    guard.service.refresh()

    class Proxied(Client):
        async def ask(self, url: str, **more: Any) -> Answer:
            assert url.startswith(f"{ROOT}/"), url
            return await super().ask(url if request.param == "handed on" else url.removeprefix(ROOT), **more)

    return Proxied(guard)


def links(content: Any) -> Iterator[str]:
    """All texts in JSON that are addresses."""
    if isinstance(content, dict):
        for value in content.values():
            yield from links(value)
    elif isinstance(content, list):
        for value in content:
            yield from links(value)
    elif isinstance(content, str) and re.match(r"(https?://radar\.example|/)\S+$", content):
        yield content


def filled(link: str, issue: str) -> str:
    """A template with what is there."""
    coords = {"/position": "?coords=POINT(24%2064)", "/cube": "?bbox=23,63,25,65"}
    coords["/area"] = "?coords=POLYGON((23%2063,25%2063,25%2065,23%2063))"
    named = {"id": issue, "instance": issue, "layer": "rate", "lead": "5", "z": "6", "x": "36", "y": "17"}
    named |= {"locationId": "town", "location": "town", "lat": "64", "lon": "24"}
    link = re.sub(r"\{(\w+)\}", lambda found: named.get(found[1], found[0]), link.partition("{?")[0])
    return link + next((query for end, query in coords.items() if link.endswith(end)), "")


def reached(client: Client, page: str, link: str, issue: str) -> None:
    """A link of a page is below the path, and there is something."""
    found = urlsplit(urljoin(f"{PUBLIC}{ROOT}{page}", filled(link, issue)))
    assert found.netloc == "radar.example", (page, link)
    answer = client.get(f"{found.path}?{found.query}".rstrip("?"))
    assert answer.status in (200, 204, 302), (page, link, answer.body[:200])


@pytest.mark.parametrize(
    "page",
    [
        "/v1/index.json",
        "/v1/tiles/{id}/rate/5/tilejson.json",
        "/edr/",
        "/edr/collections",
        "/edr/collections/nowcast",
        "/edr/collections/nowcast/instances",
        "/edr/collections/nowcast/instances/{id}",
        "/edr/collections/nowcast/instances/{id}/locations",
        "/edr/collections/nowcast/locations",
    ],
)
def test_links_in_json_lead_below_the_path(folder: issues.Folder, client: Client, page: str) -> None:
    issue = list(folder.forecasts)[-1]
    page = page.format(id=issue)
    told = [link for link in links(client.get(ROOT + page).json()) if "/def/" not in link]
    assert told
    for link in sorted(set(told)):
        assert urlsplit(link).path.startswith(f"{ROOT}/"), link
        reached(client, page, link, issue)


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_links_of_pages_lead_below_the_path(folder: issues.Folder, client: Client, page: str) -> None:
    text = client.get(ROOT + page).body.decode()
    told = [one for one in re.findall(r'(?:href|src|spec-url)="([^"#][^"]*)"', text) if "//" not in one]
    assert told
    for link in told:
        reached(client, page, link, list(folder.forecasts)[-1])


def test_other_addresses_lead_below_the_path(folder: issues.Folder, client: Client) -> None:
    issue = list(folder.forecasts)[-1]
    assert client.get(f"{ROOT}/v1/files/latest.nc").headers["location"] == f"{ROOT}/v1/files/{issue}.nc"
    maps = client.get(f"{ROOT}/public/weather-maps.json").json()
    assert maps["host"] == PUBLIC + ROOT
    for frame in (maps["radar"]["past"][-1], maps["radar"]["nowcast"][0]):
        reached(client, "/", f"{maps['host']}{frame['path']}/256/6/36/17/2/1_1.png", issue)
    openapi = client.get(f"{ROOT}/openapi.json").json()
    assert [urljoin(f"{PUBLIC}{ROOT}/openapi.json", one["url"]) for one in openapi["servers"]] == [PUBLIC + ROOT]


def test_a_path_that_only_begins_like_it_is_another(client: Client) -> None:
    assert client.get(f"{ROOT}/weather/rainhealthz").status == 404
