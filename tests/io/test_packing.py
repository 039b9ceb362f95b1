"""Grids packed on all cores are what HDF5 itself would read."""

import numpy as np
import pytest
import xarray as xr

from echocast.io import packing


def file(*grids: tuple[str, xr.Variable], to_round: dict[str, int] | None = None) -> xr.Dataset:
    """What xarray reads of a file that has these grids."""
    sizes = dict(zip(("member", "lead", "y", "x"), grids[0][1].shape, strict=True))
    bare = xr.Dataset(coords={name: np.arange(size) for name, size in sizes.items()})
    content = packing.with_grids(bytes(bare.to_netcdf(engine="h5netcdf")), dict(grids), to_round)
    with xr.open_dataset(bytes(content), engine="h5netcdf") as data:
        return data.load()


@pytest.mark.parametrize("pixels", [1_000_000, 40])
def test_every_number_comes_back_where_it_was(pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_PIXELS", pixels)  # with 40: three rows of thirteen, so seven rows make three chunks
    values = np.random.default_rng(0).normal(size=(3, 5, 7, 13)).astype(np.float32)
    values[0, 1, 2] = np.nan
    grid = xr.Variable(("member", "lead", "y", "x"), values, {"units": "1", "long_name": "a share"})
    made = file(("share", grid))["share"]
    np.testing.assert_array_equal(made.values, values)
    assert made.attrs == grid.attrs
    assert made.encoding["chunksizes"] == (1, 1, 7 if pixels > 91 else 3, 13)


@pytest.mark.parametrize(
    ("bits", "comment"),
    [(10, "rounded to 10 significant bits: within 0.1 %"), (7, "rounded to 7 significant bits: within 0.8 %")],
)
def test_what_is_rounded_is_as_near_as_it_says(bits: int, comment: str) -> None:
    values = np.random.default_rng(0).gamma(0.3, 5.0, size=(2, 3, 40, 50)).astype(np.float32)
    values[0, 0, 0, :2] = 0.0, np.nan
    grid = xr.Variable(("member", "lead", "y", "x"), values)
    made = file(("rain", grid), to_round={"rain": bits})["rain"]
    np.testing.assert_allclose(made.values, values, rtol=2.0**-bits)
    assert np.unique(made.values.view(np.uint32) % 2 ** (24 - bits)).tolist() == [0]
    assert made.attrs["comment"] == comment


def test_no_kind_of_nan_becomes_a_number() -> None:
    every_bit = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000, 0x7F800001], np.uint32).view(np.float32)
    assert np.isnan(packing.rounded(every_bit, 10)).all()
