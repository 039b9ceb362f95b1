"""Rules on an archive of tiny frames, from the command line, against what can be said without any forecast model."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tests.operations.alerts import made

from echocast import archive, fields
from echocast.cli.main import status

START = np.datetime64("2026-05-01T00:00", "ns")
STEPS = 14


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Rain of 20 mm/h everywhere at the frames 6 to 9; the frame 12 is missing."""
    times = START + np.arange(STEPS) * np.timedelta64(5, "m")
    rain = np.zeros((STEPS, *made.SHAPE), np.float32)
    rain[6:10] = 20
    y = made.GRID.y.first + made.GRID.y.step * np.arange(12)
    x = made.GRID.x.first + made.GRID.x.step * np.arange(10)
    field = fields.make(rain, time=times, y=y, x=x, crs="EPSG:3067")
    folder = tmp_path / "frames"
    folder.mkdir()
    keep = [n for n in range(STEPS) if n != 12]
    for number in keep:
        field[number : number + 1].to_dataset(name="rainfall_rate").to_netcdf(
            folder / f"{number:02d}.nc", engine="h5netcdf"
        )
    archive.write([str(folder)], str(tmp_path / "radar.zarr"))
    return tmp_path / "radar.zarr"


def test_counts_of_persistence(tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Persistence says that it rains once it rains: late for the event, and once more after it has ended."""
    made.alerts(tmp_path, made.RULE + "leads = [5, 10]\n")
    table, lines = tmp_path / "counts.csv", tmp_path / "messages.jsonl"
    command = ["alerts", "replay", str(store), "--alerts", str(tmp_path / "alerts.toml"), "--model", "persistence"]
    command += ["--minutes", "10", "--csv", str(table), "--messages", str(lines)]
    assert status(["-q", *command]) == 0
    rows = {row["area"]: row for row in csv.DictReader(table.read_text().splitlines())}
    assert set(rows) == {"*", "town"}
    # Issues at the frames 2 to 11 (three frames in a row are needed, and 13 has only one).
    wanted = {"issues": 10, "unknown": 0, "alerts": 1, "false_alarms": 0, "open": 0, "events": 1, "hits": 0, "late": 1}
    # It is wet within 5 to 10 min of the frames 4 to 8, and said to be at 6 to 9; 10 and 11 see the gap at 12.
    wanted |= {"issue_hits": 3, "issue_false_alarms": 1, "issue_misses": 2, "issue_correct_negatives": 2}
    assert {name: int(rows["town"][name]) for name in wanted} == wanted
    assert (rows["town"]["pod"], rows["town"]["csi"]) == ("0", "0.5")
    messages = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [(one["kind"], one["status"], one["issue"]["time"]) for one in messages] == [
        ("Alert", "Exercise", "2026-05-01T00:30:00Z"),
        ("Cancel", "Exercise", "2026-05-01T00:50:00Z"),
    ]


def test_what_the_forecast_cannot_tell_is_refused(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = made.RULE.replace('"rate"', '"probability_rate"') + "at_least = 0.5\nleads = [0, 120]"
    made.alerts(tmp_path, rule)
    assert status(["alerts", "replay", str(store), "--alerts", str(tmp_path / "alerts.toml")]) == 2
    told = capsys.readouterr().err
    assert "--minutes 120" in told
    assert "--members 20" in told
