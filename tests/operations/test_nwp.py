"""The service with a weather model: which run an issue used, and what is told where none can be used."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests.operations import service
from tests.operations.fake_radar import START, START_S, FakeRadar

from echocast import fields
from echocast.io import model_runs
from echocast.io.forecast_file import from_netcdf
from echocast.operations.settings import SettingsError, read_settings
from echocast.synthetic import model_pair

HOUR = np.timedelta64(3600 * 10**9, "ns")


def write_run(path: Path, began: np.datetime64, rain: float) -> None:
    """A run of six hours with the same rain everywhere, around the frames of the fake radar."""
    y, x = 58.4 - 0.1 * np.arange(9), 18.2 + 0.1 * np.arange(9)
    frames = fields.make(np.full((6, 9, 9), rain), time=began + np.arange(1, 7) * HOUR, y=y, x=x, crs="EPSG:4326")
    lead = frames.time.values - began
    coords = {"lead": lead, "time": ("lead", frames.time.values), "forecast_reference_time": began}
    coords |= {name: frames.coords[name] for name in ("y", "x", "crs")}
    model_pair.to_netcdf(xr.DataArray(frames.values, dims=("lead", "y", "x"), coords=coords), path)


def test_each_issue_tells_which_run_it_used_or_why_none(tmp_path: Path) -> None:
    runs, live = tmp_path / "nwp", tmp_path / "live"
    runs.mkdir()
    radar = FakeRadar(tmp_path / "radar", 9, faulty=False)
    watch = service.watch(radar.folder, live, nwp=[str(runs)], blend="linear", blend_between=(0, 5))
    later = [("old.nc", START - 20 * HOUR, 9.0), ("a.nc", START - 2 * HOUR, 2.0), ("b.nc", START - HOUR, 3.0)]

    def deliver(now: float) -> None:
        if later and now > START_S + 300 * (7 - len(later)) + 200:  # after the frames of minutes 20, 25 and 30
            name, began, rain = later.pop(0)
            write_run(runs / name, began, rain)

    service.drive(watch, radar, deliver)
    metas = sorted(service.read_all(live).values(), key=lambda meta: str(meta["time"]))
    told = [(meta["nwp"]["used"], meta["nwp"]["run"], meta["degraded"]) for meta in metas if meta["why"] != "catch_up"]
    none, first, second = (
        (False, None, True),
        (True, "2026-04-30T22:00:00Z", False),
        (True, "2026-04-30T23:00:00Z", False),
    )
    assert list(dict.fromkeys(told)) == [none, first, second]
    whys = [meta["nwp"]["reason"] for meta in metas if not meta["nwp"]["used"]]
    assert "holds no radar files" in whys[0] or "no such file" in whys[0]
    assert "the run of 2026-04-30 04:00 UTC is old" in whys[-1]
    for meta in metas:
        made = from_netcdf(next((watch.layout.issue(str(meta["id"]))).glob("*.nc")))
        if meta["nwp"]["used"]:
            assert meta["nwp"]["weights"] == [1.0, 1.0]
            rain = {first[1]: 2.0, second[1]: 3.0}[meta["nwp"]["run"]]
            np.testing.assert_allclose(made.values[np.isfinite(made.values)], rain, atol=1e-5)
    lines = service.lines(watch)
    assert any(
        one["event"] == "nwp" and one["level"] == "warning" and "nowcast alone" in one["reason"] for one in lines
    )
    issued = [one["nwp"] for one in lines if one["event"] == "issued"]
    assert {"none", second[1]} <= set(issued)
    status = json.loads((live / "status.json").read_bytes())
    assert status["newest_issue"]["nwp"]["run"] == second[1]
    watch.close()


def test_a_file_that_stays_the_same_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, taken = model_runs._runs_of, []
    monkeypatch.setattr(model_runs, "_runs_of", lambda place, *how: taken.append(place.name) or read(place, *how))
    write_run(tmp_path / "old.nc", START - 90 * HOUR, 1.0)
    write_run(tmp_path / "new.nc", START - HOUR, 2.0)
    kept = model_runs.Kept(since=START - 48 * HOUR)
    old, new = model_runs.read([tmp_path], kept=kept)
    assert (old.shape, new.shape) == ((6, 1, 1), (6, 9, 9))  # of what is old only a corner stays in memory
    again = model_runs.read([tmp_path], kept=kept)
    np.testing.assert_array_equal(again[1].values, new.values)
    assert taken == ["new.nc", "old.nc"]
    write_run(tmp_path / "new.nc", START, 5.0)
    (tmp_path / "old.nc").unlink()
    assert [float(run.max()) for run in model_runs.read([tmp_path], kept=kept)] == [pytest.approx(5.0)]
    assert taken == ["new.nc", "old.nc", "new.nc"]
    assert len(kept.files) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"blend": "linear"}, "are about --nwp; give that too"),
        ({"nwp": ["nwp/"], "blend_between": (240, 120)}, "the first lead is below the second"),
        ({"nwp": ["nwp/"], "blend": "cubic"}, "--blend 'cubic'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read_settings({"sources": ["radar/"], "out": "live"} | given)
