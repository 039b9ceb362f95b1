"""The pages on stations against reality: their commands, run on the real gauges and radar of Gothenburg."""

import csv
import re
import shlex
from pathlib import Path

import pytest

from echocast import archive
from echocast.cli.main import status

PAGES = Path(__file__).parents[2] / "docs"


def commands(page: str) -> list[list[str]]:
    text = (PAGES / page).read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines]


# The eight days of radar and gauges are forecast, scored and cross-validated: half a minute of work each.
@pytest.mark.slow
@pytest.mark.data
def test_the_commands_and_the_tables_of_the_pages(
    data_kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands("stations.md"):
        assert status([word.replace("$ECHOCAST_DATA", str(data_kit)) for word in words]) == 0
    scores = (PAGES / "stations.md").read_text(encoding="utf-8")
    with (tmp_path / "report" / "stations.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 11
    report = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    for name, way in (("radar", "the cell that the gauge lies in"), ("radar", "the mean of 3 x 3 cells")):
        csi = re.search(rf"\| {name} \| {way} \| ([0-9.]+) at 0.5", report)
        assert csi is not None
        assert f"| {csi[1]} |" in scores  # the page's table is this report's

    capsys.readouterr()
    table, transform = commands("gauge-adjustment.md")
    assert status(table) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    page = (PAGES / "gauge-adjustment.md").read_text(encoding="utf-8").replace("*", "")
    for method in ("bias", "merging", "drift"):
        found = next(row for row in rows if row[0] == method)
        assert re.search(rf"\| {method} \| {found[1]} \| {found[2]} \| {found[4]} \| {re.escape(found[5])} ", page)
    assert status(transform) == 0
    adjusted, radar = archive.open("adjusted.zarr"), archive.open("radar.zarr")
    assert int(adjusted.observed.sum()) == int(radar.observed.sum())
