"""ConvLSTM and PredRNN on Moving MNIST by OpenSTL's protocol, with equally many weights and training sequences.

    python experiments/moving_mnist_openstl.py --out runs/openstl                             small, two cores
    python experiments/moving_mnist_openstl.py --out runs/openstl --full --device cuda        the published sizes

MSE and MAE are sums over the pixels of a frame, SSIM is as OpenSTL computes it; all are means over frames. The weights
are chosen on validation sequences of the training digits; the test sequences are scored once, at the end. Writes
results.json, table.md and examples.png.
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from moving_mnist import FUTURE, PAST, score, windows

from echocast.synthetic import mnist, moving_mnist
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.training.data import open_sources

HERE = Path(__file__).parent
NETWORKS = {"convlstm": "moving_mnist_openstl.toml", "predrnn": "moving_mnist_openstl_predrnn.toml"}
TITLES = {"convlstm": "ConvLSTM encoder-forecaster", "predrnn": "PredRNN", "copy": "the last frame again"}
FULL = {
    "convlstm": ["model.hidden_channels=[128,128,128,128]", "model.input_kernel=5", "model.state_kernels=5"],
    "predrnn": [
        "model.hidden_channels=128", "model.num_layers=4", "model.kernel=5", "model.sampling_batches=50000",
        "optimiser.learning_rate=1e-3",
    ],
}  # fmt: skip


class Copy(torch.nn.Module):
    """The last past frame again and again, as logits."""

    def forward(self, past: torch.Tensor, steps: int) -> torch.Tensor:
        """Logits of the future."""
        return torch.logit(past[:, -1:].clamp(1e-6, 1 - 1e-6)).expand(-1, steps, -1, -1, -1)


def table(results: dict[str, dict[str, float]], training: experiments.Training) -> str:
    """Markdown."""
    lines = [
        f"Moving MNIST (OpenSTL's protocol), {training.steps * training.batch_size} training sequences for each,"
        f" seed {training.seed}; digits: {mnist.digits_of('train')[1]}.",
        "",
        "| forecast | weights | MSE | MAE | SSIM | PSNR | seconds of training |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {TITLES[name]} | {r['parameters']:,.0f} | {r['mse']:.1f} | {r['mae']:.1f} | {r['ssim']:.4f} |"
        f" {r['psnr']:.2f} | {r['seconds']:.0f} |"
        for name, r in results.items()
    ]
    return "\n".join([*lines, ""])


@torch.no_grad()
def draw(out: Path, models: dict[str, Any], window: torch.Tensor) -> None:
    """One test sequence, every other frame."""
    rows = [("input", window[0, :PAST, 0]), ("truth", window[0, PAST:, 0])]
    rows += [
        (TITLES[name], torch.sigmoid(model.cpu()(window[:, :PAST], FUTURE))[0, :, 0]) for name, model in models.items()
    ]
    figure = Figure(figsize=(8.5, 1.1 * len(rows)), layout="constrained")
    for line, (title, frames) in zip(figure.subplots(len(rows), 5), rows, strict=True):
        for axis, frame in zip(line, frames[1::2], strict=True):
            axis.imshow(frame, cmap="gray", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(title.replace(" ", "\n", 1), rotation=0, ha="right", va="center", fontsize=8)
    figure.savefig(out / "examples.png", dpi=90, facecolor="white")


def main() -> None:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/moving_mnist_openstl"))
    parser.add_argument("--quick", action="store_true", help="a few tiny steps: shows that it runs, nothing more")
    parser.add_argument("--full", action="store_true", help="the published sizes and 200 epochs, for a GPU")
    parser.add_argument("--test-file", type=Path, help="mnist_test_seq.npy; else test sequences are drawn alike")
    parser.add_argument("--test-sequences", type=int, help="only the first so many")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    logging.getLogger("echocast.training").addHandler(logging.StreamHandler(sys.stdout))
    logging.getLogger("echocast.training").setLevel(logging.INFO)
    settings = [f"training.accelerator={'cpu' if given.device == 'cpu' else 'gpu'}"]
    if given.quick:
        settings += ["training.max_sequences=16", "training.validations=1", "data.synthetic.validation_sequences=8"]
    if given.full:
        settings += ["training.max_sequences=2_000_000", "training.batch_size=16", "training.validations=200"]
    planned = {
        name: experiments.load(HERE / file, [*settings, *(FULL[name] if given.full else [])])
        for name, file in NETWORKS.items()
    }
    sources = open_sources(planned["convlstm"].data)
    models: dict[str, Any] = {}
    results: dict[str, dict[str, float]] = {}
    for name, one in planned.items():
        models[name] = fit.fit_or_resume(one, given.out / name, sources=sources)
    count = 8 if given.quick else given.test_sequences
    test = windows(moving_mnist.part("test", protocol="openstl", test_file=given.test_file), count)
    for name, model in (models | {"copy": Copy()}).items():
        results[name] = score(model, test, given.device)
        results[name]["parameters"] = float(sum(p.numel() for p in model.parameters()))
        seconds = given.out / name / "metrics.csv"
        times = np.genfromtxt(seconds, delimiter=",", names=True)["seconds"] if seconds.exists() else np.zeros(1)
        results[name]["seconds"] = float(times.max())
    (given.out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    text = table(results, planned["convlstm"].training)
    (given.out / "table.md").write_text(text, encoding="utf-8")
    draw(given.out, models, test[0].unsqueeze(0))
    print(text)


if __name__ == "__main__":
    main()
