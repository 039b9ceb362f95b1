"""Rain keeps its total on another grid; what else is there is interpolated; both against plain loops."""

import numpy as np
import pyproj
import pytest
import xarray as xr
from scipy.interpolate import RegularGridInterpolator

from echocast import fields

TIME = [np.datetime64("2018-05-01", "ns")]


def degrees(values: np.ndarray, y: np.ndarray, x: np.ndarray, quantity: str = "rainfall_rate") -> xr.DataArray:
    return fields.make(values[None], time=TIME, y=y, x=x, crs="EPSG:4326", quantity=quantity)


def metres(rows: int, cell: float) -> xr.DataArray:
    """A grid of equal area around 45 N 5 E."""
    at = (np.arange(rows) - (rows - 1) / 2) * cell
    crs = "+proj=laea +lat_0=45 +lon_0=5 +datum=WGS84 +units=m"
    return fields.make(np.zeros((1, rows, rows)), time=TIME, y=at[::-1], x=at, crs=crs)


@pytest.mark.parametrize("cell", [1000.0, 6000.0, 25_000.0])
def test_the_total_of_rain_stays_within_one_percent(cell: float) -> None:
    y, x = 47.0 - 0.1 * np.arange(41), 3.0 + 0.1 * np.arange(41)
    away = np.hypot(*np.meshgrid((y - 45.03) * 111.0, (x - 5.02) * 78.0, indexing="ij"))
    rain = np.where(away < 70.0, np.random.default_rng(1).gamma(0.5, 4.0, (41, 41)), 0.0)  # far from the border
    ellipsoid = pyproj.Geod(ellps="WGS84")
    areas = [
        abs(ellipsoid.polygon_area_perimeter([0.0, 0.1, 0.1, 0.0], [s - 0.05, s - 0.05, s + 0.05, s + 0.05])[0])
        for s in y
    ]
    total = float((rain * np.array(areas)[:, None]).sum())
    target = metres(2 * int(110_000 / cell) + 1, cell)
    made = fields.regridded(degrees(rain, y, x), target)
    assert float(made.sum()) * cell**2 == pytest.approx(total, rel=0.01)


def test_a_cell_is_the_mean_by_area_as_a_plain_loop_finds_it() -> None:
    drawn = np.random.default_rng(2).random((5, 5)).astype(np.float32)
    source = degrees(drawn, 50.0 - np.arange(5.0), np.arange(5.0))
    target = degrees(np.zeros((4, 4)), 49.4 - 0.7 * np.arange(4), 0.6 + 0.7 * np.arange(4))
    made = fields.regridded(source, target).values[0]
    for i, y in enumerate(target.y.values):
        for j, x in enumerate(target.x.values):
            want = 0.0
            for k, south in enumerate(source.y.values):
                for n, west in enumerate(source.x.values):
                    high = max(0.0, min(y + 0.35, south + 0.5) - max(y - 0.35, south - 0.5))
                    wide = max(0.0, min(x + 0.35, west + 0.5) - max(x - 0.35, west - 0.5))
                    want += drawn[k, n] * high * wide / 0.49
            assert made[i, j] == pytest.approx(want, abs=0.13)  # parts of a third: cut cells are off by a sixth


def test_other_quantities_are_bilinear() -> None:
    drawn = np.random.default_rng(3).random((6, 7)).astype(np.float32)
    y, x = 50.0 - np.arange(6.0), np.arange(7.0)
    target = degrees(np.zeros((9, 9)), 49.5 - 0.4 * np.arange(9), 0.3 + 0.6 * np.arange(9), "air_temperature")
    made = fields.regridded(degrees(drawn, y, x, "air_temperature"), target)
    truth = RegularGridInterpolator((y[::-1], x), drawn[::-1])
    np.testing.assert_allclose(made.values[0], truth(tuple(np.meshgrid(target.y, target.x, indexing="ij"))), atol=1e-5)


def test_directions_go_through_north_and_columns_around_the_earth() -> None:
    wind = degrees(np.array([[350.0, 10.0]] * 2), np.array([1.0, 0.0]), np.array([0.0, 1.0]), "wind_from_direction")
    half = degrees(np.zeros((1, 1)), np.array([0.5]), np.array([0.5]))
    assert float(fields.regridded(wind, half).values.item()) % 360.0 == pytest.approx(0.0, abs=1e-3)
    earth = degrees(np.tile(np.arange(36.0), (2, 1)), np.array([5.0, -5.0]), 10.0 * np.arange(36), "air_temperature")
    greenwich = degrees(np.zeros((1, 2)), np.array([0.0]), np.array([-5.0, 5.0]))
    assert fields.regridded(earth, greenwich).values.ravel().tolist() == pytest.approx([17.5, 0.5])


def test_beyond_the_grid_and_where_nothing_is_known_there_is_nothing() -> None:
    rain = np.array([[1.0, np.nan], [1.0, 1.0]])
    source = degrees(rain, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    target = degrees(np.zeros((2, 4)), np.array([1.0, 0.0]), np.array([-1.0, 0.0, 1.0, 2.0]))
    made = fields.regridded(source, target)
    assert np.isnan(made.values[0]).tolist() == [[True, False, True, True], [True, False, False, True]]
    assert fields.Places.of(source, target).covered().sum() == 4
