"""PredRNN: which frames it sees in use and in training, and its schedule; TrajGRU's levels."""

from typing import Any

import pytest
import torch

from definitions import randomised
from echocast.errors import ModelError
from echocast.models import predrnn
from echocast.models.predrnn import PredRNN, shown_share
from echocast.models.scaling import ImageScaling
from echocast.models.trajgru import TrajGru

PAST, FUTURE = 3, 4
SMALL: dict[str, Any] = {"hidden_channels": 3, "num_layers": 2, "kernel": 3, "patch": 2, "scaling": ImageScaling()}


def frame_by_frame(model: PredRNN, frames: torch.Tensor, steps: int) -> list[torch.Tensor]:
    """Levels of frames 1, 2, ...: true frames go in while there are any, then its own forecasts, in patches by hand."""
    state, made = None, []
    for t in range(steps):
        frame = frames[:, t] if t < frames.shape[1] else made[-1]
        batch, _, y, x = frame.shape
        cut = frame.reshape(batch, y // 2, 2, x // 2, 2).permute(0, 2, 4, 1, 3).reshape(batch, 4, y // 2, x // 2)
        hidden, state = model.layers.step(cut, state)
        out = torch.sigmoid(model.output(hidden)).reshape(batch, 2, 2, y // 2, x // 2)
        made.append(out.permute(0, 3, 1, 4, 2).reshape(batch, 1, y, x))
    return made


@torch.no_grad()
def test_own_forecasts_go_in_where_true_frames_end() -> None:
    model = randomised(PredRNN(**SMALL).double())
    windows = torch.rand(2, PAST + FUTURE, 1, 4, 6, dtype=torch.float64)
    made = frame_by_frame(model, windows[:, :PAST], PAST + FUTURE - 1)
    forecast = model.forecast(windows[:, :PAST], FUTURE)
    torch.testing.assert_close(forecast, torch.stack(made[PAST - 1 :], 1), rtol=0, atol=1e-12)
    expected = (torch.stack(made, 1) - windows[:, 1:]).square().mean()
    for training in (False, True):
        model.sampling_batches = 0
        model.train(training)
        torch.testing.assert_close(model.training_loss(windows, PAST), expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_scheduled_sampling_shows_what_the_schedule_says(monkeypatch: pytest.MonkeyPatch) -> None:
    model = randomised(PredRNN(sampling_batches=10, **SMALL).double())
    windows = torch.rand(2, PAST + FUTURE, 1, 4, 6, dtype=torch.float64)
    losses = []
    for given, ahead, seen in ((1.0, 1.0, PAST + FUTURE), (0.0, 0.0, 1)):
        monkeypatch.setattr(predrnn, "shown_share", lambda *_, g=given, a=ahead: (g, a))
        losses.append(model.train().training_loss(windows, PAST))
        made = torch.stack(frame_by_frame(model, windows[:, :seen], PAST + FUTURE - 1), 1)
        torch.testing.assert_close(losses[-1], (made - windows[:, 1:]).square().mean(), rtol=0, atol=1e-12)
    assert int(model.batches_seen) == 2
    model.eval().training_loss(windows, PAST)
    assert int(model.batches_seen) == 2, "validation is not training"


def test_the_schedule_runs_from_half_to_the_end() -> None:
    shares = [shown_share(batch, 50_000) for batch in (0, 24_999, 25_000, 30_000, 50_000, 90_000)]
    given, ahead = zip(*shares, strict=True)
    assert given == pytest.approx((0.5, 0.5, 0.5, 1 - 0.5 / 2.718281828, 1.0, 1.0))
    assert ahead == pytest.approx((0.5, 0.5, 0.5, 0.4, 0.0, 0.0))


def test_weights_of_the_published_network() -> None:
    """Four layers of 128, kernel 5, patch 4: ST-LSTMs without bias, a 1x1 output (here with a bias)."""
    with torch.device("meta"):
        model = PredRNN(hidden_channels=128)
    first = 25 * (7 * 16 * 128 + 9 * 128 * 128) + 2 * 128 * 128
    others = 3 * (25 * 16 + 2) * 128 * 128
    assert sum(p.numel() for p in model.parameters()) == first + others + 16 * 128 + 16


@torch.no_grad()
def test_trajgru_levels_are_coarser_by_their_strides_and_come_back() -> None:
    model = TrajGru(hidden_channels=[3, 4], links=[2, 2], strides=[2, 3], scaling=ImageScaling())
    sizes: list[tuple[int, ...]] = []
    for layer in (*model.encoder, *model.forecaster):
        layer.register_forward_hook(lambda *a: sizes.append(tuple(a[2][0].shape[1:])))
    past = torch.rand(2, 3, 1, 13, 20)
    assert model.forecast(past, 5).shape == (2, 5, 1, 13, 20)
    assert sizes == [(3, 3, 9, 12), (3, 4, 3, 4), (5, 4, 3, 4), (5, 3, 9, 12)]


@pytest.mark.usefixtures("as_users_run")
def test_wrong_settings_and_channels_are_named() -> None:
    with pytest.raises(
        ModelError, match=r"hidden_channels=\[3\], links=\[2, 2\] and strides=\[2\] must have one number"
    ):
        TrajGru(hidden_channels=[3], links=[2, 2], strides=[2])
    colour = torch.rand(1, 2, 3, 4, 4)
    for model in (PredRNN(**SMALL), TrajGru(hidden_channels=[3], links=[2], strides=[2])):
        with pytest.raises(ValueError, match=r"has channels=1; got frames of 3 channels"):
            model.forecast(colour, 2)
