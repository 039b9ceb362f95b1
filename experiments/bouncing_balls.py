"""Bouncing balls: a ConvLSTM beside convolutions without a state and beside the last frame, one step and fifty.

    python experiments/bouncing_balls.py --out runs/bouncing_balls            ten minutes for each network on two cores
    python experiments/bouncing_balls.py --out runs/bouncing_balls --full     all 4,000 sequences, wider and longer

The measure is the published one: the squared error of one-step forecasts, each made from all true frames before it,
summed over the pixels of a frame, the mean over frames 2 to 100 of 200 test sequences. It can be stopped at any moment
and started again with the same words. Writes results.json, table.md, leads.png, rollout.png and rollout.gif.
"""

import argparse
import json
import logging
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from echocast.models import base
from echocast.models._next_frame import NextFrameForecaster
from echocast.synthetic import bouncing_balls
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.video import writing

HERE = Path(__file__).parent
PAST, LEADS = 10, 50
NETWORKS = {
    "convlstm": "ConvLSTM",
    "conv": "convolutions of 2 frames",
    "convlstm_rollout": "ConvLSTM, trained to go on",
    "conv_rollout": "convolutions, trained to go on",
}
PUBLISHED = {"RTRBM": 3.88, "structured RTRBM": 3.31, "deep temporal sigmoid belief network": 2.79}


def settings(given: argparse.Namespace, name: str) -> list[str]:
    """What the command line puts over the experiment's file."""
    recurrent, full = name.startswith("convlstm"), given.full
    width = (
        ("[4]" if given.quick else "[64,64]" if full else "[24,24]") if recurrent else "[96,96]" if full else "[48,48]"
    )
    own = [f"model.name={'convlstm' if recurrent else 'conv'}_predictor"]
    own += [f"model.hidden_channels={'[4]' if given.quick else width}"]
    if name.endswith("_rollout"):
        before = given.out / name.removesuffix("_rollout") / "weights.safetensors"
        own += [f"training.init_from={before}"]
    if full:
        own += ["data.synthetic.count=4000", "training.max_steps=40000", "training.validation_interval=1000"]
    if given.quick:
        own += ["data.synthetic.count=8", "data.synthetic.validation_sequences=2"]
        own += ["training.max_steps=4", "training.validation_interval=2"]
    return own


def networks(given: argparse.Namespace) -> dict[str, NextFrameForecaster]:
    """The trained networks, by their names."""
    found = {}
    for name in NETWORKS:
        run, file = given.out / name, f"bouncing_balls{'_rollout' if name.endswith('_rollout') else ''}.toml"
        if not given.no_training:
            found[name] = fit.fit_or_resume(experiments.load(HERE / file, settings(given, name)), run)
        elif (run / "weights.safetensors").exists():
            found[name] = base.load(run / "weights.safetensors")
    return found  # type: ignore[return-value]  # all are


@torch.no_grad()
def one_step(model: NextFrameForecaster, test: torch.Tensor) -> np.ndarray:
    """Squared errors (sequence, frame 2 and on) of forecasts from all true frames before."""
    return np.concatenate([model.one_step_errors(part).numpy() for part in test.split(20)])


@torch.no_grad()
def rollouts(models: dict[str, NextFrameForecaster], test: torch.Tensor) -> dict[str, np.ndarray]:
    """Fifty frames (sequence, lead, y, x) after ten, each network fed its own; the truth, and the last frame again."""
    past, future = test[:, :PAST], test[:, PAST : PAST + LEADS]
    made = {name: model.forecast(past, LEADS) for name, model in models.items()}
    made |= {"truth": future, "copy": past[:, -1:].expand_as(future)}
    return {name: frames[:, :, 0].numpy() for name, frames in made.items()}


def errors_by_lead(made: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The squared error a frame at each lead, a mean over sequences; also of the mean picture."""
    truth = made["truth"]
    errors = {name: ((frames - truth) ** 2).sum(axis=(2, 3)).mean(axis=0) for name, frames in made.items()}
    return errors | {"mean": ((truth - truth.mean(axis=(0, 1))) ** 2).sum(axis=(2, 3)).mean(axis=0)}


def draw_leads(path: Path, errors: dict[str, np.ndarray]) -> None:
    """Errors against the lead."""
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axis = figure.subplots()
    styles = {"convlstm": ("#0072b2", ":"), "conv": ("#d55e00", ":"), "convlstm_rollout": ("#0072b2", "-")}
    styles |= {"conv_rollout": ("#d55e00", "-"), "copy": ("#666666", "--"), "mean": ("#666666", "-.")}
    titles = NETWORKS | {"copy": "the last frame again", "mean": "the mean picture"}
    for name, (colour, style) in styles.items():
        if name in errors:
            axis.plot(np.arange(1, LEADS + 1), errors[name], style, color=colour, label=titles[name])
    axis.set(xlabel="frames ahead, each network fed its own", ylabel="squared error a frame", xlim=(1, LEADS))
    axis.set_ylim(0, 200)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110, facecolor="white")


def draw_rollout(folder: Path, made: dict[str, np.ndarray], case: int = 0) -> None:
    """One sequence: a strip of pictures, and all frames side by side as an animation."""
    titles = {"truth": "truth"} | {name: NETWORKS[name].replace(", ", ",\n") for name in NETWORKS if name in made}
    leads = [1, 3, 5, 10, 15, 20, 30, 40, 50]
    figure = Figure(figsize=(9, 1.0 * len(titles) + 0.3), layout="constrained")
    axes = figure.subplots(len(titles), len(leads))
    for (name, title), row in zip(titles.items(), axes, strict=True):
        for lead, axis in zip(leads, row, strict=True):
            axis.imshow(made[name][case, lead - 1], cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            if name == "truth":
                axis.set_title(f"+{lead}", fontsize=8)
        row[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8)
    figure.savefig(folder / "rollout.png", dpi=100, facecolor="white")
    framed = [np.pad(made[name][case], ((0, 0), (1, 1), (1, 1)), constant_values=0.5) for name in titles]
    pictures = writing.to_pictures(np.concatenate(framed, axis=2)[:, None], enlarge=4)
    writing.write(folder / "rollout.gif", pictures, frame_rate=10.0)


def table(results: dict[str, dict[str, float]], count: int) -> str:
    """The table beside the published numbers."""
    lines = [
        f"Squared error of one-step forecasts a frame, {count} test sequences, frames 2 to 100.",
        "",
        "| | weights | frames 2 to 100 | frames 11 to 100 | 10 frames ahead | 50 frames ahead | seconds of training |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, r in results.items():
        title = NETWORKS | {"copy": "the last frame again"}
        weights, seconds = (f"{r[key]:,.0f}" if key in r else "" for key in ("weights", "seconds"))
        lines.append(
            f"| {title[name]} | {weights} | {r['one_step']:.3f} | {r['one_step_late']:.3f} | {r['ten']:.1f} |"
            f" {r['fifty']:.1f} | {seconds} |"
        )
    lines += [f"| {title} (published) | | {value} | | | | |" for title, value in PUBLISHED.items()]
    return "\n".join([*lines, ""])


def main() -> None:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/bouncing_balls"))
    parser.add_argument("--full", action="store_true", help="the published number of sequences, wider and longer")
    parser.add_argument("--quick", action="store_true", help="a few tiny steps: shows that it runs, nothing more")
    parser.add_argument("--no-training", action="store_true", help="score the weights that are there")
    given = parser.parse_args()
    logging.getLogger("echocast.training").addHandler(logging.StreamHandler(sys.stdout))
    logging.getLogger("echocast.training").setLevel(logging.INFO)
    models = networks(given)
    count = 4 if given.quick else bouncing_balls.COUNTS["test"]
    drawn = bouncing_balls.sequences(count=count, seed=bouncing_balls.part_seed("test"))
    test = torch.from_numpy(drawn)
    made = rollouts(models, test)
    by_lead = errors_by_lead(made)
    copied = ((drawn[:, 1:] - drawn[:, :-1]) ** 2).sum(axis=(2, 3, 4))
    steps = {name: one_step(model, test) for name, model in models.items()} | {"copy": copied}
    results = {}
    for name, errors in steps.items():
        results[name] = {"one_step": float(errors.mean()), "one_step_late": float(errors[:, PAST - 1 :].mean())}
        results[name] |= {"ten": float(by_lead[name][9]), "fifty": float(by_lead[name][-1])}
    for name, model in models.items():
        seconds = np.genfromtxt(given.out / name / "metrics.csv", delimiter=",", names=True)["seconds"]
        results[name] |= {"weights": sum(w.numel() for w in model.parameters()), "seconds": float(seconds.max())}
    draw_leads(given.out / "leads.png", by_lead)
    draw_rollout(given.out, made)
    (given.out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    text = table(results, count)
    (given.out / "table.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
