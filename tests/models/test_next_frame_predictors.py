"""Forecasters of the next frame: every frame teaches, and what they see is what they say."""

from typing import Any

import pytest
import torch

from echocast.models import ConvLSTMPredictor, ConvPredictor  # type: ignore[attr-defined]  # found by its module
from echocast.models.scaling import ImageScaling

PREDICTORS = [(ConvLSTMPredictor, {"hidden_channels": [5, 4]}), (ConvPredictor, {"hidden_channels": [5, 4]})]


def made(kind: Any, arguments: dict[str, Any], **more: Any) -> Any:
    torch.manual_seed(0)
    return kind(scaling=ImageScaling(), **arguments, **more).double()


@pytest.mark.parametrize(("kind", "arguments"), PREDICTORS)
def test_a_forecast_is_the_next_frame_of_itself(kind: Any, arguments: dict[str, Any]) -> None:
    model, past = made(kind, arguments), torch.rand(2, 4, 1, 8, 6, dtype=torch.float64)
    future = torch.sigmoid(model(past, 3))
    seen = past
    for step in range(3):
        after = torch.sigmoid(model.next_frames(seen))[:, -1]
        torch.testing.assert_close(future[:, step], after)
        seen = torch.cat([seen, after[:, None]], dim=1)


@pytest.mark.parametrize(("kind", "arguments"), PREDICTORS)
def test_the_loss_is_the_squared_error_a_frame(kind: Any, arguments: dict[str, Any]) -> None:
    model, windows = made(kind, arguments, patch=3), torch.rand(2, 5, 1, 7, 8, dtype=torch.float64)
    windows[0, 2, :, 1, 1] = torch.nan
    windows[0, 0, :, 3, 3] = torch.nan
    total = 0.0
    for case in range(2):
        for frame in range(1, 5):
            forecast = model.forecast(windows[case : case + 1, :frame], 1)[0, 0].detach()
            assert forecast.shape == (1, 7, 8)
            # a cell that no past frame saw is hidden from forecasts, but the network says something of it
            error = (forecast - windows[case, frame]) ** 2
            total += float(error.nansum())
            if case == 0 and frame == 1:
                hidden = torch.sigmoid(model(model.padded(windows[:1, :1]), 1))[0, 0, 0, 3, 3]
                total += float((hidden.detach() - windows[0, 1, 0, 3, 3]) ** 2)
    assert float(model.training_loss(windows, 3).detach()) == pytest.approx(total / 8)
    alone = model.forecast(windows[:, :3], 2).detach()
    free = float(((alone - windows[:, 3:]) ** 2).nansum()) / 4
    model.rollout_weight = 0.5
    assert float(model.training_loss(windows, 3).detach()) == pytest.approx(total / 8 + 0.5 * free)
    with pytest.raises(ValueError, match="at least 2 frames; got 1"):
        model.training_loss(windows[:, :1], 1)
    with pytest.raises(ValueError, match="has channels=1; got frames of 3 channels"):
        model(torch.zeros(1, 2, 3, 6, 6, dtype=torch.float64), 1)


def test_convolutions_see_the_last_frames_alone() -> None:
    model, frames = made(*PREDICTORS[1], frames=3), torch.rand(1, 6, 1, 6, 6, dtype=torch.float64)
    other = frames.clone()
    other[:, :3] = 0
    assert torch.equal(model(frames, 1), model(other, 1))
    other[:, 3] = 0
    assert not torch.equal(model(frames, 1), model(other, 1))
    repeated = torch.cat([frames[:, :1]] * 3, dim=1)
    torch.testing.assert_close(model(frames[:, :1], 1), model(repeated, 1))
    with pytest.raises(ValueError, match="frames=0"):
        ConvPredictor(frames=0)


def test_a_convlstm_remembers_all_frames() -> None:
    model, frames = made(*PREDICTORS[0]), torch.rand(1, 6, 1, 6, 6, dtype=torch.float64)
    other = frames.clone()
    other[:, 0] = 0
    assert not torch.equal(model(frames, 1), model(other, 1))


@pytest.mark.parametrize(("kind", "arguments"), PREDICTORS)
def test_it_learns_frames_of_three_colours(kind: Any, arguments: dict[str, Any]) -> None:
    model = made(kind, arguments, channels=3)
    windows = torch.rand(2, 1, 3, 6, 6, dtype=torch.float64).expand(-1, 5, -1, -1, -1)
    optimiser = torch.optim.Adam(model.parameters(), 0.03)
    losses = []
    for _ in range(8):
        loss = model.training_loss(windows, 2)
        optimiser.zero_grad()
        loss.backward()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
