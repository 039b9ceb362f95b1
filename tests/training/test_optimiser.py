"""The optimisers."""

import numpy as np
import torch

from echocast.training.optimiser import Optimiser, RMSProp


def test_rmsprop_has_its_epsilon_inside_the_root() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimiser = RMSProp([weight], lr=0.01, decay=0.9, eps=1e-6)
    expected, mean = np.array([1.0, 2.0]), np.zeros(2)
    for gradient in (np.array([0.5, -1e-4]), np.array([0.2, 3e-4])):
        weight.grad = torch.tensor(gradient, dtype=torch.float32)
        optimiser.step()
        mean = 0.9 * mean + 0.1 * gradient**2
        expected = expected - 0.01 * gradient / np.sqrt(mean + 1e-6)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-5)


def test_a_closure_gives_the_loss_and_the_gradients() -> None:
    weight = torch.nn.Parameter(torch.tensor([3.0]))
    optimiser = Optimiser(name="rmsprop", learning_rate=0.1, epsilon=0.0).make([weight])

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimiser.step(closure).item() == 9.0
    assert weight.item() == 3.0 - np.float32(0.1) / np.sqrt(np.float32(0.1))  # g / sqrt(0.1 g^2)


def test_the_settings_reach_the_optimiser() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    adam = Optimiser(learning_rate=0.02, weight_decay=0.3).make([weight])
    assert isinstance(adam, torch.optim.AdamW)
    assert (adam.defaults["lr"], adam.defaults["weight_decay"]) == (0.02, 0.3)
    rmsprop = Optimiser(name="rmsprop", rms_decay=0.8, epsilon=1e-3).make([weight])
    assert rmsprop.defaults == {"lr": 1e-3, "decay": 0.8, "eps": 1e-3}
