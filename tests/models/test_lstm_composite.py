"""The LSTM composite: published counts, and its equations as a plain loop in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from definitions import randomised
from echocast.errors import ModelError
from echocast.models.lstm_composite import LstmComposite
from echocast.models.scaling import ImageScaling

PAST, FUTURE = 3, 4
SMALL: dict[str, Any] = {"grid": (2, 3), "scaling": ImageScaling()}


@pytest.mark.parametrize(
    ("layers", "conditional", "count"),
    [(1, True, 167_823_360), (2, True, 268_529_664), (1, False, 167_823_360 - 67_108_864)],
)
def test_published_numbers_of_parameters(layers: int, conditional: bool, count: int) -> None:
    with torch.device("meta"):
        model = LstmComposite(hidden_sizes=[2048] * layers, conditional=conditional)
    assert sum(p.numel() for p in model.parameters()) == count


def layer_step(cell: Any, x: Tensor | None, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """One LSTM layer with diagonal peepholes, of one sequence: vectors in, vectors out."""
    total = cell.weight_h @ h + cell.bias
    if x is not None:
        total = total + cell.weight_x @ x
    i, f, g, o = total.chunk(4)
    w_i, w_f, w_o = cell.peephole
    c = torch.sigmoid(f + w_f * c) * c + torch.sigmoid(i + w_i * c) * torch.tanh(g)
    return torch.sigmoid(o + w_o * c) * torch.tanh(c), c


def stack_step(cells: Any, x: Tensor | None, states: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    new = []
    for cell, (h, c) in zip(cells, states, strict=True):
        new.append(layer_step(cell, x, h, c))
        x = new[-1][0]
    return new


def decoded(decoder: Any, states: list[tuple[Tensor, Tensor]], steps: int, truth: Tensor | None) -> Tensor:
    """Levels frame by frame: the first from the copied state, each other one after one more LSTM step."""
    frames = []
    for t in range(steps):
        if t:
            shown = (frames[-1] if truth is None else truth[t - 1]) if decoder.conditional else None
            states = stack_step(decoder.lstm.cells, shown, states)
        frames.append(torch.sigmoid(decoder.output.weight @ states[-1][0] + decoder.output.bias))
    return torch.stack(frames)


@torch.no_grad()
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("sizes", [[4], [4, 3]])
def test_equations(sizes: list[int], conditional: bool) -> None:
    model = randomised(LstmComposite(hidden_sizes=sizes, conditional=conditional, **SMALL).double())
    windows = torch.rand(1, PAST + FUTURE, 1, 2, 3, dtype=torch.float64)
    frames = windows.flatten(2)[0]
    states = [(torch.zeros(size, dtype=torch.float64),) * 2 for size in sizes]
    for frame in frames[:PAST]:
        states = stack_step(model.encoder.cells, frame, states)
    future = decoded(model.future, states, FUTURE, None)
    torch.testing.assert_close(model.forecast(windows[:, :PAST], FUTURE).flatten(2)[0], future, rtol=0, atol=1e-12)
    back = decoded(model.reconstruction, states, PAST, None)
    torch.testing.assert_close(
        model.reconstruct(windows[:, :PAST]).flatten(2)[0], back.flip(0), rtol=0, atol=1e-12
    )  # fmt: skip
    reversed_past, ahead = frames[:PAST].flip(0), frames[PAST:]
    for training in (True, False):
        model.train(training)
        expected = torch.zeros((), dtype=torch.float64)
        for decoder, truth in ((model.reconstruction, reversed_past), (model.future, ahead)):
            p = decoded(decoder, states, len(truth), truth if training else None)
            expected = expected - (truth * p.log() + (1 - truth) * (1 - p).log()).sum() / len(truth)
        torch.testing.assert_close(model.training_loss(windows, PAST), expected, rtol=0, atol=1e-10)


def test_what_is_not_observed_costs_nothing() -> None:
    model = LstmComposite(hidden_sizes=[4], **SMALL)
    windows = torch.rand(2, PAST + FUTURE, 1, 2, 3)
    windows[:, PAST:] = torch.nan
    both, alone = (
        model.training_loss(windows, PAST),
        LstmComposite(hidden_sizes=[4], decoders="reconstruction", **SMALL),
    )
    alone.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("future")})
    torch.testing.assert_close(both, alone.training_loss(windows, PAST))


@pytest.mark.usefixtures("as_users_run")
def test_a_missing_decoder_is_named() -> None:
    past = torch.rand(1, PAST, 1, 2, 3)
    with pytest.raises(ModelError, match="decoders = 'reconstruction' and cannot forecast"):
        LstmComposite(hidden_sizes=[4], decoders="reconstruction", **SMALL).forecast(past, 2)
    with pytest.raises(ModelError, match="decoders = 'future' and cannot reconstruct"):
        LstmComposite(hidden_sizes=[4], decoders="future", **SMALL).reconstruct(past)
    with pytest.raises(ModelError, match="decoders = 'both': there are 'composite'"):
        LstmComposite(decoders="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"of \(1, 2, 3\); got \(1, 3, 2\)"):
        LstmComposite(hidden_sizes=[4], **SMALL).encode(torch.rand(1, PAST, 1, 3, 2))
