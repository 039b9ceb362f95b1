"""Srivastava's LSTMs on Moving MNIST: does learning to forecast give better features than learning to reconstruct?

    python experiments/lstm_composite.py --out runs/lstm_composite             one layer of 128, ten minutes of one core
    python experiments/lstm_composite.py --out runs/lstm_composite --full --device cuda          the paper's 2048

Trains the composite, the pure autoencoder and the pure future predictor, each on equally many sequences. Then it
freezes each encoder and asks what its last state holds: a new future predictor and two linear classifiers are trained
on it, and scored on digits that no network has seen. Writes results.json, table.md and examples.png.
"""

import argparse
import gzip
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from echocast.models.lstm_composite import Decoder, LstmComposite
from echocast.synthetic import mnist, moving_mnist
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.training.data import open_sources
from echocast.training.losses import entropy_floor

PAST, FUTURE = 10, 10
HERE = Path(__file__).parent
KINDS = {"reconstruction": "autoencoder", "future": "future predictor", "composite": "composite"}


def levels(stored: np.ndarray) -> Tensor:
    """(sequence, time, 1, y, x) grey levels of 8 bits."""
    return torch.from_numpy(stored.astype(np.float32) / np.float32(255)).unsqueeze(2)


@torch.no_grad()
def features(model: LstmComposite, frames: Tensor) -> Tensor:
    """The state that the decoders start from, (sequence, 2, hidden): h and c of the top layer."""
    states = [model.encode(part[:, :PAST]) for part in frames.split(100)]
    return torch.cat([torch.stack([h[-1], c[-1]], 1) for h, c in states])


@torch.no_grad()
def nats(model: LstmComposite, test: Tensor) -> dict[str, float]:
    """Cross-entropy in nats a frame of reconstruction and future, and OpenSTL's MSE of the future a frame."""
    totals: dict[str, float] = {}
    for part in test.split(100):
        share, state = len(part) / len(test), model.encode(part[:, :PAST])
        past, future = part[:, :PAST].flip(1).flatten(2), part[:, PAST:].flatten(2)
        for name, decoder, truth in (("reconstruction", model.reconstruction, past), ("future", model.future, future)):
            if decoder is not None:
                logits = decoder(state, truth.shape[1])
                loss = binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(2).mean()
                totals[name] = totals.get(name, 0.0) + share * float(loss)
                squares = (torch.sigmoid(logits) - truth).square().sum(2).mean()
                totals[f"{name}_mse"] = totals.get(f"{name}_mse", 0.0) + share * float(squares)
    return totals


def new_predictor(train: Tensor, test: Tensor, futures: tuple[Tensor, Tensor], epochs: int) -> float:
    """Nats a frame of a future predictor trained on frozen states alone."""
    torch.manual_seed(0)
    hidden, values = train.shape[2], futures[0].shape[2]
    decoder = Decoder(values, [hidden], conditional=False, forget_bias=0.0)
    steps = max(1, epochs * (len(train) // 64))
    optimiser = torch.optim.Adam(decoder.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.05, steps)
    order = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(train), (64,), generator=order)
        loss = _future_nats(decoder, train[rows], futures[0][rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        parts = [_future_nats(decoder, a, b) for a, b in zip(test.split(100), futures[1].split(100), strict=True)]
    return float(torch.stack(parts).mean())


def _future_nats(decoder: Decoder, state: Tensor, truth: Tensor) -> Tensor:
    logits = decoder(([state[:, 0]], [state[:, 1]]), truth.shape[1])
    return binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(2).mean()


def linear_probe(train: Tensor, labels: Tensor, test: Tensor) -> Tensor:
    """Logits of a linear classifier of standardised features; `labels` are shares of each class."""
    mean, scale = train.mean(0), train.std(0) + 1e-6
    train, test = (train - mean) / scale, (test - mean) / scale
    layer = nn.Linear(train.shape[1], labels.shape[1])
    nn.init.zeros_(layer.weight)
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = cross_entropy(layer(train), labels) + 1e-3 * layer.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    made: Tensor = layer(test).detach()
    return made


def labels_of(part: str) -> np.ndarray | None:
    """Which digit each of MNIST's is; None where there are no labels."""
    name = {"train": "train-labels-idx1-ubyte.gz", "test": "t10k-labels-idx1-ubyte.gz"}[part]
    path = Path(os.environ.get("ECHOCAST_DATA", "")) / "mnist" / name
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=8) if path.is_file() else None


def two_known_digits(part: str, each: int, seed: int) -> tuple[Tensor, Tensor] | None:
    """Sequences of two digits of different classes, and shares of 1/2 for both classes."""
    labels, (digits, _) = labels_of(part), mnist.digits_of(part)
    if labels is None:
        return None
    single = [
        moving_mnist.sequences(digits[labels == k], protocol="srivastava", count=each, seed=seed + k, per_frame=1)
        for k in range(10)
    ]
    first, classes = np.concatenate(single), np.repeat(np.arange(10), each)
    other = (np.arange(10 * each) + each * np.random.RandomState(seed).randint(1, 10, 10 * each)) % (10 * each)
    shares = (np.eye(10)[classes] + np.eye(10)[classes[other]]) / 2
    return levels(np.maximum(first, first[other])), torch.from_numpy(shares.astype(np.float32))


def one_to_three_digits(part: str, each: int, seed: int) -> tuple[Tensor, Tensor]:
    """Sequences of one, two and three digits, and which."""
    digits, _ = mnist.digits_of(part)
    drawn = [
        moving_mnist.sequences(digits, protocol="srivastava", count=each, seed=seed + n, per_frame=n) for n in (1, 2, 3)
    ]
    return levels(np.concatenate(drawn)), torch.eye(3).repeat_interleave(each, 0)


def probes(model: LstmComposite, each: int) -> dict[str, float]:
    """Accuracies of linear classifiers of the encoder's last state, on test digits."""
    found: dict[str, float] = {}
    known = [two_known_digits(part, each, seed) for part, seed in (("train", 50), ("test", 90))]
    if known[0] is not None and known[1] is not None:
        (frames, shares), (unseen, truth) = known[0], known[1]
        guess = linear_probe(features(model, frames).flatten(1), shares, features(model, unseen).flatten(1))
        hit = torch.gather(truth > 0, 1, guess.topk(2, dim=1).indices)
        found["which digits"] = float(hit.float().mean())
    (frames, shares), (unseen, truth) = one_to_three_digits("train", each, 20), one_to_three_digits("test", each, 30)
    guess = linear_probe(features(model, frames).flatten(1), shares, features(model, unseen).flatten(1))
    found["how many digits"] = float((guess.argmax(1) == truth.argmax(1)).float().mean())
    return found


def scored(models: dict[str, LstmComposite], *, few: bool) -> dict[str, Any]:
    """All scores of all encoders."""
    count, epochs, each = (64, 1, 8) if few else (1000, 4, 200)
    learn = levels(moving_mnist.part("train", protocol="srivastava")[: 4 * count])
    test = levels(moving_mnist.part("test", protocol="srivastava")[:count])
    futures = (learn[:, PAST:].flatten(2), test[:, PAST:].flatten(2))
    results: dict[str, Any] = {"floor": entropy_floor(test[:, PAST:]) / FUTURE}
    for kind, model in models.items():
        seen = features(model, learn), features(model, test)
        frozen = new_predictor(*seen, futures, epochs)
        results[kind] = (nats(model, test) if kind in KINDS else {}) | {"frozen": frozen} | probes(model, each)
        print(kind, results[kind], flush=True)
    return results


def table(results: dict[str, Any], experiment: experiments.Experiment) -> str:
    """Markdown."""
    training, width = experiment.training, list(experiment.model["hidden_sizes"])
    lines = [
        f"Moving MNIST (Srivastava's protocol), layers of {width}, {training.steps * training.batch_size} sequences for"
        f" each network, seed {training.seed}; digits: {mnist.digits_of('train')[1]}. Nats are per frame; the floor of"
        f" the future is {results['floor']:.1f}.",
        "",
        "| network | reconstruction, nats | future, nats | future, MSE | new future predictor on the frozen encoder,"
        " nats | which two digits | how many digits |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, title in (KINDS | {"untrained": "no training"}).items():
        r = results.get(kind)
        if r is not None:
            cells = [r.get(name) for name in ("reconstruction", "future", "future_mse", "frozen")]
            shares = [r.get(name) for name in ("which digits", "how many digits")]
            shown = ["" if v is None else f"{v:.1f}" for v in cells] + ["" if v is None else f"{v:.1%}" for v in shares]
            lines.append(f"| {title} | {' | '.join(shown)} |")
    return "\n".join([*lines, ""])


@torch.no_grad()
def draw(out: Path, models: dict[str, LstmComposite]) -> None:
    """One test sequence: the past and its reconstructions, the future and its forecasts, every other frame."""
    frames = levels(moving_mnist.part("test", protocol="srivastava")[:1])
    rows = [("truth", frames[0, :, 0])]
    for kind, model in models.items():
        blank = torch.full((PAST, 64, 64), torch.nan)
        back = blank if model.reconstruction is None else model.reconstruct(frames[:, :PAST])[0, :, 0]
        ahead = blank if model.future is None else torch.sigmoid(model(frames[:, :PAST], FUTURE))[0, :, 0]
        rows.append((KINDS[kind], torch.cat([back, ahead])))
    figure = Figure(figsize=(10, 1.1 * len(rows) + 0.2), layout="constrained")
    axes = figure.subplots(len(rows), 10, squeeze=False)
    for number, (line, (title, pictures)) in enumerate(zip(axes, rows, strict=True)):
        for place, (axis, frame) in enumerate(zip(line, pictures[1::2], strict=True)):
            axis.imshow(frame, cmap="gray", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
            if number == 0:
                axis.set_title(f"{'past' if place < 5 else 'future'} {2 * place + 2 - 10 * (place >= 5)}", fontsize=7)
        line[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8)
    figure.savefig(out / "examples.png", dpi=90, facecolor="white")


def main() -> None:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/lstm_composite"))
    parser.add_argument("--quick", action="store_true", help="a few tiny steps: shows that it runs, nothing more")
    parser.add_argument("--full", action="store_true", help="the paper's two layers of 2048, for a GPU")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    logging.getLogger("echocast.training").addHandler(logging.StreamHandler(sys.stdout))
    logging.getLogger("echocast.training").setLevel(logging.INFO)
    settings = [f"training.accelerator={'cpu' if given.device == 'cpu' else 'gpu'}"]
    if given.quick:
        settings += ["model.hidden_sizes=[16]", "training.max_sequences=64", "data.synthetic.validation_sequences=16"]
    if given.full:
        settings += ["model.hidden_sizes=[2048,2048]", "training.max_sequences=8_000_000", "training.batch_size=80"]
    planned = {
        kind: experiments.load(HERE / "lstm_composite.toml", [f"model.decoders={kind}", *settings])
        for kind in given.kinds.split(",")
    }
    sources = open_sources(next(iter(planned.values())).data)
    models: dict[str, Any] = {
        kind: fit.fit_or_resume(one, given.out / kind, sources=sources) for kind, one in planned.items()
    }
    del sources
    torch.manual_seed(0)
    untrained: Any = next(iter(planned.values())).make_model()
    results = scored(models | {"untrained": untrained.eval()}, few=given.quick)
    (given.out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    text = table(results, next(iter(planned.values())))
    (given.out / "table.md").write_text(text, encoding="utf-8")
    draw(given.out, models)
    print(text)


if __name__ == "__main__":
    main()
