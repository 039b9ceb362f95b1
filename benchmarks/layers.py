"""The recurrent layers: time and memory against the usual loop, Keras, and the convolutions alone.

- **usual**: one convolution over [x, h] per step, single operations for the gates (`usual_loop`).
- **Keras**: ConvLSTM2D of Keras 3 on PyTorch and JAX, in 32 bits; its layers have no network like the paper's.
- **ceiling**: the same convolutions alone, PyTorch's own, batched over all steps, channels-last, at the same precision;
  in training with the gradients of weights and of the images that need one.
"""

import json
import math
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import keras_times
from benchmarks.timing import Candidate, Spread, by_turns, geometric_mean
from benchmarks.usual_loop import UsualCell, UsualNetwork
from echocast._version import __version__
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.nn import ConvLSTM, compat, fused


@dataclass(frozen=True)
class Case:
    """One shape to measure.

    Args:
        steps, batch, inputs, hidden, kernel, size: of a layer on a square grid.
        wants_input: the input needs a gradient, as that of an inner layer does.
        training: also measure training.
        network: hidden channels of the paper's network instead of `hidden`, ``inputs`` being its patches.
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

    def __str__(self) -> str:
        shape = f"T={self.steps} B={self.batch}"
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


def run(*, quick: bool = False, rounds: int = 7, device: str = "cpu") -> str:
    """Measure everything and tell it in Markdown.

    Args:
        quick: tiny shapes, one round: shows that it runs, says nothing about speed.
        rounds: turns of each candidate.
        device: where to measure; Keras takes part on the CPU only.
    """
    cases, rounds = (QUICK, 1) if quick else (CASES, rounds)
    threads, where = torch.get_num_threads(), torch.device(device)
    report = [
        "# Recurrent layers: speed and memory",
        f"`python -m benchmarks layers`{' --quick' * quick}: echocast {__version__}, torch {torch.__version__}, "
        f"{_machine(where)}, {threads} threads, {rounds} turns. Milliseconds: median (quartiles).",
        (__doc__ or "").partition("\n\n")[2],
    ]
    for training in (False, True):
        title = "Training step (forward and backward)" if training else "Inference"
        report += [f"## {title}", _times([c for c in cases if c.training or not training], training, rounds, where)]
    report += ["## The shipped bf16 path against the usual loop's 32 bits", _equal_loss(60 if not quick else 2, where)]
    report += ["## Memory", _memory(cases, where, quick=quick)]
    return "\n\n".join(part.strip() for part in report) + "\n"


def _machine(where: torch.device) -> str:
    return f"{platform.machine()} CPU" if where.type == "cpu" else torch.cuda.get_device_name(where)


def _times(cases: list[Case], training: bool, rounds: int, where: torch.device) -> str:
    lines = [
        "| shape | precision | echocast | usual loop | ratio | ceiling | share | Keras/torch | Keras/JAX |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ratios: dict[str, list[float]] = {"fp32": [], "bf16": [], "bf16 against the usual loop in fp32": []}
    with keras_times.workers(torch.get_num_threads()) as keras:
        for case in cases:
            usual_fp32 = 0.0
            for name, dtype in DTYPES.items():
                candidates = _candidates(case, dtype, where, training=training)
                if name == "fp32" and not case.network and where.type == "cpu":
                    candidates |= {backend: _keras(keras[backend], case, training) for backend in keras}
                spent = by_turns(candidates, rounds)
                ours, usual, ceiling = (spent[key].median for key in ("echocast", "usual", "ceiling"))
                usual_fp32 = usual_fp32 or usual
                ratios[name].append(usual / ours)
                if name == "bf16":
                    ratios["bf16 against the usual loop in fp32"].append(usual_fp32 / ours)
                others = [_other(spent, backend, ours) for backend in ("torch", "jax")]
                lines.append(
                    f"| {case} | {name} | {spent['echocast']} | {spent['usual']} | **{usual / ours:.2f}** | "
                    f"{spent['ceiling']} | {100 * ceiling / ours:.0f} % | {others[0]} | {others[1]} |"
                )
    means = [
        f"- {name}: geometric mean of the ratios {geometric_mean(values):.2f}, least {min(values):.2f}"
        for name, values in ratios.items()
    ]
    return "\n".join([*lines, "", *means])


def _other(spent: dict[str, Spread], name: str, ours: float) -> str:
    if name not in spent:
        return ""
    if math.isinf(spent[name].median):
        return f"over {keras_times.LIMIT:.0f} s"
    return f"{spent[name]}, {spent[name].median / ours:.1f}x"


def _keras(worker: keras_times.Worker, case: Case, training: bool) -> Candidate:
    shape = (case.steps, case.batch, case.inputs, case.hidden, case.kernel, case.size)
    return lambda: worker.seconds(shape, training=training)


def _candidates(case: Case, dtype: torch.dtype, where: torch.device, *, training: bool) -> dict[str, Candidate]:
    torch.manual_seed(0)
    ours, usual, frames = build(case, "echocast").to(where), build(case, "usual").to(where), _frames(case, where)
    return {
        "echocast": lambda: _work(ours, frames, dtype, training=training),
        "usual": lambda: _work(usual, frames, dtype, training=training),
        "ceiling": _ceiling(case, dtype, where, training=training),
    }


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
        return _UsualLayer(case)
    layer = ConvLSTM(
        case.inputs,
        case.hidden,
        input_kernel=case.kernel,
        state_kernel=case.kernel,
        peephole=None,
        batch_first=True,
        gradient_checkpointing=which == "checkpointing",
    )
    return _First(layer)


class _Forecast(nn.Module):
    def __init__(self, model: nn.Module, steps: int) -> None:
        super().__init__()
        self.model, self.steps = model, steps

    def forward(self, past: Tensor) -> Tensor:
        return self.model(past, self.steps)  # type: ignore[no-any-return]


class _First(nn.Module):
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


def _frames(case: Case, where: torch.device) -> Tensor:
    if case.network:
        side = case.size * round(case.inputs**0.5)
        return torch.rand(case.batch, case.steps // 2, 1, side, side, device=where)
    shape = (case.batch, case.steps, case.inputs, case.size, case.size)
    return torch.randn(shape, device=where).requires_grad_(case.wants_input)


def _precision(dtype: torch.dtype, where: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast(where.type, dtype) if dtype == torch.bfloat16 else nullcontext()


def _work(model: nn.Module, frames: Tensor, dtype: torch.dtype, *, training: bool) -> None:
    if not training:
        with torch.inference_mode(), _precision(dtype, frames.device):
            model(frames)
        _finish(frames.device)
        return
    model.zero_grad(set_to_none=True)
    frames.grad = None
    with _precision(dtype, frames.device):
        output = model(frames)
    output.float().pow(2).mean().backward()
    _finish(frames.device)


def _finish(where: torch.device) -> None:
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def _ceiling(case: Case, dtype: torch.dtype, where: torch.device, *, training: bool) -> Candidate:
    """Every convolution of the case with all its steps in one batch."""
    if case.network:
        half, hidden = case.steps // 2, case.network
        encoder = [(half, i, n, i != case.inputs) for i, n in zip([case.inputs, *hidden], hidden, strict=False)]
        forecaster = [(half - 1, i, n, bool(i)) for i, n in zip([0, *hidden], hidden, strict=False)]
        layers = [*encoder, *forecaster]
    else:
        layers = [(case.steps, case.inputs, case.hidden, case.wants_input)]
    work = [_convolutions(case, (steps, i, n), dtype, where, wants=w, training=training) for steps, i, n, w in layers]

    def all_of() -> None:
        with torch.no_grad():
            for convolutions in work:
                convolutions()
        _finish(where)

    return all_of


def _convolutions(
    case: Case, sizes: tuple[int, int, int], dtype: torch.dtype, where: torch.device, *, wants: bool, training: bool
) -> Callable[[], None]:
    steps, inputs, hidden = sizes

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, device=where).to(dtype).contiguous(memory_format=torch.channels_last)

    pad, one, zero = [case.kernel // 2] * 2, [1, 1], [0, 0]
    images = drawn(steps * case.batch, inputs + hidden, case.size, case.size)
    weight = drawn(4 * hidden, inputs + hidden, case.kernel, case.kernel)
    results = drawn(steps * case.batch, 4 * hidden, case.size, case.size) if training else None
    shown = inputs + hidden if wants else hidden
    part, part_weight = (
        drawn(steps * case.batch, shown, case.size, case.size),
        weight[:, :shown].contiguous(memory_format=torch.channels_last),
    )

    def convolutions() -> None:
        nn.functional.conv2d(images, weight, padding=pad[0])
        if results is not None:
            back = torch.ops.aten.convolution_backward
            back(results, images, weight, None, one, pad, one, False, zero, 1, [False, True, False])
            back(results, part, part_weight, None, one, pad, one, False, zero, 1, [True, False, False])

    return convolutions


def _equal_loss(steps: int, where: torch.device) -> str:
    """The same short training three times: what does bfloat16 cost?"""
    lines = ["| path | loss at the start | loss at the end |", "|---|---|---|"]
    case = Case(10, 4, 1, 16, 3, 32)
    for name, which, dtype in (
        ("usual loop, fp32", "usual", torch.float32),
        ("echocast, fp32", "echocast", torch.float32),
        ("echocast, bf16", "echocast", torch.bfloat16),
    ):
        torch.manual_seed(0)
        usual, head = build(case, "usual"), nn.Conv2d(case.hidden, 1, 1)
        layer = usual if which == "usual" else _First(_same_weights(usual))
        model = nn.Sequential(layer, nn.Flatten(0, 1), head).to(where)
        adam, losses = torch.optim.Adam(model.parameters(), 3e-3), []
        drawn = torch.Generator().manual_seed(1)
        for _ in range(steps):
            frames = _drifting(case, drawn).to(where)
            with _precision(dtype, where):
                next_frames = model(frames[:, :-1])
            loss = (next_frames.float() - frames[:, 1:].flatten(0, 1)).pow(2).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(loss.item())
        tail = losses[-10:]
        lines.append(f"| {name} | {losses[0]:.4f} | {sum(tail) / len(tail):.5f} |")
    said = f"{steps} steps of Adam on drifting blobs (T=10 B=4 1->16 3x3 32x32, next frame, the same frames for all)."
    return "\n".join([f"{said} The end is the mean of the last ten.", "", *lines])


def _same_weights(usual: nn.Module) -> nn.Module:
    weights = {f"cell_list.0.{name.removeprefix('cell.')}": value for name, value in usual.state_dict().items()}
    return compat.convert("ndrplz", weights).layer(batch_first=True)


def _drifting(case: Case, drawn: torch.Generator) -> Tensor:
    start, speed = torch.rand(case.batch, 2, generator=drawn) * case.size, torch.randn(case.batch, 2, generator=drawn)
    when, axis = torch.arange(case.steps + 1), torch.arange(case.size)
    centre = (start[:, None] + when[None, :, None] * speed[:, None]) % case.size
    far = ((axis - centre[..., None] + case.size / 2) % case.size - case.size / 2) / 3
    return torch.exp(-(far[:, :, 0, :, None] ** 2) - far[:, :, 1, None, :] ** 2)[:, :, None]


def _memory(cases: tuple[Case, ...], where: torch.device, *, quick: bool) -> str:
    lines = [
        "Growth of a fresh process' largest resident size over that before the step, in MiB (the frames not counted).",
        "",
        "| training step | precision | echocast | usual loop | share | `gradient_checkpointing=True` | share |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in [case for case in cases if case.training]:
        for name in DTYPES if not quick else ("fp32",):
            ours, usual = (_peak(case, which, name, "training", where) for which in ("echocast", "usual"))
            again = None if case.network else _peak(case, "checkpointing", name, "training", where)
            tail = "| |" if again is None else f"{again:.0f} | {_percent(again, usual)} |"
            lines.append(f"| {case} | {name} | {ours:.0f} | {usual:.0f} | {_percent(ours, usual)} | {tail}")
    lengths = (8, 32, 128) if not quick else (2, 3)
    lines += [
        "",
        f"| fp32, B=2 1->32 3x3 64x64 | {' | '.join(f'T={t}' for t in lengths)} |",
        "|---|" + "---|" * len(lengths),
    ]
    for label, which, mode in (
        ("training, all hidden states used", "echocast", "training"),
        ("training, gradient checkpointing, last state used", "checkpointing", "last"),
        ("inference, last state", "echocast", "inference"),
    ):
        peaks = [_peak(Case(t, 2, 1, 32, 3, 64), which, "fp32", mode, where) for t in lengths]
        lines.append(f"| {label} | {' | '.join(f'{peak:.0f}' for peak in peaks)} |")
    return "\n".join(lines)


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""


def _peak(case: Case, which: str, precision: str, mode: str, where: torch.device) -> float:
    words = json.dumps([vars(case), which, precision, mode, str(where)])
    command = [sys.executable, "-W", "ignore", "-c", f"from benchmarks.layers import peak; peak({words!r})"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def peak(words: str) -> None:
    """Print the growth of this process' largest resident size (on CUDA: of what PyTorch holds there) through one step,
    in MiB; called in a fresh process."""
    values, which, precision, mode, device = json.loads(words)
    where = torch.device(device)
    case = Case(**values | {"network": tuple(values["network"])})
    dtype = DTYPES[precision]
    torch.manual_seed(0)
    model, frames = build(case, which).to(where), _frames(case, where)

    def step(frames: Tensor) -> None:
        if mode == "training":
            with _precision(dtype, where):
                output = model(frames)
            output.sum().backward()  # a loss that needs no memory of its own
        elif mode == "last":
            state = model.layer.last_state(frames)  # type: ignore[union-attr, operator]
            sum(part.sum() for part in state).backward()
        else:
            with torch.inference_mode():
                model.layer.last_state(frames)  # type: ignore[union-attr, operator]

    small = frames[:1, :2, :, :8, :8].detach().requires_grad_(frames.requires_grad)
    with fused.always():
        step(small)  # libraries loaded, kernels compiled
    before = _largest(where)
    step(frames)
    sys.stdout.write(f"{_largest(where) - before}\n")


def _largest(where: torch.device) -> float:
    if where.type == "cuda":
        return torch.cuda.max_memory_allocated(where) / 1024**2
    status = Path("/proc/self/status")
    if status.exists():  # not ru_maxrss, which a child process has from its parent
        return float(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
