"""The newest frames of many files: the same as by reading them all, from few of them."""

import logging
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import example_files

from echocast import plugins
from echocast.errors import DataError, GridMismatch, UnreadableFile
from echocast.io import reading
from echocast.io.location import Location
from echocast.io.newest import series
from echocast.readers import fmi_pgm

FIVE = np.timedelta64(5, "m")


def at(number: int) -> np.datetime64:
    return example_files.TIME + number * FIVE


def frames(folder: Path, count: int) -> list[Path]:
    """FMI's files, whose names hold their times."""
    return [example_files.fmi_pgm(folder, time=at(n), packed=False) for n in range(count)]


def untimed(folder: Path, names: Sequence[str]) -> list[Path]:
    """The same with other names: the first is the oldest."""
    return [path.rename(folder / f"{name}.pgm") for path, name in zip(frames(folder, len(names)), names, strict=True)]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read, as they are read."""
    found: list[str] = []
    original = fmi_pgm.read

    def counted(path: Path, **options: object) -> xr.DataArray:
        found.append(path.name)
        return original(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(fmi_pgm, "read", counted)
    return found


def test_of_ten_thousand_files_as_many_are_read_as_are_needed(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = frames(tmp_path, 12)
    for number in range(10_000 - len(real)):
        stamp = str(example_files.TIME - (number + 1) * FIVE)[:16].replace("-", "").replace("T", "").replace(":", "")
        (tmp_path / f"{stamp}_fmi.pgm").symlink_to(tmp_path / "nowhere")
    opened: list[Path] = []
    original = Path.open

    def seen(path: Path, *arguments: object, **options: object) -> object:
        opened.extend([path] if path.parent == tmp_path else [])
        return original(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", seen)
    paths = reading.find([tmp_path])
    assert len(paths) == 10_000
    assert opened == [], "a folder is listed without opening its files"
    field, used = reading.newest(paths, 10)
    assert used == real[2:]
    assert list(field.time.values) == [at(n) for n in range(2, 12)]
    assert read == [path.name for path in real[:0:-1]], "ten, and the next older one"
    assert set(opened) == set(real[1:])


def test_readers_are_asked_once_for_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in plugins.names("echocast.readers"):
        reader = plugins.load("echocast.readers", name)
        original = reader.recognises

        def counted(head: bytes, path: Path, name: str = name, original: object = original) -> bool:
            asked.append(name)
            return bool(original(head, path))  # type: ignore[operator]

        monkeypatch.setattr(reader, "recognises", counted)
    reading.newest(frames(tmp_path, 8), 5)
    assert asked.count("fmi_pgm") == 6
    assert all(asked.count(name) <= 1 for name in set(asked) - {"fmi_pgm"})


def test_a_folder_of_two_formats_is_read_by_two_readers(tmp_path: Path) -> None:
    paths = [example_files.nwcsaf(tmp_path, time=at(n)).rename(tmp_path / f"{n}.nc") for n in range(2)]
    recogniser = reading.Recogniser()
    assert [recogniser(path) for path in paths] == ["nwcsaf", "nwcsaf"]
    assert recogniser(example_files.netcdf(tmp_path)) == "netcdf"
    assert recogniser(paths[0]) == "nwcsaf", "a general reader is not asked first"


@pytest.mark.parametrize("seed", range(4))
def test_names_in_disorder_change_nothing(seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"{n}" for n in range(12)]
    random.Random(seed).shuffle(names)
    paths = untimed(tmp_path, names)
    field, used = reading.newest(sorted(paths), 4)
    assert list(field.time.values) == [at(n) for n in range(8, 12)]
    assert used == paths[8:]
    assert "names of files do not tell which are newer, so all 12 are read" in caplog.text


def test_numbers_in_names_are_ordered_as_numbers(
    tmp_path: Path, read: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    paths = untimed(tmp_path, [f"run_{n}" for n in range(12)])
    _, used = reading.newest(sorted(paths), 3)
    assert used == paths[9:]
    assert read == ["run_11.pgm", "run_10.pgm", "run_9.pgm", "run_8.pgm", "run_0.pgm"], "and the first, to be sure"
    assert caplog.text == ""


def test_names_with_the_day_first_are_found_out(tmp_path: Path) -> None:
    days = [np.datetime64(day, "ns") for day in ("2016-09-29", "2016-09-30", "2016-10-01", "2016-10-02")]
    made = [example_files.fmi_pgm(tmp_path, time=day, packed=False) for day in days]
    paths = [
        path.rename(tmp_path / f"{str(day)[8:10]}{str(day)[5:7]}{str(day)[:4]}.pgm")
        for path, day in zip(made, days, strict=True)
    ]
    assert reading.newest(sorted(paths), 2)[1] == paths[2:]


def test_series_go_by_time_then_by_number() -> None:
    names = ["b/20160928_1450_x.nc", "a_20160928T145500.nc", "b/9.nc", "b/10.nc", "c/1.nc"]
    assert series([Path(name) for name in names]) == [
        ([Path("b/20160928_1450_x.nc"), Path("a_20160928T145500.nc")], True),
        ([Path("b/9.nc"), Path("b/10.nc")], False),
        ([Path("c/1.nc")], False),
    ]


def test_two_series_are_both_read(tmp_path: Path) -> None:
    old = untimed(tmp_path, [f"a_{n}" for n in range(6)])
    new = [path.rename(tmp_path / f"z_{n}.pgm") for n, path in enumerate(frames(tmp_path, 8)[4:])]
    field, used = reading.newest(sorted([*old, *new]), 4)
    assert list(field.time.values) == [at(n) for n in range(4, 8)]
    assert used == [old[4], old[5], new[2], new[3]]


def test_newest_keeps_the_newest_in_order_whatever_the_order_of_files(tmp_path: Path) -> None:
    paths = [example_files.netcdf(tmp_path, time=at(n), name=f"{9 - n}") for n in range(6)]
    field, used = reading.newest(sorted(paths), 3)
    assert list(field.time.values) == [at(n) for n in range(3, 6)]
    assert used == paths[3:]


def test_a_repeated_frame_is_taken_once_and_a_different_one_refused(tmp_path: Path) -> None:
    first = example_files.netcdf(tmp_path, name="a")
    again = example_files.netcdf(tmp_path, name="b")
    assert reading.newest([first, again], 3)[1] == [first]
    other = example_files.netcdf(tmp_path, name="c", rain=example_files.blob(1) * 2)
    with pytest.raises(DataError, match=r"c_.*differs from.*a_"):
        reading.newest([first, other], 3)


def test_another_grid_is_named(tmp_path: Path) -> None:
    first = example_files.netcdf(tmp_path, name="a")
    other = example_files.netcdf(tmp_path, name="b", time=at(1), rain=example_files.blob(1, 10, 10))
    with pytest.raises(GridMismatch, match=r"a_.*has 20 cells along y.*compared with .*b_"):
        reading.newest([first, other], 3)


def test_a_damaged_file_matters_only_if_it_is_needed(tmp_path: Path) -> None:
    paths = frames(tmp_path, 8)
    paths[2].write_bytes(b"P5 rubbish")
    assert reading.newest(paths, 3)[1] == paths[5:]
    passed: list[str] = []
    _, used = reading.newest(paths, 6, on_passed_over=lambda path, why: passed.append(f"{path}: {why}"))
    assert used == [paths[1], *paths[3:]]
    assert len(passed) == 1
    assert paths[2].name in passed[0]
    with pytest.raises(UnreadableFile, match=paths[2].name):
        reading.newest(paths, 6, strict=True)


def test_a_truncated_newest_file_gives_way_to_the_frames_before_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = frames(tmp_path, 6)
    paths[5].write_bytes(paths[5].read_bytes()[:-4])
    assert reading.newest(paths, 3)[1] == paths[2:5]
    assert f"passed over: {paths[5]}: holds 26 of 5 x 6 pixels" in caplog.text


def test_if_no_file_can_be_read_the_error_of_the_newest_comes(tmp_path: Path) -> None:
    paths = frames(tmp_path, 40)
    for path in paths:
        path.write_bytes(b"P5 rubbish")
    opened: list[object] = []
    with pytest.raises(UnreadableFile, match=paths[-1].name):
        reading.newest(paths, 2, on_file=opened.append)
    assert len(opened) == 13, "ten more than the frames, and no more"


@pytest.mark.parametrize("odd", [0, 3, 7])
def test_one_file_on_another_grid_is_passed_over_wherever_it_stands(odd: int, tmp_path: Path) -> None:
    paths = frames(tmp_path, 8)
    example_files.fmi_pgm(tmp_path, time=at(odd), packed=False, level=np.full((4, 4), 100, np.uint8))
    passed: list[object] = []
    _, used = reading.newest(paths, 8, on_passed_over=lambda path, _: passed.append(path))
    assert passed == [paths[odd]]
    assert used == [path for path in paths if path != paths[odd]]
    with pytest.raises(GridMismatch, match="compared with"):
        reading.newest(paths, 8, strict=True)


def test_of_nothing_there_is_no_frame() -> None:
    with pytest.raises(UnreadableFile, match="there is no frame"):
        reading.newest([], 3)


def test_products_are_not_mixed(tmp_path: Path) -> None:
    step = np.timedelta64(15, "m")
    times = [example_files.TIME + n * step for n in range(8)]
    for n, time in enumerate(times):
        named = (
            tmp_path / f"composite_{np.datetime_as_string(time, unit='m').translate(str.maketrans('', '', '-T:'))}.h5"
        )
        example_files.odim(tmp_path, time=time, quantity="ACRR" if n in (2, 5) else "RATE").rename(named)
    told: dict[Location, str] = {}
    _, used = reading.newest(reading.find([tmp_path]), 6, on_passed_over=told.__setitem__)
    assert len(used) == 6
    assert len(told) == 2
    assert all("is of product 'ACRR COMP', the others are of 'RATE COMP'" in why for why in told.values())
    for time in times[1::2]:
        example_files.odim(tmp_path, time=time + step // 3, quantity="ACRR")
    with pytest.raises(GridMismatch, match=r"is of product '\w+ COMP', the others are of"):
        reading.newest(reading.find([tmp_path]), 6)
