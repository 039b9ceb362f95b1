"""A layer may be used in several threads at once, and in processes that are forked or spawned after it was used."""

import multiprocessing
import threading
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from definitions import randomised
from echocast.nn import ConvGRU, ConvLSTM

pytestmark = pytest.mark.usefixtures("as_users_run")

MAKERS: dict[str, Any] = {"ConvLSTM": ConvLSTM, "ConvGRU": ConvGRU}


def layer_and_frames(kind: str = "ConvLSTM") -> tuple[Any, Tensor]:
    """A layer that is large enough for the fused path, and its input."""
    torch.manual_seed(0)
    return randomised(MAKERS[kind](2, 16), scale=0.2), torch.randn(3, 2, 2, 40, 44)


class Forecasts(Dataset[Tensor]):
    """What a layer makes of frames, as a data set that runs a network would give it."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        layer, x = layer_and_frames()
        with torch.no_grad():
            output: Tensor = layer(x + index)[0]
        return output


@pytest.mark.parametrize("kind", MAKERS)
def test_two_threads_in_one_layer(kind: str) -> None:
    layer, x = layer_and_frames(kind)
    inputs = [x * factor for factor in (1, 2, 3, 4)]
    weights = list(layer.parameters())

    def computed(frames: Tensor) -> list[Tensor]:
        output = layer(frames)[0]
        with torch.no_grad():
            streamed = layer(frames)[0]
        return [output.detach(), streamed, *torch.autograd.grad(output.pow(2).sum(), weights)]

    expected = [computed(frames) for frames in inputs]
    found: list[list[Tensor]] = [[] for _ in inputs]

    def run(k: int) -> None:
        for _ in range(3):
            found[k] = computed(inputs[k])

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for made, wanted in zip(found, expected, strict=True):
        for one, other in zip(made, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_of_a_loader_after_use_in_the_parent(start: str) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {start}")
    layer, x = layer_and_frames()
    expected = [layer(x + index)[0].detach() for index in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking a process that has threads, as a loader does
        loader = DataLoader(Forecasts(), batch_size=None, num_workers=2, multiprocessing_context=start, timeout=100)
        made = list(loader)
    for one, other in zip(made, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
