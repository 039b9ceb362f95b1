"""Files of known truth, packed in every way their formats allow, are read right; more: `python -m tests.known`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests import known
from tests.known import fmi_pgm

from echocast import plugins

FILES = 30


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize("files", [FILES, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("reader", known.names())
def test_files_of_known_truth_are_read_right(reader: str, files: int) -> None:
    assert known.run(reader, files, start=10**6) == []


def test_every_reader_has_such_files() -> None:
    assert known.names() == plugins.names("echocast.readers")


def test_what_is_read_wrong_is_seen(tmp_path: Path) -> None:
    true = fmi_pgm.write(tmp_path, np.random.default_rng(1))
    assert known.judge(true) == ""
    bright, dry, missing = true.cells
    assert "not ['2000-01-01T00:00" in known.judge(replace(true, times=[np.datetime64("2000-01-01", "ns")]))
    assert "mm/h at" in known.judge(replace(true, cells=[replace(bright, rate=bright.rate * 1.01), dry, missing]))
    assert "cells off" in known.judge(replace(true, cells=[replace(bright, latitude=bright.latitude + 0.002)]))
    assert "mm/h at" in known.judge(replace(true, cells=[bright, replace(dry, rate=np.nan), missing]))
    assert "must be refused" in known.judge(replace(true, refused="no rain"))
