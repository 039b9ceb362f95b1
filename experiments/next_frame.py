"""Next-frame prediction without labels: Keras' example on moving squares, viorik's autoencoder on moving digits.

    python experiments/next_frame.py squares --out runs/next_frame_squares        small, two cores
    python experiments/next_frame.py digits --out runs/next_frame_digits
    python experiments/next_frame.py squares --out runs/next_frame_squares --full --device cuda      published channels

Trains, measures the statistics of the batch normalisation anew, then scores sequences that were neither learned from
nor validated with: the next frame, and several frames of which each is made from the forecast of the one before. Writes
results.json, table.md and examples.png into the folder.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from echocast.models.base import LearnedForecaster
from echocast.models.keras_next_frame import KerasNextFrame
from echocast.synthetic import mnist, moving_mnist, moving_squares
from echocast.training import experiment as experiments
from echocast.training import fit

HERE = Path(__file__).parent
FILES = {"squares": "keras_next_frame.toml", "digits": "conv_autoencoder.toml"}
FULL = {
    "squares": ["model.hidden_channels=[40, 40, 40, 40]", "training.max_sequences=300_000"],
    "digits": ["model.features=32", "model.hidden_channels=45", "training.max_sequences=100_000"],
}
FORECAST = 7
TEST_SEED = 77


def test_sequences(what: str, count: int) -> Tensor:
    """Sequences (sequence, time, 1, y, x) that are for the last look alone."""
    if what == "squares":
        drawn = moving_squares.sequences(count=count, seed=TEST_SEED)
    else:
        drawn = moving_mnist.part("test", protocol="srivastava")[:count].astype(np.float32) / 255
    return torch.from_numpy(drawn)[:, :, None]


@torch.no_grad()
def measure_norms(model: LearnedForecaster, past: int) -> None:
    """The means and variances of the batch normalisation for the weights as they are now, over 60 sequences that are
    neither validated nor tested with: running ones are those of weights long gone after a short training."""
    if not isinstance(model, KerasNextFrame):
        return
    for norm in model.backbone.norms:
        norm.reset_running_stats()  # type: ignore[operator]  # they are batch normalisations
        norm.momentum = None  # the mean over all that follow
    drawn = torch.from_numpy(moving_squares.sequences(count=60, seed=TEST_SEED + 1)[:, :, None])
    model.train()
    for part in drawn.split(10):
        model.next_frames(part[:, : past + FORECAST - 1])
    model.eval()


def entropy(forecast: Tensor, truth: Tensor) -> float:
    """Mean binary cross-entropy of a pixel, in nats."""
    return float(binary_cross_entropy(forecast.clamp(1e-6, 1 - 1e-6), truth))


@torch.no_grad()
def scores(model: LearnedForecaster, test: Tensor, past: int) -> dict[str, float]:
    """Cross-entropy and squared error of the next frame and of `FORECAST`, beside a copy of the newest frame."""
    parts = [model.forecast(part[:, :past], FORECAST) for part in torch.split(test, 20)]
    made, truth = torch.cat(parts), test[:, past : past + FORECAST]
    copy = test[:, past - 1 : past].expand_as(truth)
    found = {}
    for name, forecast in (("network", made), ("copy", copy)):
        found |= {
            f"{name}: cross-entropy of the next frame": entropy(forecast[:, 0], truth[:, 0]),
            f"{name}: squared error of the next frame": float((forecast - truth)[:, 0].square().mean()),
            f"{name}: squared error of {FORECAST} frames": float((forecast - truth).square().mean()),
        }
    return found


@torch.no_grad()
def draw(model: LearnedForecaster, window: Tensor, past: int, out: Path) -> None:
    """The newest frames of one sequence, what followed, and the forecast."""
    made = model.forecast(window[None, :past], FORECAST)[0]
    rows = {"input": window[past - FORECAST : past], "truth": window[past : past + FORECAST], "forecast": made}
    figure = Figure(figsize=(1.35 * FORECAST, 4.2), layout="constrained")
    for line, (title, frames) in zip(figure.subplots(3, FORECAST), rows.items(), strict=True):
        for axis, frame in zip(line, frames, strict=True):
            axis.imshow(frame[0], cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(title)
    figure.savefig(out / "examples.png", dpi=80, facecolor="white")


def settings(given: argparse.Namespace) -> list[str]:
    """What the command line puts over the experiment's file."""
    own = [f"training.accelerator={'cpu' if given.device == 'cpu' else 'gpu'}"]
    own += FULL[given.what] if given.full else []
    if given.quick:
        own += ["training.max_sequences=16", "training.validations=1", "data.synthetic.validation_sequences=4"]
    return own


def main() -> None:
    """Train, score, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=FILES)
    parser.add_argument("--out", type=Path, default=Path("runs/next_frame"))
    parser.add_argument("--full", action="store_true", help="the published channels, for a GPU")
    parser.add_argument("--quick", action="store_true", help="two steps: shows that it runs, nothing more")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    logging.getLogger("echocast.training").addHandler(logging.StreamHandler(sys.stdout))
    logging.getLogger("echocast.training").setLevel(logging.INFO)
    experiment = experiments.load(HERE / FILES[given.what], settings(given))
    model = fit.fit_or_resume(experiment, given.out / "run")
    assert isinstance(model, LearnedForecaster)  # the experiment says so
    measure_norms(model, experiment.data.past)
    test, past = test_sequences(given.what, 20 if given.quick else 200), experiment.data.past
    found = {"weights": float(sum(weight.numel() for weight in model.parameters()))} | scores(model, test, past)
    (given.out / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    lines = [f"| {name} | {value:.6g} |" for name, value in found.items()]
    lines += [f"| digits | {mnist.digits_of('test')[1]} |"] if given.what == "digits" else []
    text = "\n".join(["| score | value |", "|---|---:|", *lines]) + "\n"
    (given.out / "table.md").write_text(text, encoding="utf-8")
    draw(model, test[0], past, given.out)
    print(text)


if __name__ == "__main__":
    main()
