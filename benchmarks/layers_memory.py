"""Memory of the recurrent layers in training, each figure of a process of its own: see `benchmarks.layers`."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.layers_cases import DTYPES, Case, build, has_bf16, make_frames, precision
from echocast.nn import fused

GRUS = (
    Case(10, 4, 64, 64, 3, 64, wants_input=True, gru=True),
    Case(10, 8, 128, 64, 5, 16, wants_input=True, gru=True),
    Case(10, 4, 1, 64, 3, 64, gru=True),
)


def table(cases: tuple[Case, ...], where: torch.device, *, quick: bool) -> str:
    """Memory of a training step, and how it grows with the number of time steps, in Markdown."""
    lines = [
        "Growth of a fresh process' largest resident size over that before the step, in MiB (the frames not counted).",
        "",
        "| training step | precision | echocast | usual loop | share | `gradient_checkpointing=True` | share |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in [case for case in (*cases, *(() if quick else GRUS)) if case.training]:
        for name in DTYPES if not quick else ("fp32",):
            lines.append(f"| {case} | {name} | {_row(case, name, where)} |")
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
        peaks = [measured(Case(t, 2, 1, 32, 3, 64), which, "fp32", mode, where) for t in lengths]
        lines.append(f"| {label} | {' | '.join(f'{peak:.0f}' for peak in peaks)} |")
    return "\n".join(lines)


def _row(case: Case, dtype: str, where: torch.device) -> str:
    """Our memory, the usual loop's and our share of it, and the same with gradient checkpointing."""
    slow = dtype == "bf16" and not has_bf16(where)
    if slow and case.gru:  # ours is in single operations too
        return "too slow here | | | | "
    usual = None if slow else measured(case, "usual", dtype, "training", where)
    told = []
    for which in ("echocast", "checkpointing"):
        ours = None if which == "checkpointing" and case.network else measured(case, which, dtype, "training", where)
        share = "" if ours is None or not usual else f"{100 * ours / usual:.0f} %"
        told.append(("" if ours is None else f"{ours:.0f}", share))
    loop = "too slow here" if usual is None else f"{usual:.0f}"
    return f"{told[0][0]} | {loop} | {told[0][1]} | {told[1][0]} | {told[1][1]}"


def measured(case: Case, which: str, dtype: str, mode: str, where: torch.device) -> float:
    """`peak` of a fresh process."""
    words = json.dumps([vars(case), which, dtype, mode, str(where)])
    command = [sys.executable, "-W", "ignore", "-c", f"from benchmarks.layers_memory import peak; peak({words!r})"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def peak(words: str) -> None:
    """Print the growth of this process' largest resident size (on CUDA: of what PyTorch holds there) through one step,
    in MiB; called in a fresh process."""
    values, which, dtype_name, mode, device = json.loads(words)
    where = torch.device(device)
    case = Case(**values | {"network": tuple(values["network"])})
    dtype = DTYPES[dtype_name]
    torch.manual_seed(0)
    model, frames = build(case, which).to(where), make_frames(case, where)

    def step(frames: Tensor) -> None:
        if mode == "training":
            with precision(dtype, where):
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
