"""Transforms of fields on their way into the archive."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import example_files

from echocast import archive, fields
from echocast.archive import transforms
from echocast.errors import DataError
from echocast.io import reading


def rain(count: int = 2, height: int = 12, width: int = 16, seed: int = 0) -> xr.DataArray:
    drawn = np.random.default_rng(seed)
    return example_files.field(drawn.gamma(0.5, 4.0, (count, height, width)).astype(np.float32))


def done(text: str, field: xr.DataArray) -> xr.DataArray:
    return transforms.apply(field, transforms.parse([text]))


def test_crop_keeps_the_cells_inside_a_box() -> None:
    field = rain()
    left, right = float(field.x[3]), float(field.x[7])
    cut = done(f"crop left={left} right={right} bottom={field.y[9].item()} top={field.y[2].item()}", field)
    xr.testing.assert_identical(cut, field[:, 2:10, 3:8])
    with pytest.raises(DataError, match=r"no cell lies in left=9e\+06.*the field goes from"):
        done("crop left=9000000 right=9100000 bottom=0 top=1", field)


def test_centre_is_the_papers_central_crop() -> None:
    np.testing.assert_array_equal(done("centre height=6 width=4", rain()).values, rain().values[:, 3:9, 6:10])
    with pytest.raises(DataError, match="the field has only 12 x 16 cells"):
        done("centre height=13 width=4", rain())


def test_coarsen_by_hand_with_a_missing_cell() -> None:
    values = np.array([[[1, 3, 0, np.nan], [5, 7, np.nan, np.nan]]], np.float32)
    coarse = done("coarsen factor=2", example_files.field(values))
    np.testing.assert_array_equal(coarse.values, [[[4.0, np.nan]]])  # one of four is less than half
    assert coarse.x.values.tolist() == [-4000.0, 4000.0]
    values[0, 1, 2] = 2.0
    np.testing.assert_array_equal(done("coarsen factor=2", example_files.field(values)).values, [[[4.0, 1.0]]])


@settings(deadline=None, max_examples=30)
@given(height=st.integers(1, 20), width=st.integers(1, 20), seed=st.integers(0, 9))
def test_resize_keeps_the_rain_of_the_area(height: int, width: int, seed: int) -> None:
    field = rain(seed=seed)
    small = done(f"resize height={height} width={width}", field)
    assert small.shape == (2, height, width)
    np.testing.assert_allclose(small.values.mean((1, 2)), field.values.mean((1, 2)), rtol=1e-5)
    edge = (field.x[1] - field.x[0]).item() / 2
    new_edge = (edge * 2 * 16 / width) / 2
    assert small.x[0].item() - new_edge == pytest.approx(field.x[0].item() - edge)


def test_resize_by_a_whole_factor_is_coarsening() -> None:
    xr.testing.assert_allclose(done("resize height=6 width=8", rain()), done("coarsen factor=2", rain()), rtol=1e-6)


def test_regrid_to_the_same_projection_is_exact_for_whole_factors() -> None:
    field = rain()
    left, top = field.x[0].item() - 2000, field.y[0].item() + 2000
    crs = example_files.CRS
    moved = done(f"regrid crs='{crs}' left={left} top={top} cell=8000 height=6 width=8", field)
    np.testing.assert_allclose(moved.values, done("coarsen factor=2", field).values, rtol=1e-5)


def test_regrid_to_another_projection_keeps_rain_and_places_it() -> None:
    field = example_files.field(example_files.blob(1, 60, 60), spacing=1000.0)
    moved = done("regrid crs=EPSG:3035 left=4352000 top=2662000 cell=2000 height=60 width=60", field)
    assert fields.crs(moved).to_epsg() == 3035
    kept = float(np.nansum(moved.values)) * 4.0 / float(field.values.sum())
    assert kept == pytest.approx(1.0, abs=0.01)
    highest = np.unravel_index(np.nanargmax(moved.values[0]), moved.shape[1:])
    lon, lat = _lonlat(moved, *highest)
    there = np.unravel_index(np.argmax(field.values[0]), field.shape[1:])
    assert (lon, lat) == pytest.approx(_lonlat(field, *there), abs=0.02)
    with pytest.raises(DataError, match="lies outside the field"):
        done("regrid crs=EPSG:3035 left=1000000 top=1000000 cell=2000 height=6 width=6", field)
    with pytest.raises(DataError, match="knows no such projection"):
        done("regrid crs=nonsense left=1 top=1 cell=2 height=6 width=6", field)


def _lonlat(field: xr.DataArray, row: int, column: int) -> tuple[float, float]:
    import pyproj

    back = pyproj.Transformer.from_crs(fields.crs(field), "EPSG:4326", always_xy=True)
    lon, lat = back.transform(field.x.values[column], field.y.values[row])
    return lon, lat


def test_disk_is_the_mean_of_the_observed_cells_around() -> None:
    field = rain(1)
    field.values[0, 0, 0] = np.nan
    smooth = done("disk radius=1", field).values[0]
    v = field.values[0]
    assert smooth[5, 5] == pytest.approx((v[5, 5] + v[4, 5] + v[6, 5] + v[5, 4] + v[5, 6]) / 5)
    assert smooth[0, 1] == pytest.approx((v[0, 1] + v[0, 2] + v[1, 1]) / 3)
    assert np.isnan(smooth[0, 0])


def test_pictures_of_any_size_become_one_size() -> None:
    picture = np.arange(4 * 12, dtype=np.float32).reshape(1, 4, 12) / 48
    made = []
    for scale in (1, 3):
        large = picture.repeat(scale, 1).repeat(scale, 2)
        rows, columns = large.shape[1:]
        time = [np.datetime64("2000-01-01", "ns")]
        field = fields.make(large, time=time, y=range(rows), x=range(columns), quantity="image")
        made.append(done("resize_and_crop height=2 width=4", field))
    by_hand = picture.reshape(1, 2, 2, 6, 2).mean((2, 4))[:, :, 1:5]
    np.testing.assert_allclose(made[0].values, by_hand, rtol=1e-6)
    xr.testing.assert_allclose(made[0], made[1])
    assert made[1].x.values.tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="lies on a map"):
        done("resize_and_crop height=2 width=4", rain())


def test_clip_and_wrong_texts() -> None:
    assert float(done("clip max_rate=5", rain()).max()) == 5.0
    for text, why in {
        "blur radius=2": "'blur' is no transform; there are: adjust, centre, clip",
        "coarsen": "lacks factor",
        "coarsen factor=two": "factor = 'two'",
        "coarsen factr=2 factor=2": "did you mean 'factor'",
        "coarsen 2": "not of the form key=value",
        "coarsen factor=40": "from 1 to the number of rows and columns of the field, 12 x 16",
        "disk radius=0": "above 0 and below 500",
        "coarsen 'factor=2": "cannot be read (No closing quotation)",
        "resize height=0 width=4": "at least 1",
        "centre height=0 width=4": "only 12 x 16",
        "clip max_rate=-1": "must be above 0",
    }.items():
        with pytest.raises(DataError, match=re.escape(why)):
            done(text, rain())


def test_the_store_keeps_its_transforms_and_applies_them_again(tmp_path: Path) -> None:
    five = np.timedelta64(5, "m")
    paths = [
        example_files.netcdf(tmp_path, time=example_files.TIME + n * five, rain=example_files.blob(4)[n : n + 1])
        for n in range(4)
    ]
    chosen = transforms.parse(["coarsen factor=2", "clip max_rate=6"])
    archive.write(paths[:2], tmp_path / "s.zarr", transforms=chosen)
    archive.write(paths[2:], tmp_path / "s.zarr")
    field = archive.open(tmp_path / "s.zarr")
    np.testing.assert_array_equal(
        field.values, transforms.apply(example_files.field(example_files.blob(4)), chosen).values
    )
    assert field.attrs["transforms"] == '["coarsen factor=2", "clip max_rate=6.0"]'
    with pytest.raises(DataError, match=r"was made with other transforms \(coarsen factor=2; clip max_rate=6.0\)"):
        archive.write(paths[2:], tmp_path / "s.zarr", transforms=transforms.parse(["coarsen factor=4"]))


def test_an_archive_is_read_back_as_a_source_without_its_gaps(tmp_path: Path) -> None:
    five = np.timedelta64(5, "m")
    paths = [
        example_files.netcdf(tmp_path, time=example_files.TIME + n * five, rain=example_files.blob(5)[n : n + 1])
        for n in (0, 1, 4)
    ]
    archive.write(paths, tmp_path / "s.zarr")
    field = reading.read(tmp_path / "s.zarr")
    np.testing.assert_array_equal(field.values, example_files.blob(5)[[0, 1, 4]])
    archive.write([tmp_path / "s.zarr"], tmp_path / "t.zarr", transforms=transforms.parse(["coarsen factor=2"]))
    copied = archive.open(tmp_path / "t.zarr")
    assert copied.observed.values.tolist() == [True, True, False, False, True]
    assert copied.shape[1:] == (10, 12)
