"""The Neural GPU: trained on up to 20 bits, tested on up to 200, from several seeds.

    python experiments/neural_gpu.py --out runs/neural_gpu --algorithms reverse,addition --seeds 1,2,3

It can be stopped at any moment and started again with the same words. Writes results.json, table.md and accuracy.png,
the share of sequences without a wrong symbol by length. A seed generalises if more than 99 % of sequences are right at
10 times the longest length learned from.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from echocast.algorithms.accuracy import Accuracy, accuracy
from echocast.algorithms.base import REGISTRY
from echocast.training import experiment as experiments
from echocast.training import fit

HERE = Path(__file__).parent
BITS = (5, 10, 15, 20, 25, 30, 40, 60, 100, 200)
TESTED = (20, 40, 100, 200)


def tested(given: argparse.Namespace, algorithm: str, seed: str) -> list[Accuracy]:
    """Train with one seed, and test by length."""
    run = given.out / f"{algorithm}_{seed}"
    if given.no_training:
        network = REGISTRY.load(run / "weights.safetensors")
    else:
        own = [f"training.seed={seed}", *given.set]
        if given.quick:
            own += ["training.max_steps=4", "training.validation_interval=2", "model.maps=4"]
            own += ["data.validation_sequences=2"]
        network = fit.fit_or_resume(experiments.load(HERE / f"neural_gpu_{algorithm}.toml", own), run)
    bits = BITS[:4] if given.quick else BITS
    return [
        found
        for length in bits
        for found in accuracy(network, algorithm, [length], count=4 if given.quick else given.count, seed=99)
    ]


def draw(path: Path, results: dict[str, dict[str, list[Accuracy]]]) -> None:
    """Shares of right sequences and symbols by length, a panel for each algorithm."""
    figure = Figure(figsize=(4.6 * len(results), 3.6), layout="constrained")
    axes = figure.subplots(1, len(results), squeeze=False, sharey=True)[0]
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
    for axis, (algorithm, seeds) in zip(axes, results.items(), strict=True):
        for (seed, found), colour in zip(seeds.items(), colours, strict=False):
            bits = [one.bits for one in found]
            axis.plot(bits, [one.sequences for one in found], "-o", ms=3, color=colour, label=f"seed {seed}: sequences")
            axis.plot(bits, [one.symbols for one in found], ":", color=colour, label=f"seed {seed}: symbols")
        axis.axvspan(1, 20, color="#000000", alpha=0.07, lw=0)
        axis.text(1.15, 0.03, "trained on", fontsize=8)
        axis.set(xscale="log", xlim=(1, 220), ylim=(0, 1.03), xlabel="bits", title=algorithm)
        axis.set_xticks([1, 5, 10, 20, 40, 100, 200], ["1", "5", "10", "20", "40", "100", "200"])
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=7, loc="center left")
    axes[0].set_ylabel("share that is right")
    figure.savefig(path, dpi=110, facecolor="white")


def table(results: dict[str, dict[str, list[Accuracy]]], out: Path, count: int) -> str:
    """Accuracy by length, and how many seeds generalise."""
    lines = [
        f"Share of {count} sequences without a wrong symbol (share of right symbols).",
        "",
        f"| algorithm | seed | steps | longest learned | seconds | {' | '.join(f'{n} bits' for n in TESTED)} |",
        f"|---|---:|---:|---:|---:|{'---:|' * len(TESTED)}",
    ]
    for algorithm, seeds in results.items():
        for seed, found in seeds.items():
            rows = np.genfromtxt(out / f"{algorithm}_{seed}/metrics.csv", delimiter=",", names=True)
            last = np.atleast_1d(rows)[-1]
            by_bits = {one.bits: f"{one.sequences:.3f} ({one.symbols:.3f})" for one in found}
            lines.append(
                f"| {algorithm} | {seed} | {last['step']:.0f} | {last['trainlongest_bits']:.0f} bits |"
                f" {last['seconds']:.0f} | {' | '.join(by_bits.get(n, '') for n in TESTED)} |"
            )
    lines.append("")
    for algorithm, seeds in results.items():
        good = sum(any(one.bits == TESTED[-1] and one.sequences > 0.99 for one in found) for found in seeds.values())
        lines.append(f"{algorithm}: {good} of {len(seeds)} seeds generalise to {TESTED[-1]} bits.")
    return "\n".join([*lines, ""])


def main() -> None:
    """Train, test, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/neural_gpu"))
    parser.add_argument("--algorithms", default="reverse,addition")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--count", type=int, default=128, help="test sequences at each length")
    parser.add_argument("--set", action="append", default=[], help="a setting put over the experiment's file")
    parser.add_argument("--quick", action="store_true", help="a few tiny steps: shows that it runs, nothing more")
    parser.add_argument("--no-training", action="store_true", help="test the weights that are there")
    given = parser.parse_args()
    logging.getLogger("echocast.training").addHandler(logging.StreamHandler(sys.stdout))
    logging.getLogger("echocast.training").setLevel(logging.INFO)
    results = {
        algorithm: {seed: tested(given, algorithm, seed) for seed in given.seeds.split(",")}
        for algorithm in given.algorithms.split(",")
    }
    plain = {a: {s: [vars(one) for one in found] for s, found in seeds.items()} for a, seeds in results.items()}
    (given.out / "results.json").write_text(json.dumps(plain, indent=1), encoding="utf-8")
    draw(given.out / "accuracy.png", results)
    text = table(results, given.out, given.count)
    (given.out / "table.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
