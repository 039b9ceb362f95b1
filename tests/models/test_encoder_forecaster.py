"""The paper's network: its exact sizes and its exact wiring."""

from typing import Any

import pytest
import torch

from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.nn.patches import from_patches, to_patches


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({"hidden_channels": [256], "input_kernel": 5, "state_kernels": 5, "patch": 4}, 13_524_496),
        ({"hidden_channels": [128, 128], "input_kernel": 5, "state_kernels": 5, "patch": 4}, 10_042_896),
        ({"hidden_channels": [128, 64, 64], "input_kernel": 5, "state_kernels": 5, "patch": 4}, 7_585_296),
        ({"hidden_channels": [128, 128], "input_kernel": 9, "state_kernels": 1, "patch": 4}, 11_550_224),
        ({"hidden_channels": [128, 64, 64], "input_kernel": 9, "state_kernels": 1, "patch": 4}, 8_830_480),
        ({"hidden_channels": [64, 64], "patch": 2}, 896_260),
    ],
)
def test_parameter_counts_of_the_paper(arguments: dict[str, Any], count: int) -> None:
    assert sum(p.numel() for p in EncoderForecaster(**arguments).parameters()) == count


def small() -> EncoderForecaster:
    torch.manual_seed(0)
    model = EncoderForecaster(hidden_channels=[3, 4], patch=2).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return model


def test_wiring_step_by_step() -> None:
    model, past = small(), torch.rand(2, 5, 1, 8, 6, dtype=torch.float64)
    frames = to_patches(past, 2)
    states = [cell.zero_state(2, 4, 3) for cell in model.encoder.cells]
    for t in range(5):
        below = frames[:, t]
        for level, cell in enumerate(model.encoder.cells):
            states[level] = cell(below, states[level])
            below = states[level][0]
    expected = []
    for lead in range(4):
        if lead:  # the first frame comes from the encoder's own states
            below = None
            for level, cell in enumerate(model.forecaster.cells):
                states[level] = cell(below, states[level])
                below = states[level][0]
        expected.append(from_patches(model.output(torch.cat([h for h, _ in states], dim=1)), 2))
    torch.testing.assert_close(model(past, 4), torch.stack(expected, dim=1), rtol=0, atol=1e-12)


def test_a_longer_forecast_begins_as_a_shorter_one() -> None:
    model, past = small(), torch.rand(1, 4, 1, 8, 8, dtype=torch.float64) * 5
    torch.testing.assert_close(model.forecast(past, 6)[:, :3], model.forecast(past, 3), rtol=0, atol=0)


def test_a_padded_grid_is_forecast_as_if_dry_cells_lay_around_it() -> None:
    model, past = small(), torch.rand(1, 4, 1, 7, 9, dtype=torch.float64) * 5
    wider = torch.nn.functional.pad(past, (0, 1, 0, 1))
    torch.testing.assert_close(model.forecast(past, 2), model.forecast(wider, 2)[..., :7, :9], rtol=0, atol=0)


def test_an_untrained_network_forecasts_no_rain() -> None:
    torch.manual_seed(0)
    assert EncoderForecaster(hidden_channels=[8]).forecast(torch.zeros(1, 3, 1, 16, 16), 3).max() < 0.2
