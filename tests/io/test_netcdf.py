"""A NetCDF file opened through h5py is what xarray and h5netcdf make of it."""

from pathlib import Path

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray as xr
from tests.known import netcdf as known

from echocast.io import netcdf


def by_xarray(path: Path) -> xr.Dataset:
    options = {"decode_cf": False, "create_default_indexes": False}
    with xr.open_dataset(path, engine="scipy" if path.read_bytes()[:3] == b"CDF" else "h5netcdf", **options) as data:
        return data.load()


def check(path: Path, *, rare: bool) -> None:
    expected = by_xarray(path)
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            assert (netcdf._dataset(file) is None) == rare
    with netcdf.opened(path) as data:
        xr.testing.assert_identical(data, expected)
        assert list(data.variables) == list(expected.variables)
        for name, variable in expected.variables.items():
            assert data[name].dtype == variable.dtype
            assert {key: type(value) for key, value in data[name].attrs.items()} == {
                key: type(value) for key, value in variable.attrs.items()
            }


@pytest.mark.parametrize("seed", range(12))
def test_files_in_all_their_ways_are_the_same(seed: int, tmp_path: Path) -> None:
    true = known.write(tmp_path, np.random.default_rng(seed))
    check(true.path, rare=False)


def test_text_groups_and_large_variables_are_the_same(tmp_path: Path) -> None:
    with h5netcdf.File(tmp_path / "a.nc", "w") as file:
        file.dimensions = {"x": 600_000, "station": 2}
        file.create_variable("large", ("x",), float)[:] = np.arange(600_000)
        file.create_variable("names", ("station",), h5py.string_dtype())[:] = ["Ø", "bb"]
        file.create_variable("station", ("station",), "i2")[:] = [1, 2]
        file.create_group("inner").create_variable("n", ("x",), float)
        file.attrs["row"] = np.array([1.0, 2.0])
        file.attrs["words"] = np.array(["a", "b"], object)
    check(tmp_path / "a.nc", rare=False)


def test_what_is_rare_is_left_to_h5netcdf(tmp_path: Path) -> None:
    with h5netcdf.File(tmp_path / "a.nc", "w") as file:
        file.dimensions = {"x": None, "y": 3}
        file.create_variable("short", ("x",), float)
        file.resize_dimension("x", 4)
        file["short"][:] = np.arange(4.0)
        file.create_variable("swapped", ("y",), ">i2")[:] = [1, 2, 3]
    check(tmp_path / "a.nc", rare=True)


def test_a_damaged_variable_hurts_only_who_reads_it(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.nc", "w") as file:
        for name in ("broken", "whole"):
            file.create_dataset(name, data=np.arange(1000), chunks=(1000,), compression="gzip")
            file[name].make_scale(name)
        where = file["broken"].id.get_chunk_info(0)
    content = bytearray((tmp_path / "a.nc").read_bytes())
    content[where.byte_offset : where.byte_offset + where.size] = bytes(where.size)
    (tmp_path / "a.nc").write_bytes(content)
    with netcdf.opened(tmp_path / "a.nc") as data:
        assert data["whole"].values[-1] == 999
        with pytest.raises(OSError, match="filter returned failure"):
            _ = data["broken"].values
