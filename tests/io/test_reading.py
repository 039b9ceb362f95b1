"""Paths become fields."""

from pathlib import Path

import numpy as np
import pytest
from tests import example_files

from echocast.errors import DataError, UnreadableFile
from echocast.io import reading

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
