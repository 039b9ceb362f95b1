"""A nowcast blended into a simulated model: weights, seams, members, fallbacks; linear and salient against pysteps."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from echocast import nowcast
from echocast.cli.main import status
from echocast.cli.nowcast import BLENDS
from echocast.errors import MissingFrames, ModelError
from echocast.fields import amounts
from echocast.io import forecast_file
from echocast.nowcast.blending import bands, blended, linear, salient
from echocast.nowcast.blending.base import Sources, by_cells
from echocast.nowcast.blending.blended import METHODS, forecast_from
from echocast.nowcast.blending.choosing import Nwp
from echocast.nowcast.blending.rain import on_grid
from echocast.nowcast.blending.skill import Skill
from echocast.synthetic import model_pair

HOUR = np.timedelta64(3600 * 10**9, "ns")


@pytest.fixture(scope="module")
def pair() -> model_pair.Pair:
    return model_pair.generate(past=8, leads=36, size=40, margin=10, grid_km=4.0, time_step_minutes=10.0, seed=4)


@pytest.fixture(scope="module")
def model(pair: model_pair.Pair, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("nwp") / "run.nc"
    model_pair.to_netcdf(pair.run, path)
    return str(path)


def seen(pair: model_pair.Pair) -> np.ndarray:
    return np.asarray(np.isfinite(pair.radar.values).any(axis=0))


def change(frames: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The root mean square change from each frame to the next, as far as cells are known in both."""
    steps = [step[np.isfinite(step)] for step in np.diff(frames, axis=0)[:, cells]]
    return np.array([np.sqrt((step**2).mean()) for step in steps if step.size])


def largest(*sources: np.ndarray) -> float:
    """The largest change of a number from one lead to the next, of any source."""
    return max(float(np.abs(np.diff(one)).max()) for one in sources)


def of_model(pair: model_pair.Pair, times: np.ndarray) -> np.ndarray:
    """The rain of the run at some times, on the radar's grid."""
    rain = on_grid(pair.run, pair.radar, times)
    return np.stack([rain.at(lead) for lead in range(len(times))])


def sources(now: np.ndarray, then: np.ndarray, minutes: np.ndarray) -> Sources:
    """Nowcast and model as arrays on one grid, all of it known."""
    rows, columns = now.shape[-2:]
    times = np.datetime64("2018-05-01T12:00", "ns") + (minutes * 60e9).astype("timedelta64[ns]")
    from echocast import fields

    past = fields.make(
        now[:1], time=[times[0] - np.timedelta64(600, "s")], y=range(rows), x=range(columns), crs="EPSG:3857"
    )
    run = xr.DataArray(
        then, dims=("lead", "y", "x"), name="rainfall_rate",
        coords={"lead": times - times[0] + HOUR, "time": ("lead", times), "forecast_reference_time": times[0] - HOUR}
        | {name: past.coords[name] for name in ("y", "x", "crs")},
    )  # fmt: skip
    return Sources(past, now[None].copy(), on_grid(run, past, times), minutes, (60.0, 120.0), 4.0)


@pytest.mark.parametrize("method", [linear, salient])
def test_linear_equals_pysteps_and_salient_does_half_way(method: object) -> None:
    theirs = pytest.importorskip("pysteps.blending.linear_blending", reason="pysteps is not installed")
    drawn = np.random.default_rng(0)
    frame, then = drawn.gamma(0.5, 4.0, (12, 12)), drawn.gamma(0.5, 4.0, (15, 12, 12))
    minutes = 10.0 * np.arange(1, 16)
    now = np.repeat(frame[None], 15, axis=0).astype(np.float32)
    about = {"unit": "mm/h", "transform": None, "threshold": 0.1, "zerovalue": 0.0, "accutime": 10}
    want = theirs.forecast(
        frame, about, np.zeros((2, 12, 12)), 15, 10, "eulerian", then, about,
        start_blending=60, end_blending=120, saliency=method is salient,
    )  # fmt: skip
    made = (salient if method is salient else linear).blend(sources(now, then.astype(np.float32), minutes))
    leads = [8] if method is salient else range(15)  # lead 9 is half-way: 90 minutes
    for lead in leads:
        np.testing.assert_allclose(made.values[0, lead], want[lead], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(made.weight, np.clip((minutes - 60.0) / 60.0, 0.0, 1.0), atol=1e-6)


def test_a_member_takes_the_rain_displaced(pair: model_pair.Pair) -> None:
    times, shifts = pair.truth.time.values[:2], ((0, 0), (2, -3))
    plain, moved = on_grid(pair.run, pair.radar, times), on_grid(pair.run, pair.radar, times, shifts)
    np.testing.assert_allclose(moved.at(1, 0), plain.at(1), atol=1e-5)
    np.testing.assert_allclose(moved.at(1, 1)[:-2, 3:], plain.at(1)[2:, :-3], atol=1e-5)
    np.testing.assert_array_equal(moved.at(1, 3), moved.at(1, 1))  # there are two, which are taken in turn


def test_bands_sum_to_the_field_and_weights_go_between() -> None:
    field = np.random.default_rng(1).random((40, 48)).astype(np.float32)
    widths = bands.windows((40, 48), 4.0)
    parted = bands.parted(field, widths)
    np.testing.assert_allclose(parted.sum(axis=0), field, atol=1e-5)
    weights = np.linspace(0.2, 0.9, len(parted))
    want = sum(w * band for w, band in zip(weights, parted, strict=True))
    np.testing.assert_allclose(bands.weighted(field, widths, weights), want, atol=1e-5)


def test_skill_gives_fine_scales_to_the_model_first() -> None:
    many = np.ones(3)
    skill = Skill(
        [3, 5], np.array([10.0, 40.0, 160.0]), many / 3, np.array([20.0, 80.0, 320.0]), np.array([0.3, 0.5, 0.8])
    )
    early, late = skill.weights_at(10.0), skill.weights_at(90.0)
    assert (late > early).all()
    r, m = np.exp(-90.0 / 80.0) ** 2, skill.model_at(90.0)[1] ** 2
    assert late[1] == pytest.approx(m / (1 - m) / (m / (1 - m) + r / (1 - r)))
    assert skill.place_error_km() == pytest.approx(np.sqrt(-2 * np.log(0.5)) * 40.0 / (2 * np.pi))


@pytest.mark.parametrize("method", ["scales", "linear", "salient"])
def test_a_lead_changes_about_as_much_as_the_sources(pair: model_pair.Pair, model: str, method: str) -> None:
    """`docs/nwp.md` has the figures of thirty storms."""
    cells, asked = seen(pair), None if method == "scales" else (120.0, 240.0)
    made = forecast_from(pair.radar, "optical_flow", Nwp((model,), method, asked), minutes=360)
    alone = nowcast.forecast_from(pair.radar, "optical_flow", minutes=360)
    own = change(np.concatenate([pair.radar.values[-1:], alone.values]), cells).max()
    assert change(np.concatenate([pair.radar.values[-1:], made.values]), cells).max() <= own
    model_rain = of_model(pair, made.time.values)
    wet = [(frames[:, cells] >= 1.0).sum(axis=1) for frames in (made.values, alone.values, model_rain)]
    assert largest(wet[0]) <= 1.1 * largest(*wet[1:]) + 2.0  # of 14 cells
    weight = made.nwp_weight.values
    assert weight[0] < 0.3
    if asked:
        assert weight[-1] == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose(made.values[-1][cells], model_rain[-1][cells], atol=1e-4)


@pytest.mark.parametrize("seed", [200, 201, 202])  # three of the thirty storms of `docs/nwp.md`
def test_by_scale_no_lead_changes_more_than_the_sources(seed: int, tmp_path: Path) -> None:
    pair = model_pair.generate(past=8, leads=36, size=40, margin=10, grid_km=4.0, time_step_minutes=10.0, seed=seed)
    model_pair.to_netcdf(pair.run, tmp_path / "run.nc")
    made = forecast_from(pair.radar, "optical_flow", Nwp((str(tmp_path / "run.nc"),)), minutes=360)
    alone, cells = nowcast.forecast_from(pair.radar, "optical_flow", minutes=360), seen(pair)
    own, blend = (
        change(np.concatenate([pair.radar.values[-1:], frames]), cells).max() for frames in (alone.values, made.values)
    )
    assert blend <= max(own, change(of_model(pair, made.time.values), cells).max())


def test_a_cell_that_the_nowcast_loses_is_handed_over_within_an_hour() -> None:
    minutes, now = 10.0 * np.arange(1, 13), np.full((12, 20, 24), 6.0, np.float32)
    now[2:, :, :12] = np.nan  # half of the grid at once
    given = sources(now, np.zeros_like(now), minutes)
    made = by_cells(given, np.zeros(12), lambda _, a, b, w: (1.0 - w) * a + w * b, "")
    np.testing.assert_allclose(made.values[0, 1:10, 5, 5], [6, 5, 4, 3, 2, 1, 0, 0, 0], atol=1e-5)
    assert (made.values[0, :, 5, 23] == 6.0).all()  # far from there


def test_where_the_sources_differ_much_the_weight_rises_more_slowly() -> None:
    minutes = 10.0 * np.arange(1, 13)
    now, then = (np.full((12, 12, 12), rate, np.float32) for rate in (1.0, 20.0))
    now += 0.3 * np.arange(12, dtype=np.float32)[:, None, None]  # it changes by so much itself
    weights = np.clip((minutes - 20.0) / 40.0, 0.0, 1.0)

    def mix(_: int, nowcast: np.ndarray, model: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return np.asarray((1.0 - weight) * nowcast + weight * model)

    plain, slowed = (
        by_cells(sources(now, then, minutes), weights, mix, "", is_slowed=slow).values[0, :, 4, 4]
        for slow in (False, True)
    )
    assert slowed[1] == plain[1]  # the weight is still 0
    assert slowed[2] == pytest.approx(1.6 + 0.25 * 0.25 * (20.0 - 1.6))  # a quarter of the plain weight
    assert np.diff(slowed).max() < np.diff(plain).max()
    assert slowed[-1] > 0.7 * plain[-1]  # at a quarter of its pace at least, it gets there


def test_the_blend_is_better_than_the_nowcast_late_and_not_worse_early(tmp_path: Path) -> None:
    """The first three storms together; `docs/nwp.md` has the figures of twenty."""
    parts: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = {}
    for seed in range(3):
        pair = model_pair.generate(past=8, leads=36, size=40, margin=10, grid_km=4.0, time_step_minutes=10.0, seed=seed)
        model_pair.to_netcdf(pair.run, tmp_path / f"{seed}.nc")
        made = forecast_from(pair.radar, "optical_flow", Nwp((str(tmp_path / f"{seed}.nc"),)), minutes=360)
        alone = nowcast.forecast_from(pair.radar, "optical_flow", minutes=360)
        for when, leads in (("early", slice(0, 6)), ("late", slice(18, 36))):
            known = seen(pair)[None] & np.isfinite(alone.values[leads])
            for name, frames in (("made", made.values), ("alone", alone.values)):
                rates = tuple(bands.to_db(some[leads][known]) for some in (frames, pair.truth.values))
                parts.setdefault((name, when), []).append(rates)
    found = {
        key: np.corrcoef(*(np.concatenate(one) for one in zip(*some, strict=True)))[0, 1] for key, some in parts.items()
    }
    assert found["made", "early"] > found["alone", "early"]
    assert found["made", "late"] > found["alone", "late"] + 0.1


def test_by_scale_a_model_without_skill_does_not_take_over(pair: model_pair.Pair, tmp_path: Path) -> None:
    turned = pair.run.copy(data=pair.run.values[:, ::-1, ::-1].copy())  # the rain is where it is not
    weights = []
    for number, run in enumerate((pair.run, turned)):
        model_pair.to_netcdf(run, tmp_path / f"{number}.nc")
        made = forecast_from(pair.radar, "optical_flow", Nwp((str(tmp_path / f"{number}.nc"),)), minutes=60)
        weights.append(made.nwp_weight.values)
    assert (weights[1] < weights[0]).all()


@pytest.mark.slow  # a real ensemble of 36 leads takes seconds
def test_members_stay_different_where_the_model_stands_alone(pair: model_pair.Pair, model: str) -> None:
    made = forecast_from(pair.radar, "lagrangian", Nwp((model,), "linear"), minutes=360, members=3)
    cells, model_rain = seen(pair), of_model(pair, made.time.values)
    np.testing.assert_allclose(made.values[0, -1][cells], model_rain[-1][cells], atol=1e-4)  # the first: not displaced
    # The model has 0.3 mm/h at most then: members differ by its rain displaced.
    assert np.nanmax(made.values[:, -1].std(axis=0)) > 0.03 * model_rain[-1][cells].max()
    share, observed, of_nwp = (
        (frames[..., cells] >= 0.5).mean(axis=(0, 2))
        for frames in (made.values, pair.radar.values[None], model_rain[None])
    )
    assert largest(np.append(observed[-1], share[:23])) <= largest(observed, of_nwp)  # then the NWP stands alone


@pytest.mark.slow  # pysteps takes half a minute
def test_steps_of_pysteps_stands_behind_the_same_interface(pair: model_pair.Pair, model: str) -> None:
    pytest.importorskip("pysteps", reason="pysteps is not installed")
    made = forecast_from(pair.radar, "lagrangian", Nwp((model,), "steps"), minutes=360, members=2)
    assert made.shape == (2, 36, 40, 40)
    assert "STEPS" in made.attrs["nwp"]
    assert np.isnan(made.nwp_weight.values).all()  # it does not tell them
    cells = seen(pair)
    assert np.isfinite(made.values[..., cells]).all()


@pytest.mark.parametrize(
    ("shift", "hours", "why"),
    [
        (np.timedelta64(24 * 365, "h"), slice(None), "from the future"),
        (-np.timedelta64(30, "h"), slice(None), "is old: .*nwp-max-age is 12 h; give a newer run"),
        (np.timedelta64(0, "h"), slice(0, 1), "ends at .*give the files of its later steps"),
    ],
)
def test_a_run_that_cannot_be_used_is_named_and_the_nowcast_goes_on(
    pair: model_pair.Pair,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    shift: np.timedelta64,
    hours: slice,
    why: str,
) -> None:
    run = pair.run.isel(lead=hours)
    moved = run.assign_coords(
        forecast_reference_time=run.forecast_reference_time + shift, time=("lead", run.time.values + shift)
    )
    model_pair.to_netcdf(moved, tmp_path / "run.nc")
    made = forecast_from(pair.radar, "optical_flow", Nwp((str(tmp_path / "run.nc"),)), minutes=60)
    np.testing.assert_array_equal(made.values, nowcast.forecast_from(pair.radar, "optical_flow", minutes=60).values)
    assert made.attrs["nwp"].startswith("not used: the run of")
    assert "the forecast is the nowcast alone" in caplog.text
    assert "nwp_weight" not in made.coords
    with pytest.raises(MissingFrames, match=why):
        forecast_from(pair.radar, "optical_flow", Nwp((str(tmp_path / "run.nc"),), strict=True), minutes=60)


def test_the_expected_rain_is_blended_too(pair: model_pair.Pair, model: str) -> None:
    made = forecast_from(pair.radar, "lagrangian", Nwp((model,), "linear", (10.0, 40.0)), minutes=60)
    cells, model_rain = seen(pair), of_model(pair, made.time.values)
    alone = nowcast.forecast_from(pair.radar, "lagrangian", minutes=60)
    first, expected = amounts.for_amounts(made), amounts.for_amounts(alone)
    known = cells & np.isfinite(expected.values[0])
    assert np.median(np.abs(first.values[0] - expected.values[0])[known]) == 0.0  # the weight of most cells is still 0
    assert np.median(np.abs(first.values[0] - made.values[0])[known]) > 0.0
    np.testing.assert_allclose(first.values[-1][cells], model_rain[-1][cells], atol=1e-4)


def test_where_the_model_lacks_leads_cells_or_steps_the_nowcast_goes_on(
    pair: model_pair.Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    half = pair.run.sizes["x"] // 2
    part = pair.run.isel(x=slice(0, half), lead=[0, 1, 3, 4])  # the third step is missing, and those after the fifth
    model_pair.to_netcdf(part, tmp_path / "run.nc")
    made = forecast_from(
        pair.radar, "optical_flow", Nwp((str(tmp_path / "run.nc"),), "linear", (30.0, 60.0)), minutes=360
    )
    assert "lacks +3 h: holes of up to 3 h are bridged" in caplog.text
    assert "the forecast beyond is the nowcast alone" in caplog.text
    assert "% of what the radar observes: elsewhere the forecast is the nowcast alone" in caplog.text
    alone = nowcast.forecast_from(pair.radar, "optical_flow", minutes=360)
    np.testing.assert_allclose(made.values[-1], alone.values[-1], atol=1e-5)
    np.testing.assert_allclose(made.values[:, :, -3:], alone.values[:, :, -3:], atol=1e-5)
    assert made.nwp_weight.values.max() > 0.2
    own = change(np.concatenate([pair.radar.values[-1:], alone.values]), seen(pair)).max()
    assert change(made.values, seen(pair)).max() <= own


def test_the_newest_run_that_reaches_the_end_is_used(
    pair: model_pair.Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    began, lead = pair.run.forecast_reference_time + HOUR, pair.run.lead.values[:-1]
    newer = pair.run.isel(lead=slice(1, None)).assign_coords(forecast_reference_time=began, lead=lead)
    model_pair.to_netcdf(pair.run, tmp_path / "old.nc")
    model_pair.to_netcdf(newer.isel(lead=slice(0, 3)), tmp_path / "new.nc")  # its later steps have not come yet
    nwp = Nwp((str(tmp_path),), "linear")
    made = forecast_from(pair.radar, "persistence", nwp, minutes=240)
    assert made.attrs["nwp_reference_time"] == f"{str(pair.run.forecast_reference_time.values)[:16]}Z"
    assert "which is the newest that reaches its end" in caplog.text
    model_pair.to_netcdf(newer, tmp_path / "new.nc")
    made = forecast_from(pair.radar, "persistence", nwp, minutes=240)
    assert made.attrs["nwp_reference_time"] == f"{str(began.values)[:16]}Z"


def test_a_grid_that_does_not_cover_the_radar_is_named_with_both_places(
    pair: model_pair.Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model_pair.to_netcdf(pair.run.assign_coords(x=pair.run.x + 30.0), tmp_path / "run.nc")
    made = forecast_from(pair.radar, "optical_flow", Nwp((str(tmp_path / "run.nc"),)), minutes=60)
    assert "covers 0 % of what the radar observes" in made.attrs["nwp"]
    assert "give files of the radar's area" in caplog.text


def test_the_file_tells_the_weight_of_each_lead(pair: model_pair.Pair, model: str, tmp_path: Path) -> None:
    made = forecast_from(pair.radar, "optical_flow", Nwp((model,), "linear"), minutes=240)
    nowcast.to_netcdf(made, tmp_path / "made.nc")
    with xr.open_dataset(tmp_path / "made.nc", decode_timedelta=False) as data:
        assert data.rainfall_rate.attrs["ancillary_variables"] == "nwp_weight"
        assert "NWP alone from 240 min" in data.nwp_weight.attrs["comment"]
        assert "blended into the run of" in data.attrs["nwp"]
    back = forecast_file.from_netcdf(tmp_path / "made.nc")
    np.testing.assert_array_equal(back.nwp_weight.values, made.nwp_weight.values)


def test_the_command_blends_says_so_and_refuses_what_makes_no_sense(
    pair: model_pair.Pair, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tuple(METHODS) == BLENDS
    radar, out = tmp_path / "radar.nc", tmp_path / "made.nc"
    nowcast.to_netcdf(pair.radar, radar)
    words = ["nowcast", str(radar), "--model", "optical_flow", "--out", str(out), "--minutes", "240"]
    assert status([*words, "--nwp", model, "--blend", "linear", "--blend-between", "60,120"]) == 0
    assert "NWP blended into the run of" in capsys.readouterr().out
    with xr.open_dataset(out, decode_timedelta=False) as data:
        assert float(data.nwp_weight[-1]) == pytest.approx(1.0, abs=1e-5)
    for more, told in (
        (["--nwp", model, "--blend", "cubic"], "there is no blending 'cubic'"),
        (["--nwp", model, "--blend-between", "120,60"], "the first lead is at least 0 and below the second"),
        (["--nwp", model, "--blend-between", "soon"], "give two leads in minutes"),
        (["--blend", "linear"], "are about --nwp FILE; give that too"),
        (["--nwp", model, "--nwp-variable", "rain", "--strict"], "has no variable 'rain'"),
    ):
        assert status([*words, *more]) == 1
        assert told in capsys.readouterr().err
    with pytest.raises(ModelError, match="there is no blending 'cubic'"):
        blended.forecast_from(pair.radar, "optical_flow", Nwp((model,), "cubic"))
