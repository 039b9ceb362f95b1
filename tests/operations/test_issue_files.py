"""layers.bin and points.bin against the arrays that they were made from."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tests.operations import service
from tests.operations.fake_radar import START_S, FakeRadar

from echocast import fields
from echocast.errors import UnreadableFile
from echocast.io import deflate, packing
from echocast.io.forecast_file import from_netcdf
from echocast.operations import issue_layers, scales
from echocast.operations.clocks import ManualClock
from echocast.operations.grid import Grid
from echocast.operations.layer_file import Layer, LayerFile, write_layers
from echocast.operations.point_file import PointFile, write_points
from echocast.products import ensemble

SHAPE = (37, 50)
LEADS = tuple(5.0 * number for number in range(1, 19))


def rain(*before: int, seed: int = 0) -> np.ndarray:
    """Rain rates from none to heavy, a corner of them unknown."""
    rng = np.random.default_rng(seed)
    values = np.exp(rng.normal(-1, 2.5, (*before, *SHAPE))).astype(np.float32)
    values[rng.random(values.shape) < 0.4] = 0
    values[..., :5, :7] = np.nan
    return values


def forecast(members: int | None) -> xr.DataArray:
    lead = np.array(LEADS) * np.timedelta64(60_000_000_000, "ns")
    dims = ("lead", "y", "x") if members is None else ("member", "lead", "y", "x")
    values = rain(*([] if members is None else [members]), len(LEADS))
    return xr.DataArray(values, dims=dims, coords={"lead": lead}, name=fields.NAME)


def test_a_level_holds_the_values_from_its_edge_to_the_next_and_nothing_unknown_is_dry() -> None:
    edges = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]
    for scale in (scales.RATE, scales.AMOUNT):
        assert set(edges) <= set(np.round(scale.edges, 6))
        values = np.array([np.nan, 0, -0.0, 1e-9, *edges, *np.multiply(edges, 0.998), 6e4, np.inf], np.float32)
        by_loop = [0 if np.isnan(v) else max(n + 1 for n, e in enumerate(scale.edges) if np.float16(v) >= np.float16(e))
                   for v in values]  # fmt: skip
        assert scale.levels(values).tolist() == by_loop
    thirds = np.array([0, 0.05, 0.35, 1 / 3, 1], np.float32)
    np.testing.assert_allclose(scales.PROBABILITY.values[scales.PROBABILITY.levels(thirds)], thirds, atol=0.005)
    wet = np.exp(np.random.default_rng(0).uniform(np.log(0.02), np.log(200), 1000)).astype(np.float32)
    np.testing.assert_allclose(scales.RATE.values[scales.RATE.levels(wet)], wet, rtol=0.025)


def test_layers_of_an_ensemble_are_its_products_and_read_back_as_levels(tmp_path: Path) -> None:
    made = forecast(5)
    products = ensemble.products(made)
    layers = issue_layers.layers_of(made, products)
    assert {"rate", "rate.mean", "rate.p10", "rate.p90", "amount.30", "amount.90", "coverage"} <= set(layers)
    assert {"prob.rate.0.1", "prob.rate.5", "prob.amount.60.10"} <= set(layers)
    meta = json.loads(json.dumps(write_layers(tmp_path / "layers.bin", layers)))
    file = LayerFile(tmp_path / "layers.bin", meta)
    median = np.median(made.values, axis=0)
    assert file.leads("rate") == LEADS
    np.testing.assert_array_equal(file.levels("rate", 10), scales.RATE.levels(median[1]))
    hour = made.values[:, :12].sum(axis=1) / 12
    got = file.scale_values("amount.60")[file.levels("amount.60", 60)]
    np.testing.assert_allclose(got, hour.mean(axis=0), rtol=0.03, atol=0.02)
    chance = (hour >= np.float32(10)).mean(axis=0)
    got = file.scale_values("prob.amount.60.10")[file.levels("prob.amount.60.10", 60)]
    known = ~np.isnan(median[0])
    np.testing.assert_allclose(got[known], chance[known], atol=0.005)
    assert (file.levels("coverage", 5) == np.where(known, 2, 0)).all()
    for name in layers:
        assert not file.levels(name, file.leads(name)[0])[:5, :7].any()
    with pytest.raises(KeyError, match="no lead 7"):
        file.levels("rate", 7)
    assert len(meta["sizes"]) == sum(len(layer.leads) for name, layer in layers.items() if name != "rate.p50")


def test_points_are_the_layers_within_half_precision(tmp_path: Path) -> None:
    made = forecast(None)
    layers = issue_layers.layers_of(made, None)
    assert set(layers) == {"rate", "amount.30", "amount.60", "amount.90", "coverage"}
    meta = json.loads(json.dumps(write_points(tmp_path / "points.bin", layers)))
    file = PointFile(tmp_path / "points.bin", meta)
    for row, column in ((0, 0), (36, 49), (17, 31)):
        found = file.series(row, column)
        for name, layer in layers.items():
            np.testing.assert_allclose(found[name], layer.values[:, row, column], rtol=5e-4, atol=6e-8)
    window = file.window(slice(3, 37), slice(14, 33))
    many = file.cells([(36, 49), (0, 20), (35, 48)], ["rate"])
    np.testing.assert_allclose(window["rate"], made.values[:, 3:37, 14:33], rtol=5e-4, atol=6e-8)
    np.testing.assert_allclose(many["rate"], made.values[:, [36, 0, 35], [49, 20, 48]], rtol=5e-4, atol=6e-8)
    for rows, columns in ((slice(0, 38), slice(0, 5)), (slice(-1, 3), slice(0, 5)), (slice(4, 4), slice(0, 5))):
        with pytest.raises(IndexError):
            file.window(rows, columns)
    with pytest.raises(IndexError, match=r"no cell \(37, 0\)"):
        file.series(37, 0)


def test_a_damaged_file_is_told_and_an_open_one_outlives_its_name(tmp_path: Path) -> None:
    path = tmp_path / "layers.bin"
    meta = write_layers(path, {"rate": Layer(rain(1), (5.0,), "rate", "rain rate")})
    whole = LayerFile(path, meta)
    whole.open()
    content = path.read_bytes()
    path.unlink()
    assert whole.levels("rate", 5).shape == SHAPE
    with pytest.raises(UnreadableFile, match="cannot be read"):
        LayerFile(path, meta).levels("rate", 5)
    path.write_bytes(content[:-9])
    with pytest.raises(UnreadableFile, match="is damaged"):
        LayerFile(path, meta).levels("rate", 5)
    with pytest.raises(UnreadableFile, match="its format is 'echocast-layers-1'"):
        LayerFile(path, meta | {"format": "echocast-layers-1"})


def test_what_either_library_deflates_the_other_inflates(monkeypatch: pytest.MonkeyPatch) -> None:
    content = rain().tobytes()
    fast = deflate.deflated(content)
    assert zlib.decompress(fast) == content
    monkeypatch.setattr(deflate, "isal_zlib", None)
    assert deflate.inflated(deflate.deflated(content)) == deflate.inflated(fast) == content


def test_each_issue_of_the_service_has_both_files_on_the_grid_of_its_netcdf(tmp_path: Path) -> None:
    radar = FakeRadar(tmp_path / "radar", 3, faulty=False)
    watch = service.watch(radar.folder, tmp_path / "live", ManualClock(START_S))
    service.drive(watch, radar)
    watch.close()
    meta = max(service.read_all(tmp_path / "live").values(), key=lambda one: str(one["time"]))
    folder = next((tmp_path / "live" / "issues").rglob(str(meta["id"])))
    made = from_netcdf(next(folder.glob("*.nc")))
    points = PointFile(folder / "points.bin", meta["point_file"])
    layers = LayerFile(folder / "layers.bin", meta["layer_file"])
    assert tuple(meta["layers"]) == ("rate", "coverage") == tuple(layers.layers)
    grid = Grid.of(meta["grid"])
    assert grid.shape == made.shape[1:] == layers.shape
    longitude, latitude = fields.degrees(made)
    cell = grid.cell(float(longitude[1, 3]), float(latitude[1, 3]))
    assert cell == (1, 3)
    rounded = packing.rounded(made.values, issue_layers.BITS)
    np.testing.assert_allclose(rounded, made.values, rtol=0.008)
    np.testing.assert_array_equal(points.series(*cell)["rate"], rounded[:, 1, 3])
    np.testing.assert_array_equal(layers.levels("rate", 10), scales.RATE.levels(rounded[1]))
