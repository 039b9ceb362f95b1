"""Files of covariates become sources on the grid of the frames; what does not fit is told in one line."""

import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from tests import example_files

from echocast import archive, fields, stations
from echocast.archive import covariates
from echocast.context import Covariate
from echocast.errors import DataError, ExperimentError, GridMismatch, MissingFrames, ModelError, WrongUnits
from echocast.samples.covariates import Covariates, FieldFiles, Fixed, StationFiles
from echocast.synthetic import model_pair, storms

HOUR = np.timedelta64(3600 * 10**9, "ns")


@pytest.fixture
def grid() -> xr.DataArray:
    """Twelve frames of 10 minutes."""
    return storms.generate(frames=12, size=16, grid_km=4.0, time_step_minutes=10.0, seed=3)


def heights(path: Path, grid: xr.DataArray, *, units: str = "m", shift: float = 0.0, times: bool = False) -> Path:
    """A plane that rises to the east, in degrees around a grid, with or without times."""
    corners = np.array(list(fields.corners(grid).values()))
    (west, south), (east, north) = corners.min(axis=0) - 0.1, corners.max(axis=0) + 0.1
    with h5py.File(path, "w") as file:
        lon, lat = np.linspace(west, east, 40) + shift, np.linspace(north, south, 30)
        rising = np.broadcast_to(100.0 + 1000.0 * (lon - shift - west), (30, 40)).astype("f4")
        for name, axis, unit in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
            file[name] = axis
            file[name].make_scale(name)
            file[name].attrs["units"] = unit
        if times:
            file["time"] = np.array([0.0, 12.0])
            file["time"].make_scale("time")
            file["time"].attrs["units"] = f"hours since {str(grid.time.values[0])[:10]} 00:00"
            rising = np.stack([rising, rising])
        file["elevation"] = rising
        for number, name in enumerate([*(["time"] if times else []), "lat", "lon"]):
            file["elevation"].dims[number].attach_scale(file[name])
        if units:
            file["elevation"].attrs["units"] = units
    return path


def height(**changes: Any) -> Covariate:
    made = {"name": "height", "kind": "fixed", "quantity": "surface_altitude", "units": "m"} | changes
    return Covariate(**made)


def test_a_height_without_time_is_laid_onto_the_grid(tmp_path: Path, grid: xr.DataArray) -> None:
    given = covariates.opened([height()], {"height": [heights(tmp_path / "h.nc", grid)]}, grid)
    source = given.sources["height"]
    assert isinstance(source, Fixed)
    longitude = fields.degrees(grid)[0]
    west = min(lon for lon, _ in fields.corners(grid).values()) - 0.1
    np.testing.assert_allclose(source.values, 100.0 + 1000.0 * (longitude - west), atol=0.5)


def test_units_are_converted_or_told_by_the_user(tmp_path: Path, grid: xr.DataArray) -> None:
    in_km = heights(tmp_path / "km.nc", grid, units="km")
    plain = heights(tmp_path / "none.nc", grid, units="")
    taken = covariates.opened([height()], {"height": [in_km]}, grid).sources["height"]
    said = covariates.opened([height(file_units="km")], {"height": [plain]}, grid).sources["height"]
    np.testing.assert_array_equal(
        taken(grid.time.values, grid.time.values[0]), said(grid.time.values, grid.time.values[0])
    )
    with pytest.raises(WrongUnits, match=r"covariate 'height': .*none.nc: 'elevation' has no unit; .* units = 'm'"):
        covariates.opened([height()], {"height": [plain]}, grid)
    wrong = heights(tmp_path / "k.nc", grid, units="K")
    with pytest.raises(
        WrongUnits, match=r"covariate 'height': .*'elevation' is in 'K', which is no unit of surface_alt"
    ):
        covariates.opened([height()], {"height": [wrong]}, grid)


def test_a_field_elsewhere_is_refused_and_one_of_a_part_is_told(
    tmp_path: Path, grid: xr.DataArray, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(GridMismatch, match="covariate 'height' covers no cell of the frames: it lies at 2"):
        covariates.opened([height()], {"height": [heights(tmp_path / "away.nc", grid, shift=12.0)]}, grid)
    with caplog.at_level(logging.WARNING):
        part = covariates.opened([height()], {"height": [heights(tmp_path / "p.nc", grid, shift=0.5)]}, grid)
    assert "covariate height covers" in caplog.text
    known = np.isfinite(part.sources["height"](grid.time.values, grid.time.values[0]))
    assert 0.2 < known.mean() < 0.8


def test_moments_of_other_times_are_refused(tmp_path: Path, grid: xr.DataArray) -> None:
    path = heights(tmp_path / "h.nc", grid, times=True)
    wanted = height(kind="moments", known_ahead_minutes=1e6)
    values = covariates.opened([wanted], {"height": [path]}, grid).sources["height"](
        grid.time.values, grid.time.values[0]
    )
    assert np.isfinite(values).all()
    later = grid.assign_coords(time=grid.time.values + 100 * HOUR)
    with pytest.raises(
        MissingFrames, match="covariate 'height' is of 2026-06-01 00:00 to 2026-06-01 12:00 UTC, and the"
    ):
        covariates.opened([wanted], {"height": [path]}, later)


def test_an_archive_is_a_field_too(tmp_path: Path, grid: xr.DataArray) -> None:
    grid.to_dataset().reset_coords("crs").to_netcdf(tmp_path / "r.nc", engine="h5netcdf")
    archive.write([tmp_path / "r.nc"], tmp_path / "r.zarr")
    rain = Covariate(name="rain", kind="moments", quantity="rainfall_rate", units="mm h-1", known_ahead_minutes=60)
    source = covariates.opened([rain], {"rain": [tmp_path / "r.zarr"]}, grid).sources["rain"]
    np.testing.assert_allclose(source(grid.time.values, grid.time.values[-1])[:, 0], grid.values, rtol=0.01, atol=0.05)
    wrong = Covariate(name="rain", kind="moments", quantity="air_temperature", units="K")
    with pytest.raises(WrongUnits, match=r"covariate 'rain': .*holds rainfall_rate, not air_temperature"):
        covariates.opened([wrong], {"rain": [tmp_path / "r.zarr"]}, grid)


def test_a_run_of_a_model_is_known_ahead(tmp_path: Path) -> None:
    pair = model_pair.generate(past=8, leads=12, size=24, grid_km=4.0, time_step_minutes=10.0, seed=3)
    model_pair.to_netcdf(pair.run, tmp_path / "run.nc")
    rain = Covariate(name="nwp", kind="run", quantity="rainfall_rate", units="mm h-1", logarithmic=True)
    source = covariates.opened([rain], {"nwp": [tmp_path / "run.nc"]}, pair.radar).sources["nwp"]
    issued = pair.radar.time.values[-1]
    ahead = source(issued + np.arange(1, 13) * np.timedelta64(10, "m"), issued)
    assert np.isfinite(ahead).mean() > 0.9
    before = pair.run.forecast_reference_time.values - HOUR
    assert np.isnan(source(issued[None], before)).all()  # issued before the run began


def airports(path: Path, grid: xr.DataArray, *, inside: bool = True) -> Path:
    longitude, latitude = (one[5:7, 8] for one in fields.degrees(grid))
    series = stations.make(
        np.array([[280.0, 281.0], [290.0, np.nan]]),
        time=grid.time.values[[0, 6]],
        station=["A", "B"],
        longitude=longitude if inside else longitude + 20.0,
        latitude=latitude,
        quantity="air_temperature",
    )
    stations.to_netcdf(series, path)
    return path


def test_stations_are_laid_onto_their_cells(tmp_path: Path, grid: xr.DataArray) -> None:
    warm = Covariate(name="warm", kind="stations", quantity="air_temperature", units="K")
    source = covariates.opened([warm], {"warm": [airports(tmp_path / "s.nc", grid)]}, grid).sources["warm"]
    made = source(grid.time.values, grid.time.values[5])[:, 0]
    assert (made[0, 5, 8], made[0, 6, 8]) == (280.0, 290.0)
    assert np.isfinite(made[0]).sum() == 2
    assert np.isnan(made[6:]).all()  # after the time of issue
    with pytest.raises(GridMismatch, match="covariate 'warm': no place lies in the grid"):
        covariates.opened([warm], {"warm": [airports(tmp_path / "o.nc", grid, inside=False)]}, grid)
    late = grid.assign_coords(time=grid.time.values + 900 * HOUR)
    with pytest.raises(MissingFrames, match="covariate 'warm' is of"):
        covariates.opened([warm], {"warm": [tmp_path / "s.nc"]}, late)


def test_names_that_a_forecaster_does_not_take_are_refused(grid: xr.DataArray) -> None:
    with pytest.raises(ModelError, match="takes no covariate 'wind'; it takes: height"):
        covariates.opened([height()], {"wind": ["w.nc"]}, grid)
    with pytest.raises(ModelError, match="takes no covariate 'wind'; it takes none that has files"):
        covariates.opened([], {"wind": ["w.nc"]}, grid)


def test_normalisation_is_of_the_training_windows(tmp_path: Path, grid: xr.DataArray) -> None:
    table = Covariates(
        hour=True,
        fields={
            "height": FieldFiles(path=str(heights(tmp_path / "h.nc", grid)), quantity="surface_altitude", kind="fixed")
        },
        stations={"warm": StationFiles(path=str(airports(tmp_path / "s.nc", grid)))},
    )
    given = covariates.to_train(table, grid, np.arange(4), (8, 5))
    hour, high, warm = given.covariates
    assert (hour.name, hour.channels, hour.offset, hour.scale) == ("hour", 2, 0.0, 1.0)
    on_grid = given.sources["height"](grid.time.values, grid.time.values[0])
    assert (high.offset, high.scale) == (
        pytest.approx(on_grid.mean(), rel=1e-5),
        pytest.approx(on_grid.std(), rel=1e-4),
    )
    assert 280.0 < warm.offset < 290.0
    values = given.at(grid.time.values[:8], grid.time.values[4])
    assert {name: one.shape for name, one in values.items()} == {
        "hour": (8, 2, 1, 1),
        "height": (1, 1, 16, 16),
        "warm": (8, 1, 16, 16),
    }


def test_covariates_that_are_unknown_in_training_are_refused(tmp_path: Path, grid: xr.DataArray) -> None:
    path = str(airports(tmp_path / "s.nc", grid))
    late = Covariates(stations={"warm": StationFiles(path=path, known_ahead_minutes=-600.0)})
    with pytest.raises(MissingFrames, match="covariate 'warm' is known at none of the times of the training windows"):
        covariates.to_train(late, grid, np.arange(4), (8, 5))
    with pytest.raises(ExperimentError, match="quantity = 'surface_altitud' of h: did you mean 'surface_altitude'"):
        covariates.to_train(
            Covariates(fields={"h": FieldFiles(path=path, quantity="surface_altitud")}), grid, np.arange(4), (8, 5)
        )


def test_a_file_of_radar_is_no_height(tmp_path: Path, grid: xr.DataArray) -> None:
    path = tmp_path / "r.nc"
    example_files.field(example_files.blob(2, 16, 24)).to_dataset().reset_coords("crs").to_netcdf(
        path, engine="h5netcdf"
    )
    with pytest.raises(DataError, match=r"covariate 'height': .*r.nc"):
        covariates.opened([height()], {"height": [path]}, grid)
