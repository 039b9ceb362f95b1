"""Every segmentation network there is: found by listing the folder, held to the same contract."""

from pathlib import Path
from typing import Any

import pytest
import torch

from echocast.errors import CheckpointMismatch, DataError, MissingFrames, ModelError
from echocast.models.scaling import RainScaling
from echocast.samples.tensors import IGNORED
from echocast.segmentation import base, losses
from echocast.segmentation.base import Segmenter

SMALL: dict[str, dict[str, Any]] = {"unet": {"width": 4}, "unet_convlstm": {"width": 3}}
SMALL["keras_segmenter"] = {"hidden_channels": [3, 4]}
"""Arguments that make a network quick to test."""

every_network = pytest.mark.parametrize("name", base.names())


def make(name: str, seed: int = 0, **more: Any) -> Segmenter:
    torch.manual_seed(seed)
    return base.construct(name, SMALL.get(name, {}) | {"classes": 2, "upscale": 1} | more).eval()


def levels(batch: int = 1, time: int = 3, channels: int = 1, y: int = 12, x: int = 16) -> torch.Tensor:
    return torch.rand(batch, time, channels, y, x, generator=torch.Generator().manual_seed(1))


@every_network
@pytest.mark.parametrize(("y", "x", "time", "upscale"), [(12, 16, 3, 1), (9, 14, 2, 4), (1, 1, 1, 2), (3, 5, 6, 1)])
def test_any_size_and_any_length(name: str, y: int, x: int, time: int, upscale: int) -> None:
    network = make(name, channels=3, classes=5, upscale=upscale)
    logits = network(levels(2, time, 3, y, x))
    assert logits.shape == (2, time, 5, y * upscale, x * upscale)
    assert logits.dtype == torch.float32
    found = network.segment(levels(2, time, 3, y, x))
    assert found.classes.shape == (2, time, 1, y * upscale, x * upscale)
    assert found.classes.dtype == torch.int64
    torch.testing.assert_close(found.probabilities, logits.softmax(dim=2))
    torch.testing.assert_close(found.probabilities.sum(dim=2), torch.ones(2, time, y * upscale, x * upscale))


@every_network
def test_double_precision_stays_double(name: str) -> None:
    assert make(name).double()(levels().double()).dtype == torch.float64


@every_network
def test_the_length_of_stretches_changes_nothing(name: str) -> None:
    network, values = make(name), levels(time=7)
    whole = network.segment(values, length=7)
    for length in (1, 3):
        parts = network.segment(values, length=length)
        torch.testing.assert_close(parts.probabilities, whole.probabilities, rtol=1e-4, atol=1e-5)


@every_network
@pytest.mark.parametrize("length", [2, 5, 8])
def test_it_starts_afresh_after_its_memory(name: str, length: int) -> None:
    network, values = make(name), levels(time=8)
    found = list(network.stretches(torch.split(values, length, dim=1), memory=3))
    alone = [network.segment(values[:, n : n + 3]).probabilities for n in (0, 3, 6)]
    made = torch.cat([one.probabilities for one in found], dim=1)
    torch.testing.assert_close(made, torch.cat(alone, dim=1), rtol=1e-4, atol=1e-5)


@every_network
def test_later_frames_change_nothing_before_them(name: str) -> None:
    network, values = make(name), levels(time=5)
    torch.testing.assert_close(network(values)[:, :3], network(values[:, :3]), rtol=1e-4, atol=1e-5)


@every_network
def test_cases_of_a_batch_do_not_touch_each_other(name: str) -> None:
    network, values = make(name), levels(batch=3)
    alone = torch.cat([network(values[n : n + 1]) for n in range(3)])
    torch.testing.assert_close(network(values), alone, rtol=1e-4, atol=1e-5)


@every_network
def test_gradients_everywhere_and_it_learns(name: str) -> None:
    network, values = make(name).train(), levels(batch=2)
    labels = (values > 0.5).long()
    loss_of = losses.make()
    adam = torch.optim.Adam(network.parameters(), 3e-3)
    found = []
    for _ in range(4):
        loss = loss_of(network(values), labels)
        adam.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
        adam.step()
        found.append(float(loss.detach()))
    assert found == sorted(found, reverse=True)


@every_network
def test_the_same_seed_gives_the_same_network(name: str) -> None:
    one, same, other = make(name, 1)(levels()), make(name, 1)(levels()), make(name, 2)(levels())
    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.allclose(one, other)


@every_network
def test_saved_and_loaded_it_is_the_same(name: str, tmp_path: Path) -> None:
    network = make(name, channels=3, scaling=RainScaling(ceiling_dbz=50.0))
    base.save(network, tmp_path / "weights.safetensors")
    again = base.resolve(tmp_path / "weights.safetensors")
    assert type(again) is type(network)
    assert again.scaling == RainScaling(ceiling_dbz=50.0)
    torch.testing.assert_close(again(levels(channels=3)), network(levels(channels=3)), rtol=0, atol=0)


@every_network
def test_what_is_not_observed_has_no_class(name: str) -> None:
    values = levels()
    values[:, 1, :, :4, :5] = torch.nan
    found = make(name, upscale=2).segment(values)
    assert (found.classes[:, 1, 0, :8, :10] == IGNORED).all()
    assert found.probabilities[:, 1, :, :8, :10].isnan().all()
    assert (found.classes == IGNORED).sum() == 80
    assert found.probabilities.isnan().sum() == 160


@every_network
def test_values_that_cannot_be_segmented_are_refused(name: str) -> None:
    network, blank, infinite = make(name), levels(time=9), levels()
    blank[:, 7] = torch.nan
    infinite[0, 2, 0, 3, 3] = torch.inf
    with pytest.raises(MissingFrames, match="frame 7"):
        network.segment(blank, length=3)
    with pytest.raises(DataError, match=r"frame 2 .* infinite"):
        network.segment(infinite)
    with pytest.raises(DataError, match="'rainfall_rate'"):
        network.check_quantity("rainfall_rate")


@every_network
@pytest.mark.usefixtures("as_users_run")
def test_wrong_calls_are_refused(name: str) -> None:
    network = make(name)
    with pytest.raises(ValueError, match="batch, time, channel, y, x"):
        network(levels()[0])
    with pytest.raises(ValueError, match="channels=1; got frames of 3"):
        network(levels(channels=3))
    with pytest.raises(ValueError, match="at least one frame"):
        network.segment(levels(time=0))
    for wrong, word in (({"classes": 1}, "at least 2"), ({"upscale": 3}, "upscale"), ({"channels": 0}, "channel")):
        with pytest.raises(ValueError, match=word):
            make(name, **wrong)


@every_network
def test_says_what_it_is_and_whence(name: str) -> None:
    assert 20 < len(base.summary(name)) < 121
    assert "Source:" in (base.segmenter_class(name).__doc__ or "")


def test_a_network_without_weights_is_no_model_to_use(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="ships without weights"):
        base.resolve("unet")
    with pytest.raises(ModelError, match="no segmenter 'unett'; did you mean 'unet'"):
        base.resolve("unett")
    with pytest.raises(CheckpointMismatch, match="no such checkpoint"):
        base.resolve(tmp_path / "none.safetensors")
