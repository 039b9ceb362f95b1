"""Training as the paper did it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from echocast.errors import ExperimentError
from echocast.models.base import LearnedForecaster
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.training import protocol

BUDGET = protocol.Budget(sequences=24, batch=4, validations=3, seed=3)


def make() -> LearnedForecaster:
    return EncoderForecaster(hidden_channels=[4], patch=4)


def squares(count: int = 12) -> protocol.Sequences:
    frames = torch.zeros(count, 5, 1, 8, 8)
    for n in range(count):
        for t in range(5):
            frames[n, t, 0, t : t + 3, n % 4 : n % 4 + 3] = 1.0
    return protocol.Sequences(count, lambda numbers: frames[torch.as_tensor(numbers)])


def test_rmsprop_has_its_epsilon_inside_the_root() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimiser = protocol.RMSProp([weight], lr=0.01, decay=0.9, eps=1e-6)
    expected, mean = np.array([1.0, 2.0]), np.zeros(2)
    for gradient in (np.array([0.5, -1e-4]), np.array([0.2, 3e-4])):
        weight.grad = torch.tensor(gradient, dtype=torch.float32)
        optimiser.step()
        mean = 0.9 * mean + 0.1 * gradient**2
        expected = expected - 0.01 * gradient / np.sqrt(mean + 1e-6)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-5)


def test_the_loss_is_in_nats_a_sequence_and_has_a_floor() -> None:
    logits, levels = torch.randn(3, 2, 1, 4, 4), torch.rand(3, 2, 1, 4, 4)
    expected = binary_cross_entropy(torch.sigmoid(logits), levels, reduction="sum") / 3
    torch.testing.assert_close(protocol.cross_entropy(logits, levels), expected)
    floor = protocol.entropy_floor(levels)
    best = protocol.cross_entropy(torch.logit(levels), levels)
    assert floor == pytest.approx(float(best), rel=1e-4)
    assert protocol.entropy_floor((levels > 0.5).float()) == pytest.approx(0.0, abs=1e-3)


def test_a_stopped_run_ends_like_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = protocol.learn(make, squares(), squares(4), tmp_path / "whole", past=2, budget=BUDGET)
    real, calls = protocol.validate, []

    def interrupted(*words: object, **options: object) -> float:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(protocol, "validate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        protocol.learn(make, squares(), squares(4), tmp_path / "parts", past=2, budget=BUDGET)
    monkeypatch.setattr(protocol, "validate", real)
    said: list[str] = []
    parts = protocol.learn(make, squares(), squares(4), tmp_path / "parts", past=2, budget=BUDGET, say=said.append)
    assert len(said) == 2
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=0, atol=0)
    assert len((tmp_path / "parts/metrics.csv").read_text().splitlines()) == 4


def test_it_learns(tmp_path: Path) -> None:
    budget = protocol.Budget(sequences=240, batch=4, validations=6, learning_rate=1e-2)
    model = protocol.learn(make, squares(), squares(4), tmp_path / "run", past=2, budget=budget)
    assert protocol.validate(model, squares(4), past=2) < 0.6 * protocol.validate(make(), squares(4), past=2)


def test_another_budget_is_another_run(tmp_path: Path) -> None:
    protocol.learn(make, squares(), squares(4), tmp_path / "run", past=2, budget=BUDGET)
    with pytest.raises(ExperimentError, match="another folder"):
        protocol.learn(make, squares(), squares(4), tmp_path / "run", past=2, budget=protocol.Budget(sequences=8))


def test_a_loss_that_is_no_number_stops(tmp_path: Path) -> None:
    broken = protocol.Sequences(4, lambda numbers: torch.full((len(numbers), 5, 1, 8, 8), torch.nan))
    with pytest.raises(ExperimentError, match="nan at step 0"):
        protocol.learn(make, broken, squares(4), tmp_path / "run", past=2, budget=BUDGET)
