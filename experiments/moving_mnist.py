"""Table 1 of the ConvLSTM paper: six networks on Moving MNIST, and three digits that none of them saw.

    python experiments/moving_mnist.py --out runs/moving_mnist             reduced: a quarter of the widths, two cores
    python experiments/moving_mnist.py --out runs/moving_mnist --full --device cuda         the paper's protocol

Each network sees equally many sequences. It can be stopped at any moment and started again with the same words. Writes
results.json, table.md, curves.png and examples.png into the folder; the test sequences are scored once, at the end.
"""

import argparse
import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.utils.data import DataLoader

from echocast.models.base import LearnedForecaster
from echocast.models.scaling import ImageScaling
from echocast.samples.windows import Windows
from echocast.synthetic import mnist, moving_mnist
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.training.data import open_sources
from echocast.training.losses import CrossEntropy, entropy_floor
from echocast.verification.scores import images

PAST, FUTURE = 10, 10
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Network:
    """A row of Table 1."""

    title: str
    published: float
    widths: tuple[int, ...]
    input_kernel: int = 5
    state_kernel: int = 5
    connected: bool = False

    def experiment(self, divide: int, settings: list[str]) -> experiments.Experiment:
        """Its experiment, with its widths divided."""
        widths = [width // divide for width in self.widths]
        if self.connected:
            return experiments.load(HERE / "moving_mnist_fc.toml", [f"model.hidden_sizes={widths}", *settings])
        own = [
            f"model.hidden_channels={widths}",
            f"model.input_kernel={self.input_kernel}",
            f"model.state_kernels={self.state_kernel}",
        ]
        return experiments.load(HERE / "moving_mnist.toml", [*own, *settings])


NETWORKS = {
    "fc": Network("FC-LSTM-2048-2048", 4832.49, (2048, 2048), connected=True),
    "one": Network("ConvLSTM(5x5)-5x5-256", 3887.94, (256,)),
    "two": Network("ConvLSTM(5x5)-5x5-128-5x5-128", 3733.56, (128, 128)),
    "three": Network("ConvLSTM(5x5)-5x5-128-5x5-64-5x5-64", 3670.85, (128, 64, 64)),
    "two_1x1": Network("ConvLSTM(9x9)-1x1-128-1x1-128", 4782.84, (128, 128), 9, 1),
    "three_1x1": Network("ConvLSTM(9x9)-1x1-128-1x1-64-1x1-64", 4231.50, (128, 64, 64), 9, 1),
}
OUT_OF_DOMAIN = 6379.42
"""The paper's cross-entropy of the network `three` on three digits."""


def windows(stored: np.ndarray, count: int | None = None) -> Windows:
    """The first `count` sequences."""
    field = moving_mnist.as_field(stored[:count])
    starts = np.arange(0, field.sizes["time"], PAST + FUTURE)
    return Windows(field, starts, past=PAST, future=FUTURE)


@torch.no_grad()
def score(model: LearnedForecaster, test: Windows, device: str) -> dict[str, float]:
    """Cross-entropy in nats a sequence and its floor; OpenSTL's MSE, MAE (sums over pixels), SSIM and PSNR a frame."""
    model.to(device)
    cross_entropy, scaling = CrossEntropy(), ImageScaling()
    totals = dict.fromkeys(("cross_entropy", "floor", "mse", "mae", "ssim", "psnr"), 0.0)
    for batch in DataLoader(test, 50):
        truth = batch[:, PAST:]
        logits = model(batch[:, :PAST].to(device), FUTURE).float().cpu()
        levels = torch.sigmoid(logits)
        weight = len(batch) / len(test)
        totals["cross_entropy"] += weight * float(cross_entropy(logits, truth, scaling))
        totals["floor"] += weight * entropy_floor(truth)
        totals["mse"] += weight * float((levels - truth).square().sum(dim=(2, 3, 4)).mean())
        totals["mae"] += weight * float((levels - truth).abs().sum(dim=(2, 3, 4)).mean())
        p, t = levels[:, :, 0].numpy(), truth[:, :, 0].numpy()
        totals["ssim"] += weight * float(images.structural_similarity(p, t, data_range=2.0)[0].mean())
        totals["psnr"] += weight * float(images.psnr(p, t).mean())
    return totals


def table(results: dict[str, dict[str, float]], training: experiments.Training, divide: int, kind: str) -> str:
    """The table beside the paper's."""
    lines = [
        f"Moving MNIST ({kind}), widths of the paper divided by {divide},"
        f" {training.steps * training.batch_size} sequences seen by each network, seed {training.seed};"
        f" digits: {mnist.digits_of('train')[1]}"
        f"{', products in bf16' if training.precision == 'bf16-training' else ''}.",
        "",
        "| network | parameters | cross-entropy | paper | MSE | MAE | SSIM | PSNR | seconds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, r in results.items():
        network = NETWORKS[name.removesuffix(" on three digits")]
        published = OUT_OF_DOMAIN if name.endswith("digits") else network.published
        title = network.title + (", three unseen digits" if name.endswith("digits") else "")
        lines.append(
            f"| {title} | {r['parameters']:,.0f} | {r['cross_entropy']:.1f} (floor {r['floor']:.1f}) | {published} |"
            f" {r['mse']:.1f} | {r['mae']:.1f} | {r['ssim']:.4f} | {r['psnr']:.2f} | {r['seconds']:.0f} |"
        )
    return "\n".join([*lines, ""])


def draw_curves(out: Path, names: list[str]) -> None:
    """Validation cross-entropy against sequences seen."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.subplots()
    for name, colour, style in zip(
        names,
        ("#000000", "#56b4e9", "#0072b2", "#009e73", "#e69f00", "#d55e00"),
        ("-", "-", "-", "-", "--", "--"),
        strict=False,
    ):
        rows = np.genfromtxt(out / name / "metrics.csv", delimiter=",", names=True)
        axis.plot(
            rows["step"] * 16, rows["validationloss"], style, color=colour, label=NETWORKS[name].title, marker="."
        )
    axis.set_xlabel("sequences seen")
    axis.set_ylabel("validation cross-entropy, nats a sequence")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(out / "curves.png", dpi=110, facecolor="white")


@torch.no_grad()
def draw_examples(out: Path, models: dict[str, LearnedForecaster], windows: torch.Tensor) -> None:
    """One test sequence: input, truth, and what each network makes of it, every other frame."""
    rows: list[tuple[str, np.ndarray]] = [
        ("input", windows[0, :PAST, 0].numpy()),
        ("truth", windows[0, PAST:, 0].numpy()),
    ]
    rows += [
        (NETWORKS[name].title, torch.sigmoid(model.cpu()(windows[:1, :PAST], FUTURE))[0, :, 0].numpy())
        for name, model in models.items()
    ]
    figure = Figure(figsize=(11, 1.06 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 5, squeeze=False)
    for (title, frames), line in zip(rows, axes, strict=True):
        for axis, frame in zip(line, frames[1::2], strict=True):
            axis.imshow(frame, cmap="gray", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8)
    figure.savefig(out / "examples.png", dpi=100, facecolor="white")


def settings(given: argparse.Namespace) -> list[str]:
    """What the command line puts over the experiments' files."""
    sequences = given.sequences or (2_000_000 if given.full else 64 if given.quick else 20_000)
    return [
        f"data.synthetic.protocol={given.protocol}",
        f"data.synthetic.validation_sequences={16 if given.quick else 2000 if given.full else 200}",
        f"training.max_sequences={sequences}",
        f"training.validations={200 if given.full else 2 if given.quick else 10}",
        f"training.precision={'32-true' if given.full else 'bf16-training'}",
        f"training.accelerator={'cpu' if given.device == 'cpu' else 'gpu'}",
    ]


def scored(given: argparse.Namespace, models: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The scores of all networks on the test sequences, and of one of them on three digits."""
    few = 16 if given.quick else None
    test = moving_mnist.part("test", protocol=given.protocol, test_file=given.test_file)
    results = {}
    for name, model in models.items():
        seconds = float(np.genfromtxt(given.out / name / "metrics.csv", delimiter=",", names=True)["seconds"].max())
        about = {"parameters": float(sum(p.numel() for p in model.parameters())), "seconds": seconds}
        results[name] = score(model, windows(test, few), given.device) | about
        if name == "three":
            digits = moving_mnist.part("three_digits", protocol=given.protocol)
            results["three on three digits"] = score(model, windows(digits, few), given.device) | about
    draw_curves(given.out, list(models))
    draw_examples(given.out, models, windows(test, 1)[0].unsqueeze(0))
    return results


def main() -> None:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/moving_mnist"))
    parser.add_argument("--full", action="store_true", help="the paper's widths and 200 epochs of 10,000 sequences")
    parser.add_argument("--quick", action="store_true", help="a few tiny steps: shows that it runs, nothing more")
    parser.add_argument("--protocol", choices=moving_mnist.PROTOCOLS, default="paper")
    parser.add_argument("--test-file", type=Path, help="mnist_test_seq.npy, for --protocol openstl")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--sequences", type=int, help="training sequences that each network sees")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    logging.getLogger("echocast.training").addHandler(logging.StreamHandler(sys.stdout))
    logging.getLogger("echocast.training").setLevel(logging.INFO)
    torch.set_num_threads(2 if given.device == "cpu" else torch.get_num_threads())
    print(f"digits: {mnist.digits_of('train')[1]}", flush=True)
    divide = 1 if given.full else 16 if given.quick else 4
    planned = {name: NETWORKS[name].experiment(divide, settings(given)) for name in given.networks.split(",")}
    first = next(iter(planned.values()))
    sources = open_sources(first.data)
    models = {name: fit.fit_or_resume(one, given.out / name, sources=sources) for name, one in planned.items()}
    del sources
    results = scored(given, models)
    content = {"protocol": given.protocol, "divide": divide, "training": first.table()["training"], "results": results}
    (given.out / "results.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    text = table(results, first.training, divide, given.protocol)
    (given.out / "table.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
