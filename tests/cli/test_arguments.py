"""What is refused before any work, and what the options that all verbs share do."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from tests import example_files

from echocast import archive
from echocast.cli import output
from echocast.cli.main import HELPERS, status

FIVE = np.timedelta64(5, "m")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with six files of a moving shower in `in/`; the place where the commands run."""
    (tmp_path / "in").mkdir()
    rain = example_files.blob(6, 40, 44)
    for number in range(6):
        example_files.netcdf(
            tmp_path / "in", time=example_files.TIME + number * FIVE, rain=rain[number : number + 1], name=f"r{number}"
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], line: str, code: int = 0) -> tuple[str, str]:
    """What a command prints on both streams."""
    assert status(line.split()) == code
    out, err = capsys.readouterr()
    return out, err


def one_file(folder: Path) -> Path:
    """The newest radar file, by its path from the working folder."""
    return sorted(folder.glob("in/*.nc"))[-1].relative_to(folder)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nowcast {file} {all} --out {file}", "--out {file}: is one of the inputs"),
        ("nowcast in --out {file}", "is one of the inputs (in)"),
        ("nowcast in/*.nc --out {file}", "is one of the inputs ({file})"),
        ("nowcast in --out link.nc", "is one of the inputs"),
        ("nowcast in --out f.png", "a picture is no forecast; give --out FILE.nc, and --png f.png beside it"),
        ("nowcast in --out f.h5", "must end in .nc, .tif, .tiff or .zarr"),
        ("nowcast in --out -", "must end in .nc"),
        ("nowcast in --out no/such/f.nc", "there is no folder no/such"),
        ("nowcast in --out f.nc --gif x.mp4", "--gif x.mp4: the name must end in .gif"),
        ("nowcast in --out f.nc --png x.jpg", "--png x.jpg: the name must end in .png"),
        ("nowcast in --out s3://bucket/f.nc", "is a URL"),
        ("nowcast in --out store.zarr", "store.zarr: is there and is no forecast"),
        ("nowcast nowhere --out f.nc", "nowhere: no such file or folder"),
        ("nowcast in --out f.nc --model lagrangain", "did you mean 'lagrangian'?"),
        ("nowcast in --out f.nc --model no.safetensors", "no.safetensors: no such checkpoint"),
        ("nowcast in --out f.nc --format netcd", "did you mean 'netcdf'?"),
        ("nowcast in --out f.nc --bbox 100,0,101,1", "no cell lies in 100 to 101 E, 0 to 1 N; the corners are"),
        ("nowcast in --out f.nc --minutes 9000 --model persistence", "are more than 1000 steps of 5 min"),
        ("verify {file}", "make one of it with `echocast archive add radar.zarr {file}`"),
        ("verify none.zarr", "make an archive with `echocast archive add none.zarr INPUT...`"),
        ("verify store.zarr --out store.zarr", "--out store.zarr: is an input"),
        ("verify store.zarr --models optical_flaw", "did you mean 'optical_flow'?"),
        ("verify store.zarr --scores contingincy", "did you mean 'contingency'?"),
        ("verify store.zarr --forecasts nowhere", "nowhere: no such folder"),
        ("archive add {file} in", "is a file, not an archive"),
        ("archive add in in", "in: is both the archive and an input"),
        ("archive clutter store.zarr --out store.zarr/mask.nc", "is one of the inputs"),
        ("show {file} --out {file}", "must end in .png"),
        ("show in", "stands for 6 files"),
        ("show {file} --bbox 100,0,101,1", "no cell lies in"),
        ("convert none.pt --from ndrplz --to a.safetensors", "none.pt: no such file"),
        ("convert w.pt --from ndrplx --to a.safetensors", "did you mean 'ndrplz'?"),
        ("convert w.pt --from ndrplz --to no/such/a.safetensors", "there is no folder no/such"),
        ("convert w.pt --from ndrplz --to a.onnx", "must end in .safetensors"),
        ("convert w.pt --from ndrplz --to a.safetensors", "echocast has no layer for these weights"),
        ("download dwdd --from 2024-06-01T00:00 --to 2024-06-01T00:05", "did you mean 'dwd'?"),
        ("download dwd --from 2024-06-01T00:00 --to 2024-06-01T00:05 --out w.pt", "there is no folder w.pt"),
        ("train none.toml", "none.toml: cannot be read"),
        ("train e.toml --out store.zarr", "--out store.zarr: is an input"),
    ],
)
def test_a_command_line_is_refused_before_any_work(
    line: str, words: str, places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.write(["in"], "store.zarr")
    torch.save({"cell_list.0.conv.weight": torch.zeros(8, 3, 4, 4)}, "w.pt")  # its kernel has even sides
    Path("e.toml").write_text("[model]\nname='encoder_forecaster'\n[data]\ntrain='store.zarr'\n")
    file = one_file(places)
    Path("link.nc").symlink_to(file)
    before = file.read_bytes()
    known = {"file": file, "all": " ".join(str(path) for path in places.glob("in/*.nc"))}
    _, err = said(capsys, line.format(**known), code=1)
    message = err.strip().splitlines()[-1]
    assert message.startswith("echocast: ")
    assert words.format(**known) in message
    assert file.read_bytes() == before
    assert not Path("f.nc").exists()


@pytest.mark.parametrize("minutes", ["inf", "nan", "-inf", "1e9"])
@pytest.mark.parametrize("verb", ["nowcast in --out f.nc", "verify store.zarr"])
def test_minutes_are_a_number_of_minutes(
    minutes: str, verb: str, places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.write(["in"], "store.zarr")
    assert status([*verb.split(), "--minutes", minutes]) == (1 if verb.startswith("verify") and minutes == "1e9" else 2)
    assert "Traceback" not in capsys.readouterr().err


_HEAVY = ("torch", "xarray", "pytorch_lightning", "matplotlib", "scipy", "h5py")


@pytest.mark.parametrize(
    "line",
    [
        "nowcast nowhere --out f.nc",
        "nowcast . --out f.nc --model lagrangain",
        "nowcast . --out f.mp4",
        "show nowhere.h5",
        "verify nowhere.zarr --models lagrangain",
        "archive info nowhere.zarr",
        "convert nowhere.pt --from ndrplz --to a.safetensors",
        "train nowhere.toml",
        "formats netcd",
    ],
)
def test_what_is_wrong_is_told_without_heavy_imports(line: str, tmp_path: Path) -> None:
    code = (
        "import sys; from echocast.cli.main import status; code = status(sys.argv[1:]);"
        f" print(code, sorted({_HEAVY!r} & sys.modules.keys()))"
    ).replace(repr(_HEAVY), repr(set(_HEAVY)))
    done = subprocess.run([sys.executable, "-c", code, *line.split()], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "1 []", done.stderr


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "echocast", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("echocast 0.")


def test_quiet_verbose_and_json_of_a_nowcast(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "nowcast in --out f.nc --model optical_flow --minutes 10"
    assert said(capsys, f"{line} -q") == ("", "")
    _, err = said(capsys, f"{line} --verbose")
    assert "read as netcdf" in err
    assert "6 frames of 40 x 44 cells" in err
    assert "s in all" in err
    out, _ = said(capsys, f"{line} --json")
    found = json.loads(out)
    assert found["valid_times"] == ["2016-09-28T15:15:00Z", "2016-09-28T15:20:00Z"]
    assert (found["model"], found["output_files"], len(found["frames"])) == ("optical_flow", ["f.nc"], 6)
    assert said(capsys, f"-q -v {line}", code=2)
    output.be_quiet(False)


def test_show_says_where_and_when(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = one_file(places)
    out, _ = said(capsys, f"show {file}")
    assert "10.038 E 47.214 N (upper left)" in out
    assert "2016-09-28 15:10 UTC" in out
    assert "40 x 44 cells of 4 km" in out
    assert "highest" in out
    found = json.loads(said(capsys, f"show {file} --json --bbox 11,46,11.5,46.5")[0])
    west, north = found["corners"]["upper left"]
    assert (west, north) == (pytest.approx(11.0, abs=0.06), pytest.approx(46.5, abs=0.04))
    assert found["first_time"] == "2016-09-28T15:10:00Z"
    assert found["shape"][0] < 20


@pytest.mark.parametrize(
    "line", ["archive info store.zarr --json", "archive check store.zarr --json", "models --json", "scores --json"]
)
def test_lists_and_archives_as_json(line: str, places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive.write(["in"], "store.zarr")
    found = json.loads(said(capsys, line, code=1 if "check" in line else 0)[0])
    if "archive" in line:
        assert (found["frames"], found["missing"], found["time_step"]) == (6, 0, 5.0)
        assert found["start"] == "2016-09-28T14:45:00Z"
    else:
        names = [one.get("model") or one["score"] for one in found]
        assert {"lagrangian", "csi"} & set(names)


def test_a_format_as_json_tells_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "formats odim --json")[0])
    assert found["format"] == "odim"
    assert "--min-quality" in found["options"]
    assert len(json.loads(said(capsys, "formats --json")[0])) > 10


def test_nothing_wraps_in_a_pipe(
    places: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out, _ = said(capsys, "models")
    assert any("autoregression." in line and line.startswith("anvil") for line in out.splitlines())
    deep = places / "a_folder_with_a_long_name" / "and_another_one_inside_it"
    deep.mkdir(parents=True)
    rain = np.full((1, 40, 44), 400.0, np.float32)
    path = example_files.netcdf(deep, rain=rain)
    _, err = said(capsys, f"show {path}")
    assert any(str(path) in line and "clipped" in line for line in err.splitlines())


def test_a_blank_frame_is_a_missing_frame_of_an_archive(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blank = np.full((1, 40, 44), np.nan, np.float32)
    sorted(places.glob("in/*.nc"))[2].unlink()
    example_files.netcdf(places / "in", time=example_files.TIME + 2 * FIVE, rain=blank, name="blank")
    out, _ = said(capsys, "archive add store.zarr in")
    assert "5 frames added" in out
    assert "1 without any observed cell were left out" in out
    assert archive.open("store.zarr").observed.values.tolist() == [True, True, False, True, True, True]
    out, _ = said(capsys, "nowcast in --out f.nc --model optical_flow --minutes 5")
    assert "used 5 frames" in out
    with xr.open_dataset("f.nc", decode_timedelta=False) as made:
        assert np.isfinite(made["rainfall_rate"].values).mean() > 0.8


def test_the_helpers_are_no_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = said(capsys, "--help")
    assert not any(f" {name} " in out for name in HELPERS)


@pytest.mark.parametrize("name", ["f.nc", *(pytest.param(one, marks=pytest.mark.slow) for one in ("f.tif", "f.zarr"))])
def test_a_forecast_in_the_folder_of_the_radar_files_is_replaced(name: str, places: Path) -> None:
    line = ["nowcast", "in", "--model", "persistence", "--minutes", "10", "--out", f"in/{name}", "--gif", "in/f.gif"]
    assert status(line) == 0
    assert status(line) == 0  # both are no radar files, and there is no harm in writing them anew
    observed = min(Path("in").glob("r*.nc"))
    assert status([*line[:-3], str(observed)]) == 1
