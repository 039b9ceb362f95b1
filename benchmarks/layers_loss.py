"""What bfloat16 costs a short training: see `benchmarks.layers`."""

import torch
from torch import Tensor, nn

from benchmarks.layers_cases import Case, First, build, precision
from echocast.nn import compat

TITLE = "The shipped bf16 path against the usual loop's 32 bits"


def table(steps: int, where: torch.device) -> str:
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
        layer = usual if which == "usual" else First(_same_weights(usual))
        model = nn.Sequential(layer, nn.Flatten(0, 1), head).to(where)
        adam, losses = torch.optim.Adam(model.parameters(), 3e-3), []
        drawn = torch.Generator().manual_seed(1)
        for _ in range(steps):
            frames = _drifting(case, drawn).to(where)
            with precision(dtype, where):
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
