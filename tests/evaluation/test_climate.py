"""How often each place exceeds a rain rate in a month, and the Brier skill score against that."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from tests import example_files

from echocast import archive, evaluation
from echocast.cli.main import status
from echocast.context import Context
from echocast.errors import DataError, GridMismatch
from echocast.evaluation import Job, VerificationConfig, brier_climate
from echocast.evaluation.climate import Climate, ClimateOfCases, climate_of
from echocast.models.base import EnsembleForecaster
from echocast.verification.scores import probability

JUNE, JULY = np.datetime64("2020-06-01T00:00"), np.datetime64("2020-07-01T00:00")


def hourly(rain: np.ndarray, start: np.datetime64 = JUNE) -> xr.DataArray:
    """A field with a frame every hour."""
    made = example_files.field(rain.astype(np.float32), start=start)
    return made.assign_coords(time=start + np.arange(len(rain)) * np.timedelta64(60, "m"))


def drawn(frequency: np.ndarray, hours: int = 600, seed: int = 0) -> np.ndarray:
    """Frames of 2 mm/h with so much probability at each pixel."""
    return 2.0 * (np.random.default_rng(seed).random((hours, *frequency.shape)) < frequency)


def test_where_events_are_many_each_pixel_has_its_own_frequency_of_what_was_observed() -> None:
    frequency = np.where(np.arange(12) < 6, 0.4, 0.8) * np.ones((10, 1))
    rain = drawn(frequency)
    rain[:200, 0, 0] = np.nan
    made = climate_of(hourly(rain), months=[6], thresholds=(1.0, 3.0))
    assert made.pooled[0][0].side == 1
    np.testing.assert_allclose(made.frequencies[0, 0, 3], (rain[:, 3] >= 1.0).mean(axis=0), rtol=1e-6)
    assert made.frequencies[0, 0, 0, 0] == pytest.approx((rain[200:, 0, 0] >= 1.0).mean(), rel=1e-6)
    assert not made.frequencies[0, 1].any()  # never 3 mm/h


def test_where_events_are_fewer_squares_are_pooled_as_a_loop_does() -> None:
    rain = drawn(np.full((10, 12), 0.05))  # 30 hours at a pixel, 270 in a square of 3
    rain[:, 4, 5] = np.nan
    made = climate_of(hourly(rain), months=[6], thresholds=(1.0,))
    assert made.pooled[0][0].side == 3
    for y, x in ((0, 0), (4, 5), (7, 11), (3, 6)):
        square = rain[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        expected = (square >= 1.0).sum() / np.isfinite(square).sum()
        assert made.frequencies[0, 0, y, x] == pytest.approx(expected, rel=1e-6)


def test_the_larger_square_gives_what_no_smaller_one_observed() -> None:
    rain = drawn(np.full((12, 12), 0.4))
    rain[:, :5, :5] = np.nan
    made = climate_of(hourly(rain), months=[6], thresholds=(1.0,)).frequencies[0, 0]
    corner = rain[:, :5, :5], rain[:, :6, :6]
    assert np.isnan(corner[0]).all()
    wide = rain[:, 0:8, 0:8]  # 3 pixels around (3, 3) do not reach beyond what is missing, 9 do
    assert made[3, 3] == pytest.approx((wide >= 1.0).sum() / np.isfinite(wide).sum(), rel=1e-6)


def test_a_month_with_too_few_events_is_pooled_with_its_neighbours() -> None:
    dry, wet = np.zeros((720, 6, 6)), drawn(np.full((6, 6), 0.5), hours=744)
    made = climate_of(hourly(np.concatenate([dry, wet])), months=[6, 7], thresholds=(1.0,))
    assert made.pooled[0][0].months == (6, 7)
    assert made.pooled[1][0].months == (7,)
    june, july = made.frequencies[:, 0].mean(axis=(1, 2))
    assert july == pytest.approx((wet > 0).mean(), rel=1e-5)
    assert june == pytest.approx((wet > 0).sum() / (wet.size + dry.size), rel=1e-5)
    of_cases = made.at(np.array([[JUNE, JULY]]))
    assert of_cases.frequency(0, 0).mean() == pytest.approx(june)
    assert of_cases.frequency(1, 0).mean() == pytest.approx(july)


def constant(frequency: np.ndarray, cases: int, leads: int) -> ClimateOfCases:
    """The same frequencies at all times."""
    return ClimateOfCases(Climate((6,), (1.0,), frequency[None, None]), np.zeros((cases, leads), int))


def test_the_sums_are_those_of_a_loop_over_pixels() -> None:
    rng = np.random.default_rng(3)
    observed = rng.gamma(0.5, 3.0, (2, 3, 5, 6)).astype(np.float32)
    members = rng.gamma(0.5, 3.0, (2, 4, 3, 5, 6)).astype(np.float32)
    observed[0, 1, 2], members[1, 2, 0, :, 4] = np.nan, np.nan
    frequency = rng.random((5, 6)).astype(np.float32)
    sums = brier_climate.statistics(members, observed, constant(frequency, 2, 3), thresholds=(1.0,))
    expected = np.zeros((3, 3))
    for case, lead, y, x in np.ndindex(observed.shape):
        told = members[case, :, lead, y, x]
        if np.isnan(observed[case, lead, y, x]) or np.isnan(told).any():
            continue
        event = float(observed[case, lead, y, x] >= 1.0)
        share = np.mean(told >= 1.0)
        expected[lead] += ((share - event) ** 2, (float(frequency[y, x]) - event) ** 2, 1)
    for column, name in enumerate(("forecast", "climate", "n")):
        np.testing.assert_allclose(sums[name][:, 0], expected[:, column], rtol=1e-6)
    pooled = probability.values(probability.statistics(members, observed, thresholds=(1.0,)))
    np.testing.assert_allclose(sums["forecast"] / sums["n"], pooled["brier"], rtol=1e-6)


def test_who_knows_the_place_alone_has_skill_against_the_sample_and_none_against_the_climate() -> None:
    frequency = np.where(np.arange(20) < 10, 0.0, 0.5).astype(np.float32) * np.ones((4, 1), np.float32)
    observed = drawn(frequency, hours=400, seed=1)[:, None].astype(np.float32)
    members = np.stack([np.zeros_like(observed), np.where(frequency > 0, 2.0, 0.0) * np.ones_like(observed)], axis=1)
    against = brier_climate.statistics(members, observed, constant(frequency, 400, 1), thresholds=(1.0,))
    sample = probability.values(probability.statistics(members, observed, thresholds=(1.0,)))
    assert brier_climate.values(against)["brier_skill_climate"][0, 0] == pytest.approx(0.0, abs=1e-6)
    assert sample["brier_skill"][0, 0] > 0.3


class Doubtful(EnsembleForecaster):
    """The newest frame, and nothing."""

    members = 2

    def _ensemble(
        self, past: torch.Tensor, steps: int, members: int, seeds: Sequence[int], context: Context
    ) -> torch.Tensor:
        last = past[:, -1:].expand(-1, steps, -1, *past.shape[-2:])
        return torch.stack([last, torch.zeros_like(last)], dim=1)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What is scored, an hour of the 8th of July, and a climate: three days of July before."""
    folder = tmp_path_factory.mktemp("climate")
    for name, days in (("scored", (7,)), ("before", (0, 1, 2))):
        (folder / name).mkdir()
        for day in days:
            rain = example_files.blob(14, 32, 32, dx=1.0 + 0.25 * day)
            example_files.netcdf(folder / name, time=JULY + day * np.timedelta64(1, "D"), rain=rain)
        archive.write([folder / name], folder / f"{name}.zarr")
    return folder / "scored.zarr", folder / "before.zarr"


CONFIG = VerificationConfig(past=3, leads=4, stride=2, thresholds=(0.5, 2.0))


def test_a_verification_has_both_scores_and_the_same_from_python(stores: tuple[Path, Path]) -> None:
    job = Job(str(stores[0]), {"now": "persistence"}, config=CONFIG, climate=str(stores[1]))
    made = evaluation.run(job)
    climate = climate_of(archive.open(stores[1]), months=[7], thresholds=CONFIG.thresholds)
    result = evaluation.evaluate(job.rain, {"now": job.sources["now"], "doubt": Doubtful()}, CONFIG, climate=climate)
    for name in ("brier_skill", "brier_skill_climate"):
        assert np.isfinite(made.mean(name, "now", 0.5))
        np.testing.assert_allclose(made.values["now"][name], result.values["now"][name], rtol=1e-9)
    # A probability of a half where persistence is sure: another score, and the same reference.
    assert result.mean("brier_skill_climate", "doubt", 0.5) != result.mean("brier_skill_climate", "now", 0.5)
    references = [result.mean("brier_climate", name, 0.5) for name in ("doubt", "now")]
    assert references[0] == pytest.approx(references[1], rel=1e-9)
    without = evaluation.evaluate(job.rain, {"now": job.sources["now"]}, CONFIG)
    assert "brier_skill_climate" not in without.scores


def test_the_command_prints_them_side_by_side(stores: tuple[Path, Path], tmp_path: Path) -> None:
    out, (scored, before) = tmp_path / "report", map(str, stores)
    given = ["--models", "persistence", "--past", "3", "--minutes", "20", "--thresholds", "0.5,2", "--out", str(out)]
    assert status(["verify", scored, *given, "--climate", before]) == 0
    text = (out / "report.md").read_text(encoding="utf-8")
    section = text.partition("## Brier skill against the sample and against the climate")[2].partition("\n## ")[0]
    assert "before.zarr (2020-07-01" in section
    row = next(line for line in section.splitlines() if line.startswith("| persistence |"))
    assert row.count(" / ") == 2
    assert "| July |" in section


@pytest.mark.usefixtures("as_users_run")
def test_what_cannot_be_a_climate_is_refused(
    stores: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored, before = stores
    with pytest.raises(DataError, match=r"holds 10 of the 10 frames that are scored .* give an archive of other times"):
        evaluation.run(Job(str(scored), {"now": "persistence"}, config=CONFIG, climate=str(scored)))
    other = tmp_path / "other"
    other.mkdir()
    example_files.netcdf(other, time=JUNE, rain=example_files.blob(14, 32, 32))
    archive.write([other], tmp_path / "june.zarr")
    with pytest.raises(DataError, match=r"june\.zarr .*no observed frame of July"):
        evaluation.run(Job(str(scored), {"now": "persistence"}, config=CONFIG, climate=str(tmp_path / "june.zarr")))
    small = tmp_path / "small"
    small.mkdir()
    example_files.netcdf(small, time=JULY, rain=example_files.blob(14, 20, 24))
    archive.write([small], tmp_path / "small.zarr")
    with pytest.raises(GridMismatch, match=r"small\.zarr has 20 cells"):
        evaluation.run(Job(str(scored), {"now": "persistence"}, config=CONFIG, climate=str(tmp_path / "small.zarr")))
    climate = climate_of(archive.open(before), months=[7], thresholds=(1.0,))
    with pytest.raises(DataError, match=r"has the thresholds 1 mm/h, and 0\.5, 2 are scored"):
        evaluation.evaluate(archive.open(scored), {"d": Doubtful()}, CONFIG, climate=climate)
    with pytest.raises(DataError, match="has no June"):
        climate.at(np.array([[JUNE]]))
    assert status(["verify", str(scored), "--climate", str(tmp_path / "none.zarr"), "--out", str(tmp_path / "r")]) == 1
    assert "none.zarr: is not there" in capsys.readouterr().err
