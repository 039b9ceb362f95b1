"""The shapes on which recurrent layers are measured, and the candidates for each: see `benchmarks.layers`."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import everyday
from benchmarks.usual_loop import UsualCell, UsualNetwork
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.nn import ConvGRU, ConvLSTM


@dataclass(frozen=True)
class Case:
    """One shape to measure.

    Args:
        steps, batch, inputs, hidden, kernel, size: of a layer on a square grid.
        wants_input: the input needs a gradient, as that of an inner layer does.
        training: also measure training.
        network: hidden channels of the paper's network instead of `hidden`, ``inputs`` being its patches.
        gru: a ConvGRU, whose usual loop is that of `everyday`.
    """

    steps: int
    batch: int
    inputs: int
    hidden: int
    kernel: int
    size: int
    wants_input: bool = False
    training: bool = True
    network: tuple[int, ...] = ()
    gru: bool = False

    def __str__(self) -> str:
        shape = f"{'ConvGRU ' * self.gru}T={self.steps} B={self.batch}"
        layers = f"network {'-'.join(map(str, self.network))}" if self.network else f"{self.inputs}->{self.hidden}"
        return f"{shape} {layers} {self.kernel}x{self.kernel} {self.size}x{self.size}"


CASES = (
    Case(10, 4, 64, 64, 3, 64, wants_input=True),
    Case(10, 8, 128, 64, 5, 16, wants_input=True),
    Case(10, 4, 1, 64, 3, 64),
    Case(20, 16, 16, 0, 5, 16, network=(128, 64, 64)),
    Case(4, 1, 1, 64, 3, 1024, training=False),
)

QUICK = (Case(3, 1, 2, 4, 3, 8, wants_input=True), Case(4, 1, 16, 0, 3, 4, network=(4, 4)))

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def build(case: Case, which: str) -> nn.Module:
    """The ``echocast`` or ``usual`` candidate, from frames (batch, time, channel, y, x) to hidden states or logits."""
    if case.network:
        patch, half = round(case.inputs**0.5), case.steps // 2
        if which == "usual":
            return _Forecast(UsualNetwork(patch, case.network, case.kernel), half)
        kernel = case.kernel
        model = EncoderForecaster(hidden_channels=case.network, patch=patch, input_kernel=kernel, state_kernels=kernel)
        return _Forecast(model, half)
    if which == "usual":
        return _UsualGru(case) if case.gru else _UsualLayer(case)
    if case.gru:
        gru = ConvGRU(
            case.inputs,
            case.hidden,
            input_kernel=case.kernel,
            state_kernel=case.kernel,
            batch_first=True,
            gradient_checkpointing=which == "checkpointing",
        )
        return First(gru)
    layer = ConvLSTM(
        case.inputs,
        case.hidden,
        input_kernel=case.kernel,
        state_kernel=case.kernel,
        peephole=None,
        batch_first=True,
        gradient_checkpointing=which == "checkpointing",
    )
    return First(layer)


class _Forecast(nn.Module):
    def __init__(self, model: nn.Module, steps: int) -> None:
        super().__init__()
        self.model, self.steps = model, steps

    def forward(self, past: Tensor) -> Tensor:
        return self.model(past, self.steps)  # type: ignore[no-any-return]


class First(nn.Module):
    """A layer that gives its hidden states alone."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]  # type: ignore[no-any-return]


class _UsualLayer(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        self.cell = UsualCell(case.inputs, case.hidden, case.kernel)

    def forward(self, x: Tensor) -> Tensor:
        zero = x.new_zeros(x.shape[0], self.cell.hidden, *x.shape[3:])
        return self.cell.sequence(x, zero, zero, x.shape[1])[0]


class _UsualGru(nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        grid = (case.size, case.size)
        one = everyday.Case("ConvGRU", case.steps, case.batch, case.inputs, case.hidden, case.kernel, grid)
        self.loop = everyday.UsualLayer(one)

    def forward(self, x: Tensor) -> Tensor:
        return self.loop(x.transpose(0, 1)).transpose(0, 1)  # type: ignore[no-any-return]


def make_frames(case: Case, where: torch.device) -> Tensor:
    """Frames for a case, (batch, time, channel, y, x)."""
    if case.network:
        side = case.size * round(case.inputs**0.5)
        return torch.rand(case.batch, case.steps // 2, 1, side, side, device=where)
    shape = (case.batch, case.steps, case.inputs, case.size, case.size)
    return torch.randn(shape, device=where).requires_grad_(case.wants_input)


def precision(dtype: torch.dtype, where: torch.device) -> AbstractContextManager[Any]:
    """Autocast for bfloat16, nothing for 32 bits."""
    return torch.autocast(where.type, dtype) if dtype == torch.bfloat16 else nullcontext()


def work(model: nn.Module, frames: Tensor, dtype: torch.dtype, *, training: bool) -> None:
    """One inference, or one training step without its optimiser, to its end on the device."""
    if not training:
        with torch.inference_mode(), precision(dtype, frames.device):
            model(frames)
        finish(frames.device)
        return
    model.zero_grad(set_to_none=True)
    frames.grad = None
    with precision(dtype, frames.device):
        output = model(frames)
    output.float().pow(2).mean().backward()
    finish(frames.device)


def finish(where: torch.device) -> None:
    """Wait for a GPU."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def has_bf16(where: torch.device) -> bool:
    """Whether PyTorch's convolutions are made for bfloat16 there: on x86 they need AVX-512."""
    return where.type != "cpu" or "AVX2" not in torch.backends.cpu.get_cpu_capability()
