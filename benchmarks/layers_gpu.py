"""What a user of a GPU can choose for a ConvLSTM, beside the usual loop: channels-last, TF32, bf16, graphs, compilers.

- **channels-last**: the weights of layer or loop lie so, and what the convolutions give then does.
- **graph**: `echocast.nn.graphs.capture`; on a CPU there is none.
- **compiled**: the usual loop by `torch.compile`, for the first shape alone, as compiling takes its time.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from benchmarks.layers_cases import CASES, QUICK, Case, build, make_frames, work
from benchmarks.timing import Candidate, by_turns
from echocast._version import __version__
from echocast.nn import graphs

PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


def run(*, quick: bool = False, rounds: int = 7, device: str = "cpu") -> str:
    """Measure every choice and tell it in Markdown."""
    where = torch.device(device)
    cases: tuple[Case, ...] = QUICK if quick else CASES
    rounds = 1 if quick else rounds
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else f"{platform.machine()} CPU"
    head = (
        f"`python -m benchmarks layers_gpu --device {where.type}{' --quick' * quick}`: echocast {__version__}, "
        f"torch {torch.__version__}, {name}, {rounds} turns. Milliseconds: median (quartiles)."
    )
    return f"# Recurrent layers: choices on a GPU\n\n{head}\n\n{table(cases, rounds, where)}\n"


def table(cases: tuple[Case, ...], rounds: int, where: torch.device) -> str:
    """Inference and training of every layer among the cases, in Markdown."""
    names = ("echocast", "channels-last", "graph", "usual", "usual channels-last", "compiled")
    lines = [
        (__doc__ or "").partition("\n\n")[2].strip(),
        "",
        f"| shape | precision | {' | '.join(names)} | usual / echocast | fastest usual / fastest echocast |",
        "|---|---|" + "---|" * (len(names) + 2),
    ]
    layers = [case for case in cases if not case.network]
    for case in layers:
        for training in (False, True) if case.training else (False,):
            for name, dtype in PRECISIONS.items():
                with _tf32(name == "tf32"):
                    made = _candidates(case, dtype, where, training=training, compiles=case is layers[0])
                    spent = by_turns(made, rounds)
                told = " | ".join(str(spent[one]) if one in spent else "" for one in names)
                plain = spent["usual"].median / spent["echocast"].median
                ours, theirs = (min(spent[n].median for n in names[part] if n in spent) for part in _SIDES)
                what = f"{case}, {'training' if training else 'inference'}"
                lines.append(f"| {what} | {name} | {told} | {plain:.2f} | **{theirs / ours:.2f}** |")
    return "\n".join(lines)


_SIDES = slice(0, 3), slice(3, 6)


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _candidates(
    case: Case, dtype: torch.dtype, where: torch.device, *, training: bool, compiles: bool
) -> dict[str, Candidate]:
    torch.manual_seed(0)
    frames = make_frames(case, where)
    made: dict[str, nn.Module] = {}
    for which, name in (("echocast", ""), ("usual", "usual ")):
        model = build(case, which).to(where)
        made[which] = model
        made[f"{name}channels-last"] = build(case, which).to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if where.type == "cuda":
        made["graph"] = _Graph(made["echocast"], frames, dtype, training=training)
        if compiles:
            made["compiled"] = torch.compile(made["usual"])  # type: ignore[assignment]
    return {name: _bound(model, frames, dtype, training=training) for name, model in made.items()}


def _bound(model: nn.Module, frames: Tensor, dtype: torch.dtype, *, training: bool) -> Candidate:
    return lambda: work(model, frames, dtype, training=training)


class _Graph(nn.Module):
    """The layer as graphs; what they compute in is decided here, whatever is set when they run."""

    def __init__(self, model: nn.Module, frames: Tensor, dtype: torch.dtype, *, training: bool) -> None:
        super().__init__()
        self.first = model
        layer, enabled = model.layer, dtype == torch.bfloat16
        cast = torch.autocast(frames.device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)
        with torch.set_grad_enabled(training), cast:
            self._run = graphs.capture(layer, frames)  # type: ignore[arg-type]  # a module does not say what it holds

    def forward(self, x: Tensor) -> Tensor:
        return self._run(x)[0]
