"""The recurrent layers: time and memory against the usual loop, Keras, and the convolutions alone.

- **usual**: one convolution over [x, h] per step, single operations for the gates (`usual_loop`).
- **Keras**: ConvLSTM2D of Keras 3 on PyTorch and JAX, in 32 bits, where the clock's time is measured; its layers have
  no network like the paper's.
- **ceiling**: the same convolutions alone, PyTorch's own, batched over all steps, channels-last, at the same precision;
  in training with the gradients of weights and of the images that need one.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from benchmarks import keras_times, layers_loss, layers_memory, timing
from benchmarks.layers_cases import CASES, DTYPES, QUICK, Case, build, finish, has_bf16, make_frames, work
from benchmarks.timing import Candidate, Spread, by_turns, geometric_mean
from echocast._version import __version__

GROUPS = ("inference", "training", "loss", "memory")

only: tuple[str, ...] = GROUPS
"""What `run` measures; `python -m benchmarks layers --only` sets it."""


_LARGE = 1000
"""Pixels along a side from which on a turn takes so long that none is spent on warming up."""


def run(*, quick: bool = False, rounds: int = 7, device: str = "cpu") -> str:
    """Measure and tell it in Markdown.

    Args:
        quick: tiny shapes, one round: shows that it runs, says nothing about speed.
        rounds: turns of each candidate.
        device: where to measure; Keras takes part on the CPU only.
    """
    cases, rounds = (QUICK, 1) if quick else (CASES, rounds)
    where = torch.device(device)
    chosen = f" --only {','.join(only)}" * (only != GROUPS) + " --cpu-time" * timing.is_of_processor()
    report = [
        "# Recurrent layers: speed and memory",
        f"`python -m benchmarks layers{' --quick' * quick}{chosen}`: echocast {__version__}, "
        f"torch {torch.__version__}, {_machine(where)}, {torch.get_num_threads()} threads, {rounds} turns. "
        f"Milliseconds{timing.of_what()}: median (quartiles).",
        (__doc__ or "").partition("\n\n")[2],
    ]
    parts: dict[str, tuple[str, Callable[[], str]]] = {
        "inference": ("Inference", lambda: _times(cases, False, rounds, where)),
        "training": ("Training step (forward and backward)", lambda: _times(cases, True, rounds, where)),
        "loss": (layers_loss.TITLE, lambda: layers_loss.table(60 if not quick else 2, where)),
        "memory": ("Memory", lambda: layers_memory.table(cases, where, quick=quick)),
    }
    for name in only:
        title, measure = parts[name]
        report += [f"## {title}", measure()]
    return "\n\n".join(part.strip() for part in report) + "\n"


def _machine(where: torch.device) -> str:
    return timing.processor() if where.type == "cpu" else torch.cuda.get_device_name(where)


def _times(all_cases: tuple[Case, ...], training: bool, rounds: int, where: torch.device) -> str:
    cases = [case for case in all_cases if case.training or not training]
    lines = [
        "| shape | precision | echocast | usual loop | ratio | ceiling | share | Keras/torch | Keras/JAX |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ratios: dict[str, list[float]] = {"fp32": [], "bf16": [], "bf16 against the usual loop in fp32": []}
    with _keras_workers(where) as keras:
        for case in cases:
            usual_fp32 = 0.0
            for name, dtype in DTYPES.items():
                candidates = _candidates(case, dtype, where, training=training)
                if name == "fp32" and not case.network:
                    candidates |= {backend: _keras(keras[backend], case, training) for backend in keras}
                spent = by_turns(candidates, rounds, warm=case.size < _LARGE)
                ours = spent["echocast"].median
                usual_fp32 = usual_fp32 or spent["usual"].median
                if name == "bf16":
                    ratios["bf16 against the usual loop in fp32"].append(usual_fp32 / ours)
                others = [_other(spent, backend, ours) for backend in ("torch", "jax")]
                lines.append(f"| {case} | {name} | {_row(spent, ratios[name])} | {others[0]} | {others[1]} |")
    means = [
        f"- {name}: geometric mean of the ratios {geometric_mean(values):.2f}, least {min(values):.2f}"
        for name, values in ratios.items()
        if values
    ]
    note = [] if has_bf16(where) else ["", _without_bf16(rounds, training=training)]
    return "\n".join([*lines, "", *means, *note])


def _row(spent: dict[str, Spread], ratios: list[float]) -> str:
    """Our time, the usual loop's, their ratio, the ceiling and our share of it."""
    ours = spent["echocast"].median
    if "usual" not in spent:
        return f"{spent['echocast']} | | | | "
    ratios.append(spent["usual"].median / ours)
    share = f"{100 * spent['ceiling'].median / ours:.0f} %"
    return f"{spent['echocast']} | {spent['usual']} | **{ratios[-1]:.2f}** | {spent['ceiling']} | {share}"


def _keras_workers(where: torch.device) -> AbstractContextManager[Mapping[str, keras_times.Worker]]:
    if where.type == "cpu" and not timing.is_of_processor():
        return keras_times.workers(torch.get_num_threads())
    return nullcontext({})


def _without_bf16(rounds: int, *, training: bool) -> str:
    """What is left out, and on one small shape why."""
    case, where = Case(4, 1, 16, 16, 3, 32), torch.device("cpu")
    told = []
    for name, dtype in DTYPES.items():
        made = _candidates(case, dtype, where, training=training, all_of_them=True)
        spent = by_turns({which: made[which] for which in ("echocast", "usual")}, rounds)
        told.append(f"in {name} echocast {spent['echocast']}, the usual loop {spent['usual']}")
    return (
        "This processor has no instructions for bfloat16, and PyTorch's convolutions take many times as long in it, so "
        f"that the usual loop and the ceiling are left out. On {case}: {'; '.join(told)}."
    )


def _other(spent: dict[str, Spread], name: str, ours: float) -> str:
    if name not in spent:
        return ""
    if math.isinf(spent[name].median):
        return f"over {keras_times.LIMIT:.0f} s"
    return f"{spent[name]}, {spent[name].median / ours:.1f}x"


def _keras(worker: keras_times.Worker, case: Case, training: bool) -> Candidate:
    shape = (case.steps, case.batch, case.inputs, case.hidden, case.kernel, case.size)
    return lambda: worker.seconds(shape, training=training)


def _candidates(
    case: Case, dtype: torch.dtype, where: torch.device, *, training: bool, all_of_them: bool = False
) -> dict[str, Candidate]:
    torch.manual_seed(0)
    ours, usual, frames = build(case, "echocast").to(where), build(case, "usual").to(where), make_frames(case, where)
    made: dict[str, Candidate] = {"echocast": lambda: work(ours, frames, dtype, training=training)}
    if all_of_them or dtype == torch.float32 or has_bf16(where):
        made["usual"] = lambda: work(usual, frames, dtype, training=training)
        made["ceiling"] = _ceiling(case, dtype, where, training=training)
    return made


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
        finish(where)

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
