"""Ground clutter, and the mask of it."""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests import example_files

from echocast.archive import clutter, transforms
from echocast.errors import DataError
from echocast.io import forecast_file


def noisy(days: int = 40) -> xr.DataArray:
    """Rain that moves and cells that always echo."""
    drawn = np.random.default_rng(1)
    count = days * 4
    values = np.where(drawn.random((count, 20, 20)) < 0.1, 2.0, 0.0).astype(np.float32)
    values[:, 4:6, 10:13] = 8.0
    return example_files.field(values, minutes=360, start=np.datetime64("2016-09-01", "ns"))


def masked(text: str) -> xr.DataArray:
    return transforms.apply(noisy(), transforms.parse([text]))


def test_clutter_is_what_stands_out_of_the_months_mean(tmp_path: Path) -> None:
    found = clutter.monthly(noisy())
    mask = clutter.mask(noisy(), found)
    expected = np.zeros((20, 20), bool)
    expected[4:6, 10:13] = True
    np.testing.assert_array_equal(mask.values[0] > 0, expected)
    forecast_file.series_to_netcdf(mask, tmp_path / "mask.nc")
    cleaned = masked(f"mask file={tmp_path / 'mask.nc'}")
    assert np.isnan(cleaned.values[:, expected]).all()
    np.testing.assert_array_equal(cleaned.values[:, ~expected], noisy().values[:, ~expected])
    assert (masked(f"mask file={tmp_path / 'mask.nc'} becomes=dry").values[:, expected] == 0).all()
    with pytest.raises(DataError, match="archive clutter"):
        masked("mask file=nowhere.nc")


def test_too_few_frames_say_nothing_of_clutter() -> None:
    with pytest.raises(DataError, match="no month has 100 frames"):
        clutter.monthly(noisy(5))


def test_where_no_mean_stands_out_there_is_no_clutter() -> None:
    quiet = noisy()
    quiet.values[:, 4:6, 10:13] = 0.0
    assert not any(one.cells.any() for one in clutter.monthly(quiet))


def test_a_mask_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "mask.nc"
    mask = clutter.mask(noisy(), clutter.monthly(noisy()))
    forecast_file.series_to_netcdf(mask, path)
    assert np.isnan(masked(f"mask file={path}").values).any()
    forecast_file.series_to_netcdf(mask.copy(data=np.zeros_like(mask.values)), path)
    os.utime(path, ns=(1, 1))  # another time for certain
    assert not np.isnan(masked(f"mask file={path}").values).any()
    with pytest.raises(DataError, match="become 'missing' or 'dry'"):
        masked(f"mask file={path} becomes=wet")
