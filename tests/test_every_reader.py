"""Every reader there is: found by listing the folder, tried with a file that `tests.samples` writes."""

import gzip
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import samples

from echocast import field as fields
from echocast import plugins
from echocast.data import files
from echocast.errors import UnreadableFile

READERS = plugins.names("echocast.data.readers")

every_reader = pytest.mark.parametrize("name", READERS)


@every_reader
def test_yields_a_checked_field_with_its_time_and_source(name: str, tmp_path: Path) -> None:
    field = files.read(getattr(samples, name)(tmp_path))
    assert fields.check(field) is field
    assert field.time.values[0] == samples.TIME
    assert field.attrs["source"]
    assert np.isfinite(field.values).any()


@every_reader
def test_is_recognised_by_content_under_a_foreign_suffix(name: str, tmp_path: Path) -> None:
    path = getattr(samples, name)(tmp_path)
    assert files.recognise(path.rename(path.with_suffix(".dat"))) == name


@every_reader
def test_says_what_it_is(name: str) -> None:
    assert 20 < len(plugins.summary("echocast.data.readers", name)) < 121
    assert all(s.startswith(".") for s in plugins.load("echocast.data.readers", name).SUFFIXES)


@every_reader
@pytest.mark.parametrize("content", [b"", b"garbage" * 300, b"P5\n# obstime 1\n# projection\nx", bytes(5000)])
def test_refuses_what_is_no_radar_file_by_name(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"broken{plugins.load('echocast.data.readers', name).SUFFIXES[0]}"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match="broken"):
        files.read(path, name)
    with pytest.raises(UnreadableFile, match="broken"):
        files.read(path)


@every_reader
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_refuses_a_truncated_file(name: str, share: float, tmp_path: Path) -> None:
    path = getattr(samples, name)(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableFile, match=path.name.partition(".")[0]):
        files.read(path)


@cache
def _sample(name: str) -> tuple[str, bytes]:
    """A sample's name and unpacked content; the same in every example, unlike HDF5 files written anew."""
    with tempfile.TemporaryDirectory() as folder:
        path: Path = getattr(samples, name)(Path(folder))
        content = path.read_bytes()
    return path.name, gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


# h5netcdf's finaliser stumbles over a file object whose making failed, which nothing here can prevent.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@every_reader
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_still_a_field(name: str, data: st.DataObject) -> None:
    file_name, whole = _sample(name)
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file_name
        path.write_bytes(content)
        with suppress(UnreadableFile):
            fields.check(files.read(path, name))
