"""Layers and models on the device against the same on the CPU in 64 bits: outputs, and gradients of all weights."""

import copy
import importlib
from collections.abc import Callable
from typing import Any

import torch
from parts import Part
from torch import Tensor, nn

from echocast.context import Context

TOLERANCE = 1e-3
"""Of the largest value: 32-bit sums in another order, and a few of them where gradients are small."""

FRAMES = (2, 4, 3, 12, 13)
_IN: dict[str, Any] = {"in_channels": 3, "batch_first": True}

Call = Callable[[nn.Module, Tensor], Tensor]


def _layer(module: nn.Module, frames: Tensor) -> Tensor:
    out: Tensor = module(frames)[0]
    return out


def _forecast(module: nn.Module, frames: Tensor) -> Tensor:
    out: Tensor = module(frames, 3)
    return out


def _moving(module: nn.Module, frames: Tensor) -> Tensor:
    motion = frames.new_full((len(frames), 2, *frames.shape[-2:]), 0.4)  # at whole pixels gradients have a corner
    out: Tensor = module(frames, 3, Context(4.0, 5.0), motion)
    return out


def _segmented(module: nn.Module, frames: Tensor) -> Tensor:
    out: Tensor = module(frames)
    return out


CASES: dict[str, tuple[str, dict[str, Any], Call, tuple[int, ...]]] = {
    "LSTM": ("nn:LSTM", {"input_size": 6, "hidden_size": 8, "batch_first": True}, _layer, (2, 4, 6)),
    "ConvLSTM": ("nn:ConvLSTM", {**_IN, "hidden_channels": [8, 8]}, _layer, FRAMES),
    "ConvLSTM, peepholes, both directions": (
        "nn:ConvLSTM",
        {**_IN, "hidden_channels": 8, "peephole": "channel", "bidirectional": True},
        _layer,
        FRAMES,
    ),
    "ConvLSTM in 3 dimensions": ("nn:ConvLSTM", {**_IN, "hidden_channels": 4, "dims": 3}, _layer, (1, 3, 3, 5, 6, 7)),
    "ConvGRU": ("nn:ConvGRU", {**_IN, "hidden_channels": [8, 8]}, _layer, FRAMES),
    "TrajGRU": ("nn:TrajGRU", {**_IN, "hidden_channels": 8, "links": 5}, _layer, FRAMES),
    "ST-LSTM": ("nn:STLSTM", {**_IN, "hidden_channels": 8, "num_layers": 2}, _layer, FRAMES),
    "encoder_forecaster": (
        "models.encoder_forecaster:EncoderForecaster",
        {"hidden_channels": [8, 8]},
        _forecast,
        (2, 4, 1, 16, 16),
    ),
    "lagrangian": ("models.lagrangian:Lagrangian", {"hidden_channels": [8, 8]}, _moving, (2, 4, 1, 16, 20)),
    "trajgru": ("models.trajgru:TrajGru", {}, _forecast, (1, 3, 1, 32, 32)),
    "predrnn": ("models.predrnn:PredRNN", {"hidden_channels": 8, "num_layers": 2}, _forecast, (1, 3, 1, 16, 16)),
    "prednet": ("models.prednet:PredNet", {"channels": 1, "hidden_channels": [8, 16]}, _forecast, (1, 3, 1, 16, 16)),
    "keras_next_frame": (
        "models.keras_next_frame:KerasNextFrame",
        {"hidden_channels": [4, 4]},
        _forecast,
        (1, 3, 1, 16, 16),
    ),
    "unet_convlstm": (
        "segmentation.unet_convlstm:UNetConvLSTM",
        {"channels": 3, "classes": 2},
        _segmented,
        (1, 3, 3, 32, 32),
    ),
}
"""Where each is, what it is made with, how it is called, and the shape that it is called with."""


def run(part: Part) -> None:
    """Tell the largest difference of each, relative to the largest value; raises if one is too large."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    wrong = []
    for name, (where, arguments, call, shape) in CASES.items():
        if part.left() < 0:
            part.tell(name, "no time left")
            continue
        torch.manual_seed(0)
        try:
            module = _found(where)(**arguments).train()
        except ModuleNotFoundError as bad:
            part.tell(name, f"left out: {bad}")
            continue
        with torch.no_grad():  # away from the zeros that some begin with, where gradients have corners
            for weight in module.parameters():
                weight.add_(0.05 * torch.randn_like(weight))
        apart = _apart(module, call, torch.rand(shape), part.device)
        part.tell(name, f"{apart:.1e}")
        if not apart < TOLERANCE:
            wrong.append(name)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if wrong:
        raise ArithmeticError(f"differ from the CPU by more than {TOLERANCE:g}: {', '.join(wrong)}")


def _found(where: str) -> Callable[..., nn.Module]:
    module, _, name = where.partition(":")
    found: Callable[..., nn.Module] = getattr(importlib.import_module(f"echocast.{module}"), name)
    return found


def _apart(module: nn.Module, call: Call, frames: Tensor, device: torch.device) -> float:
    exact = _results(copy.deepcopy(module).double(), call, frames.double())
    there = _results(copy.deepcopy(module).to(device), call, frames.to(device))
    largest = [max(float(one.abs().max()), 1e-3) for one in exact]
    apart = [float((a - b.cpu().double()).abs().max()) / most for a, b, most in zip(exact, there, largest, strict=True)]
    return max(apart)


def _results(module: nn.Module, call: Call, frames: Tensor) -> list[Tensor]:
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    out = call(module, frames)
    out.square().mean().backward()
    return [out.detach(), *(weight.grad for weight in module.parameters() if weight.grad is not None)]
