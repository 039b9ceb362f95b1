"""Frames as indices into a palette: nothing is rounded, and too many values are kept as they are."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests import example_files

from echocast import archive
from echocast.errors import EchocastError
from echocast.io import _lazy, palette, reading, store
from echocast.io.palette import Palette, TooMany

FIVE = np.timedelta64(5, "m")


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.float32, (3, 17), elements=st.floats(width=32)), hnp.arrays(np.float32, (2, 9)))
def test_every_bit_comes_back(first: np.ndarray, second: np.ndarray) -> None:
    known = Palette()
    codes = [known.encode(first), known.encode(second)]
    for values, code in zip((first, second), codes, strict=True):
        back = known.values[code]
        np.testing.assert_array_equal(np.isnan(back), np.isnan(values))
        seen = ~np.isnan(values)
        np.testing.assert_array_equal(back[seen].view(np.uint32), values[seen].view(np.uint32))
        assert (code[np.isnan(values)] == 0).all()
    assert len(np.unique(known.values.view(np.uint32))) == len(known.values)


def test_tables_merge_to_the_same_values() -> None:
    a, b = Palette(), Palette()
    values = np.random.default_rng(0).integers(0, 3000, 20_000).astype(np.float32) * 0.12
    a.encode(values[:9000])
    code = b.encode(values)
    other = a.merge(b.values)
    assert other is not None
    np.testing.assert_array_equal(a.values[other[code]], values)
    assert a.merge(a.values) is None
    assert Palette().merge(b.values) is None, "a palette taken over whole keeps its order"


def test_too_many_values_are_refused_by_the_table_and_kept_by_the_store(tmp_path: Path) -> None:
    many = np.random.default_rng(0).random((1, 300, 300)).astype(np.float32)
    with pytest.raises(TooMany):
        Palette().encode(many)
    few = np.round(many * 20)
    paths = [example_files.netcdf(tmp_path, time=example_files.TIME + n * FIVE, rain=few) for n in range(2)]
    place = tmp_path / "s.zarr"
    archive.write(paths, place)
    assert layout(place) == [palette.PALETTE, palette.INDEX]
    archive.write([example_files.netcdf(tmp_path, time=example_files.TIME + 3 * FIVE, rain=many)], place)
    assert layout(place) == ["rainfall_rate"]
    field = archive.open(place)
    np.testing.assert_array_equal(field.values[[0, 1, 3]], np.concatenate([few, few, many]))
    assert np.isnan(field.values[2]).all()
    report = archive.write(paths, place)
    assert (report.added, report.duplicates) == (0, 2)


def layout(place: Path) -> list[str]:
    session = store.repository(place, create=False).readonly_session("main")
    return sorted(set(zarr.open_group(session.store, mode="r")) & {"rainfall_rate", palette.INDEX, palette.PALETTE})


def test_a_store_is_read_in_any_order_like_any_field(tmp_path: Path) -> None:
    paths = [
        example_files.netcdf(tmp_path, time=example_files.TIME + n * FIVE, rain=example_files.blob(9)[n : n + 1])
        for n in range(9)
    ]
    archive.write(paths, tmp_path / "s.zarr")
    field, rain = archive.open(tmp_path / "s.zarr"), example_files.blob(9)
    np.testing.assert_array_equal(field[2:5, 3, ::2].values, rain[2:5, 3, ::2])
    np.testing.assert_array_equal(field[[1, 4, 2]].values, rain[[1, 4, 2]])
    np.testing.assert_array_equal(field.isel(time=[0, 8], x=[5, 1]).values, rain[[0, 8]][:, :, [5, 1]])
    np.testing.assert_array_equal(field.sel(time=example_files.TIME + 3 * FIVE).values, rain[3])
    assert field.dtype == np.float32


def test_anybody_reads_a_store_with_xarray_alone(tmp_path: Path) -> None:
    paths = [
        example_files.netcdf(tmp_path, time=example_files.TIME + n * FIVE, rain=example_files.blob(4)[n : n + 1])
        for n in range(4)
    ]
    archive.write(paths, tmp_path / "s.zarr")
    session = store.repository(tmp_path / "s.zarr", create=False).readonly_session("main")
    data = xr.open_zarr(session.store, consolidated=False)
    rain = data.palette[data.palette_index.astype(int)]
    np.testing.assert_array_equal(rain.values, example_files.blob(4))
    data.drop_encoding().to_zarr(tmp_path / "plain.zarr", consolidated=False)
    np.testing.assert_array_equal(reading.read(tmp_path / "plain.zarr").values, example_files.blob(4))


def test_an_xarray_that_has_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from xarray.core import indexing

    monkeypatch.delattr(indexing, "explicit_indexing_adapter")
    with pytest.raises(EchocastError, match=rf"xarray {xr.__version__} has changed .* written for xarray>="):
        _lazy.lazy_variable(("x",), (1,), lambda key: np.zeros(1, np.float32), {})


def test_the_supported_xarray_is_that_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert _lazy.SUPPORTED in project["optional-dependencies"]["radar"]


def test_many_values_are_found_by_bisection_as_few_are_by_hashing() -> None:
    """A coarsened product may hold tens of thousands of different values."""
    drawn = np.random.default_rng(0)
    values = drawn.choice(np.unique(drawn.uniform(-9.0, 50.0, 70_000).astype(np.float32)), 60_000, replace=False)
    many, few = Palette(), Palette()
    for part in np.split(values, 6):
        indices = many.encode(part)
        np.testing.assert_array_equal(many.values[indices], part)
    assert len(many.values) == 60_001
    frame = drawn.choice(values[:3000], (40, 50))
    frame[3, 4] = np.nan
    found, expected = many.encode(frame), few.encode(frame)
    np.testing.assert_array_equal(many.values[found], few.values[expected])
    with pytest.raises(TooMany):
        many.encode(drawn.uniform(60.0, 90.0, 6_000).astype(np.float32))
    np.testing.assert_array_equal(many.values[many.encode(frame)], frame)
