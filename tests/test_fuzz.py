"""A short run of the fuzzer; the long one is `python -m tests.fuzz --inputs 100000`."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from tests import fuzz

from echocast import plugins
from echocast.readers import netcdf


@pytest.mark.parametrize("inputs", [20, pytest.param(45, marks=pytest.mark.slow)])
@pytest.mark.parametrize("reader", plugins.names("echocast.readers"))
def test_damaged_files_are_refused_or_correct(reader: str, inputs: int) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        outcomes, findings = fuzz.run(reader, inputs, place, start=10**6)
    assert findings == []
    assert outcomes["refused"] + outcomes["a field"] == inputs
    assert outcomes["refused"] > inputs / 3, "the damage does harm"


def test_the_fuzzer_sees_what_goes_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [("x.nc", {"x.nc": b"content"})]
    monkeypatch.setattr(fuzz.reading, "read", lambda *_: 1 / 0)
    assert fuzz.read_one("netcdf", 3, sources, tmp_path / "a").startswith("ZeroDivisionError")
    monkeypatch.undo()
    monkeypatch.setattr(netcdf, "read", lambda _: 1 / 0)
    assert fuzz.read_one("netcdf", 3, sources, tmp_path / "a").startswith("ZeroDivisionError")
    assert fuzz.damaged(b"abc" * 100, np.random.default_rng(0)) != b"abc" * 100
