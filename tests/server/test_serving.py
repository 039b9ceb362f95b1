"""What clients and caches see: freshness, ETags, limits, tokens, errors; and that a request sees one state alone."""

import asyncio
import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.server import issues
from tests.server.client import Client

from echocast.errors import DataError
from echocast.operations.settings import SettingsError
from echocast.server import answers
from echocast.server.access import Clients, Rates
from echocast.server.app import create_app
from echocast.server.guard import Guard
from echocast.server.settings import Settings, read_settings

TILE = "rate/5/7/73/35.png"


def served(root: Path, now: float = issues.NOW, **settings: Any) -> Guard:
    guard = create_app(Settings(folder=root, **settings))
    guard.service.clock = lambda: now
    guard.service.refresh()
    return guard


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> issues.Folder:
    return issues.filled(tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def client(folder: issues.Folder) -> Client:
    return Client(served(folder.layout.root))


def newest(folder: issues.Folder) -> str:
    return list(folder.forecasts)[-1]


def test_what_has_an_id_is_kept_for_ever_and_what_changes_for_seconds(folder: issues.Folder, client: Client) -> None:
    one = newest(folder)
    for path in (f"/v1/tiles/{one}/{TILE}", f"/v1/overview/{one}/rate/5.png", f"/v1/files/{one}.nc"):
        answer = client.get(path)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["etag"][0] == '"'
        assert "content-encoding" not in client.get(path, accept_encoding="gzip").headers
    for path in ("/v1/index.json", "/v1/point?lat=64&lon=24", "/public/weather-maps.json"):
        answer = client.get(path)
        assert answer.headers["cache-control"] == "public, max-age=10, stale-while-revalidate=30"
        assert answer.headers["expires"] == "Fri, 01 May 2026 00:22:00 GMT"  # a step after the last index


def test_a_client_that_has_it_gets_304_and_each_encoding_its_own_tag(folder: issues.Folder, client: Client) -> None:
    one = newest(folder)
    paths = (f"/v1/tiles/{one}/{TILE}", f"/v1/overview/{one}/rate/5.png", f"/v1/files/{one}.nc", "/v1/index.json")
    for path in paths:
        etag = client.get(path).headers["etag"]
        for given in (etag, "*", f'"other", {etag}', f"W/{etag.removeprefix('W/')}"):
            answer = client.get(path, if_none_match=given)
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag), given
        assert client.get(path, if_none_match='"other"').status == 200
    plain, zipped = client.get("/v1/index.json"), client.get("/v1/index.json", accept_encoding="br, gzip;q=0.8")
    assert gzip.decompress(zipped.body) == plain.body
    assert plain.headers["etag"] != zipped.headers["etag"]
    assert plain.headers["vary"] == zipped.headers["vary"] == "Accept-Encoding"
    assert client.get("/v1/index.json", accept_encoding="gzip", if_none_match=plain.headers["etag"]).status == 200
    assert not answers.accepts_gzip("gzip;q=0, br")


def test_the_index_leads_from_the_past_to_the_forecast_and_its_templates_work(
    folder: issues.Folder, client: Client
) -> None:
    index = client.get("/v1/index.json").json()
    assert (index["state"], index["issued"], index["age_s"]) == ("ok", "2026-05-01T00:15:00Z", 120)
    assert [one["time"] for one in index["frames"]] == sorted(one["time"] for one in index["frames"])
    kinds = [one["kind"] for one in index["frames"]]
    assert kinds == ["observed"] * 4 + ["forecast"] * issues.LEADS
    for frame in (index["frames"][0], index["frames"][-1]):
        for name in ("tiles", "overview", "tilejson"):
            path = index["templates"][name].format(**frame, layer="rate", z=6, x=36, y=17)
            assert client.get(path).status == 200, path
    names = {one["name"]: one for one in index["layers"]}
    assert names["amount.30"]["leads"] == [30]
    assert {one["scale"] for one in names.values()} == {"rate", "amount", "probability", "coverage"}
    for name in names:
        assert client.get(index["templates"]["legend"].format(layer=name)).status == 200
    tilejson = client.get(f"/v1/tiles/{newest(folder)}/rate.p90/30/tilejson.json", host="radar.example").json()
    assert tilejson["tilejson"] == "3.0.0"
    assert tilejson["tiles"][0].startswith("http://localhost/v1/tiles/")
    west, south, east, north = tilejson["bounds"]
    assert (south < 64 < north, west < 24 < east, tilejson["maxzoom"]) == (True, True, 12)


def test_a_legend_names_its_classes_in_both_forms(client: Client) -> None:
    legend = client.get("/v1/legend/prob.amount.60.10.json").json()
    assert [(one["from"], one["to"]) for one in legend["classes"]][:2] == [(5, 10), (10, 20)]
    assert legend["classes"][-1]["to"] == 100
    classic = client.get("/v1/legend/rate.json?palette=classic").json()
    assert [one["from"] for one in classic["classes"]] == [0.1, 0.5, 1, 2, 5, 10, 20, 50]
    picture = client.get("/v1/legend/rate.svg").body.decode()
    assert picture.startswith("<svg ")
    assert all(one["color"] in picture for one in client.get("/v1/legend/rate.json").json()["classes"])
    assert client.get("/v1/legend/wind.json").status == 404


def test_a_point_is_the_forecast_at_its_cell(folder: issues.Folder, client: Client) -> None:
    lon, lat = issues.GRID.places(np.array([30.4]), np.array([22.6]))
    found = client.get(f"/v1/point?lat={lat[0]}&lon={lon[0]}").json()
    members = folder.forecasts[newest(folder)].values[:, :, 30, 22]
    assert found["coverage"] == "ok"
    for lead, row in enumerate(found["series"]):
        quantiles = np.quantile(members[:, lead], [0.1, 0.5, 0.9])
        np.testing.assert_allclose([row["p10"], row["rate"], row["p90"]], quantiles, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(row["mean"], members[:, lead].mean(), rtol=1e-3)
        np.testing.assert_allclose(row["probability"]["1"], (members[:, lead] >= 1).mean(), atol=1e-3)
    hour = members.sum(axis=1) / 12
    assert [one["minutes"] for one in found["amounts"]] == [30, 60]
    np.testing.assert_allclose(found["amounts"][1]["amount"], hour.mean(), rtol=1e-3)
    first = sorted(5 * (1 + int(np.argmax(one >= 0.1))) if (one >= 0.1).any() else np.inf for one in members)
    expected = [first[0], first[1], first[3]]
    assert [found["arrival"][name] for name in ("p10", "p50", "p90")] == [
        v if np.isfinite(v) else None for v in expected
    ]
    observed = issues.rain(1, seed=15)[0, 30, 22]
    np.testing.assert_allclose(found["observed_now"]["rate"], observed, rtol=1e-3)
    rows = client.get(f"/v1/point?lat={lat[0]}&lon={lon[0]}&f=csv").body.decode().splitlines()
    assert len(rows) == 1 + issues.LEADS
    table = dict(zip(rows[0].split(","), rows[6].split(","), strict=True))
    assert (table["lead_min"], table["amount.60"]) == ("30", "")
    np.testing.assert_allclose(float(table["amount.30"]), members[:, :6].sum(axis=1).mean() / 12, rtol=2e-3)


def test_what_is_not_known_is_told_apart_from_dry(folder: issues.Folder, client: Client) -> None:
    lon, lat = issues.GRID.places(np.array([3.5]), np.array([3.5]))
    unknown = client.get(f"/v1/point?lat={lat[0]}&lon={lon[0]}").json()
    assert (unknown["coverage"], unknown["series"][0]["rate"], unknown["arrival"]) == ("no_data", None, None)
    assert "dry" not in unknown["summary"]
    far = client.get("/v1/point?lat=10&lon=10").json()
    assert (far["coverage"], far["series"], far["summary"]) == ("outside", [], "outside the area of the forecast")
    late = Client(served(folder.layout.root, now=issues.NOW + 3600))
    assert late.get("/v1/point?lat=64&lon=24").json()["coverage"] == "stale"
    ready = late.get("/readyz")
    assert (ready.status, ready.json()["state"], "retry-after" in ready.headers) == (503, "stale", True)
    assert late.get("/v1/index.json").json()["state"] == "stale"
    assert client.get("/readyz").status == late.get("/healthz").status == 200


def test_files_are_sent_whole_or_in_one_part(folder: issues.Folder, client: Client) -> None:
    path = next((folder.layout.root / "issues").rglob(f"{newest(folder)}/*.nc"))
    whole = path.read_bytes()
    url = f"/v1/files/{newest(folder)}.nc"
    assert client.get(url).body == whole
    assert client.get(url).headers["etag"] == f'"{hashlib.sha256(whole).hexdigest()}"'
    head = client.get(url, method="HEAD")
    assert (head.body, head.headers["content-length"]) == (b"", str(len(whole)))
    size = len(whole)
    for asked, part, told in (
        ("bytes=10-19", whole[10:20], f"bytes 10-19/{size}"),
        ("bytes=-5", whole[-5:], f"bytes {size - 5}-{size - 1}/{size}"),
        (f"bytes={size - 3}-{size + 99}", whole[-3:], f"bytes {size - 3}-{size - 1}/{size}"),
    ):
        answer = client.get(url, range=asked)
        assert (answer.status, answer.body, answer.headers["content-range"]) == (206, part, told)
    assert client.get(url, range=f"bytes={size}-").status == 416
    many = "bytes=" + ",".join("0-1" for _ in range(500))
    assert (client.get(url, range=many).status, client.get(url, range="bytes=0-1", if_range='"old"').status) == (
        200,
        200,
    )
    latest = client.get("/v1/files/latest.nc")
    assert (latest.status, latest.headers["location"], latest.headers["cache-control"]) == (302, url, "no-store")


def test_rainviewers_clients_find_their_way(client: Client) -> None:
    maps = client.get("/public/weather-maps.json").json()
    past, forecast = maps["radar"]["past"], maps["radar"]["nowcast"]
    assert len(past) == 4
    assert len(forecast) == issues.LEADS
    assert forecast[0]["time"] > past[-1]["time"]
    for frame in (past[-1], forecast[3]):
        tile = client.get(f"{frame['path']}/256/6/36/17/2/1_1.png")
        assert tile.status == 200
        assert tile.body != client.get(f"{frame['path']}/256/6/36/17/0/0_0.png").body
        around = client.get(f"{frame['path']}/512/6/64.5/24.1/4/1_0.png")
        assert (around.status, around.headers["content-type"]) == (200, "image/png")
    assert client.get(f"{past[0]['path']}/256/6/364/17/2/1_1.png").status == 404


def test_errors_are_problems_that_say_what_is_wrong(folder: issues.Folder, client: Client) -> None:
    one = newest(folder)
    for path, status, words in (
        ("/v1/tiles/20260101T000000Z-00000000/rate/5/1/0/0.png", 404, "no issue or frame of this id"),
        (f"/v1/tiles/{one}/wind/5/1/0/0.png", 404, "no such layer"),
        (f"/v1/tiles/{one}/rate/7/1/0/0.png", 404, "not at this lead"),
        (f"/v1/tiles/{one}/rate/5/1/2/0.png", 404, "no tile 1/2/0"),
        (f"/v1/tiles/{one}/rate/5/13/0/0.png", 404, "zooms go from 0 to 12"),
        (f"/v1/tiles/{one}/rate/5/1/0/0.png?palette=jet", 400, "there are cvd, classic, grey, night"),
        ("/v1/point?lat=91&lon=0", 400, "lat: input should be less than or equal to 90"),
        ("/v1/point?lat=nan&lon=0", 400, "finite"),
        ("/v1/point?lon=0", 400, "lat: field required"),
        ("/v1/files/../index.json", 404, "nothing at"),
        ("/nothing", 404, "there is nothing at /nothing"),
    ):
        answer = client.get(path)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), path
        assert words in answer.json()["detail"], answer.json()
    assert client.get("/v1/index.json", method="POST").status == 405
    assert client.get("/" + 9000 * "x").status == 414
    assert client.get("/", cookie=17_000 * "x").status == 431
    assert client.get("/", content_length="99999999").status == 413


def test_every_answer_has_the_headers_of_security(client: Client) -> None:
    for path in ("/", "/nothing", "/v1/index.json"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert (headers["x-content-type-options"], headers["access-control-allow-origin"]) == ("nosniff", "*")
        assert "server" not in headers
        assert "access-control-allow-credentials" not in headers
    allowed = client.get("/v1/index.json", method="OPTIONS", origin="https://a.example")
    assert (allowed.status, allowed.headers["access-control-allow-methods"]) == (204, "GET, HEAD, OPTIONS")


def test_tokens_keep_others_out_and_answers_out_of_shared_caches(folder: issues.Folder, tmp_path: Path) -> None:
    known = tmp_path / "tokens"
    known.write_text(f"# ours\n{hashlib.sha256(b'secret').hexdigest()}  # of the city\n")
    client = Client(served(folder.layout.root, token_file=known, cors=["https://map.example"]))
    for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic secret"}):
        answer = client.get("/v1/index.json", **given)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    answer = client.get("/v1/index.json", authorization="Bearer secret", origin="https://map.example")
    assert answer.headers["cache-control"].startswith("private, ")
    assert answer.headers["access-control-allow-origin"] == "https://map.example"
    assert answer.headers["vary"] == "Accept-Encoding, Origin"
    other = client.get("/v1/index.json", authorization="Bearer secret", origin="https://else.example")
    assert "access-control-allow-origin" not in other.headers
    assert (client.get("/healthz").status, client.get("/readyz").status) == (200, 200)
    known.write_text("secret\n")
    with pytest.raises(DataError, match="needs the SHA-256 of a token on each line"):
        served(folder.layout.root, token_file=known)


def test_who_asks_too_often_waits_and_only_trusted_proxies_name_others(folder: issues.Folder) -> None:
    client = Client(served(folder.layout.root, rate="2/s", proxies=["10.0.0.0/8"]))
    statuses = [client.get("/v1/index.json", peer="192.0.2.1").status for _ in range(6)]
    assert statuses[:4] == [200] * 4
    assert 429 in statuses[4:]
    assert client.get("/v1/index.json", peer="192.0.2.2").status == 200
    now = [0.0]
    rates = Rates(10, clock=lambda: now[0])
    assert [rates.wait("a") > 0 for _ in range(21)] == [False] * 20 + [True]
    now[0] = 0.1
    assert [rates.wait("a") > 0 for _ in range(2)] == [False, True]
    clients = Clients(["10.0.0.0/8"])
    forwarded = {b"x-forwarded-for": b"198.51.100.7, 203.0.113.9, 10.1.1.1"}
    assert clients.of({"client": ("10.2.2.2", 1)}, forwarded) == "203.0.113.9"
    assert clients.of({"client": ("192.0.2.1", 1)}, forwarded) == "192.0.2.1"


def test_settings_come_from_four_places_and_limits_are_told(folder: issues.Folder, tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text('[serve]\nfolder = "live"\nstale = "30min"\nrate = "5/s"\n[serve.limits]\nzoom = 9\n')
    found = read_settings({"rate": "7/s"}, file=file, environment={"ECHOCAST_SERVE__STALE": "40min"})
    assert (found.stale, found.rate, found.limits.zoom) == (2400, "7/s", 9)
    assert read_settings({}, file=_written(tmp_path / "again.toml", found.as_toml())) == found
    with pytest.raises(SettingsError, match="there is no setting 'bnd'"):
        read_settings({"folder": "live", "bnd": "x"})
    with pytest.raises(SettingsError, match="--bind '8080'"):
        read_settings({"folder": "live", "bind": "8080"})
    openapi = Client(served(folder.layout.root)).get("/openapi.json").json()
    assert openapi["openapi"].startswith("3.1")
    assert "`zoom`: 12" in openapi["info"]["description"]
    tile = openapi["paths"]["/v1/tiles/{id}/{layer}/{lead}/{z}/{x}/{y}.png"]["get"]["responses"]
    assert list(tile["200"]["content"]) == ["image/png"]
    assert not any("422" in one["get"]["responses"] for one in openapi["paths"].values())


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_request_sees_one_state_while_issues_come_and_go(tmp_path: Path) -> None:
    folder = issues.Folder(tmp_path / "live")
    guard = served(folder.layout.root)
    client = Client(guard)
    assert client.get("/v1/index.json").json()["issue"] is None
    assert client.get("/v1/files/latest.nc").status == 404
    statuses: list[int] = []
    points: list[tuple[str, float]] = []

    async def read() -> None:
        while len(folder.forecasts) < 4:
            index = (await client.ask("/v1/index.json")).json()
            for frame in index["frames"][-2:]:
                path = index["templates"]["tiles"].format(**frame, layer="rate", z=6, x=36, y=17)
                statuses.append((await client.ask(path)).status)
            found = (await client.ask("/v1/point?lat=64&lon=24")).json()
            if found["issue"]:
                points.append((found["issue"]["id"], found["series"][0]["rate"]))
            await asyncio.sleep(0)

    async def write() -> None:
        for number in range(4):
            folder.issue(5 * number, seed=number)
            folder.publisher.take_out(list(folder.publisher.issues)[:-2])
            folder.index()
            await asyncio.to_thread(guard.service.refresh)
            await asyncio.sleep(0.01)

    async def both() -> None:
        await asyncio.gather(write(), *(read() for _ in range(4)))

    asyncio.run(both())
    assert set(statuses) == {200}
    cell = issues.GRID.cell(24, 64)
    assert cell is not None
    for issue, rate in set(points):
        np.testing.assert_allclose(rate, folder.forecasts[issue].values[0, *cell], rtol=1e-3)


def test_an_open_issue_is_read_when_it_is_removed_and_a_gone_one_is_told(tmp_path: Path) -> None:
    folder = issues.filled(tmp_path / "live")
    guard = served(folder.layout.root)
    client = Client(guard)
    one, other = newest(folder), next(iter(folder.forecasts))
    assert client.get(f"/v1/tiles/{one}/rate/5/6/36/17.png").status == 200
    for path in (folder.layout.root / "issues").rglob("*.*"):
        if path.is_file():
            path.unlink()
    assert client.get(f"/v1/tiles/{one}/rate/10/6/36/17.png").status == 200
    gone = client.get(f"/v1/tiles/{other}/rate/5/6/36/17.png")
    assert (gone.status, gone.headers["content-type"]) == (503, "application/problem+json")
    assert str(tmp_path) not in gone.body.decode()


def test_an_index_of_another_version_or_damaged_keeps_the_last_state(tmp_path: Path) -> None:
    folder = issues.filled(tmp_path / "live")
    guard = served(folder.layout.root)
    folder.change_index(version="1.9", news={"more": 1})
    assert guard.service.refresh()
    assert guard.service.trouble == ""
    outside = {"id": "x", "time": "2026-05-01T00:00:00Z", "path": "../../etc/passwd"}
    leads_out = {"version": "1.0", "issues": [], "frames": [outside], "generated": "2026-05-01T00:00:00Z"}
    for content in ('{"version": "2.0"}', "{", '{"version": "1.0", "issues": 3}', json.dumps(leads_out)):
        folder.layout.index.write_text(content)
        assert not guard.service.refresh()
        assert guard.service.trouble
        assert guard.service.snapshot.newest is not None
    assert "cannot be used" in Client(guard).get("/readyz").json()["reason"]


def test_an_issue_of_a_version_without_layers_is_served_as_a_file(tmp_path: Path) -> None:
    folder = issues.Folder(tmp_path / "live")
    issue = folder.issue(15, bare=True)
    folder.index()
    client = Client(served(folder.layout.root))
    index = client.get("/v1/index.json").json()
    assert (index["issue"]["id"], index["layers"], index["frames"]) == (issue.id, [], [])
    assert client.get(f"/v1/tiles/{issue.id}/rate/5/6/36/17.png").status == 404
    assert client.get("/v1/point?lat=64&lon=24").json()["coverage"] == "no_data"
    assert client.get(f"/v1/files/{issue.id}.nc").status == 200
    assert client.get("/public/weather-maps.json").json()["radar"]["nowcast"] == []


def test_heavy_libraries_are_never_loaded(folder: issues.Folder) -> None:
    line = (
        "import asyncio, sys; from pathlib import Path; from tests.server.client import Client\n"
        "from echocast.server.app import create_app; from echocast.server.settings import Settings\n"
        f"guard = create_app(Settings(folder=Path({str(folder.layout.root)!r}))); guard.service.refresh()\n"
        f"client = Client(guard)\n"
        f"for path in ('/', '/v1/index.json', '/v1/tiles/{newest(folder)}/{TILE}', '/v1/point?lat=64&lon=24',\n"
        f"             '/v1/files/{newest(folder)}.nc', '/openapi.json'):\n"
        "    assert client.get(path).status == 200, path\n"
        "print(sorted({'torch', 'xarray', 'h5py', 'h5netcdf', 'netCDF4', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.strip().replace("'", '"')) == []
