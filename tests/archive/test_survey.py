"""What an archive holds, and whether it is fit for training."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import example_files

from echocast import archive
from echocast.archive import survey as surveys
from echocast.archive.survey import survey
from echocast.archive.transaction import Frame
from echocast.parallel import Workers


def test_a_survey_tells_what_a_store_holds(tmp_path: Path) -> None:
    five = np.timedelta64(5, "m")
    frames = example_files.blob(40)
    frames[7] = frames[6]
    frames[9, 0, 0] = 200.0
    kept = [n for n in range(40) if n not in (20, 21, 33)]
    paths = [example_files.netcdf(tmp_path, time=example_files.TIME + n * five, rain=frames[n : n + 1]) for n in kept]
    archive.write(paths, tmp_path / "s.zarr", workers=Workers(processes=1))  # on a busy machine others would be started
    found = survey(tmp_path / "s.zarr", read_frames=True)
    assert (found.frames, found.missing, found.windows, found.longest_segment) == (37, 3, 0, 20)
    at = example_files.TIME + five * np.array([20, 21, 33, 33])
    assert found.gaps == [(at[0], at[1], 2), (at[2], at[3], 1)]
    assert (found.outliers, found.highest, found.repeated) == (1, 200.0, 1)
    assert found.observed == 1.0
    assert found.wet == pytest.approx((frames[kept] >= 0.1).mean())
    assert found.bytes is not None
    assert found.bytes > 1000
    assert [said.partition(" (")[0] for said in found.problems] == [
        "no segment of 28 frames without a gap", "1 frames repeat the one before: did the data feed stop?",
        "1 cells above 150 mm/h: clutter or interference? use --transform 'clip max_rate=..'",
    ]  # fmt: skip
    assert survey(tmp_path / "s.zarr", read_frames=False).wet is None


def test_blank_frames_that_an_archive_says_are_there_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Frame, "is_blank", lambda _: False)  # as in an archive of another program
    rain = example_files.blob(4)
    rain[1] = np.nan
    for number in range(4):
        time = example_files.TIME + number * np.timedelta64(5, "m")
        example_files.netcdf(tmp_path, time=time, rain=rain[number : number + 1])
    archive.write([tmp_path], tmp_path / "s.zarr")
    made = survey(tmp_path / "s.zarr", read_frames=True)
    assert (made.frames, made.blank) == (4, 1)
    assert any("1 frames are blank (no cell observed)" in problem for problem in made.problems)


def test_years_between_two_events_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rain = example_files.blob(2)
    later = example_files.TIME + np.timedelta64(365, "D")
    for number, time in enumerate((example_files.TIME, later)):
        for frame in range(2):
            at = time + frame * np.timedelta64(5, "m")
            example_files.netcdf(tmp_path, time=at, rain=rain[frame : frame + 1] + number)
    archive.write([tmp_path], tmp_path / "s.zarr")
    read: list[int] = []
    stored = archive.open(tmp_path / "s.zarr")

    usual = xr.DataArray.__getitem__

    def counted(field: xr.DataArray, part: object) -> xr.DataArray:
        if isinstance(part, slice):
            read.append(len(range(*part.indices(field.sizes["time"]))))
        return usual(field, part)

    made = survey(tmp_path / "s.zarr", read_frames=False)
    monkeypatch.setattr(xr.DataArray, "__getitem__", counted)
    surveys._read_frames(stored, made)
    assert (made.frames, made.missing, made.observed) == (4, 365 * 288 - 2, 1.0)
    assert len(read) == 2
