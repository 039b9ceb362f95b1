"""Runs of weather models: running sums, levels, members, run times, and files that do not say enough."""

from pathlib import Path
from typing import Any

import eccodes
import numpy as np
import pytest
import xarray as xr

from echocast.errors import DataError, EchocastError, UnreadableFile, WrongUnits
from echocast.fields.sums import deaccumulated
from echocast.io import model_runs, reading
from echocast.io.reading import ReadOptions
from echocast.nowcast import to_netcdf
from echocast.readers import grib
from echocast.synthetic import storms

HOUR = np.timedelta64(3600 * 10**9, "ns")
RAIN = {"table2Version": 1, "indicatorOfParameter": 61, "timeRangeIndicator": 4}
TEMPERATURE = {"table2Version": 1, "indicatorOfParameter": 11, "indicatorOfTypeOfLevel": 105, "level": 2}


def message(values: np.ndarray, hour: int = 0, first: int = 0, **keys: Any) -> bytes:
    """GRIB 1 of a model on cells of a degree, from 45 N 5 E."""
    rows, columns = values.shape
    about = {"centre": 85, "dataDate": 20180501, "dataTime": 0, "Ni": columns, "Nj": rows, "bitsPerValue": 24}
    about |= {"latitudeOfFirstGridPointInDegrees": 45.0, "latitudeOfLastGridPointInDegrees": 46.0 - rows}
    about |= {"longitudeOfFirstGridPointInDegrees": 5.0, "longitudeOfLastGridPointInDegrees": 4.0 + columns}
    about |= {"iDirectionIncrementInDegrees": 1.0, "jDirectionIncrementInDegrees": 1.0}
    about |= {"indicatorOfUnitOfTimeRange": 1, "P1": first, "P2": hour}
    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib1")
    for key, value in (about | keys).items():
        eccodes.codes_set(handle, key, value)
    eccodes.codes_set_values(handle, values.ravel())
    made = bytes(eccodes.codes_get_message(handle))
    eccodes.codes_release(handle)
    return made


def sums(path: Path, hours: dict[int, float], **keys: Any) -> Path:
    """Running sums (mm) since the start of a run."""
    path.write_bytes(b"".join(message(np.full((2, 3), mm), hour, **RAIN, **keys) for hour, mm in hours.items()))
    return path


def test_sums_are_differenced_as_a_plain_loop_does() -> None:
    drawn = np.random.default_rng(0)
    hours, starts = np.array([1, 2, 4, 5, 6]), np.array([0, 0, 0, 4, 4])  # step 3 is missing; a new sum begins at 4
    ends, begins = (np.datetime64("2018-05-01", "ns") + n * HOUR for n in (hours, starts))
    amounts = np.concatenate([np.cumsum(drawn.random((n, 2, 2)), axis=0) for n in (3, 2)]).astype(np.float32)
    gained, since = deaccumulated(amounts, begins, ends, "mm")
    for n in range(5):
        earlier = [m for m in range(n) if starts[m] == starts[n]]
        before = amounts[earlier[-1]] if earlier else 0.0
        np.testing.assert_allclose(gained[n], amounts[n] - before, atol=1e-6)
        assert since[n] == (ends[earlier[-1]] if earlier else begins[n])
    with pytest.raises(UnreadableFile, match="loses up to 5 mm"):
        deaccumulated(np.array([[[9.0]], [[4.0]]]), begins[:2], ends[:2], "mm")


def test_grib_keeps_run_step_and_level(tmp_path: Path) -> None:
    path = sums(tmp_path / "rain.grib", {1: 1.0, 2: 4.0, 4: 5.0})
    (run,) = grib.runs(path)
    assert run.values[:, 0, 0].tolist() == pytest.approx([1.0, 3.0, 0.5], abs=1e-4)  # mm/h; the last of two hours
    assert (run.lead.values / HOUR).tolist() == [1, 2, 4]
    assert (run.lead_start.values / HOUR).tolist() == [0, 1, 2]
    assert run.forecast_reference_time.values == np.datetime64("2018-05-01")
    path.write_bytes(message(np.full((2, 3), 280.0), first=3, **TEMPERATURE))
    (air,) = grib.runs(path, variable="2t")
    assert (air.name, air.attrs["units"], air.attrs["level"]) == ("air_temperature", "K", "heightAboveGround 2")
    assert (air.lead.values / HOUR).tolist() == [3]
    assert air.values[0, 0, 0] == pytest.approx(280.0)
    assert reading.read(path, ReadOptions(variable="2t")).name == "air_temperature"


def test_runs_of_several_files_and_runs_of_one(tmp_path: Path) -> None:
    sums(tmp_path / "a.grib", {1: 1.0})
    sums(tmp_path / "b.grib", {2: 3.0})
    sums(tmp_path / "later.grib", {1: 7.0}, dataTime=600)
    first, second = model_runs.read([tmp_path])
    assert first.values[:, 0, 0].tolist() == pytest.approx([1.0, 2.0], abs=1e-4)
    assert (first.lead_start.values / HOUR).tolist() == [0, 1]
    assert second.forecast_reference_time.values == np.datetime64("2018-05-01T06")
    sums(tmp_path / "again.grib", {2: 3.0})
    with pytest.raises(DataError, match=r"step \+2 h is there twice"):
        model_runs.read([tmp_path])


def test_members_have_an_axis_of_their_own(tmp_path: Path) -> None:
    member = {"centre": 98, "table2Version": 128, "indicatorOfParameter": 228, "localDefinitionNumber": 1}
    member |= {"setLocalDefinition": 1, "timeRangeIndicator": 4}
    parts = [message(np.full((2, 3), 1e-3 * n * h), h, number=n, **member) for n in (1, 2) for h in (1, 2)]
    (tmp_path / "members.grib").write_bytes(b"".join(parts))
    (run,) = grib.runs(tmp_path / "members.grib")
    assert run.dims == ("member", "lead", "y", "x")
    np.testing.assert_allclose(run.values[:, :, 0, 0], [[1.0, 1.0], [2.0, 2.0]], atol=1e-3)


def test_an_invalid_date_is_an_error_that_says_how_to_mend_it(tmp_path: Path) -> None:
    path = sums(tmp_path / "rain.grib", {1: 1.0}, month=57)
    with pytest.raises(UnreadableFile, match=r"rain\.grib: its dataDate is \d+, which is no date.*grib_set"):
        model_runs.read(path)


@pytest.mark.data
def test_the_masks_of_the_kit_have_no_date_and_are_read_once_they_have(data_kit: Path, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="its dataDate is 128575755"):
        model_runs.read(data_kit / "nwp" / "SE_masks.grib", variable="lsm")
    mended = tmp_path / "masks.grib"
    with (data_kit / "nwp" / "SE_masks.grib").open("rb") as file, mended.open("wb") as out:
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            eccodes.codes_set(handle, "dataDate", 20180501)
            eccodes.codes_write(handle, out)
            eccodes.codes_release(handle)
    (land,), (height,) = (model_runs.read(mended, variable=name) for name in ("lsm", "h"))
    assert (land.name, float(land.max())) == ("land_area_fraction", 1.0)
    assert (height.name, float(height.max())) == ("surface_altitude", pytest.approx(4118.9, abs=0.1))


def test_netcdf_says_run_lead_and_unit_or_is_refused(tmp_path: Path) -> None:
    storm = storms.generate(frames=4, size=12, grid_km=4.0, seed=1)
    forecast = storm.rename(time="lead").assign_coords(
        lead=np.arange(1, 5) * HOUR, forecast_reference_time=storm.time.values[0],
        time=("lead", storm.time.values[0] + np.arange(1, 5) * HOUR),
    )  # fmt: skip
    to_netcdf(forecast, tmp_path / "own.nc")
    (run,) = model_runs.read(tmp_path / "own.nc")
    np.testing.assert_array_equal(run.values, storm.values)
    assert run.forecast_reference_time.values == storm.time.values[0]

    mm = np.cumsum(np.ones((3, 2, 2)), axis=0)
    about = {"standard_name": "precipitation_amount", "units": "kg m-2"}
    data = xr.Dataset(
        {"tp": (("step", "latitude", "longitude"), mm, about)},
        coords={
            "step": ("step", [1.0, 2.0, 4.0], {"standard_name": "forecast_period", "units": "hours"}),
            "time": ((), 0, {"standard_name": "forecast_reference_time", "units": "hours since 2018-05-01"}),
            "latitude": ("latitude", [45.0, 44.9], {"units": "degrees_north"}),
            "longitude": ("longitude", [5.0, 5.1], {"units": "degrees_east"}),
        },
    )
    data.to_netcdf(tmp_path / "sums.nc", engine="h5netcdf")
    (run,) = model_runs.read(tmp_path / "sums.nc")
    assert run.values[:, 0, 0].tolist() == [1.0, 1.0, 0.5]  # running sums, for they never fall
    data.drop_vars("time").to_netcdf(tmp_path / "no-run.nc", engine="h5netcdf")
    with pytest.raises(UnreadableFile, match=r"no-run\.nc: does not say when the run began; add"):
        model_runs.read(tmp_path / "no-run.nc")
    data["tp"].attrs = {"standard_name": "precipitation_amount"}
    data.to_netcdf(tmp_path / "no-unit.nc", engine="h5netcdf")
    with pytest.raises(WrongUnits, match=r"no-unit\.nc: 'tp' is in 'no unit'; give its unit"):
        model_runs.read(tmp_path / "no-unit.nc")
    assert model_runs.read(tmp_path / "no-unit.nc", units="mm")[0].values[2, 0, 0] == 0.5
    data["tp"].attrs = {"standard_name": "air_temperature", "units": "km"}
    data.to_netcdf(tmp_path / "no-temperature.nc", engine="h5netcdf")
    with pytest.raises(WrongUnits, match=r"'tp' is in 'km', which is no unit of air_temperature; it may be: .*degc"):
        model_runs.read(tmp_path / "no-temperature.nc", variable="tp")
    data["tp"].attrs["units"] = "degC"
    data.to_netcdf(tmp_path / "degrees.nc", engine="h5netcdf")
    celsius = data["tp"].values.min()
    assert float(model_runs.read(tmp_path / "degrees.nc", variable="tp")[0].min()) == pytest.approx(
        celsius + 273.15, abs=1e-3
    )


def test_one_bad_file_is_passed_over_where_another_can_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sums(tmp_path / "good.grib", {1: 1.0})
    (tmp_path / "bad.grib").write_bytes(b"GRIB" + bytes(40))
    with pytest.raises(EchocastError, match=r"bad\.grib"):
        model_runs.read([tmp_path])
    assert len(model_runs.read([tmp_path], strict=False)) == 1
    assert "passed over" in caplog.text
    assert "bad.grib" in caplog.text


def test_messages_of_overlapping_intervals_become_the_hours_between(tmp_path: Path) -> None:
    """As in files of GFS: an amount since the start and one of a shorter interval, and means that begin together."""
    cells = np.ones((2, 3))
    parts = [message(n * cells, n, **RAIN) for n in (1, 2, 3)] + [message(3.0 * cells, 3, 2, **RAIN)] * 2
    (tmp_path / "sums.grib").write_bytes(b"".join(parts))
    (run,) = model_runs.read(tmp_path / "sums.grib")
    assert run.values[:, 0, 0].tolist() == pytest.approx([1.0, 1.0, 3.0], abs=1e-4)
    assert (run.lead_start.values / HOUR).tolist() == [0, 1, 2]
    rate = {"table2Version": 1, "indicatorOfParameter": 59, "timeRangeIndicator": 3}
    means = [message(mm_h / 3600 * cells, n, **rate) for n, mm_h in ((1, 2.0), (2, 3.0), (4, 2.5))]
    moment = message(7.0 / 3600 * cells, first=2, **rate | {"timeRangeIndicator": 0})
    (tmp_path / "means.grib").write_bytes(b"".join([*means, moment]))
    (run,) = model_runs.read(tmp_path / "means.grib")
    assert run.values[:, 0, 0].tolist() == pytest.approx([2.0, 4.0, 2.0], rel=1e-3)


def test_amounts_without_bounds_are_told_apart_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    about = {"standard_name": "precipitation_amount", "units": "mm"}
    for name, mm in (("sums", [5.0, 8.0, 7.99]), ("steps", [5.0, 3.0, 0.5])):
        data = xr.Dataset(
            {"tp": (("step", "latitude", "longitude"), np.array(mm)[:, None, None] * np.ones((3, 2, 2)), about)},
            coords={
                "step": ("step", [1.0, 2.0, 3.0], {"standard_name": "forecast_period", "units": "hours"}),
                "time": ((), 0, {"standard_name": "forecast_reference_time", "units": "hours since 2018-05-01"}),
                "latitude": ("latitude", [45.0, 44.9], {"units": "degrees_north"}),
                "longitude": ("longitude", [5.0, 5.1], {"units": "degrees_east"}),
            },
        )
        data.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
    (sums,), (steps,) = (model_runs.read(tmp_path / f"{name}.nc") for name in ("sums", "steps"))
    assert sums.values[:, 0, 0].tolist() == [5.0, 3.0, 0.0]
    assert steps.values[:, 0, 0].tolist() == [5.0, 3.0, 0.5]
    assert "taken for running sums since the run began" in caplog.text
    assert "taken for amounts of the time since the step before" in caplog.text
