"""The forecaster of changes: it begins as persistence, and its feedback is what the plain equations say."""

import torch

from echocast.models.residual_forecaster import ResidualForecaster
from echocast.nn.patches import from_patches, to_patches


def test_untrained_it_is_persistence() -> None:
    past = torch.rand(1, 3, 1, 9, 7)
    future = ResidualForecaster(hidden_channels=[3]).forecast(past, 3)
    torch.testing.assert_close(future, past[:, -1:].expand(-1, 3, -1, -1, -1), atol=2e-6, rtol=0)


def test_each_step_is_fed_back() -> None:
    torch.manual_seed(0)
    model = ResidualForecaster(hidden_channels=[3], patch=2).double()
    torch.nn.init.normal_(model.output.weight, std=0.3)
    past = torch.rand(1, 3, 1, 4, 6, dtype=torch.float64)
    cell = model.recurrent.cells[0]
    state, before, frames = None, past[:, 0], [*past.unbind(1)]
    future = []
    for number in range(5):
        frame = frames[number]
        pair = torch.cat([frame, 10 * (frame - before)], dim=1)[:, None]
        patches = torch.cat([to_patches(pair[:, :, :1], 2), to_patches(pair[:, :, 1:], 2)], dim=2)
        state, before = cell(patches[:, 0], state), frame
        if number >= 2:
            change = from_patches(model.output(state[0])[:, None] / 10, 2)[:, 0]
            frames.append(frame + change)
            future.append(frames[-1])
    made = torch.sigmoid(model(past, 3))
    torch.testing.assert_close(made, torch.stack(future, dim=1).clamp(1e-6, 1 - 1e-6))
