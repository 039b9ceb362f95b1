"""Layers as CUDA graphs: what is refused anywhere, and on a GPU that they compute what the layers do."""

from typing import Any

import pytest
import torch

from definitions import randomised
from echocast.nn import ConvGRU, ConvLSTM, graphs

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


def test_a_cpu_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="x is on the device cpu; CUDA graphs need one of CUDA: call the layer itself"):
        graphs.capture(ConvLSTM(1, 4), torch.zeros(3, 1, 1, 8, 8))


def test_other_sequences_than_those_captured_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def without_a_graph(module: torch.nn.Module, own: Any, **_: Any) -> torch.nn.Module:
        given.append(own)
        return module

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", without_a_graph)
    layer, x = ConvLSTM(1, 4), torch.randn(3, 2, 1, 8, 8)
    state = tuple(torch.randn(1, 2, 4, 8, 8) for _ in range(2))
    with torch.no_grad():
        run = graphs.Captured(layer, (x, state))
        torch.testing.assert_close(run(x, state)[0], layer(x, state)[0])
    own_x, own_state = given[0]
    assert torch.equal(own_x, x)
    assert own_x.data_ptr() != x.data_ptr()
    assert [torch.equal(a, b) for a, b in zip(own_state, state, strict=True)] == [True, True]
    with (
        torch.no_grad(),
        pytest.raises(ValueError, match=r"got \(3, 1, 1, 8, 8\) torch.float32 on cpu; "),
    ):
        run(x[:, :1], state)
    with torch.no_grad(), pytest.raises(ValueError, match="capture anew for those"):
        run(x)
    with pytest.raises(ValueError, match="captured without gradients"):
        run(x, state)
    layer.eval()
    with torch.no_grad(), pytest.raises(ValueError, match="captured with training=True, and the layer has False now"):
        run(x, state)


@on_a_gpu
@pytest.mark.parametrize("kind", [ConvLSTM, ConvGRU])
def test_a_graph_computes_what_the_layer_does(kind: Any) -> None:
    layer = randomised(kind(2, 8, num_layers=2, device="cuda"), scale=0.2)
    run = graphs.capture(layer, torch.zeros(4, 2, 2, 9, 8, device="cuda", requires_grad=True))
    for _ in range(2):  # what it was captured with, and what an optimiser made of the weights
        x = torch.randn(4, 2, 2, 9, 8, device="cuda", requires_grad=True)
        found = []
        for one in (run, layer):
            output, last = one(x)
            loss = output.pow(2).sum() + sum(part.sum() for part in (last if isinstance(last, tuple) else (last,)))
            found.append([output.detach().clone(), *torch.autograd.grad(loss, [x, *layer.parameters()])])
        for made, expected in zip(*found, strict=True):
            torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)
        with torch.no_grad():
            for weight in layer.parameters():
                weight.add_(0.1 * torch.randn_like(weight))


@on_a_gpu
def test_inference_and_what_a_graph_cannot_hold() -> None:
    layer, x = ConvLSTM(2, 8, device="cuda"), torch.randn(4, 2, 2, 9, 8, device="cuda")
    with torch.no_grad():
        run = graphs.capture(layer, x)
        torch.testing.assert_close(run(2 * x)[0], layer(2 * x)[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="gradient_checkpointing=True cannot be captured"):
        graphs.capture(ConvLSTM(2, 8, device="cuda", gradient_checkpointing=True), x)
