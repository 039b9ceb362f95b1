"""A store holds a field of any quantity, with or without a place on Earth."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from tests import example_files

from echocast import archive, fields
from echocast.errors import DataError
from echocast.io import reading, store
from echocast.io.palette import grid_of

PLACED = [(name, "EPSG:3067") for name in fields.QUANTITIES]
PLACED += [(name, None) for name, quantity in fields.QUANTITIES.items() if not quantity.georeferenced]
STEP = np.timedelta64(5 * 60 * 10**9, "ns")


def kept(path: Path, field: xr.DataArray, *, values: bool, step: np.timedelta64 = STEP) -> xr.DataArray:
    """A field put into a store, its first frame missing, and opened again."""
    repository = store.repository(path, create=True)
    session = repository.writable_session("main")
    group = zarr.open_group(session.store, mode="a")
    store.create(group, grid_of(field), field.time.values[0], step, {})
    store.extend(group, field.sizes["time"])
    palette = store.palette(group)
    assert palette is not None
    frames = {n: palette.encode(field.values[n]) for n in range(1, field.sizes["time"])}
    store.keep_palette(group, palette)
    store.put(group, frames)
    if values:
        store.to_values(group)
        assert store.data_name(group) == field.name
    session.commit("test")
    return archive.open(path)


@pytest.mark.parametrize("values", [False, True], ids=["palette", "values"])
@pytest.mark.parametrize(("quantity", "crs"), PLACED)
def test_any_quantity_comes_back_with_its_name_unit_and_grid(
    quantity: str, crs: str | None, values: bool, tmp_path: Path
) -> None:
    numbers = np.random.default_rng(0).integers(-20, 20, (3, 4, 5)).astype(np.float32)
    numbers[1, 0, 0] = np.nan
    axes = {
        "time": example_files.TIME + np.arange(3) * STEP,
        "y": 7e6 + 1e3 * np.arange(4.0),
        "x": 4e5 + 1e3 * np.arange(5.0),
    }
    field = fields.make(numbers, **axes, crs=crs, quantity=quantity, attrs={"source": "a sample"})
    found = kept(tmp_path / "s.zarr", field, values=values)
    assert found.coords["observed"].values.tolist() == [False, True, True]
    xr.testing.assert_identical(found[1:].drop_vars("observed").load(), field[1:])
    again = reading.read(tmp_path / "s.zarr") if quantity != "rainfall_rate" else field[1:]
    xr.testing.assert_identical(again, field[1:])


def test_frames_of_another_quantity_are_refused(tmp_path: Path) -> None:
    rain = example_files.field(example_files.blob(3))
    dbz = fields.make(
        np.full((3, 20, 24), 20.0, np.float32), time=rain.time.values, y=rain.y.values, x=rain.x.values,
        crs=example_files.CRS, quantity="reflectivity",
    )  # fmt: skip
    kept(tmp_path / "dbz.zarr", dbz, values=False)
    archive.write([example_files.netcdf(tmp_path, rain=example_files.blob(3))], tmp_path / "rain.zarr")
    with pytest.raises(DataError, match="is of quantity 'reflectivity', the others are of 'rainfall_rate'"):
        archive.write([tmp_path / "dbz.zarr"], tmp_path / "rain.zarr")
    archive.write([tmp_path / "dbz.zarr"], tmp_path / "copy.zarr")
    xr.testing.assert_identical(archive.open(tmp_path / "copy.zarr").drop_vars("observed").load(), dbz[1:])


@pytest.mark.parametrize("values", [False, True])
def test_channels_and_times_within_a_second_are_kept(tmp_path: Path, values: bool) -> None:
    step = np.timedelta64(33_366_667, "ns")
    drawn = np.random.default_rng(1).integers(0, 256, (7, 3, 5, 4)).astype(np.float32) / np.float32(255)
    clip = fields.make(
        drawn, time=np.datetime64("2000-01-01", "ns") + np.arange(7) * step, y=range(5), x=range(4),
        quantity="image", channels=["red", "green", "blue"],
    )  # fmt: skip
    kept(tmp_path / "s.zarr", clip, values=values, step=step)
    stored = archive.open(tmp_path / "s.zarr")
    assert stored.dims == ("time", "channel", "y", "x")
    assert stored.channel.values.tolist() == ["red", "green", "blue"]
    np.testing.assert_array_equal(stored.time.values, clip.time.values)
    np.testing.assert_array_equal(stored.values[1:], clip.values[1:])


def test_a_transaction_lists_the_last_chunks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the archive is, the lists that a transaction writes are of one size."""
    monkeypatch.setattr(store, "_CHUNKS_A_LIST", 4)
    monkeypatch.setattr(store, "CHUNK_BYTES", 2 * 20 * 24)
    rain = example_files.field(example_files.blob(48))
    repository = store.repository(tmp_path / "s.zarr", create=True)
    sizes = []
    for number in range(48):
        repository = store.repository(tmp_path / "s.zarr", create=False)  # another process: the store tells its lists
        session = repository.writable_session("main")
        group = zarr.open_group(session.store, mode="a")
        if not number:
            store.create(group, grid_of(rain), rain.time.values[0], STEP, {})
        store.extend(group, number + 1)
        palette = store.palette(group)
        assert palette is not None
        frame = palette.encode(rain.values[number])
        store.keep_palette(group, palette)
        store.put(group, {number: frame})
        before = {path.name for path in (tmp_path / "s.zarr" / "manifests").glob("*")}
        session.commit("one frame")
        made = [path for path in (tmp_path / "s.zarr" / "manifests").iterdir() if path.name not in before]
        sizes.append(sum(path.stat().st_size for path in made))
    assert max(sizes[40:48]) < 1.2 * max(sizes[4:12])
    np.testing.assert_array_equal(archive.open(tmp_path / "s.zarr").values, rain.values)
