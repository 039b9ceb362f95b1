"""Fields do not import Dask, and arrays of Dask are still what they are."""

import subprocess
import sys

import pytest

CODE = """
import sys
import numpy as np
import xarray as xr
from tests import example_files
rain = example_files.field(example_files.blob(3))
print(rain.fillna(0.0).max().item() > 7, "dask" in sys.modules)
print(rain.sel(time=rain.time.values[:2]).sizes["time"], xr.concat([rain, rain], "x").sizes["x"], "dask" in sys.modules)
import dask.array
lazy = xr.DataArray(dask.array.from_array(np.ma.masked_equal([1.0, 2.0], 2.0), chunks=1), dims="x")
print(lazy.chunks, type(lazy.data).__module__.partition(".")[0], lazy.values.tolist())
print(xr.DataArray(lazy.data, dims="x", coords={"x": [1, 2]}).x.values.tolist())
print(rain.chunk({"time": 1}).chunks[0], xr.namedarray.pycompat.mod_version("dask").major > 1)
"""


def test_dask_is_imported_by_those_who_use_it() -> None:
    pytest.importorskip("dask.array", reason="dask is not installed (extra dask)")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "True False",
        "2 48 False",
        "((1, 1),) dask [1.0, nan]",
        "[1, 2]",
        "(1, 1, 1) True",
    ]
