"""A verification in several processes, after a stop, from forecast files, and by region and month."""

import csv
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyproj
import pytest
import torch
import xarray as xr
from tests import example_files

from echocast import archive, evaluation, fields, parallel, report
from echocast.cli.main import status
from echocast.context import Context
from echocast.errors import DataError, MissingFrames, ModelError, WrongUnits
from echocast.evaluation import Job, VerificationConfig, VerificationResult, forecasts, forecasts_of
from echocast.evaluation.result import BlockSums
from echocast.io import forecast_file
from echocast.models.base import EnsembleForecaster, Forecaster
from echocast.models.optical_flow import OpticalFlow
from echocast.models.persistence import Persistence
from echocast.nowcast import forecast_from
from echocast.report import page
from echocast.samples import segments, windows
from echocast.verification import families

DAY = np.timedelta64(24 * 30, "h")
CONFIG = VerificationConfig(past=3, leads=4, stride=2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight showers in eight months, each of 14 frames, on 32x32 cells of 4 km."""
    folder = tmp_path_factory.mktemp("eight")
    for number in range(8):
        rain = example_files.blob(14, 32, 32, dx=1.0 + 0.25 * number) * (0.5 + 0.25 * number)
        example_files.netcdf(folder, time=example_files.TIME + number * DAY, rain=rain, name=f"shower{number}")
    archive.write([folder], folder / "store.zarr")
    return folder / "store.zarr"


def job(store: Path, config: VerificationConfig = CONFIG, **models: str) -> Job:
    return Job(str(store), models or {"persistence": "persistence", "flow": "optical_flow"}, config=config)


@pytest.fixture(scope="module")
def whole(store: Path) -> VerificationResult:
    """Persistence and optical flow on all of it."""
    return evaluation.run(job(store))


class Noisy(EnsembleForecaster):
    """Persistence times a random factor for each member of each case."""

    members = 5

    def _ensemble(
        self, past: torch.Tensor, steps: int, members: int, seeds: Sequence[int], context: Context
    ) -> torch.Tensor:
        factors = torch.stack([torch.rand(members, generator=torch.Generator().manual_seed(s)) for s in seeds]) + 0.5
        last = Persistence()._forecast(past, steps, context).unsqueeze(1)
        return last * factors[..., None, None, None, None]


class Opener:
    """Opens something when first called, and notes in which process."""

    def __init__(self, log: str) -> None:
        self.log = log
        self.opened = False

    def __call__(self, _: int) -> None:
        if not self.opened:
            self.opened = True
            with Path(self.log).open("a") as file:
                file.write(f"{os.getpid()}\n")


class Blurred(Forecaster):
    """The mean over everything: no error and no rain."""

    def _forecast(self, past: torch.Tensor, steps: int, context: Context) -> torch.Tensor:
        mean = past[:, -1:].nanmean(dim=(-2, -1), keepdim=True)
        return mean.expand(-1, steps, -1, *past.shape[-2:]).clone()


def test_blocks_are_days_inside_segments(whole: VerificationResult) -> None:
    assert len(whole.blocks) == 8
    assert whole.cases == 8 * 4
    assert len(whole.months) == 8
    assert [len(block.starts) for block in whole.blocks] == [4] * 8


@pytest.mark.slow  # processes start
def test_several_processes_find_the_same(store: Path, whole: VerificationResult) -> None:
    together = evaluation.run(job(store), workers=parallel.Workers(processes=2))
    for name, scores in whole.values.items():
        for score, value in scores.items():
            np.testing.assert_allclose(together.values[name][score], value, rtol=1e-5, atol=1e-6, err_msg=score)


def test_archive_and_sources_are_opened_once_in_each_process(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    open_archive = archive.open

    def noting(path: str) -> xr.DataArray:
        opened.append(path)
        return open_archive(path)

    monkeypatch.setattr(archive, "open", noting)
    asked = job(store)
    evaluation.run(asked)
    assert asked.sources.keys() == {"persistence", "flow"}
    assert opened == [str(store)]
    sent = pickle.loads(pickle.dumps(asked))
    assert "rain" not in vars(sent)  # another process opens them for itself
    assert "sources" not in vars(sent)
    assert sent.fingerprint() == asked.fingerprint()


@pytest.mark.slow  # processes start
def test_objects_stay_open_in_other_processes(tmp_path: Path) -> None:
    list(parallel.parallel_map(Opener(str(tmp_path / "log")), range(12), parallel.Workers(processes=2)))
    opened = (tmp_path / "log").read_text().split()
    assert len(opened) == len(set(opened)) <= 2


@pytest.mark.slow  # the archive reads on such a cluster in the quick tests
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_of_two_processes_finds_the_same(
    store: Path, whole: VerificationResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed", reason="distributed is not installed (extra dask)")
    client = distributed.Client
    monkeypatch.setattr(distributed, "Client", lambda address, timeout: client(address, timeout=100 * timeout))
    where = {"processes": True, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with distributed.LocalCluster(n_workers=2, **where) as cluster:
        made = evaluation.run(job(store), workers=parallel.Workers(dask=cluster.scheduler_address))
    np.testing.assert_allclose(made.values["flow"]["csi"], whole.values["flow"]["csi"])


_KILLED_AFTER_8_CASES = """
import os, signal, sys
from echocast.cli import progress
from echocast.cli.main import status
progress.Bar.to = lambda self, done, total: os.kill(os.getpid(), signal.SIGKILL) if done >= 8 else None
sys.exit(status(sys.argv[1:]))
"""


@pytest.mark.slow  # processes start
def test_a_killed_verification_goes_on_where_it_was(store: Path, whole: VerificationResult, tmp_path: Path) -> None:
    out = tmp_path / "report"
    line = ["verify", str(store), "--models", "optical_flow,persistence", "--past", "3", "--minutes", "20"]
    line += ["--stride", "10", "--workers", "1", "--out", str(out)]
    killed = subprocess.run([sys.executable, "-c", _KILLED_AFTER_8_CASES, *line], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list((out / ".unfinished").glob("*.npz"))) == 2
    asked: list[tuple[int, int]] = []
    same = job(store, optical_flow="optical_flow", persistence="persistence")
    made = evaluation.run(same, keep=out / ".unfinished", on_case=lambda *done: asked.append(done))
    assert asked[0] == (8, 32)  # those were not done again
    assert not (out / ".unfinished").exists()
    for score, value in whole.values["flow"].items():
        np.testing.assert_array_equal(made.values["optical_flow"][score], value, err_msg=score)


def test_sums_of_another_job_are_not_used(store: Path, tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "job.json").write_text('{"job": "another"}')
    (keep / "2016-01-01-0000.npz").write_bytes(b"nothing")
    made = evaluation.run(job(store, still="persistence"), keep=keep)
    assert made.cases == 32
    assert not keep.exists()


def test_sums_survive_a_file(whole: VerificationResult) -> None:
    sums = whole.sums[0]
    again = BlockSums.from_arrays(sums.to_arrays())
    assert again.cases == sums.cases
    assert again.case_scores == sums.case_scores
    for key, parts in sums.sums.items():
        for name, array in parts.items():
            np.testing.assert_array_equal(again.sums[key][name], array)


def test_forecast_files_score_as_the_forecaster_that_made_them(store: Path, tmp_path: Path) -> None:
    rain = archive.open(store)
    folder = tmp_path / "flow"
    folder.mkdir()
    for segment in segments.segments(rain)[:3]:
        for start in (segment.start, segment.start + 2):
            made = forecast_from(rain[start : start + 3], OpticalFlow(), minutes=20)
            forecast_file.to_netcdf(made, folder / f"f{start}.nc")
    named = Job(str(store), {"flow": "optical_flow"}, {"files": str(folder)}, CONFIG)
    found = evaluation.run(named)
    assert found.cases == 6  # only what there are files for
    for score, value in found.values["flow"].items():
        np.testing.assert_allclose(found.values["files"][score], value, rtol=1e-5, atol=1e-6, err_msg=score)
    with pytest.raises(DataError, match=r"holds no \.nc files"):
        evaluation.run(Job(str(store), {}, {"files": str(tmp_path / "nothing")}, CONFIG))
    with pytest.raises(MissingFrames, match="no forecast file was issued"):
        evaluation.run(Job(str(store), {}, {"files": str(folder)}, VerificationConfig(past=9, leads=4)))


def test_leads_months_and_regions(store: Path, whole: VerificationResult) -> None:
    some = evaluation.run(job(store, VerificationConfig(past=3, leads=4, stride=2, lead_minutes=(10.0, 20.0))))
    assert some.lead_minutes == (10.0, 20.0)
    np.testing.assert_allclose(some.values["flow"]["csi"], whole.values["flow"]["csi"][[1, 3]])
    month = whole.months[2]
    only = evaluation.run(job(store, VerificationConfig(past=3, leads=4, stride=2, months=(month,))))
    np.testing.assert_allclose(only.values["flow"]["csi"], whole.of(month=month)["flow"]["csi"])
    box = (-180.0, -90.0, 180.0, 90.0)
    around = evaluation.run(job(store, VerificationConfig(past=3, leads=4, stride=2, regions={"everywhere": box})))
    np.testing.assert_allclose(around.of(region="everywhere")["flow"]["rmse"], around.values["flow"]["rmse"])


def test_a_region_is_what_lies_inside_its_degrees(store: Path) -> None:
    rain = archive.open(store)
    to_degrees = pyproj.Transformer.from_crs(fields.crs(rain), "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(*np.meshgrid(rain.x.values, rain.y.values))
    box = (float(lon.min()), float(lat.min()), float(np.median(lon)), float(lat.max()))
    inside = lon <= np.median(lon)
    config = VerificationConfig(past=3, leads=2, stride=2, regions={"west": box})
    found = evaluation.evaluate(rain, {"p": Persistence()}, config)
    masked = evaluation.evaluate(rain.where(xr.DataArray(inside, dims=("y", "x"))), {"p": Persistence()}, config)
    np.testing.assert_allclose(found.of(region="west")["p"]["rmse"], masked.values["p"]["rmse"])
    assert not np.allclose(found.of(region="west")["p"]["rmse"], found.values["p"]["rmse"])


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"regions": {"sea": (170.0, -60.0, 171.0, -59.0)}}, "holds no pixel; the grid spans"),
        ({"lead_minutes": (7.0,)}, "7 min is not forecast; lead times are every 5 min"),
    ],
)
def test_lead_times_and_regions_that_do_not_exist_are_refused(
    store: Path, config: dict[str, object], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        evaluation.run(job(store, VerificationConfig(past=3, leads=4, **config)))  # type: ignore[arg-type]


def test_wrong_configs_are_refused() -> None:
    with pytest.raises(ModelError, match="no family of scores 'cis'; there are: contingency"):
        VerificationConfig(scores=("cis",))
    with pytest.raises(DataError, match="month 13"):
        VerificationConfig(months=(13,))
    with pytest.raises(DataError, match="west before east"):
        VerificationConfig(regions={"a": (10.0, 0.0, 5.0, 1.0)})


@pytest.mark.parametrize(
    "pixels", [1, *(pytest.param(some, marks=pytest.mark.slow) for some in (4 * 32 * 32 * 8, 5e6))]
)
def test_an_ensemble_scores_the_same_alone_beside_another_and_in_any_batch(
    store: Path, monkeypatch: pytest.MonkeyPatch, pixels: float
) -> None:
    rain = archive.open(store)
    config = VerificationConfig(past=3, leads=4, stride=2, scores=tuple(families.names()))
    alone = evaluation.evaluate(rain, {"noisy": Noisy()}, config)
    monkeypatch.setattr(forecasts, "BATCH_PIXELS", pixels)
    beside = evaluation.evaluate(rain, {"still": Persistence(), "noisy": Noisy(), "again": Noisy()}, config)
    for score, value in alone.values["noisy"].items():
        np.testing.assert_array_equal(beside.values["noisy"][score], value, err_msg=score)
        np.testing.assert_array_equal(beside.values["again"][score], value, err_msg=score)


def test_the_members_of_a_case_do_not_depend_on_the_other_cases(store: Path) -> None:
    rain = archive.open(store)
    whole = windows.Windows(rain, np.array([0, 2, 5]), past=3, future=4)
    single = windows.Windows(rain, np.array([5]), past=3, future=4)
    made = [forecasts_of({"noisy": Noisy()}, cases, rain=rain, config=CONFIG)[1]["noisy"] for cases in (whole, single)]
    np.testing.assert_array_equal(made[0][2:], made[1])
    assert not np.allclose(made[0][0, :, 0].max(axis=(1, 2)), made[0][1, :, 0].max(axis=(1, 2)))  # seeds of their own


def test_intervals_contain_the_score_and_differences_are_significant_or_not(store: Path) -> None:
    made = evaluation.run(job(store, flow="optical_flow", again="optical_flow", still="persistence"))
    low, high = made.interval("csi", "still", 0.5)
    assert low <= made.mean("csi", "still", 0.5) <= high
    assert low < high
    nothing = made.difference("csi", "again", "flow", 0.5)
    assert (nothing.value, nothing.low, nothing.high, nothing.significant) == (0.0, 0.0, 0.0, False)
    assert "not significant" in str(nothing)
    better = made.difference("csi", "flow", "still", 0.5)
    assert better.significant
    assert better.low > 0
    late = [made.difference("csi", "flow", "still", 0.5, lead) for lead in made.lead_minutes]
    assert np.mean([lead.value for lead in late]) == pytest.approx(better.value)
    assert all(lead.low <= lead.value <= lead.high for lead in late)


def test_the_bootstrap_has_the_width_of_the_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    field = example_files.field(np.ones((3, 4, 4), np.float32))
    made = evaluation.evaluate(field, {"p": Persistence()}, VerificationConfig(past=2, leads=1, scores=("continuous",)))
    errors = rng.normal(2.0, 0.5, 60)
    key = ("p", "all", "continuous")
    zeros = {name: np.zeros(1) for name in made.sums[0].sums[key]}
    sums = [
        BlockSums({**made.sums[0].sums, key: zeros | {"n": np.ones(1), "absolute": np.array([e])}}, {"p": [0.0]}, [])
        for e in errors
    ]
    days = [replace(made.blocks[0], issued=made.blocks[0].issued + n * np.timedelta64(1, "D")) for n in range(60)]
    many = evaluation.VerificationResult(
        tuple(days), tuple(sums), (5.0,), made.thresholds, ("all",), made.first, made.last
    )
    low, high = many.interval("mae", "p")
    assert many.mean("mae", "p") == pytest.approx(errors.mean())
    assert high - low == pytest.approx(2 * 2.0 * errors.std() / np.sqrt(60), rel=0.1)


def test_few_blocks_have_no_intervals(store: Path, whole: VerificationResult) -> None:
    made = evaluation.run(job(store, VerificationConfig(past=3, leads=4, months=(whole.months[0],))))
    assert np.isnan(made.interval("csi", "flow", 0.5)).all()
    difference = made.difference("csi", "flow", "persistence", 0.5)
    assert not difference.significant
    assert "[" not in str(difference)
    assert "There are no confidence intervals" in page.markdown(page.sections_of(made, "x"), {})


@pytest.mark.slow  # it draws every figure of a report
def test_ensembles_have_their_scores_and_pictures(store: Path, tmp_path: Path) -> None:
    rain = archive.open(store)
    sources = {"still": Persistence(), "noisy": Noisy()}
    made = evaluation.evaluate(rain, sources, CONFIG)
    assert made.pooled("noisy", "probability")["forecasts"].shape == (4, 5, 6)
    assert made.pooled("still", "probability")["forecasts"].shape == (4, 5, 2)
    np.testing.assert_allclose(made.values["still"]["crps"], made.values["still"]["mae"], rtol=1e-5)
    panels = report.case_panels(made, rain, sources, CONFIG)
    assert set(panels) == {"case_best", "case_median", "case_worst"}
    report.write_report(made, tmp_path, command="x", panels=panels)
    there = {path.name for path in tmp_path.iterdir()}
    assert {"reliability.png", "roc.png", "ranks.png", "case_best.png", "report.html", "scores.nc"} <= there
    html = (tmp_path / "report.html").read_text()
    assert html.count("data:image/png;base64,") == sum(name.endswith(".png") for name in there)
    assert 'src="http' not in html
    assert "href" not in html


@pytest.mark.slow  # half a minute: every option at once
def test_the_command_line_takes_it_all(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["verify", str(store), "--models", "persistence", "--past", "3", "--minutes", "20", "--leads", "5,20"]
    line += ["--scores", "all", "--thresholds", "0.5,2", "--region", "box=-180,-90,180,90", "--workers", "1"]
    assert status([*line, "--out", str(tmp_path / "r")]) == 0
    assert "report.html" in capsys.readouterr().out
    with (tmp_path / "r/scores.csv").open() as file:
        found = {row["score"] for row in csv.DictReader(file)}
    assert {
        "csi",
        "shi2015_csi",
        "hko7_b_mse",
        "sal_location",
        "intensity_scale_8",
        "ssim",
        "crps",
        "roc_area",
    } <= found
    alone = ["verify", str(store), "--models", "persistence", "--past", "3", "--minutes", "20", "--workers", "1"]
    assert status([*alone, "--scores", "shi2015", "--out", str(tmp_path / "p")]) == 0
    with (tmp_path / "p/scores.csv").open() as file:
        assert "rmse" not in {row["score"] for row in csv.DictReader(file)}
    for wrong, words in (
        (["--region", "box"], "NAME=WEST,SOUTH,EAST,NORTH"),
        (["--leads", "no"], "list of numbers"),
        (["--models", ""], "at least one forecaster"),
    ):
        assert status(["verify", str(store), *wrong, "--out", str(tmp_path / "x")]) != 0
        assert words in " ".join(capsys.readouterr().err.split())


def test_an_archive_that_has_grown_is_opened_again(tmp_path: Path) -> None:
    for number in range(2):
        rain = example_files.blob(14, 32, 32)
        example_files.netcdf(tmp_path, time=example_files.TIME + number * DAY, rain=rain, name=f"shower{number}")
        archive.write([tmp_path], tmp_path / "store.zarr")
        asked = Job(str(tmp_path / "store.zarr"), {"still": "persistence"}, config=CONFIG)
        assert evaluation.run(asked).cases == 4 * (number + 1)


def test_an_archive_of_another_quantity_is_refused() -> None:
    dbz = fields.make(
        np.full((8, 6, 6), 20.0), time=np.datetime64("2016-07-01", "ns") + np.arange(8) * np.timedelta64(5, "m"),
        y=1000.0 * np.arange(6), x=1000.0 * np.arange(6), crs=example_files.CRS, quantity="reflectivity",
    )  # fmt: skip
    with pytest.raises(WrongUnits, match="rain rate is needed here; this field holds 'reflectivity'"):
        evaluation.evaluate(dbz, {"persistence": Persistence()}, VerificationConfig(past=2, leads=2))
