"""echocast archive, show and download on the command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import example_files

from echocast import archive
from echocast.cli.main import status
from echocast.io import reading
from echocast.parallel import Workers

FIVE = np.timedelta64(5, "m")


def said(capsys: pytest.CaptureFixture[str], *line: object, expected: int = 0) -> str:
    found = status([str(word) for word in line])
    out, err = capsys.readouterr()
    assert found == expected, err
    return out + err


@pytest.fixture
def store(tmp_path: Path) -> Path:
    rain = example_files.blob(32)
    for n in [n for n in range(32) if n != 30]:
        example_files.netcdf(tmp_path, time=example_files.TIME + n * FIVE, rain=rain[n : n + 1])
    archive.write(sorted(tmp_path.glob("*.nc")), tmp_path / "s.zarr", workers=Workers(processes=1))
    return tmp_path / "s.zarr"


def test_info_tells_what_a_store_holds(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "archive", "info", store)
    for words in (
        "31, 1 missing",
        "2016-09-28 14:45 UTC",
        "every 5 min",
        "20 x 24 cells of 4 km",
        "mm h-1",
        "3 of 28 frames; the longest segment has 30",
        "KiB a frame",
        "gaps         2016-09-28 17:15 (1)",
    ):
        assert words in text
    assert "wet" not in text


def test_check_reads_all_and_says_whether_it_is_fit(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "archive", "check", store, expected=1)
    assert "% of the observed cells (0.1 mm/h or more)" in text
    assert "not fit for training:\n  only 3 windows of 28 frames" in text


def test_clutter_writes_a_mask_that_a_transform_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = np.random.default_rng(0)
    rain = np.where(drawn.random((120, 12, 12)) < 0.1, 2.0, 0.0).astype(np.float32)
    rain[:, 3:5, 3:5] = 9.0
    field = example_files.field(rain, start=np.datetime64("2016-09-01", "ns"))
    field.to_dataset().reset_coords("crs").to_netcdf(tmp_path / "rain.nc", engine="h5netcdf")
    said(capsys, "archive", "add", tmp_path / "s.zarr", tmp_path / "rain.nc")
    assert "Missing option '--out'" in said(capsys, "archive", "clutter", tmp_path / "s.zarr", expected=2)
    text = said(capsys, "archive", "clutter", tmp_path / "s.zarr", "--out", tmp_path / "mask.nc")
    assert "2016-09: 4 cells of clutter" in text
    transform = f"mask file={tmp_path / 'mask.nc'}"
    said(capsys, "archive", "add", tmp_path / "t.zarr", tmp_path / "s.zarr", "--transform", transform)
    assert np.isnan(archive.open(tmp_path / "t.zarr").values[:, 3:5, 3:5]).all()
    assert f'transforms   ["{transform}"]' in said(capsys, "archive", "info", tmp_path / "t.zarr")


def test_options_go_to_the_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(2):
        example_files.odim(tmp_path, time=example_files.TIME + n * FIVE)
    line = ["archive", "add", tmp_path / "s.zarr", tmp_path, "--zr", "wsr-88d", "--max-rate", "2"]
    text = said(capsys, *line)
    assert "2 cells were outside 0 to 2 mm/h and clipped" in text
    assert "Z = 300 R^1.4" in said(capsys, "archive", "info", tmp_path / "s.zarr")
    assert "has no option units" in said(capsys, *line, "--units", "mm", expected=1)
    assert "is no Z-R relation" in said(capsys, *line[:4], "--zr", "x", expected=1)
    assert "'blur' is no transform" in said(capsys, *line[:4], "--transform", "blur", expected=1)


def test_a_wrong_line_is_told(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such command" in said(capsys, "archive", store, expected=2)
    assert "INPUT" in said(capsys, "archive", "add", store, expected=2)
    assert "unexpected extra argument" in said(capsys, "archive", "info", store, store, expected=2)
    assert "is no echocast archive" in said(capsys, "archive", "info", store.parent, expected=1)
    (store.parent / "file").write_text("hello")
    text = said(capsys, "archive", "add", store.parent / "file", *sorted(store.parent.glob("*.nc")), expected=1)
    assert "is a file, not an archive; give another STORE" in text


def test_one_frame_needs_the_time_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = example_files.netcdf(tmp_path)
    assert "--time-step MINUTES" in said(capsys, "archive", "add", tmp_path / "s.zarr", path, expected=1)
    assert "1 frames added" in said(capsys, "archive", "add", tmp_path / "s.zarr", path, "--time-step", "2.5")
    later = example_files.netcdf(tmp_path, time=example_files.TIME + np.timedelta64(10, "m"), name="later")
    assert "every 2.5 min, 3 missing" in said(capsys, "archive", "add", tmp_path / "s.zarr", later)


def test_show_says_what_a_file_holds_and_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = example_files.radolan(tmp_path)
    text = said(capsys, "show", path, "--out", tmp_path / "ry.png")
    for words in ("DWD RY", "2016-09-28 14:45 UTC", "900 x 900 cells of 1 km", "highest 3.0 mm/h"):
        assert words in text
    with Image.open(tmp_path / "ry.png") as picture:
        assert 400 < picture.width < 800
        assert len(set(picture.convert("RGB").getdata())) > 5
    assert "is of no format" in said(capsys, "show", _garbage(tmp_path), expected=1)
    assert said(capsys, "show", example_files.zarr(tmp_path)).count("2 frames") == 1


def _garbage(folder: Path) -> Path:
    (folder / "garbage.dat").write_bytes(b"garbage" * 100)
    return folder / "garbage.dat"


def test_download_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import functools
    import http.server
    import threading

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    made = example_files.geotiff(tmp_path)
    folder = tmp_path / "web/2016/09/28/FIN-DBZ-3067-250M"
    folder.mkdir(parents=True)
    made.rename(folder / "201609281445_FIN-DBZ-3067-250M.tif")
    handler = functools.partial(Quiet, directory=str(tmp_path / "web"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    mirror = f"http://127.0.0.1:{server.server_port}"
    line = ["download", "fmi", "--from", "2016-09-28T14:40", "--to", "2016-09-28T14:45", "--mirror", mirror]
    try:
        text = said(capsys, *line, "--out", tmp_path / "fmi")
        assert "1 files downloaded" in text
        assert "1 missing at the source, 0 failed" in text
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert reading.read(tmp_path / "fmi/201609281445_FIN-DBZ-3067-250M.tif").time.values[0] == example_files.TIME
    assert "there are: dwd, fmi, mrms" in said(
        capsys, "download", "x", "--from", "2024-01-01", "--to", "2024-01-02", expected=1
    )
