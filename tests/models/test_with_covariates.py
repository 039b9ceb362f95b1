"""Covariates reach the forecast of any network with weights, and their absence is told to it."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.test_every_model import SMALL, rain

from echocast.context import Context, Covariate
from echocast.errors import ModelError
from echocast.models import base
from echocast.models.base import LearnedForecaster
from echocast.models.scaling import LinearScaling
from echocast.models.with_covariates import WithCovariates

HEIGHT = Covariate(name="height", kind="fixed", quantity="surface_altitude", units="m", offset=500.0, scale=250.0)
WARM = Covariate(name="warm", kind="stations", quantity="air_temperature", units="K", offset=280.0, scale=5.0)
WITH_WEIGHTS = [
    name
    for name in base.names()
    if issubclass(base.forecaster_class(name), LearnedForecaster) and name != "with_covariates"
]


def made(name: str = "encoder_forecaster", **settings: Any) -> WithCovariates:
    """A network whose last convolution is not zero, so that covariates matter."""
    torch.manual_seed(0)
    model = WithCovariates(
        model=name, settings={**SMALL.get(name, {}), **settings}, covariates=[HEIGHT, WARM], features=3
    )
    torch.nn.init.normal_(model.head[-1].weight, std=0.3)
    return model.eval()


def context(height: float = 900.0, warm: float = 290.0, frames: int = 7, y: int = 24, x: int = 32) -> Context:
    known = torch.full((2, frames, 1, y, x), torch.nan)
    known[:, :4, :, 5, 9] = warm
    return Context(covariates={"height": torch.full((2, 1, 1, y, x), height), "warm": known})


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_every_network_with_weights_takes_covariates_and_learns_from_them(name: str) -> None:
    model = made(name)
    model.train()
    levels = model.scaling.to_level(rain())
    logits = model(levels, 3, context())
    assert logits.shape == (2, 3, 1, 24, 32)
    logits.square().mean().backward()
    first = model.encode[0].weight.grad
    assert first is not None
    for channel, what in enumerate(("height", "is known", "warm", "is known", "around", "weight")):
        assert first[:, channel].abs().max() > 0, what
    assert not torch.allclose(model.eval()(levels, 3, context()), model(levels, 3, context(height=100.0)))


def test_at_first_the_forecast_is_that_of_the_network_within() -> None:
    torch.manual_seed(1)
    model = WithCovariates(model="fc_lstm", settings=SMALL["fc_lstm"], covariates=[HEIGHT]).eval()
    levels = torch.rand(2, 4, 1, 24, 32)
    own = model.within.fitted(torch.cat([levels, torch.zeros(2, 4, 8, 24, 32)], dim=2), 3)[:, :, :1]
    with torch.no_grad():
        for layer in model.encode[::2]:
            layer.weight.zero_()
            layer.bias.zero_()
    torch.testing.assert_close(model(levels, 3, context()), own)


def test_what_is_missing_is_masked_and_not_a_value() -> None:
    model = made()
    past, absent, unknown = rain(), Context(), context()
    nowhere = {name: torch.full_like(values, torch.nan) for name, values in unknown.covariates.items()}
    without = model.forecast(past, 3, absent)
    torch.testing.assert_close(model.forecast(past, 3, Context(covariates=nowhere)), without)
    at_mean = {"height": torch.full((2, 1, 1, 24, 32), 500.0), "warm": torch.full((2, 7, 1, 24, 32), 280.0)}
    assert not torch.allclose(model.forecast(past, 3, Context(covariates=at_mean)), without)


def test_one_cell_and_one_frame_stand_for_all() -> None:
    model, past = made(), rain()
    few = Context(covariates={"height": torch.full((2, 1, 1, 1, 1), 900.0)})
    all_of_them = Context(covariates={"height": torch.full((2, 7, 1, 24, 32), 900.0)})
    torch.testing.assert_close(model.forecast(past, 3, few), model.forecast(past, 3, all_of_them))


def test_missing_covariates_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    model = made()
    with caplog.at_level(logging.WARNING):
        model.forecast(rain(), 2)
        model.forecast(rain(), 2)
    assert [record.message for record in caplog.records] == [
        "covariates that are not known: height, warm; the forecast is made without them"
    ]


def test_a_checkpoint_has_their_names_units_and_normalisation(tmp_path: Path) -> None:
    scaling = LinearScaling(low=250.0, high=320.0)
    model = made("residual_forecaster", hidden_channels=[6], patch=2, scaling=scaling)
    base.save(model, tmp_path / "w.safetensors")
    again = base.load(tmp_path / "w.safetensors")
    assert isinstance(again, WithCovariates)
    assert again.quantity == "air_temperature"
    assert tuple(again.covariates) == (HEIGHT, WARM)
    past = 280.0 + torch.rand(2, 4, 1, 24, 32)
    torch.testing.assert_close(again.forecast(past, 3, context()), model.forecast(past, 3, context()))


def test_covariates_follow_frames_to_a_coarser_grid() -> None:
    model = made()
    model.grid_km = 4.0
    fine = Context(
        grid_km=2.0, covariates=dict(context(frames=1).covariates) | {"warm": torch.full((2, 7, 1, 24, 32), 290.0)}
    )
    coarse = Context(
        grid_km=4.0,
        covariates={"height": torch.full((2, 1, 1, 12, 16), 900.0), "warm": torch.full((2, 7, 1, 12, 16), 290.0)},
    )
    flat = torch.full((2, 4, 1, 24, 32), 2.0)
    torch.testing.assert_close(
        model.forecast(flat, 3, fine)[..., 8:16, 12:20].mean(),
        model.forecast(flat[..., :12, :16], 3, coarse)[..., 4:8, 6:10].mean(),
    )


def test_wrong_covariates_are_refused() -> None:
    with pytest.raises(ModelError, match="'persistence' has no weights of its own"):
        WithCovariates(model="persistence")
    with pytest.raises(ModelError, match="two covariates are called 'height'"):
        WithCovariates(settings=SMALL["encoder_forecaster"], covariates=[HEIGHT, HEIGHT])
    short = Context(covariates={"height": torch.zeros(2, 3, 1, 24, 32)})
    with pytest.raises(ValueError, match=r"covariate 'height' is .* of 7 frames"):
        made().forecast(rain(), 3, short)


def test_rain_is_taken_as_a_logarithm() -> None:
    one = Covariate(name="r", kind="run", quantity="rainfall_rate", units="mm h-1", logarithmic=True, scale=2.0)
    made_of = one.scaled(torch.tensor([0.0, 0.1, torch.nan]))
    torch.testing.assert_close(made_of, torch.tensor([0.0, 0.34657359, torch.nan]), equal_nan=True)


def test_a_covariate_of_the_forecasts_own_quantity_is_its_departure_from_the_newest_frame() -> None:
    torch.manual_seed(0)
    own = Covariate(
        name="warm", kind="stations", quantity="air_temperature", units="K", offset=280.0, scale=5.0, departs=True
    )
    scaling = {"kind": "linear", "low": 250.0, "high": 320.0}
    model = WithCovariates(
        model="residual_forecaster", settings={"hidden_channels": [6], "patch": 2, "scaling": scaling}, covariates=[own]
    )
    seen = []
    model.encode.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    past = 270.0 + 20.0 * torch.rand(2, 4, 1, 24, 32)
    past[..., 0, 0] = torch.nan
    warm = past[:, -1:].expand(-1, 7, -1, -1, -1) + 10.0
    model.forecast(past, 3, Context(covariates={"warm": warm}))
    values, mask = seen[0][:, 0], seen[0][:, 1]
    torch.testing.assert_close(values[..., 1:], torch.full_like(values[..., 1:], 2.0), atol=1e-3, rtol=0)
    assert (values[..., 0, 0] == 0).all()
    assert (mask[..., 0, 0] == 0).all()
    assert (mask[..., 1:] == 1).all()


def test_stations_are_spread_to_the_cells_around_them() -> None:
    model = WithCovariates(settings=SMALL["encoder_forecaster"], covariates=[WARM])
    model.grid_km = 25.0  # a reach of 100 km is four cells
    seen = []
    model.encode.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    warm = torch.full((1, 1, 1, 24, 32), torch.nan)
    warm[..., 10, 10], warm[..., 10, 18] = 285.0, 275.0  # scaled 1 and -1
    model.forecast(rain(1), 1, Context(covariates={"warm": warm}))
    _, _, around, weight = seen[0][0]
    assert around[10, 14].abs() < 1e-6  # as far from both
    near, far = torch.exp(torch.tensor(-0.5)), torch.exp(torch.tensor(-0.5 * 1.5**2))  # 4 and 6 cells away
    torch.testing.assert_close(
        around[14, 10],
        (near - near * torch.exp(torch.tensor(-2.0))) / (near * (1 + torch.exp(torch.tensor(-2.0))) + 0.05),
    )
    assert around[10, 10] > around[16, 10] > 0.5
    assert weight[10, 10] > weight[16, 10] > far * 0.9
    assert weight[10, 31] < 0.1


def test_each_lead_also_has_what_was_known_last_before_it() -> None:
    model = WithCovariates(settings=SMALL["encoder_forecaster"], covariates=[WARM])
    seen = []
    model.encode.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    warm = torch.full((1, 7, 1, 24, 32), torch.nan)
    warm[:, 1, :, 3, 3], warm[:, 3, :, 4, 4], warm[:, 5, :, 4, 4] = 285.0, 290.0, 275.0
    model.forecast(rain(1), 3, Context(covariates={"warm": warm}))
    values, known = seen[1][:, 0], seen[1][:, 1]  # of the three leads: times 4, 5 and 6
    assert values[:, 3, 3].tolist() == [1.0, 1.0, 1.0]
    assert values[:, 4, 4].tolist() == [2.0, -1.0, -1.0]
    assert known.sum(dim=(1, 2)).tolist() == [2.0, 2.0, 2.0]
