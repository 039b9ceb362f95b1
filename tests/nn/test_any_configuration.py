"""Layers with options drawn at random: the fused path against the plain one in double precision."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from definitions import randomised
from echocast.nn import ConvGRU, ConvLSTM, fused

FEW, MANY = 6, 200


def drawn(seed: int) -> tuple[type[nn.Module], dict[str, Any], tuple[int, ...]]:
    """A layer, its arguments and a grid; of options that do not go together others are drawn."""
    rng = np.random.default_rng(seed)

    def pick(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    while True:
        dims = pick(1, 2, 2, 2, 3)
        kind = pick(ConvLSTM, ConvLSTM, ConvGRU)
        grid = tuple(int(size) for size in rng.integers(6, 8 if dims == 3 else 18, dims))
        groups, hidden = pick(1, 1, 2), pick(4, 6, 8, 16)
        options: dict[str, Any] = {
            "in_channels": groups * pick(1, 2, 3), "hidden_channels": hidden, "num_layers": pick(1, 2, 3), "dims": dims,
            "bidirectional": pick(False, False, True), "input_kernel": pick(1, 3, 5), "state_kernel": pick(1, 3, 5),
            "bias": pick(True, True, False), "stride": pick(1, 1, 1, 2), "dilation": pick(1, 1, 1, 2),
            "groups": groups, "padding": pick("same", "same", "keras", "valid"),
            "padding_mode": pick("zeros", "zeros", "reflect", "circular", "learned"),
            "norm": pick(None, None, None, "layer", "group"),
            "gate_activation": pick("sigmoid", "sigmoid", "hard_sigmoid"),
        }  # fmt: skip
        if kind is ConvLSTM:
            options |= {"peephole": pick(None, "channel"), "forget_gate": pick(True, True, False)}
        else:
            options |= {"reset_after": pick(False, True)}
        try:
            kind(**options)(torch.zeros(1, 1, options["in_channels"], *grid))
        except ValueError:  # they are refused in words, as the tests of each option show
            continue
        return kind, options, grid


def outcome(layer: nn.Module, x: Tensor) -> list[Tensor]:
    """Output, states and every gradient."""
    output, state = layer(x)
    parts = [output, *(state if isinstance(state, tuple) else (state,))]
    weights = [torch.linspace(-1, 1, part.numel(), dtype=part.dtype).view_as(part) for part in parts]
    loss = torch.stack([(part * weight).sum() for part, weight in zip(parts, weights, strict=True)]).sum()
    gradients = torch.autograd.grad(loss, [x, *layer.parameters()], allow_unused=True)
    return [*parts, *(torch.zeros(()) if one is None else one for one in gradients)]


def worst(made: list[Tensor], truth: list[Tensor]) -> float:
    """The largest difference, as a share of the largest value of its tensor."""
    pairs = zip(made, truth, strict=True)
    return max(float(((a - b).abs().max() / (b.abs().max() + 1e-6)).detach()) for a, b in pairs)


@pytest.mark.parametrize(
    "seed", [*range(FEW), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(FEW, MANY))]
)
def test_the_fused_path_agrees_with_the_plain_one(seed: int) -> None:
    kind, options, grid = drawn(seed)
    exact = randomised(kind(**options, dtype=torch.float64), seed=seed, scale=0.2)
    x = torch.randn(4, 2, options["in_channels"], *grid, dtype=torch.float64, requires_grad=True)
    with fused.plain():
        truth = outcome(exact, x)
    with fused.always():
        assert worst(outcome(exact, x), truth) < 1e-12
    single = kind(**options)
    single.load_state_dict(exact.state_dict())
    with fused.always():
        made = outcome(single, x.detach().float().requires_grad_())
        with torch.no_grad():
            torch.testing.assert_close(single(x.float())[0], made[0].detach(), rtol=0, atol=1e-5)
    # Rounding moves a hard gate across the edge of its slope.
    assert worst([one.double() for one in made], truth) < (2e-2 if "hard" in options["gate_activation"] else 2e-4)
