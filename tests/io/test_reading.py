"""Paths become fields."""

import gzip
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import example_files

from echocast.errors import DataError, UnreadableFile
from echocast.io import reading, unpacking

FIVE = np.timedelta64(5, "m")


def test_files_folders_and_globs_are_found_once_and_sorted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    paths = [example_files.netcdf(tmp_path / "a", time=example_files.TIME + n * FIVE) for n in range(3)]
    (tmp_path / "a" / "README.md").write_text("notes")
    (tmp_path / "a" / ".hidden").write_text("secret")
    assert reading.find([tmp_path, paths[1], str(tmp_path / "a" / "*.nc")]) == sorted(paths)


@pytest.mark.parametrize("given", ["nowhere.nc", "no/*.nc"])
def test_what_is_not_there_is_named(given: str) -> None:
    with pytest.raises(UnreadableFile, match=r"no(where|/)"):
        reading.find([given])


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="holds no radar files"):
        reading.find([tmp_path])


def test_an_unknown_format_gets_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'netcdf'"):
        reading.read(Path("x.nc"), "netcd")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is of no format"):
        reading.recognise(tmp_path)


def test_unfinished_files_and_texts_in_a_folder_are_named_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = example_files.fmi_pgm(tmp_path)
    for name in ("a.nc.part", "b.tmp", "notes.txt"):
        (tmp_path / name).write_text("half")
    assert reading.find([tmp_path]) == [path]
    assert reading.find([str(tmp_path / "*")]) == [path]
    assert all(name in caplog.text for name in ("a.nc.part", "b.tmp", "notes.txt"))
    with pytest.raises(UnreadableFile, match=r"notes\.txt.*without --strict"):
        reading.find([tmp_path], strict=True)
    assert reading.find([tmp_path / "b.tmp"]) == [tmp_path / "b.tmp"], "what is given by name is meant"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda whole: whole[: len(whole) // 2], "begins as HDF5, but is incomplete"),
        (lambda whole: bytes(len(whole)), "nothing but zeros"),
        (lambda _: b"", "is empty; if it is still being written wait"),
    ],
)
def test_a_file_that_is_still_being_written_is_said_to_be(
    content: Callable[[bytes], bytes], why: str, tmp_path: Path
) -> None:
    path = example_files.odim(tmp_path)
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(UnreadableFile, match=why):
        reading.read(path)


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.xz"])
def test_an_archive_of_frames_is_one_field_in_the_order_of_time(ending: str, tmp_path: Path) -> None:
    paths = [example_files.netcdf(tmp_path, time=example_files.TIME + n * FIVE, name=f"{3 - n}") for n in range(3)]
    (tmp_path / "README.txt").write_text("notes")
    archive = tmp_path / f"day.{ending}"
    members = [*paths, tmp_path / "README.txt"]
    if ending == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for path in members:
                packed.write(path, f"../{path.name}")
    else:
        with tarfile.open(archive, f"w:{ending.partition('.')[2]}") as tar:
            for path in members:
                tar.add(path, f"inside/{path.name}")
    field = reading.read(archive)
    np.testing.assert_array_equal(field.time.values, example_files.TIME + np.arange(3) * FIVE)
    np.testing.assert_array_equal(reading.newest([archive], 2)[0].time.values, field.time.values[1:])
    paths[1].write_bytes(paths[1].read_bytes()[:3000])
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.add(paths[1], paths[1].name)
    with pytest.raises(UnreadableFile, match=rf"bad\.tar/{paths[1].name}: begins as HDF5"):
        reading.read(tmp_path / "bad.tar")


@pytest.mark.parametrize("name", ["netcdf", "odim", "geotiff", "mch_gif", "images", "meteonet", "knmi"])
def test_a_compressed_file_of_any_format_is_read(name: str, tmp_path: Path) -> None:
    path = getattr(example_files, name)(tmp_path)
    whole, packed = reading.read(path), path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    xr.testing.assert_identical(reading.read(packed), whole)
    xr.testing.assert_identical(reading.read(packed, name), whole)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(UnreadableFile, match=rf"{packed.name}.*broken gzip"):
        reading.read(packed)


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = example_files.netcdf(tmp_path)
    packed = path.with_name("rain.nc.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1000)
    with pytest.raises(UnreadableFile, match=r"rain\.nc\.gz: unpacks to more than 1,000 bytes"):
        reading.read(packed)


def test_a_format_is_known_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    path = example_files.fmi_pgm(tmp_path)
    xr.testing.assert_identical(reading.read(path, "fmi"), reading.read(path, "fmi_pgm"))
    with pytest.raises(DataError, match="'fm' is not one of"):
        reading.read(path, "fm")
