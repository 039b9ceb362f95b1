"""The expected rain beside a forecast: what it keeps, and that files, series and layers take it for sums."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter
from tests import example_files

from echocast import nowcast
from echocast.context import Context
from echocast.fields import amounts
from echocast.io import forecast_file
from echocast.models import _expected
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.models.expected_rain import ExpectedRain
from echocast.nowcast import writing
from echocast.operations import issue_layers
from echocast.products import accumulations, series

FIVE_MINUTES = Context(grid_km=4.0, time_step_minutes=5.0)


def still(size: int = 48) -> torch.Tensor:
    """Three frames of a shower that does not move."""
    distance = torch.hypot(*torch.meshgrid(*[torch.arange(size) - size / 2.0] * 2, indexing="ij"))
    return (5 * torch.exp(-((distance / 6) ** 2))).expand(1, 3, 1, size, size)


def test_there_is_as_much_rain_as_advection_brings() -> None:
    past = still()
    rule, total = _expected.ExpectedRain(past, 18, FIVE_MINUTES), past[:, -1].sum()
    for lead in range(18):
        made = rule.of(2 * past[:, -1] if lead % 2 else past[:, -1] / 2, lead)
        assert float(made.sum() / total) == pytest.approx(1.0, abs=0.1)
        assert float(made.min()) >= 0
    assert float(made.max()) < 0.8 * float(past.max())  # its detail has faded


def test_what_is_dry_stays_dry_and_what_is_unknown_unknown() -> None:
    past = torch.zeros(1, 3, 1, 20, 30)
    past[..., :5] = torch.nan
    made = _expected.ExpectedRain(past, 1, FIVE_MINUTES).of(past[:, -1], 0)
    assert made[..., :5].isnan().all()
    assert not made[..., 5:].any()


def test_the_gaussian_is_that_of_scipy() -> None:
    field = np.random.default_rng(0).random((17, 31)).astype(np.float32)
    ours = _expected._gaussian(torch.from_numpy(field)[None, None], 2.0)[0, 0].numpy()
    np.testing.assert_allclose(ours, gaussian_filter(field, 2.0, mode="constant", truncate=3.0), atol=1e-6)


def test_a_finer_grid_keeps_its_detail_at_first() -> None:
    frame = still(96)
    made = _expected.ExpectedRain(frame, 1, Context(grid_km=1.0, time_step_minutes=5.0)).of(frame[:, -1], 0)
    assert float((made - frame[:, -1]).abs().max()) < 0.3


def test_leads_come_in_order() -> None:
    rule = _expected.ExpectedRain(still(), 3, FIVE_MINUTES)
    with pytest.raises(ValueError, match="lead 1 came where 0 was expected"):
        rule.of(still()[:, -1], 1)


@pytest.fixture(scope="module")
def forecast() -> xr.DataArray:
    """Of a network that forecasts nonsense; it carries the expected rain."""
    torch.manual_seed(0)
    past = example_files.field(example_files.blob(3, 40, 44))
    return nowcast.forecast_from(past, EncoderForecaster(hidden_channels=[4]), minutes=30)


def test_a_file_says_which_field_is_for_what_and_is_read_back(forecast: xr.DataArray, tmp_path: Path) -> None:
    nowcast.to_netcdf(forecast, tmp_path / "f.nc")
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=False) as data:
        assert "take rainfall_rate_mean for amounts" in data["rainfall_rate"].attrs["comment"]
        assert "for amounts" in data["rainfall_rate_mean"].attrs["comment"]
        assert "rounded to 10 significant bits" in data["rainfall_rate_mean"].attrs["comment"]
    back = forecast_file.from_netcdf(tmp_path / "f.nc")
    np.testing.assert_array_equal(back.values, forecast.values)
    np.testing.assert_allclose(back[amounts.MEAN].values, forecast[amounts.MEAN].values, rtol=1e-3)


def test_sums_are_those_of_the_expected_rain(forecast: xr.DataArray) -> None:
    mean = forecast[amounts.MEAN].values
    np.testing.assert_allclose(accumulations.accumulation(forecast, 30), mean.sum(0) / 12, rtol=1e-5)
    layers = issue_layers.layers_of(forecast, nowcast.products_of(forecast), (30.0,))
    np.testing.assert_allclose(layers["amount.30"].values[0], mean.sum(0) / 12, rtol=1e-5)
    np.testing.assert_array_equal(layers["rate"].values, forecast.values)
    np.testing.assert_array_equal(layers["rate.mean"].values, mean)
    rows, columns = np.array([3, 9]), np.array([7, 8])
    at = series.at_cells(forecast, ["a", "b"], rows, columns)
    np.testing.assert_array_equal(at["rain_rate"].values[0], forecast.values[:, rows, columns].T)
    np.testing.assert_allclose(at["amount"].values[0, :, -1], mean[:, rows, columns].sum(0) / 12, rtol=1e-5)
    over = series.over_areas(forecast, {"area": (rows, columns, 0.0)})
    np.testing.assert_allclose(over["rain_rate"].values[0, 0], mean[:, rows, columns].mean(1), rtol=1e-5)
    np.testing.assert_array_equal(over["maximum"].values[0, 0], forecast.values[:, rows, columns].max(1))


def test_written_lead_by_lead_it_is_the_same(tmp_path: Path) -> None:
    rain = example_files.blob(4, 40, 44)
    for number in range(4):
        time = example_files.TIME + number * np.timedelta64(5, "m")
        example_files.netcdf(tmp_path, time=time, rain=rain[number : number + 1], name=f"r{number}")
    inputs = [str(tmp_path / "*.nc")]
    writing.write(inputs, "lagrangian", tmp_path / "f.zarr", minutes=15)
    whole = nowcast.nowcast(inputs, "lagrangian", minutes=15).forecast
    with xr.open_zarr(tmp_path / "f.zarr", decode_timedelta=False) as data:
        np.testing.assert_array_equal(data["rainfall_rate_mean"].values, whole[amounts.MEAN].values)
    rasterio = pytest.importorskip("rasterio", reason="it comes with the extra geotiff")
    writing.write(inputs, "lagrangian", tmp_path / "f.tif", minutes=15)
    with rasterio.open(tmp_path / "f.tif") as bands:
        np.testing.assert_array_equal(bands.read(), whole.values)  # the network's field alone, which says so
        assert "for amounts of rain, which NetCDF and Zarr hold" in bands.tags()["comment"]


def test_what_needs_no_expected_rain_has_none() -> None:
    past = example_files.field(example_files.blob(3, 40, 44))
    made = nowcast.forecast_from(past, "persistence", minutes=10)
    assert amounts.MEAN not in made.coords
    assert amounts.for_amounts(made) is made
    assert nowcast.products_of(made) is None


def test_as_a_forecaster_it_gives_what_is_written_beside_the_other() -> None:
    past = example_files.field(example_files.blob(3, 40, 44))
    beside = nowcast.forecast_from(past, "lagrangian", minutes=10)[amounts.MEAN]
    alone = nowcast.forecast_from(past, ExpectedRain(), minutes=10)
    np.testing.assert_array_equal(alone.values, beside.values)
