"""The door between fields and tensors, for every quantity."""

import numpy as np
import pytest
import torch
from tests import example_files

from echocast import fields
from echocast.context import Context
from echocast.samples import tensors

TIMES = example_files.TIME + np.arange(3) * np.timedelta64(10, "m")


def picture(values: np.ndarray, quantity: str = "image", channels: tuple[str, ...] = ()) -> example_files.xr.DataArray:
    rows, columns = values.shape[-2:]
    return fields.make(
        values, time=TIMES[: len(values)], y=range(rows), x=range(columns), quantity=quantity, channels=channels
    )


def test_a_forecast_continues_its_past() -> None:
    past = example_files.field(example_files.blob(3))
    forecast = tensors.to_forecast(torch.ones(1, 2, 1, 20, 24), past)
    assert fields.check(forecast).dims == ("lead", "y", "x")
    assert forecast.forecast_reference_time.values == past.time.values[-1]
    assert (forecast.lead.values / np.timedelta64(1, "m")).tolist() == [5, 10]
    assert forecast.time.values.tolist() == (past.time.values[-1] + forecast.lead.values).tolist()
    np.testing.assert_array_equal(tensors.to_tensor(past)[0, :, 0].numpy(), past.values)


def test_a_field_without_channels_has_one_and_others_keep_theirs() -> None:
    values = np.random.default_rng(0).random((3, 2, 4, 5), dtype=np.float32)
    colours = tensors.to_tensor(picture(values, channels=("red", "green")))
    assert colours.dtype == torch.float32
    np.testing.assert_array_equal(colours[0].numpy(), values)
    grey = tensors.to_tensor(picture(values[:, 0]))
    np.testing.assert_array_equal(grey[0, :, 0].numpy(), values[:, 0])


def test_labels_are_whole_numbers_and_none_is_ignored() -> None:
    classes = np.array([[[0.0, 2.0], [np.nan, 1.0]]])
    made = tensors.to_tensor(picture(classes, quantity="label"))
    assert made.dtype == torch.int64
    assert made[0, 0, 0].tolist() == [[0, 2], [-100, 1]]
    logits = torch.zeros(1, 3, 2, 2)
    assert float(torch.nn.functional.cross_entropy(logits, made[0, :, 0])) == pytest.approx(np.log(3))


def test_missing_values_stay_missing_and_the_field_stays_untouched() -> None:
    values = np.full((2, 3, 3), np.nan, np.float32)
    values[0, 0, 0] = 4.0
    field = picture(values)
    made = tensors.to_tensor(field)
    assert made.isnan().sum() == 17
    made[:] = 0.0
    assert float(field[0, 0, 0]) == 4.0


def test_a_forecast_of_pictures_has_their_channels_and_no_place_on_earth() -> None:
    past = picture(np.zeros((3, 2, 4, 5)), channels=("red", "green"))
    forecast = tensors.to_forecast(torch.ones(1, 6, 2, 2, 4, 5), past)
    assert forecast.dims == ("member", "lead", "channel", "y", "x")
    assert forecast.channel.values.tolist() == ["red", "green"]
    assert "crs" not in forecast.coords
    assert forecast.name == "image"
    assert forecast.member.values.tolist() == [1, 2, 3, 4, 5, 6]


def test_the_context_of_a_field_is_what_it_knows() -> None:
    rain = example_files.field(example_files.blob(3))
    context = tensors.context_of(rain, steps=2)
    assert (context.grid_km, context.time_step_minutes) == (pytest.approx(4.0), 5.0)
    assert (context.valid_times - rain.time.values[-1]).tolist() == [300 * 10**9, 600 * 10**9]
    assert tensors.context_of(picture(np.zeros((3, 4, 5)))) == Context(None, 10.0)
    assert tensors.context_of(picture(np.zeros((1, 4, 5)))) == Context(None, None)
