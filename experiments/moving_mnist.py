"""Table 1 of the ConvLSTM paper: six networks on Moving MNIST, and three digits that none of them saw.

    python experiments/moving_mnist.py --out runs/moving_mnist             reduced: a quarter of the widths, two cores
    python experiments/moving_mnist.py --out runs/moving_mnist --full --device cuda         the paper's protocol

Each network sees equally many sequences. It can be stopped at any moment and started again with the same words. Writes
results.json, table.md, curves.png and examples.png into the folder; the test sequences are scored once, at the end.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from echocast.models.base import LearnedForecaster
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.models.fc_lstm import FcLstm
from echocast.synthetic import moving_mnist
from echocast.training import protocol
from echocast.verification.scores import images

PAST, FUTURE = 10, 10


@dataclass(frozen=True)
class Network:
    """A row of Table 1."""

    title: str
    published: float
    widths: tuple[int, ...]
    input_kernel: int = 5
    state_kernel: int = 5
    connected: bool = False

    def make(self, divide: int) -> LearnedForecaster:
        """The network with its widths divided."""
        widths = [width // divide for width in self.widths]
        if self.connected:
            return FcLstm(hidden_sizes=widths)
        return EncoderForecaster(
            hidden_channels=widths, input_kernel=self.input_kernel, state_kernels=self.state_kernel, patch=4
        )


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


def sets(kind: str, test_file: Path | None) -> dict[str, np.ndarray]:
    """Training, validation and test sequences (uint8), and the ones of three unseen digits."""
    digits, source = moving_mnist.digits_of("train")
    print(f"digits: {source}", flush=True)
    draw = partial(moving_mnist.sequences, protocol=kind)
    found = {"three digits": draw(moving_mnist.paper_pool(digits, unseen=True), count=3000, seed=1001, per_frame=3)}
    if kind == "paper":
        return found | {part: moving_mnist.paper_set(digits, part) for part in moving_mnist.PAPER_SETS}
    found |= {"train": draw(digits, count=10_000, seed=1000), "validation": draw(digits, count=2_000, seed=1002)}
    if test_file:
        return found | {"test": moving_mnist.openstl_test(test_file)}
    others, _ = moving_mnist.digits_of("test")
    return found | {"test": draw(others, count=10_000, seed=1003)}


def part(stored: np.ndarray, count: int | None = None) -> protocol.Sequences:
    """Grey levels of the first `count` sequences."""

    def get(numbers: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(stored[numbers]).float().div_(255.0).unsqueeze(2)

    return protocol.Sequences(min(len(stored), count or len(stored)), get)


@torch.no_grad()
def score(model: LearnedForecaster, test: protocol.Sequences, device: str) -> dict[str, float]:
    """Cross-entropy in nats a sequence and its floor; OpenSTL's MSE, MAE (sums over pixels), SSIM and PSNR a frame."""
    model.to(device)
    totals = dict.fromkeys(("cross_entropy", "floor", "mse", "mae", "ssim", "psnr"), 0.0)
    for begin in range(0, test.count, 50):
        windows = test.get(np.arange(begin, min(begin + 50, test.count)))
        truth = windows[:, PAST:]
        logits = model(windows[:, :PAST].to(device), FUTURE).float().cpu()
        levels = torch.sigmoid(logits)
        weight = len(windows) / test.count
        totals["cross_entropy"] += weight * float(protocol.cross_entropy(logits, truth))
        totals["floor"] += weight * protocol.entropy_floor(truth)
        totals["mse"] += weight * float((levels - truth).square().sum(dim=(2, 3, 4)).mean())
        totals["mae"] += weight * float((levels - truth).abs().sum(dim=(2, 3, 4)).mean())
        p, t = levels[:, :, 0].numpy(), truth[:, :, 0].numpy()
        totals["ssim"] += weight * float(images.structural_similarity(p, t, data_range=2.0)[0].mean())
        totals["psnr"] += weight * float(images.psnr(p, t).mean())
    return totals


def table(results: dict[str, dict[str, float]], budget: protocol.Budget, divide: int, kind: str) -> str:
    """The table beside the paper's."""
    lines = [
        f"Moving MNIST ({kind}), widths of the paper divided by {divide}, {budget.steps * budget.batch} sequences seen"
        f" by each network, seed {budget.seed}{', products in bf16' if budget.bf16 else ''}.",
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
        axis.plot(rows["step"] * 16, rows["validation"], style, color=colour, label=NETWORKS[name].title, marker=".")
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
    torch.set_num_threads(2 if given.device == "cpu" else torch.get_num_threads())
    divide = 1 if given.full else 16 if given.quick else 4
    budget = protocol.Budget(
        sequences=given.sequences or (2_000_000 if given.full else 64 if given.quick else 20_000),
        validations=200 if given.full else 2 if given.quick else 10,
        bf16=not given.full,
    )
    data = sets(given.protocol, given.test_file)
    few = 16 if given.quick else None
    names = given.networks.split(",")
    models, results = {}, {}
    for name in names:
        models[name] = protocol.learn(
            partial(NETWORKS[name].make, divide),
            part(data["train"]),
            part(data["validation"], few or (None if given.full else 200)),
            given.out / name,
            past=PAST,
            budget=budget,
            device=given.device,
            say=partial(print, flush=True),
        )
    for name, model in models.items():
        seconds = float(np.genfromtxt(given.out / name / "metrics.csv", delimiter=",", names=True)["seconds"].max())
        about = {"parameters": float(sum(p.numel() for p in model.parameters())), "seconds": seconds}
        results[name] = score(model, part(data["test"], few), given.device) | about
        if name == "three":
            results["three on three digits"] = score(model, part(data["three digits"], few), given.device) | about
    content = {"protocol": given.protocol, "divide": divide, "budget": asdict(budget), "results": results}
    (given.out / "results.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    text = table(results, budget, divide, given.protocol)
    (given.out / "table.md").write_text(text, encoding="utf-8")
    draw_curves(given.out, names)
    draw_examples(given.out, models, part(data["test"]).get(np.arange(1)))
    print(text)


if __name__ == "__main__":
    main()
