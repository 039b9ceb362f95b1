"""A report of a verification: every score in every form, with its title and unit."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from tests import example_files

from echocast import evaluation, report
from echocast.context import Context
from echocast.errors import DataError
from echocast.evaluation import VerificationConfig, VerificationResult
from echocast.models.base import EnsembleForecaster, Forecaster
from echocast.models.optical_flow import OpticalFlow
from echocast.models.persistence import Persistence
from echocast.report import figures, page, tables
from echocast.verification import families

BOX = (-180.0, -90.0, 180.0, 90.0)


class Shaky(EnsembleForecaster):
    """Persistence times a random factor for each member."""

    members = 3

    def _ensemble(
        self, past: torch.Tensor, steps: int, members: int, seeds: Sequence[int], context: Context
    ) -> torch.Tensor:
        factors = torch.stack([torch.rand(members, generator=torch.Generator().manual_seed(s)) for s in seeds]) + 0.5
        last = Persistence()._forecast(past, steps, context).unsqueeze(1)
        return last * factors[..., None, None, None, None]


class Blurred(Forecaster):
    """The mean over everything: a small error and no heavy rain."""

    def _forecast(self, past: torch.Tensor, steps: int, context: Context) -> torch.Tensor:
        mean = past[:, -1:].nanmean(dim=(-2, -1), keepdim=True)
        return mean.expand(-1, steps, -1, *past.shape[-2:]).clone()


def rain(segments: int = 1, frames: int = 14) -> xr.DataArray:
    """A shower again and again, a day apart."""
    one = example_files.field(example_files.blob(frames, 40, 64, dx=1.5))
    days = [one.assign_coords(time=one.time + n * np.timedelta64(1, "D")) for n in range(segments)]
    return xr.concat(days, "time", combine_attrs="override") if segments > 1 else one


@pytest.fixture(scope="module")
def all_scores() -> VerificationResult:
    """Every family of scores of a deterministic forecast and an ensemble, on nine days."""
    config = VerificationConfig(
        past=2, leads=3, stride=4, thresholds=(0.5, 2.0), scores=tuple(families.names()), regions={"box": BOX}
    )
    return evaluation.evaluate(rain(segments=9), {"flow": OpticalFlow(), "shaky": Shaky()}, config)


@pytest.fixture(scope="module")
def folder(all_scores: VerificationResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "made"
    report.write_report(all_scores, path, command="echocast verify x --out y|z")
    return path


def test_every_score_is_in_the_tables_when_it_was_computed(all_scores: VerificationResult, folder: Path) -> None:
    declared = families.scores_of(families.names())
    assert all_scores.scores.keys() == {*declared, "coverage"}
    text = (folder / "report.md").read_text()
    lines = text.splitlines()
    for name, score in all_scores.scores.items():
        means = [tables.cell(all_scores.mean(name, "shaky", t)) for t in tables.thresholds_of(all_scores, name)]
        if len(means) > 1:  # a table of its own: caption, empty line, header, rule and a row for each forecaster
            at = lines.index(f"{tables.caption(all_scores, name)}:")
            assert lines[at + 5] == f"| shaky | {' | '.join(means)} |"
        else:
            (row,) = (line for line in lines if line.startswith(f"| {score.full_title} |"))
            assert row.endswith(f" | {means[0]} |")
            assert f" | {score.perfect:g} | " in row or math.isnan(score.perfect)
    assert "_" not in text.replace("optical_flow", "").replace("case_", "")  # names for programs are not shown


def test_every_score_is_in_the_files_with_its_unit(all_scores: VerificationResult, folder: Path) -> None:
    with (folder / "scores.csv").open() as file:
        units = {row["score"]: row["unit"] for row in csv.DictReader(file)}
    assert units == {name: score.unit for name, score in all_scores.scores.items()}
    content = json.loads((folder / "scores.json").read_text())
    assert content["score_info"]["rmse"] == {"title": "Root mean square error", "unit": "mm h-1", "perfect": 0.0}
    assert content["score_info"]["cross_entropy"]["perfect"] is None
    with xr.open_dataset(folder / "scores.nc", engine="h5netcdf") as data:
        for name, score in all_scores.scores.items():
            assert (data[name].long_name, data[name].units) == (score.title, score.unit)
            assert data[name].attrs.get("perfect_value", math.nan) == pytest.approx(score.perfect, nan_ok=True)
            assert score.title in data[f"{name}_interval"].long_name
        assert data["lead"].units == "minutes"
        assert data.attrs["bootstrap_blocks"] == data.attrs["days"] == 9


def test_a_main_score_is_shown_by_lead_time_with_differences_and_a_curve(
    all_scores: VerificationResult, folder: Path
) -> None:
    assert tables.main_scores(all_scores) == ["csi", "rmse", "crps", "fss_17"]
    by_lead = (folder / "report.md").read_text().partition("## By lead time")[2]
    assert "FSS 17 at 2 mm/h:" in by_lead
    assert "CRPS in mm/h:" in by_lead
    with (folder / "differences.csv").open() as file:
        assert {row["score"] for row in csv.DictReader(file)} == {"csi", "rmse", "crps", "fss_17"}
    titles = [axis.get_title() for axis in figures.curves(all_scores).axes]
    assert titles[:2] == ["CSI at 0.5 mm/h", "CSI at 2 mm/h"]
    assert titles[4:7] == ["RMSE in mm/h", "CRPS in mm/h", "FSS 17 at 0.5 mm/h"]


def test_the_values_are_the_same_in_every_file(all_scores: VerificationResult, folder: Path) -> None:
    csi = all_scores.of(region="box")["shaky"]["csi"]
    with xr.open_dataset(folder / "scores.nc", engine="h5netcdf") as data:
        np.testing.assert_array_equal(data["csi"].sel(forecaster="shaky", region="box").values, csi)
        interval = data["csi_interval"].sel(forecaster="shaky", threshold=2.0).values
    np.testing.assert_array_equal(interval, all_scores.interval("csi", "shaky", 2.0))
    with (folder / "scores.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["forecaster"], row["region"]) == ("shaky", "box")]
    at_2 = [float(row["value"]) for row in rows if row["score"] == "csi" and row["threshold_mm_h"] == "2"]
    np.testing.assert_allclose(at_2, csi[:, 1], rtol=1e-5)
    content = json.loads((folder / "scores.json").read_text())
    np.testing.assert_array_equal(np.array(content["scores"]["shaky"]["csi"], float), all_scores.values["shaky"]["csi"])
    with (folder / "differences.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["forecaster"], row["other"]) == ("shaky", "flow")]
    for lead in (None, 15.0):
        expected = all_scores.difference("csi", "shaky", "flow", 0.5, lead)
        key = ("csi", "0.5", "" if lead is None else "15")
        (row,) = (row for row in rows if (row["score"], row["threshold_mm_h"], row["lead_minutes"]) == key)
        written = [float(row[name]) for name in ("difference", "low", "high")]
        np.testing.assert_allclose(written, [expected.value, expected.low, expected.high], rtol=1e-4, atol=1e-6)


def test_the_page_and_the_markdown_have_the_same_sections(all_scores: VerificationResult, folder: Path) -> None:
    html, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for shown in (
        "Means over lead times",
        "Differences from flow",
        "Tests against flow",
        "By region",
        "By lead time",
        "block bootstrap",
    ):
        assert shown in html
        assert shown in text
    assert f"{all_scores.mean('csi', 'flow', 0.5):.3f}" in html
    assert "`echocast verify x --out y|z`" in text
    pictures = {path.name for path in folder.glob("*.png")}
    assert pictures == {f"{n}.png" for n in ("curves", "performance", "spectra", "reliability", "roc", "ranks")}
    assert html.count("data:image/png;base64,") == len(pictures)


def test_a_cell_may_hold_a_bar() -> None:
    section = page.Section("S", tables=[("T", (["forecaster", "x"], [["a|b", "1"]]))])
    assert r"| a\|b | 1 |" in page.markdown([section], {})


def test_smooth_and_detailed_forecasts_come_with_a_warning() -> None:
    config = VerificationConfig(past=3, leads=4, stride=2)
    both = evaluation.evaluate(rain(), {"detailed": OpticalFlow(), "smooth": Blurred()}, config)
    warning = page.smoothness_warning(both)
    assert "smooth (0." in warning
    assert "detailed (" in warning
    assert "Smooth and detailed forecasts are compared" in page.markdown(page.sections_of(both, "x"), {})
    alone = evaluation.evaluate(rain(), {"detailed": OpticalFlow()}, config)
    assert page.smoothness_warning(alone) == ""


def test_a_report_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = evaluation.evaluate(rain(), {"p": Persistence()}, VerificationConfig(past=2, leads=2))
    (tmp_path / "file").write_text("a file")
    with pytest.raises(DataError, match="is a file"):
        report.write_report(made, tmp_path / "file", command="x")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
        report.write_report(made, tmp_path / "full", command="x")
    assert list((tmp_path / "full").iterdir()) == []


def test_what_was_observed_is_named(all_scores: VerificationResult, folder: Path) -> None:
    words = (
        "Observed by a sample every 5 min on 40 x 64 cells (",
        "cells of 4 km). Of ",
        " frames in this time 2192 are missing.",
    )
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text()
        assert all(word in text for word in words), all_scores.observations


def test_a_forecaster_has_one_colour_in_all_figures(all_scores: VerificationResult) -> None:
    colours: dict[str, set[str]] = {}
    for name, (_, figure) in figures.figures_of(all_scores).items():
        for axis in figure.axes:
            for line in axis.get_lines():
                if line.get_label() in ("flow", "shaky", "observed"):
                    colours.setdefault(str(line.get_label()), set()).add(str(line.get_color()))
        if name == "ranks":
            found = {to_hex(bar.get_facecolor()) for axis in figure.axes for bar in axis.patches}
            colours["shaky"] |= found
    assert {name: len(found) for name, found in colours.items()} == {"flow": 1, "shaky": 1, "observed": 1}
    assert len(set.union(*colours.values())) == 3


def test_bias_is_drawn_at_every_threshold(all_scores: VerificationResult) -> None:
    titles = [axis.get_title() for axis in figures.curves(all_scores).axes]
    assert [title for title in titles if title.lower().endswith(("0.5 mm/h", "2 mm/h"))][:4] == titles[:4]
    assert sum("bias" in title.lower() for title in titles) == 2


def test_nothing_is_said_of_intervals_where_there_are_none() -> None:
    config = VerificationConfig(past=2, leads=2, thresholds=(0.5, 2.0), scores=("contingency",))
    made = evaluation.evaluate(rain(), {"one": Persistence(), "two": Persistence()}, config)
    text = page.markdown(page.sections_of(made, "x"), {})
    assert "There are no confidence intervals" in text
    assert "with its 95 % confidence interval" not in text


def test_a_table_of_many_leads_is_set_smaller() -> None:
    leads = [f"+{5 * n} min" for n in range(1, 19)]
    table = (["forecaster", *leads], [["lagrangian", *["0.123"] * 18]])
    assert 'class="wide"' in page._table_html("CSI", table)
    assert 'class="usual"' in page._table_html("CSI", (["forecaster", "0.5 mm/h"], [["lagrangian", "0.123"]]))
