"""One way to train both networks: steps until the time is up, a moving average, checkpoints, the best by a score.

The learning rate falls with the share of the time that is used, so a run ends trained however fast the machine is. A
later day begins at its own full rate, from the weights, averages and moments of the day before.
"""

import copy
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from parts import Part
from torch import Tensor, nn

PIECE_BYTES = 15_000_000
"""Checkpoints are written in pieces of this size, since what brings results back may limit the size of a file."""


@dataclass
class Run:
    """A training.

    Args:
        name: of its files.
        network: what is trained.
        optimiser: at its full learning rate.
        loss: of a new batch, given the number of the step.
        score: of a network, the higher the better.
        save: writes a network's weights.
        average: how much of the averaged weights each step keeps; 0 for none.
        clip: the largest norm of a gradient; 0 for any.
        falls: the share of the time, at the end, over which the learning rate falls to 0.
        most_steps: the end, if the time does not come first.
    """

    name: str
    network: nn.Module
    optimiser: torch.optim.Optimizer
    loss: Callable[[int], Tensor]
    score: Callable[[nn.Module], float]
    save: Callable[[nn.Module, Path], None]
    average: float = 0.0
    clip: float = 0.0
    falls: float = 0.5
    most_steps: int = 10**9


def train(part: Part, run: Run, *, keep_seconds: float = 60.0) -> None:
    """Train until the part's time is up; tells steps, loss and the best score."""
    averaged = copy.deepcopy(run.network).requires_grad_(False) if run.average else run.network
    state = _resumed(part, run, averaged)
    first, best = state["step"], state["best"]
    began, reserve = time.monotonic(), 0.0
    length = max(1.0, part.left())
    rates = [group["lr"] for group in run.optimiser.param_groups]
    step, seen, next_save = first, [], time.monotonic() + keep_seconds
    while step < first + run.most_steps and part.left() > reserve:
        used = min(1.0, (time.monotonic() - began) / length)
        for group, rate in zip(run.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * _factor(used, step - first, run.falls)
        loss = _step(run, step)
        step += 1
        if run.average:
            _follow(averaged, run.network, run.average, step)
        if step % 20 == 0 or step == first + 1:
            seen.append(float(loss))
            if not math.isfinite(seen[-1]):
                raise ArithmeticError(f"the loss is {seen[-1]} at step {step}")
        if time.monotonic() > next_save or part.left() <= reserve:
            before = time.monotonic()
            best = _keep(part, run, averaged, step, best)
            reserve = 1.5 * (time.monotonic() - before) + 2.0
            next_save = time.monotonic() + keep_seconds
    seconds = time.monotonic() - began
    best = _keep(part, run, averaged, step, best)
    part.tell(f"{run.name}: steps", f"{step - first} in {seconds:.0f} s, {step} in all")
    part.tell(f"{run.name}: loss", f"{seen[0]:.4f} at first, {seen[-1]:.4f} at last")
    part.tell(f"{run.name}: best score on validation", f"{best:.4f}")


def _step(run: Run, step: int) -> Tensor:
    run.network.train()
    run.optimiser.zero_grad(set_to_none=True)
    loss = run.loss(step)
    loss.backward()
    if run.clip:
        nn.utils.clip_grad_norm_(run.network.parameters(), run.clip)
    run.optimiser.step()
    return loss.detach()


def _factor(used: float, step: int, falls: float) -> float:
    return min(1.0, (step + 1) / 50, (1.0 - used) / falls if falls else 1.0)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float, step: int) -> None:
    share = 1.0 - min(keep, (1.0 + step) / (10.0 + step))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), share)


def _keep(part: Part, run: Run, averaged: nn.Module, step: int, best: float) -> float:
    """Score, save the weights if they are the best so far, and save all that a later day needs."""
    averaged.eval()
    score = run.score(averaged)
    print(f"  {run.name}: step {step}, score {score:.4f}, {part.left():.0f} s left", flush=True)
    if score > best:
        best = score
        run.save(averaged, part.out / f"{run.name}.safetensors")
    state = {
        "step": step,
        "best": best,
        "network": run.network.state_dict(),
        "averaged": averaged.state_dict() if run.average else None,
        "optimiser": run.optimiser.state_dict(),
    }
    write_pieces(part.out / f"{run.name}.ckpt", state)
    return best


def _resumed(part: Part, run: Run, averaged: nn.Module) -> dict[str, Any]:
    folder = part.given.resume
    if folder is None or not (folder / f"{run.name}.ckpt.0").exists():
        return {"step": 0, "best": -math.inf}
    state = read_pieces(folder / f"{run.name}.ckpt", part.device)
    rates = [group["lr"] for group in run.optimiser.param_groups]
    run.network.load_state_dict(state["network"])
    run.optimiser.load_state_dict(state["optimiser"])
    for group, rate in zip(run.optimiser.param_groups, rates, strict=True):
        group["lr"] = rate
    if run.average:
        averaged.load_state_dict(state["averaged"])
    part.tell(f"{run.name}: gone on from", f"step {state['step']}, best score {state['best']:.4f}")
    return state


def write_pieces(path: Path, state: dict[str, Any]) -> None:
    """Save a state as `path`.0, `path`.1, ...: all of one save, each whole or not at all."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    count = -(-len(content) // PIECE_BYTES)
    for number in range(count):
        part = path.with_name(f"{path.name}.{number}.part")
        part.write_bytes(content[number * PIECE_BYTES : (number + 1) * PIECE_BYTES])
    for number in range(count):
        path.with_name(f"{path.name}.{number}.part").replace(path.with_name(f"{path.name}.{number}"))


def read_pieces(path: Path, device: torch.device) -> dict[str, Any]:
    """What `write_pieces` saved."""
    content = b""
    number = 0
    while (piece := path.with_name(f"{path.name}.{number}")).exists():
        content += piece.read_bytes()
        number += 1
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return state
