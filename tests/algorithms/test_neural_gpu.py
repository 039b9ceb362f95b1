"""The Neural GPU does what its equations say, on any length, and its tasks are arithmetic."""

import math

import numpy as np
import pytest
import torch

from echocast.algorithms import tasks
from echocast.algorithms.accuracy import accuracy
from echocast.algorithms.base import REGISTRY, SequenceNetwork
from echocast.algorithms.neural_gpu import CGRU, NeuralGPU, saturating_sigmoid


def saturating(x: float) -> float:
    return min(1.0, max(0.0, 1.2 / (1 + math.exp(-x)) - 0.1))


def looped(state: np.ndarray, weight: np.ndarray, bias: np.ndarray, diagonal: bool) -> np.ndarray:
    """One step of a CGRU, number by number; state (map, length, height)."""
    maps, length, height = state.shape
    reach = [size // 2 for size in weight.shape[2:]]

    def convolved(image: np.ndarray, out: int, i: int, j: int) -> float:
        total = bias[out]
        for m in range(maps):
            for a in range(-reach[0], reach[0] + 1):
                for b in range(-reach[1], reach[1] + 1):
                    if 0 <= i + a < length and 0 <= j + b < height:
                        total += weight[out, m, a + reach[0], b + reach[1]] * image[m, i + a, j + b]
        return float(total)

    reset, new = np.empty_like(state), np.empty_like(state)
    for place in np.ndindex(state.shape):
        reset[place] = saturating(convolved(state, *place)) * state[place]
    third = [len(part) for part in np.array_split(np.arange(maps), 3)]
    for m, i, j in np.ndindex(state.shape):
        gate = saturating(convolved(state, maps + m, i, j))
        source = i - (1 if m >= third[0] else 0) + (2 if m >= third[0] + third[1] else 0) if diagonal else i
        kept = state[m, source, j] if 0 <= source < length else 0.0
        new[m, i, j] = gate * kept + (1 - gate) * math.tanh(convolved(reset, 2 * maps + m, i, j))
    return new


@pytest.mark.parametrize("gates", ["plain", "diagonal"])
@pytest.mark.parametrize("height", [1, 3])
def test_the_equations(gates: str, height: int) -> None:
    torch.manual_seed(1)
    network = NeuralGPU(maps=4, height=height, relaxations=2, dropout=0.5, gates=gates).double().eval()  # type: ignore[arg-type]
    tokens = torch.tensor([[1, 3, 2, 0, 1]])
    table = np.tanh(np.vstack([np.zeros(4), network.embedding.detach().numpy()]))
    state = np.zeros((4, 5, height))
    state[:, :, 0] = table[tokens[0].numpy()].T
    for step in range(5):
        for cell in network.cells:
            weight, bias = (part[step % 2].detach().numpy() for part in (cell.weight, cell.bias))
            state = looped(state, weight, bias, gates == "diagonal")
    expected = network.output.weight.detach().numpy() @ state[:, :, 0] + network.output.bias.detach().numpy()[:, None]
    np.testing.assert_allclose(network(tokens)[0].detach().numpy(), expected.T, atol=1e-10)


def test_the_published_size() -> None:
    network = NeuralGPU()
    cells = 6 * 2 * 3 * (24 * 24 * 9 + 24)  # relaxations, layers, gates
    assert sum(weight.numel() for weight in network.parameters()) == cells + 3 * 24 + 4 * 24 + 4
    assert network.cells[0].weight.shape[-2:] == (3, 3)
    assert NeuralGPU(height=1).cells[0].weight.shape[-2:] == (3, 1)
    assert (network.cells[0].bias[:, :48] == 1).all()
    assert (network.cells[0].bias[:, 48:] == 0).all()


def test_gates_reach_their_ends_and_have_the_right_slope() -> None:
    x = torch.linspace(-4, 4, 41, dtype=torch.float64, requires_grad=True)
    value = saturating_sigmoid(x)
    np.testing.assert_allclose(value.detach().numpy(), [saturating(one) for one in x.tolist()], atol=1e-12)
    assert value.min() == 0
    assert value.max() == 1
    assert torch.autograd.gradcheck(saturating_sigmoid, (x,))
    cell = CGRU(3, (3, 1), gates="diagonal").double()
    state = torch.rand(2, 3, 4, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cell, (state,))


def test_sets_of_weights_are_pulled_together_and_united() -> None:
    network = NeuralGPU(maps=4, relaxations=3)
    spread = network.spread()
    assert spread is not None
    by_hand = sum(
        float(((weight[n] - weight.mean(0)) ** 2).sum().detach())
        for cell in network.cells
        for weight in cell.parameters()
        for n in range(3)
    )
    assert float(spread.detach()) == pytest.approx(by_hand, rel=1e-5)
    mean = network.cells[1].weight.mean(0)
    network.unite()
    torch.testing.assert_close(network.cells[1].weight[2], mean)
    united = network.spread()
    assert united is not None
    assert float(united.detach()) < 1e-9
    assert NeuralGPU(maps=4, relaxations=1).spread() is None


def value_of(symbols: np.ndarray) -> int:
    return sum(int(symbol - 1) << place for place, symbol in enumerate(symbols))


def test_addition_is_addition() -> None:
    inputs, targets = tasks.addition(np.random.default_rng(0), 50, 70)
    assert inputs.shape == targets.shape == (50, 141)
    for given, wanted in zip(inputs, targets, strict=True):
        assert given[70] == tasks.PLUS
        assert value_of(given[:70]) + value_of(given[71:]) == value_of(wanted[:71])
        assert (wanted[71:] == tasks.PADDING).all()
    assert len({row.tobytes() for row in inputs}) == 50


def test_reversing_is_reversing() -> None:
    inputs, targets = tasks.reverse(np.random.default_rng(0), 9, 11)
    assert [tasks.spelled(row)[::-1] for row in inputs] == [tasks.spelled(row) for row in targets]
    assert set(np.unique(inputs)) == {1, 2}


class Backwards(SequenceNetwork):
    """Reverses what is longer than 4 rightly, and gives shorter ones back as they are."""

    symbols = tasks.SYMBOLS

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        made = tokens.flip(1) if tokens.shape[1] > 4 else tokens
        return torch.nn.functional.one_hot(made, self.symbols).float()


def test_accuracy_by_length() -> None:
    network = Backwards()
    short, long = accuracy(network, "reverse", [2, 30], count=400)
    assert (long.symbols, long.sequences) == (1.0, 1.0)
    assert short.sequences == pytest.approx(0.5, abs=0.08)  # of two bits half of all pairs are the same backwards
    assert short.symbols == short.sequences
    assert network.training


@pytest.mark.parametrize("name", REGISTRY.names())
def test_every_network_learns_saves_and_loads(name: str, tmp_path: object) -> None:
    torch.manual_seed(0)
    network = REGISTRY.construct(name, {"maps": 6})
    inputs, targets = (torch.from_numpy(part) for part in tasks.reverse(np.random.default_rng(1), 8, 5))
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(network(inputs).flatten(0, 1), targets.flatten())
        optimiser.zero_grad()
        loss.backward()
        used = [weight for weight in network.parameters() if weight.grad is not None and weight.grad.any()]
        assert len(used) == len(list(network.parameters()))
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    path = tmp_path / "network.safetensors"  # type: ignore[operator]
    REGISTRY.save(network, path)
    again = REGISTRY.load(path)
    torch.testing.assert_close(again(inputs), network.eval()(inputs))
    assert not torch.equal(network.train()(inputs), network(inputs)), "dropout acts in training"
    assert torch.equal(again(inputs), again(inputs))
    assert 20 < len(REGISTRY.summary(name)) < 121


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="kernel=4 odd"):
        NeuralGPU(kernel=4)
    with pytest.raises(ValueError, match="maps=0"):
        NeuralGPU(maps=0)
