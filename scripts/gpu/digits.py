"""Moving MNIST by the protocol of the ConvLSTM paper: its best network at full width, while there is time."""

from functools import partial

import numpy as np
import torch
from parts import Part
from torch import Tensor, nn

from echocast.models.base import REGISTRY
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.models.scaling import ImageScaling
from echocast.training import losses
from echocast.training.optimiser import Optimiser
from training import Run, train

PAST = FUTURE = 10
SIZE, DIGIT = 64, 28
SETS = {"train": slice(0, 10_000), "validation": slice(10_000, 12_000), "test": slice(12_000, 15_000)}


def run(part: Part) -> None:
    """Train; tells the cross-entropy of the validation set, in nats a frame sequence."""
    sets = _sets(part)
    hidden, kernel = ([8, 8, 8], 3) if part.given.tiny else ([128, 64, 64], 5)
    network = EncoderForecaster(
        hidden_channels=hidden, input_kernel=kernel, state_kernels=kernel, patch=4, scaling=ImageScaling()
    ).to(part.device)
    batch = 2 if part.given.tiny else 16
    settings = Optimiser(name="rmsprop", learning_rate=1e-3)
    loss = losses.CrossEntropy().to(part.device)
    trial = Run(
        "moving_mnist",
        network,
        settings.make(network.parameters()),
        partial(_loss, network, loss, sets["train"], batch),
        lambda trained: -_mean_loss(trained, loss, sets["validation"][:500]),
        lambda trained, path: REGISTRY.save(trained, path),  # type: ignore[arg-type]
        falls=0.0,
        most_steps=2 if part.given.tiny else 10**9,
    )
    train(part, trial)
    part.tell("weights", f"{sum(weight.numel() for weight in network.parameters()):,}")
    part.tell("cross-entropy on validation, nats a sequence", f"{_mean_loss(network, loss, sets['validation']):.1f}")


def _loss(network: nn.Module, loss: nn.Module, stored: Tensor, batch: int, step: int) -> Tensor:
    """Of a batch; every sequence once before any comes again."""
    each = max(1, len(stored) // batch)
    order = np.random.default_rng([2, step // each]).permutation(len(stored))
    rows = torch.from_numpy(order[step % each * batch :][:batch]).to(stored.device)
    return _of(network, loss, stored[rows])


def _of(network: nn.Module, loss: nn.Module, stored: Tensor) -> Tensor:
    frames = stored.unsqueeze(2).float() / 255
    with torch.autocast(frames.device.type, torch.bfloat16, enabled=frames.is_cuda):
        logits = network(frames[:, :PAST], FUTURE)
    value: Tensor = loss(logits.float(), frames[:, PAST:], network.scaling)
    return value


@torch.inference_mode()
def _mean_loss(network: nn.Module, loss: nn.Module, stored: Tensor) -> float:
    losses_ = [float(_of(network, loss, some)) * len(some) for some in stored.split(100)]
    return sum(losses_) / len(stored)


def _sets(part: Part) -> dict[str, Tensor]:
    if part.given.tiny and part.given.data is None:
        rng = np.random.default_rng(0)
        pool, count = rng.integers(0, 256, (20, DIGIT, DIGIT)).astype(np.uint8), 6
        chosen = rng.integers(0, 20, (count, 2))
        corners = rng.integers(0, SIZE - DIGIT + 1, (count, 2, PAST + FUTURE, 2))
        drawn_ = drawn(pool, chosen, corners, part.device)
        return {"train": drawn_[:4], "validation": drawn_[4:]}
    packed = np.load(part.given.data, allow_pickle=False)
    pool, chosen, corners = (packed[f"digits/{name}"] for name in ("pool", "chosen", "corners"))
    wanted = {"train", "validation"}
    return {name: drawn(pool, chosen[s], corners[s], part.device) for name, s in SETS.items() if name in wanted}


def drawn(pool: np.ndarray, chosen: np.ndarray, corners: np.ndarray, device: torch.device) -> Tensor:
    """The sequences in 8 bits (sequence, frame, y, x): digits at their corners, the brighter pixel on top."""
    digits = torch.from_numpy(pool).to(device)
    canvas = torch.zeros(len(chosen), corners.shape[2], SIZE * SIZE, dtype=torch.uint8, device=device)
    y, x = np.mgrid[:DIGIT, :DIGIT]
    inside = torch.from_numpy(y * SIZE + x).to(device)
    places = torch.from_numpy(corners.astype(np.int64)).to(device)
    for d in range(chosen.shape[1]):
        pixels = digits[torch.from_numpy(chosen[:, d].astype(np.int64)).to(device)]
        at = (places[:, d, :, 0] * SIZE + places[:, d, :, 1])[..., None, None] + inside
        values = pixels[:, None].expand(-1, corners.shape[2], -1, -1)
        canvas.scatter_reduce_(2, at.flatten(2), values.flatten(2), "amax")
    return canvas.unflatten(2, (SIZE, SIZE))
