"""--units says what a file does not say; it never turns one unit into another."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from tests import example_files

from echocast.errors import WrongUnits
from echocast.io import reading


@pytest.mark.parametrize(
    ("make", "same", "other"),
    [
        (example_files.geotiff, "dBZ", "mm/h"),
        (example_files.grib, "kg m-2 h-1", "dBZ"),
        (example_files.netcdf, "mm/h", "mm"),
    ],
)
def test_a_unit_of_the_file_wins(make: Callable[[Path], Path], same: str, other: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    known = reading.read(path)
    np.testing.assert_array_equal(reading.read(path, reading.ReadOptions(units=same)).values, known.values)
    with pytest.raises(WrongUnits, match=f"says itself that it is in .*--units {other} contradicts"):
        reading.read(path, reading.ReadOptions(units=other))


def test_a_file_without_a_unit_takes_the_one_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "201609281445.tif"
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": 1, "width": 2}
    transform = rasterio.Affine(1000, 0, 5e4, 0, -1000, 7.8e6)
    with rasterio.open(path, "w", crs="EPSG:3067", transform=transform, **profile) as file:
        file.write(np.array([[0.0, 3.0]], np.float32), 1)
    field = reading.read(path, reading.ReadOptions(units="mm/h"))
    assert field.values.tolist() == [[[0.0, 3.0]]]
