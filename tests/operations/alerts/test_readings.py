"""What an issue says of an area, from a real file of points, against a plain loop."""

from pathlib import Path

import numpy as np
import pytest
from tests.operations.alerts import made
from tests.operations.alerts.made import GRID, SHAPE

from echocast.operations.alerts.cells import Cells, cells_of
from echocast.operations.alerts.readings import Reading, readings

NAN = np.float32(np.nan)


def read(tmp_path: Path, rule: str, layers: dict[str, object], cells: Cells | None = None) -> Reading:
    alerts = made.alerts(tmp_path, rule)
    issue = made.published(tmp_path, 0, layers)
    found = cells_of(alerts.areas["heavy"][0], GRID) if cells is None else cells
    return readings(alerts.rules, found, issue.values)["heavy"]


@pytest.mark.parametrize(
    ("statistic", "of_cells"),
    [
        ("max", lambda cells: cells.max()),
        ("mean", lambda cells: cells.mean()),
        ("share>3", lambda cells: (cells > 3).mean()),
    ],
)
def test_statistics_of_cells_and_leads(tmp_path: Path, statistic: str, of_cells: object) -> None:
    rng = np.random.default_rng(0)
    rain = rng.gamma(0.7, 4, (6, *SHAPE)).astype(np.float16).astype(np.float32)
    rows, columns = np.meshgrid(np.arange(2, 8), np.arange(3, 9), indexing="ij")
    cells = Cells(rows.ravel(), columns.ravel(), 0)
    of_leads = [of_cells(rain[lead][cells.rows, cells.columns]) for lead in range(1, 4)]  # type: ignore[operator]
    rule = made.RULE.replace("threshold = 10", f'statistic = "{statistic}"\nleads = [10, 20]\n')
    level = sorted(of_leads)[1]  # two of the three leads reach it
    rule += f"at_least = {level * 0.999}" if ">" in statistic else f"threshold = {level * 0.999}"
    found = read(tmp_path, rule, {"rate": rain}, cells)
    meets = [lead for lead, value in zip((10, 15, 20), of_leads, strict=True) if value >= level * 0.998]
    assert found.value == pytest.approx(max(of_leads), rel=1e-6)
    assert (found.onset, found.end) == (meets[0], meets[-1])


def test_a_large_area_is_read_in_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rain = np.random.default_rng(1).gamma(0.7, 4, (2, *SHAPE)).astype(np.float16).astype(np.float32)
    rows, columns = np.meshgrid(np.arange(12), np.arange(10), indexing="ij")
    monkeypatch.setattr("echocast.operations.alerts.readings._BAND", 25)
    rule = made.RULE.replace("threshold = 10", 'threshold = 1\nstatistic = "mean"')
    found = read(tmp_path, rule, {"rate": rain}, Cells(rows.ravel(), columns.ravel(), 0))
    assert found.value == pytest.approx(rain.mean(axis=(1, 2)).max(), rel=1e-6)


def grid_with(unknown: int, value: float) -> np.ndarray:
    """Ten cells in a row of the grid, some unknown."""
    found = np.full((1, *SHAPE), value, np.float32)
    found[0, 0, :unknown] = NAN
    return found


ROW = Cells(np.zeros(10, int), np.arange(10), 0)


@pytest.mark.parametrize(
    ("leads", "value"),
    [
        ([grid_with(2, 4)], 4.0),  # a fifth may be unknown
        ([grid_with(3, 4)], None),  # more may not
        ([grid_with(3, 40)], None),
        ([grid_with(0, 12), grid_with(10, 0)], 12.0),  # one known lead is enough to say yes ...
        ([grid_with(0, 4), grid_with(10, 0)], None),  # ... and not enough to say no
    ],
)
def test_what_is_not_known_is_never_dry(tmp_path: Path, leads: list[np.ndarray], value: float | None) -> None:
    found = read(tmp_path, made.RULE, {"rate": np.concatenate(leads)}, ROW)
    assert found.value == value
    assert bool(found.why) is (value is None)


def test_an_area_mostly_beyond_the_forecast_is_unknown(tmp_path: Path) -> None:
    inside = [0.0, 0.0]
    assert read(tmp_path, made.RULE, {"rate": inside}, Cells(np.zeros(8, int), np.arange(8), 2)).value == 0
    found = read(tmp_path, made.RULE, {"rate": inside}, Cells(np.zeros(7, int), np.arange(7), 3))
    assert (found.value, found.why) == (None, "30% of the area lie beyond the forecast")


@pytest.mark.parametrize(
    ("rule", "value", "probability", "onset"),
    [
        ('quantity = "rate"\nthreshold = 10', 12.0, 0.6, 10.0),
        ('quantity = "rate"\nthreshold = 20\nof = "p90"', 30.0, None, 5.0),
        ('quantity = "rate"\nthreshold = 1\nof = "mean"\nstatistic = "mean"', 6.0, None, 5.0),
        ('quantity = "amount"\nspan = 60\nthreshold = 10', 15.0, 0.7, 0.0),
        ('quantity = "probability_rate"\nthreshold = 10\nat_least = 0.6', 0.6, 0.6, 10.0),
        ('quantity = "probability_amount"\nspan = 60\nthreshold = 10\nat_least = 0.5', 0.7, 0.7, 0.0),
        ('quantity = "arrival"\nthreshold = 10\nleads = [0, 10]', 12.0, 0.6, 10.0),
        ('quantity = "arrival"\nthreshold = 10\nat_least = 0.2', 0.6, 0.6, 5.0),
    ],
)
def test_each_quantity(tmp_path: Path, rule: str, value: float, probability: float | None, onset: float) -> None:
    layers = {"rate": [8, 12], "rate.p90": [25, 30], "rate.mean": [4, 6], "prob.rate.10": [0.3, 0.6]}
    layers |= {"amount.60": [15], "prob.amount.60.10": [0.7]}
    found = read(tmp_path, f'id = "heavy"\nareas = ["*"]\nseverity = "Minor"\n{rule}', layers)
    assert found.value == pytest.approx(value, rel=1e-3)
    assert found.probability == (None if probability is None else pytest.approx(probability, rel=1e-3))
    assert found.onset == onset


def test_a_layer_that_the_issue_lacks_is_told(tmp_path: Path) -> None:
    rule = made.RULE.replace('"rate"', '"probability_rate"') + "at_least = 0.5"
    assert read(tmp_path, rule, {"rate": [0.0]}).why == "the forecast does not hold prob.rate.10"
    assert read(tmp_path, made.RULE + "leads = [30, 60]", {"rate": [0.0]}).why.startswith("the forecast has no lead")
