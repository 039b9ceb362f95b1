"""Files that appear whole or not at all."""

import os
from pathlib import Path

import pytest

from echocast import atomic
from echocast.atomic import atomic_write, write_bytes
from echocast.errors import DataError, MissingFrames


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "f.nc"
    with atomic_write(path) as partial:
        partial.write_text("new")
        assert not path.exists()
        assert (partial.parent, partial.suffix, partial.name[0]) == (tmp_path, ".nc", ".")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["f.nc"]


def fail_half_way(path: Path, error: BaseException) -> None:
    with atomic_write(path) as partial:
        partial.write_text("half")
        raise error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MissingFrames("a gap"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_no_partial_one(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "f.nc"
    path.write_text("old")
    expected = DataError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught:
        fail_half_way(path, error)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["f.nc"]
    if isinstance(error, OSError):
        assert str(caught.value) == (
            f"{path}: cannot be written (No space left on device); is the disk full or read-only?"
        )


def test_two_that_write_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "f.nc"
    with atomic_write(path) as first:
        first.write_text("first, begun earlier")
        with atomic_write(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first, begun earlier"
    assert names(tmp_path) == ["f.nc"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*nowhere; make it first"):
        write_bytes(tmp_path / "nowhere" / "f.nc", b"")
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f.nc").write_text("old")
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):  # root may write anywhere
            monkeypatch.setattr(Path, "write_bytes", _read_only)
        with pytest.raises(DataError, match=r"f\.nc: cannot be written .*read-only"):
            write_bytes(tmp_path / "f.nc", b"new")
    finally:
        tmp_path.chmod(0o700)
    assert (tmp_path / "f.nc").read_text() == "old"


def _read_only(*_: object) -> int:
    raise OSError(30, "Read-only file system")


@pytest.mark.parametrize("sync", [False, True])
def test_content_is_on_the_disk_before_the_renaming_if_asked(
    sync: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.nc"
    seen: list[tuple[Path, bool]] = []
    monkeypatch.setattr(atomic, "sync_file", lambda partial: seen.append((partial, path.exists())))
    write_bytes(path, b"content", sync=sync)
    assert path.read_bytes() == b"content"
    assert [exists for _, exists in seen] == [False] * sync


def test_syncing_a_real_file_keeps_its_content(tmp_path: Path) -> None:
    write_bytes(tmp_path / "f.nc", memoryview(b"content"), sync=True)
    assert (tmp_path / "f.nc").read_bytes() == b"content"
