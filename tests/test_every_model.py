"""Every forecaster there is: found by listing the folder, held to the same contract."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echocast.context import Context
from echocast.errors import MissingFrames
from echocast.models import base
from echocast.models.base import EnsembleForecaster, Forecaster, LearnedEnsemble, LearnedForecaster
from echocast.synthetic import storms

SMALL: dict[str, dict[str, Any]] = {
    "conv_autoencoder": {"features": 4, "hidden_channels": 6, "kernel": 3},
    "conv_predictor": {"hidden_channels": [6, 6]},
    "convlstm_predictor": {"hidden_channels": [6, 6]},
    "encoder_forecaster": {"hidden_channels": [6, 6], "patch": 4},
    "fc_lstm": {"hidden_sizes": [12, 12], "grid": (24, 32)},
    "keras_next_frame": {"hidden_channels": [6, 6]},
    "lagrangian": {"hidden_channels": [6, 6]},
    "lstm_composite": {"hidden_sizes": [12, 12], "grid": (24, 32), "conditional": True},
    "predrnn": {"hidden_channels": 6, "num_layers": 2, "kernel": 3},
    "prednet": {"channels": 1, "hidden_channels": [4, 6]},
    "steps": {"members": 3},
    "steps_matched_mean": {"members": 3},
    "with_covariates": {
        "model": "encoder_forecaster",
        "settings": {"hidden_channels": [6, 6]},
        "covariates": [{"name": "height", "kind": "fixed", "quantity": "surface_altitude", "units": "m"}],
        "features": 3,
    },
    "trajgru": {"hidden_channels": [4, 6], "links": [3, 2], "strides": [2, 2]},
}
"""Arguments that make a model quick to test."""
PYSTEPS = ("anvil", "linda", "sprog", "steps", "steps_matched_mean")

every_model = pytest.mark.parametrize("name", base.names())
every_learned_model = pytest.mark.parametrize(
    "name", [n for n in base.names() if issubclass(base.forecaster_class(n), LearnedForecaster)]
)
every_ensemble = pytest.mark.parametrize(
    "name", [n for n in base.names() if issubclass(base.forecaster_class(n), EnsembleForecaster)]
)


def make(name: str) -> Forecaster:
    if name in PYSTEPS:
        pytest.importorskip("pysteps", reason="pysteps is not installed")
    torch.manual_seed(0)
    return base.construct(name, SMALL.get(name, {})).eval()


def stirred(name: str) -> Forecaster:
    """A model in which no layer is zero, as some are at first, so that it begins as something simpler."""
    model = make(name)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05)
    return model


def rain(batch: int = 2, time: int = 4, y: int = 24, x: int = 32) -> torch.Tensor:
    """A shower that moves to the right."""
    rows, columns = torch.meshgrid(torch.arange(y), torch.arange(x), indexing="ij")
    frames = [8 * torch.exp(-((rows - y / 2) ** 2 + (columns - x / 3 - t) ** 2) / 18) for t in range(time)]
    return torch.stack(frames)[None, :, None].repeat(batch, 1, 1, 1, 1).float()


@every_model
@pytest.mark.parametrize(("y", "x", "steps"), [(24, 32, 5), (37, 51, 1), (8, 8, 3), (3, 3, 2), (1, 1, 2)])
def test_any_grid_and_any_number_of_steps(name: str, y: int, x: int, steps: int) -> None:
    past = rain(2, 4, y, x)
    future = make(name).forecast(past, steps)
    assert future.shape == (2, steps, 1, y, x)
    assert future.dtype == past.dtype
    assert future.device == past.device
    assert future[future.isfinite()].min() >= 0
    assert future.isfinite().any()


@every_model
def test_double_precision_stays_double(name: str) -> None:
    assert make(name).double().forecast(rain().double(), 2).dtype == torch.float64


@every_model
def test_what_nobody_saw_stays_unknown_and_nothing_else_is_lost(name: str) -> None:
    past = rain()
    past[..., :6, :6] = torch.nan
    past[:, -1, :, 20:, 28:] = torch.nan  # the newest frame misses a corner that older ones saw
    future = make(name).forecast(past, 2)
    assert future[..., :6, :6].isnan().all()
    assert future[..., 8:18, 8:24].isfinite().all()


@every_model
def test_dry_and_unseen_pasts(name: str) -> None:
    model = make(name)
    assert model.forecast(torch.full((1, 4, 1, 16, 16), torch.nan), 3).isnan().all()
    dry = model.forecast(torch.zeros(1, 4, 1, 16, 16), 3)
    assert dry.isfinite().all()
    if not isinstance(model, LearnedForecaster):
        assert dry.max() == 0


@every_model
def test_cases_of_a_batch_do_not_touch_each_other(name: str) -> None:
    model, past = make(name), rain(3)
    past[0] *= 3
    past[2] = 0
    together = model.forecast(past, 3)
    for case in range(3):
        alone = model.forecast(past[case : case + 1], 3)
        torch.testing.assert_close(together[case : case + 1], alone, rtol=1e-4, atol=1e-4, equal_nan=True)


@every_ensemble
def test_members_do_not_depend_on_the_batch(name: str) -> None:
    model = stirred(name)
    assert isinstance(model, EnsembleForecaster)
    fields = [storms.generate(frames=4, size=64, seed=seed).values for seed in (5, 6, 7)]  # STEPS needs natural rain
    past = torch.from_numpy(np.stack(fields).astype(np.float32))[:, :, None]
    context = Context(grid_km=2.0, time_step_minutes=5.0)
    together = model.ensemble(past, 3, members=3, seed=[5, 6, 7], context=context)
    for case, seed in enumerate((5, 6, 7)):
        alone = model.ensemble(past[case : case + 1], 3, members=3, seed=seed, context=context)
        assert (alone[:, 0] - alone[:, 1]).abs().nan_to_num().max() > 0
        torch.testing.assert_close(together[case : case + 1], alone, rtol=1e-4, atol=1e-4, equal_nan=True)
    shared = model.ensemble(past, 3, members=3, seed=6, context=context)
    torch.testing.assert_close(shared[1], together[1], rtol=1e-4, atol=1e-4, equal_nan=True)
    with pytest.raises(ValueError, match="seed has 2 numbers for 3 cases"):
        model.ensemble(past, 3, members=3, seed=[5, 6], context=context)


@every_model
def test_a_finer_grid_gives_a_forecast_of_its_own_size(name: str) -> None:
    model = make(name)
    model.grid_km = 4.0
    past, context = rain(1, 4, 37, 51), Context(grid_km=1.0)
    past[..., :5, :5] = torch.nan
    future = model.forecast(past, 2, context=context)
    assert future.shape == (1, 2, 1, 37, 51)
    assert future[..., 12:24, 16:34].isfinite().all()
    frames = list(model.leads(past, 2, context))
    torch.testing.assert_close(torch.stack(frames, dim=1), future, rtol=0, atol=0, equal_nan=True)


@pytest.mark.usefixtures("as_users_run")
@every_model
def test_wrong_calls_are_refused(name: str) -> None:
    model = make(name)
    with pytest.raises(ValueError, match="batch, time, channel, y, x"):
        model.forecast(rain().long(), 2)
    with pytest.raises(ValueError, match="steps=0"):
        model.forecast(rain(), 0)
    with pytest.raises(MissingFrames, match="at least"):
        model.check_past(1, 5.0)
    model.time_step_minutes = 5.0
    with pytest.raises(MissingFrames, match="every 40 min"):
        model.check_past(8, 40.0)


@every_model
def test_says_what_it_is_and_whence(name: str) -> None:
    assert 20 < len(base.summary(name)) < 121
    assert "Source:" in (base.forecaster_class(name).__doc__ or "")


@every_learned_model
def test_saved_and_loaded_it_forecasts_the_same(name: str, tmp_path: Path) -> None:
    model = make(name)
    base.save(model, tmp_path / "weights.safetensors")
    loaded = base.resolve(tmp_path / "weights.safetensors")
    assert type(loaded) is type(model)
    torch.testing.assert_close(loaded.forecast(rain(), 3), model.forecast(rain(), 3), rtol=0, atol=0, equal_nan=True)


@every_learned_model
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = stirred(name)
    assert isinstance(model, LearnedForecaster)
    levels = model.scaling.to_network(rain())
    given = {one.name: torch.rand(2, 1, one.channels, 24, 32) for one in model.covariates}
    model(levels, 4, Context(covariates=given)).square().mean().backward()
    if isinstance(model, LearnedEnsemble):
        model.member_logits(levels, 4, members=2).square().mean().backward()
    loss_of_its_own = getattr(model, "training_loss", None)
    if loss_of_its_own is not None:
        loss_of_its_own(rain(2, 8), 4).backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert still == []


@every_learned_model
def test_one_step_of_learning_lowers_the_loss(name: str) -> None:
    model = stirred(name)
    assert isinstance(model, LearnedForecaster)
    past, truth = model.scaling.to_network(rain(1, 4)), model.scaling.to_network(rain(1, 8)[:, 4:])
    optimiser = torch.optim.SGD(model.parameters(), 1e-2)

    def loss() -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(model(past, 4), truth)

    before = loss()
    before.backward()
    optimiser.step()
    assert loss() < before
