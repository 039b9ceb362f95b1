"""Every autoencoder there is: found by listing the folder, held to the same contract."""

from pathlib import Path
from typing import Any

import pytest
import torch

from echocast.anomaly.base import REGISTRY, Autoencoder
from echocast.errors import CheckpointMismatch
from echocast.models import base as forecasters

SMALL: dict[str, dict[str, Any]] = {
    "spatiotemporal": {"spatial_channels": [4, 3], "temporal_channels": [3, 2, 3], "frames": 4},
}
every_network = pytest.mark.parametrize("name", REGISTRY.names())


def make(name: str) -> Autoencoder:
    torch.manual_seed(0)
    return REGISTRY.construct(name, SMALL[name]).eval()


@every_network
@pytest.mark.parametrize(("frames", "y", "x"), [(1, 1, 1), (3, 27, 35), (7, 40, 29)])
def test_any_size_and_any_length(name: str, frames: int, y: int, x: int) -> None:
    given = torch.rand(2, frames, 1, y, x)
    made = make(name).reconstruct(given)
    assert made.shape == given.shape
    assert made.dtype == given.dtype
    assert made.min() >= 0
    assert made.max() <= 1
    assert make(name).double().reconstruct(given.double()).dtype == torch.float64


@every_network
def test_what_is_unknown_stays_unknown_and_counts_as_zero(name: str) -> None:
    given = torch.rand(1, 3, 1, 30, 30)
    holed = given.clone()
    holed[..., :5, :5] = torch.nan
    made = make(name).reconstruct(holed)
    assert torch.equal(made.isnan(), holed.isnan())
    torch.testing.assert_close(
        made.nan_to_num(0.0)[..., 5:, 5:], make(name).reconstruct(holed.nan_to_num(0.0))[..., 5:, 5:]
    )


@every_network
def test_cases_of_a_batch_do_not_touch_each_other(name: str) -> None:
    given = torch.rand(3, 3, 1, 30, 30)
    together = make(name).reconstruct(given)
    torch.testing.assert_close(together[1:2], make(name).reconstruct(given[1:2]))


@every_network
def test_every_weight_has_a_gradient_and_one_step_helps(name: str) -> None:
    network = make(name).train()
    levels = torch.full((1, 4, 1, 35, 35), 0.9)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    first = (network(levels) - levels).square().mean()
    first.backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in network.parameters())
    optimiser.step()
    assert (network(levels) - levels).square().mean() < first


@every_network
def test_saved_and_loaded_it_is_the_same(name: str, tmp_path: Path) -> None:
    network, path = make(name), tmp_path / "weights.safetensors"
    REGISTRY.save(network, path)
    given = torch.rand(1, 3, 1, 30, 30)
    again = REGISTRY.resolve(path)
    assert torch.equal(again.reconstruct(given), network.reconstruct(given))
    assert again.frames == network.frames
    with pytest.raises(CheckpointMismatch, match="weights of a autoencoder, not of a forecaster"):
        forecasters.load(path)


@every_network
def test_the_seed_decides(name: str) -> None:
    given = torch.rand(1, 2, 1, 27, 27)
    assert torch.equal(make(name).reconstruct(given), make(name).reconstruct(given))
    assert 20 < len(REGISTRY.summary(name)) < 121
    assert "Source:" in (type(make(name)).__doc__ or "")


@pytest.mark.usefixtures("as_users_run")
@every_network
def test_wrong_calls_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="batch, time, channel, y, x"):
        make(name).reconstruct(torch.rand(2, 1, 27, 27))
    with pytest.raises(ValueError, match="channels=1; got frames of 3"):
        make(name)(torch.rand(1, 2, 3, 27, 27))
