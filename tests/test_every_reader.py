"""Every reader there is: found by listing the folder, tried with a file that `tests.samples` writes."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import example_files

from echocast import fields, plugins
from echocast.cli.main import status
from echocast.errors import DataError, GridMismatch, UnreadableFile, WrongUnits
from echocast.io import reading

READERS = plugins.names("echocast.readers")

every_reader = pytest.mark.parametrize("name", READERS)


@every_reader
def test_yields_a_checked_field_with_its_time_and_source(name: str, tmp_path: Path) -> None:
    field = reading.read(getattr(example_files, name)(tmp_path))
    assert fields.check(field) is field
    assert field.time.values[0] == example_files.TIME
    assert field.attrs["source"]
    assert np.isfinite(field.values).any()


@every_reader
def test_is_recognised_by_content_under_a_foreign_suffix(name: str, tmp_path: Path) -> None:
    path = getattr(example_files, name)(tmp_path)
    assert reading.recognise(path.rename(path.with_suffix(".dat"))) == name


@every_reader
def test_a_folder_yields_its_files_and_no_companions(name: str, tmp_path: Path) -> None:
    path = getattr(example_files, name)(tmp_path)
    (tmp_path / "README.md").write_text("about")
    assert reading.find([tmp_path]) == [path]
    (piece,) = reading.pieces(path)
    xr.testing.assert_identical(piece, reading.read(path))


def whole_or_mark(path: Path) -> Path:
    """The file itself, or what marks a folder as a store."""
    return path / "zarr.json" if path.is_dir() else path


@every_reader
def test_says_what_it_is(name: str) -> None:
    assert 20 < len(plugins.summary("echocast.readers", name)) < 121
    assert all(s.startswith(".") for s in plugins.load("echocast.readers", name).SUFFIXES)


@every_reader
@pytest.mark.parametrize("content", [b"", b"garbage" * 300, b"P5\n# obstime 1\n# projection\nx", bytes(5000)])
def test_refuses_what_is_no_radar_file_by_name(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"broken{plugins.load('echocast.readers', name).SUFFIXES[0]}"
    path.write_bytes(content)
    if name == "images":
        getattr(example_files, name)(tmp_path)
    with pytest.raises(UnreadableFile, match="broken"):
        reading.read(path, name)
    with pytest.raises(UnreadableFile, match="broken"):
        reading.read(path)


@every_reader
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_refuses_a_truncated_file(name: str, share: float, tmp_path: Path) -> None:
    path = getattr(example_files, name)(tmp_path)
    whole = whole_or_mark(path).read_bytes()
    whole_or_mark(path).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableFile, match=path.name.partition(".")[0]):
        reading.read(path)


@every_reader
def test_an_option_that_means_nothing_is_refused(name: str, tmp_path: Path) -> None:
    path = getattr(example_files, name)(tmp_path)
    taken = inspect.signature(plugins.load("echocast.readers", name).read).parameters
    given = {"variable": "x", "units": "mm", "zr": fields.MARSHALL_PALMER, "min_quality": 0.5}
    for key in set(given) - set(taken):
        with pytest.raises(DataError, match=f"has no option {key}"):
            reading.read(path, reading.ReadOptions(**{key: given[key]}))


@every_reader
def test_reflectivity_takes_the_relation_asked_for(name: str, tmp_path: Path) -> None:
    usual = reading.read(getattr(example_files, name)(tmp_path))
    if "zr" not in inspect.signature(plugins.load("echocast.readers", name).read).parameters:
        return
    other = reading.read(
        getattr(example_files, name)(tmp_path), reading.ReadOptions(zr=fields.ZR(300.0, 1.4, "as asked for"))
    )
    if "zr" in usual.attrs:
        assert other.attrs["zr"] == "Z = 300 R^1.4 (as asked for)"
        wet = usual.values > 0.1
        dbz = fields.reflectivity(usual.values[wet], _relation(usual.attrs["zr"]))
        np.testing.assert_allclose(other.values[wet], fields.rain_rate(dbz, fields.ZR(300.0, 1.4, "")), rtol=1e-4)
    else:
        xr.testing.assert_identical(usual, other)


def _relation(text: str) -> fields.ZR:
    a, b = text.removeprefix("Z = ").partition(" (")[0].split(" R^")
    return fields.ZR(float(a), float(b), "")


@every_reader
def test_absurd_rain_is_clipped_and_counted(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = getattr(example_files, name)(tmp_path)
    usual = reading.read(path)
    limit = float(np.nanmax(usual.values)) / 2
    clipped = reading.read(path, reading.ReadOptions(max_rate=limit))
    count = int((usual.values > np.float32(limit)).sum())
    assert count > 0
    assert clipped.attrs["clipped_cells"] == count
    assert float(np.nanmax(clipped.values)) == pytest.approx(limit)
    assert f"{count} cells outside 0 to {limit:g} mm/h" in caplog.text


@every_reader
@pytest.mark.parametrize("error", [MemoryError, NameError, AttributeError, TypeError])
def test_a_mistake_in_a_reader_and_a_lack_of_memory_pass_through(
    name: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = getattr(example_files, name)(tmp_path)

    def fails(*_: object, **__: object) -> None:
        raise error("as it is")

    monkeypatch.setattr(fields, "make", fails)  # the last that every reader calls
    with pytest.raises(error, match=r"^as it is$"):
        reading.read(path)
    monkeypatch.setattr(plugins.load("echocast.readers", name), "recognises", fails)
    with pytest.raises(error, match=r"^as it is$"):
        reading.recognise(path)


@every_reader
@pytest.mark.parametrize("error", [WrongUnits, GridMismatch, DataError])
def test_an_error_of_echocast_keeps_its_class_and_names_the_file_once(
    name: str, error: type[DataError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = getattr(example_files, name)(tmp_path)

    def fails(*_: object, **__: object) -> None:
        raise error("something is wrong")

    monkeypatch.setattr(fields, "make", fails)
    with pytest.raises(error) as caught:
        reading.read(path)
    assert type(caught.value) is error
    assert str(caught.value) == f"{path}: something is wrong"


@every_reader
def test_it_brings_its_page_and_describes_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[1] / "docs" / "formats" / f"{name}.md"
    assert page.read_text(encoding="utf-8").startswith("# ")
    assert status(["formats", name]) == 0
    told = capsys.readouterr().out
    assert plugins.summary("echocast.readers", name) in told
    assert f"formats/{name}.html" in told
    reader = plugins.load("echocast.readers", name)
    for option in set(inspect.signature(reader.read).parameters) - {"path"}:
        written = f"--{option.replace('_', '-')}"
        assert written in told
        assert written in page.read_text(encoding="utf-8"), f"{page.name} does not tell of {written}"
    assert all(suffix in told for suffix in reader.SUFFIXES)


def test_the_table_of_formats_has_each_readers_options() -> None:
    text = (Path(__file__).parents[1] / "docs" / "formats" / "README.md").read_text(encoding="utf-8")
    head, _, *rows = [line.strip("| ").split(" | ") for line in text.split("\n\n")[2].splitlines()]
    assert [row[0] for row in rows] == [f"[{name}]({name}.md)" for name in READERS]
    for name in READERS:
        row = next(line for line in text.splitlines() if line.startswith(f"| [{name}]"))
        marks = [mark.strip() for mark in row.strip("|").split("|")]
        told = {option.strip("`-").replace("-", "_") for option, mark in zip(head, marks, strict=True) if mark == "x"}
        assert told == set(inspect.signature(plugins.load("echocast.readers", name).read).parameters) - {"path"}, name
