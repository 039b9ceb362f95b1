"""Grids packed on all cores are what HDF5 itself would read."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from echocast.io import packing
from echocast.io.forecast_leads import Leads, without_values


def file(
    path: Path, grid: xr.Variable, *, to_round: dict[str, int] | None = None, leads: Leads | None = None
) -> xr.DataArray:
    """What xarray reads of a file that has this grid."""
    bare = xr.Dataset(coords={name: np.arange(size) for name, size in grid.sizes.items()})
    path.write_bytes(bytes(bare.to_netcdf(engine="h5netcdf")))
    packing.add_grids(path, {"rain": grid}, to_round, leads)
    with xr.open_dataset(path, engine="h5netcdf") as data:
        return data["rain"].load()


@pytest.mark.parametrize("pixels", [1_000_000, 40])
def test_every_number_comes_back_where_it_was(pixels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_PIXELS", pixels)  # with 40: three rows of thirteen, so seven rows make three chunks
    values = np.random.default_rng(0).normal(size=(3, 5, 7, 13)).astype(np.float32)
    values[0, 1, 2] = np.nan
    grid = xr.Variable(("member", "lead", "y", "x"), values, {"units": "1", "long_name": "a share"})
    empty = xr.Variable(grid.dims, without_values(grid.shape), grid.attrs)
    leads = Leads(("rain",), ({"rain": values[:, lead]} for lead in range(5)))
    for made in (file(tmp_path / "whole.nc", grid), file(tmp_path / "late.nc", empty, leads=leads)):
        np.testing.assert_array_equal(made.values, values)
        assert made.attrs == grid.attrs
        assert made.encoding["chunksizes"] == (1, 1, 7 if pixels > 91 else 3, 13)


@pytest.mark.parametrize(
    ("bits", "comment"),
    [(10, "rounded to 10 significant bits: within 0.1 %"), (7, "rounded to 7 significant bits: within 0.8 %")],
)
def test_what_is_rounded_is_as_near_as_it_says(bits: int, comment: str, tmp_path: Path) -> None:
    values = np.random.default_rng(0).gamma(0.3, 5.0, size=(2, 3, 40, 50)).astype(np.float32)
    values[0, 0, 0, :2] = 0.0, np.nan
    grid = xr.Variable(("member", "lead", "y", "x"), values)
    made = file(tmp_path / "f.nc", grid, to_round={"rain": bits})
    np.testing.assert_allclose(made.values, values, rtol=2.0**-bits)
    assert np.unique(made.values.view(np.uint32) % 2 ** (24 - bits)).tolist() == [0]
    assert made.attrs["comment"] == comment


def test_no_kind_of_nan_becomes_a_number() -> None:
    every_bit = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000, 0x7F800001], np.uint32).view(np.float32)
    assert np.isnan(packing.rounded(every_bit, 10)).all()
