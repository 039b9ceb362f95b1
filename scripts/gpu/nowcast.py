"""The nowcast: `lagrangian`'s network, wider, in large batches, from frames and motion that wait on the device."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pack import CELL, FUTURE, PAST, table
from parts import Part
from torch import Tensor, nn
from torch.nn.functional import interpolate

from echocast import checkpoint
from echocast.context import Context
from echocast.models.base import REGISTRY
from echocast.models.lagrangian import Lagrangian
from echocast.training import losses
from echocast.training.optimiser import Optimiser
from training import Run, train

THRESHOLDS = (0.5, 1.0, 2.0, 5.0)
LENGTH = PAST + FUTURE
SQUARE = 120
"""Cells along the side of what is cut out of a larger grid."""


@dataclass(frozen=True)
class Archive:
    """Frames in 8 bits and motion on a coarse grid, on the device.

    Args:
        frames: (time, y, x).
        motion: (time, 2, rows, columns), in pixels a time step.
        starts: the first frame of each window.
        chances: how likely each window is.
        context: cell size and time step.
        rates: the rate of each byte.
    """

    frames: Tensor
    motion: Tensor
    starts: Tensor
    chances: Tensor
    context: Context
    rates: Tensor

    def windows(self, first: Tensor, y: int, x: int) -> tuple[Tensor, Tensor]:
        """Rates (batch, time, 1, y, x) and motion (batch, 2, y, x) of windows, a square of each at (y, x)."""
        times = first[:, None] + torch.arange(LENGTH, device=first.device)
        rows, columns = slice(y, y + SQUARE), slice(x, x + SQUARE)
        rain = self.rates[self.frames[times][..., rows, columns].long()].unsqueeze(2)
        coarse = self.motion[first + PAST - 1].float()
        full = interpolate(coarse, scale_factor=CELL, mode="bilinear", align_corners=False)
        return rain, full[..., rows, columns][..., : rain.shape[-2], : rain.shape[-1]]


def run(part: Part) -> None:
    """Train; tells the CSI by threshold of the best weights."""
    archives, validation = _tiny(part.device) if part.given.tiny else _load(part.given.data, part.device)
    hidden = [8, 8] if part.given.tiny else [int(n) for n in part.given.hidden.split(",")]
    main = next(iter(archives.values()))
    model = Lagrangian(
        hidden_channels=hidden, grid_km=main.context.grid_km, time_step_minutes=main.context.time_step_minutes
    )
    model = _started(model.to(part.device), part)
    loss = losses.Firm().to(part.device)
    settings = Optimiser(learning_rate=1e-3, weight_decay=0.1)
    learned = [w for name, w in model.named_parameters() if name.startswith(("encoder", "forecaster", "output"))]
    batch = 2 if part.given.tiny else part.given.batch
    trial = Run(
        "lagrangian",
        model,
        settings.make(learned),
        partial(_loss, model, loss, list(archives.values()), batch),
        partial(_csi, validation),
        lambda network, path: REGISTRY.save(network, path),  # type: ignore[arg-type]
        average=0.997,
        clip=1.0,
        most_steps=3 if part.given.tiny else 10**9,
    )
    train(part, trial)
    _tell(part, hidden, validation)


def _started(model: Lagrangian, part: Part) -> Lagrangian:
    """With the shipped weights, where they fit."""
    shipped = Path(losses.__file__).parents[1] / "weights" / "lagrangian.safetensors"
    weights = checkpoint.read(shipped, task="forecaster").weights
    own = model.state_dict()
    fits = weights.keys() == own.keys() and all(weights[name].shape == own[name].shape for name in own)
    if fits:
        model.load_state_dict(weights)
    part.tell("begins with", "the shipped weights" if fits else "new weights (the shipped ones have another width)")
    return model


def _loss(model: Lagrangian, loss: nn.Module, archives: list[Archive], batch: int, step: int) -> Tensor:
    """Of a batch of one archive: the first in three steps of four."""
    rng = np.random.default_rng([1, step])
    other = len(archives) > 1 and rng.random() < 0.25
    archive = archives[int(rng.integers(1, len(archives)))] if other else archives[0]
    torch.manual_seed(step)
    drawn = torch.multinomial(archive.chances, batch, replacement=len(archive.chances) < batch)
    y, x = (int(rng.integers(0, max(0, n - SQUARE) + 1)) for n in archive.frames.shape[-2:])
    rain, motion = _mirrored(*archive.windows(archive.starts[drawn], y, x), rng)
    rain = rain * float(np.exp(rng.normal(0.0, 0.1)))
    with torch.autocast(rain.device.type, torch.bfloat16, enabled=rain.is_cuda):
        logits = model(model.scaling.to_level(rain[:, :PAST]), FUTURE, archive.context, motion)
    value: Tensor = loss(logits.float(), rain[:, PAST:], model.scaling, archive.context.time_step_minutes)
    return value


def _mirrored(rain: Tensor, motion: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    for axis, component in ((-2, 0), (-1, 1)):
        if rng.random() < 0.5:
            rain, motion = rain.flip(axis), motion.flip(axis).clone()
            motion[:, component] *= -1
    if rain.shape[-1] == rain.shape[-2] and rng.random() < 0.5:
        rain, motion = rain.transpose(-1, -2), motion.transpose(-1, -2).flip(1)
    return rain, motion


@torch.inference_mode()
def _scores(network: nn.Module, archive: Archive) -> dict[float, float]:
    """The CSI by threshold: pooled over windows, a mean over leads."""
    counts = torch.zeros(len(THRESHOLDS), FUTURE, 3, device=archive.frames.device)
    for first in archive.starts.split(8):
        rain, motion = archive.windows(first, 0, 0)
        scaling = network.scaling
        logits = network(scaling.to_level(rain[:, :PAST]), FUTURE, archive.context, motion)
        forecast, observed = scaling.to_values(torch.sigmoid(logits.float())), rain[:, PAST:]
        seen = observed.isfinite()
        for n, threshold in enumerate(THRESHOLDS):
            yes, truth = (forecast >= threshold) & seen, (observed >= threshold) & seen
            both = [yes & truth, ~yes & truth, yes & ~truth]
            counts[n] += torch.stack([one.sum(dim=(0, 2, 3, 4)) for one in both], dim=-1)
    csi = (counts[..., 0] / counts.sum(dim=-1).clamp(min=1)).mean(dim=1)
    return dict(zip(THRESHOLDS, csi.tolist(), strict=True))


def _csi(archive: Archive, network: nn.Module) -> float:
    return float(np.mean(list(_scores(network, archive).values())))


def _tell(part: Part, hidden: list[int], validation: Archive) -> None:
    best = part.out / "lagrangian.safetensors"
    if not best.exists():
        return
    stored = checkpoint.read(best, task="forecaster")
    model = Lagrangian(hidden_channels=hidden, grid_km=validation.context.grid_km)
    model.time_step_minutes = validation.context.time_step_minutes
    model.load_state_dict(stored.weights)
    scores = _scores(model.eval().to(part.device), validation)
    part.tell("CSI at " + "/".join(f"{t:g}" for t in scores) + " mm/h", "/".join(f"{v:.3f}" for v in scores.values()))


def _load(path: Path, device: torch.device) -> tuple[dict[str, Archive], Archive]:
    packed = np.load(path, allow_pickle=False)
    names = [name.partition("/")[0] for name in packed.files if name.endswith("/frames")]
    archives = {name: _archive(packed, name, device) for name in names}
    validation = archives.pop("validation")
    few = validation.starts[torch.linspace(0, len(validation.starts) - 1, 96).long()]
    return archives, replace(validation, starts=few)


def _archive(packed: "np.lib.npyio.NpzFile", name: str, device: torch.device) -> Archive:
    frames, motion = (torch.from_numpy(packed[f"{name}/{key}"]) for key in ("frames", "motion"))
    cell_km, step = packed[f"{name}/cell_km_step_minutes"].tolist()
    return make(frames, motion, packed[f"{name}/lengths"], Context(round(cell_km, 3), step), device)


def make(frames: Tensor, motion: Tensor, lengths: np.ndarray, context: Context, device: torch.device) -> Archive:
    """An archive of segments one after the other: windows with rain, wet ones likelier."""
    rates = torch.from_numpy(table())
    wet = torch.stack([(rates[one.long()] >= 0.5).float().mean() for one in frames])
    ends = np.cumsum(lengths)
    ranges = zip(ends - lengths, ends, strict=True)
    starts = torch.from_numpy(np.concatenate([np.arange(a, max(a, b - LENGTH + 1)) for a, b in ranges]))
    sums = torch.cat([torch.zeros(1), wet.cumsum(0)])
    share = (sums[starts + LENGTH] - sums[starts]) / LENGTH
    kept = share >= 0.005
    if not kept.any():
        raise ValueError(f"no window of {LENGTH} frames has rain on 0.5 % of its pixels")
    chances = share[kept].clamp(0.02, 0.2)
    return Archive(
        frames.to(device), motion.to(device), starts[kept].to(device), chances.to(device), context, rates.to(device)
    )


def _tiny(device: torch.device) -> tuple[dict[str, Archive], Archive]:
    """A moving blob, to try the programme."""
    y, x = np.mgrid[:32, :40]
    frames = np.stack([255 * 0.6 * np.exp(-((y - 10 - t / 3) ** 2 + (x - 8 - t / 2) ** 2) / 40) for t in range(34)])
    motion = np.zeros((34, 2, 4, 5), np.float16)
    motion[:, 0], motion[:, 1] = 1 / 3, 1 / 2
    archive = make(
        torch.from_numpy(frames.astype(np.uint8)), torch.from_numpy(motion), np.array([34]), Context(4.0, 5.0), device
    )
    return {"blob": archive}, archive
