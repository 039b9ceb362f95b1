"""Compiled kernels are kept on disk, and what lies there is taken only where it is what was written."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from echocast.nn.fused import kept
from echocast.nn.fused.compiler import Rows, compile_kernel


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "echocast" / "kernels"


def doubled() -> float:
    """What a kernel makes of 3, compiled or read anew."""
    double = compile_kernel("double", {"x": Rows()}, lambda load, store: store("x", load("x") * 2))
    x = torch.full((2, 5), 3.0)
    double({"x": x}, rows=2, width=5)
    assert bool((x == x[0, 0]).all())
    return float(x[0, 0])


def test_a_kernel_is_compiled_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doubled() == 6
    (file,) = cache.iterdir()
    assert cache.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(kept, "write", lambda *_: pytest.fail("it was compiled again"))
    assert doubled() == 6
    assert list(cache.iterdir()) == [file]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def changed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[200] ^= 255
    file.write_bytes(content)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def opened_to_all(file: Path) -> None:
    file.chmod(0o666)


def in_a_folder_open_to_all(file: Path) -> None:
    file.parent.chmod(0o777)


@pytest.mark.parametrize("harm", [cut, changed, emptied, opened_to_all, in_a_folder_open_to_all])
def test_what_cannot_be_trusted_is_compiled_anew(cache: Path, harm: Callable[[Path], None]) -> None:
    assert doubled() == 6
    (file,) = cache.iterdir()
    assert kept.read(file.name) is not None
    harm(file)
    assert kept.read(file.name) is None
    assert doubled() == 6


def test_without_a_disk_kernels_are_compiled_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert doubled() == 6
    assert doubled() == 6


def test_a_name_tells_all_parts_apart() -> None:
    assert kept.name("a", "bc") != kept.name("ab", "c")
