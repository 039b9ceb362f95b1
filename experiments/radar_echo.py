"""Table 2 of the ConvLSTM paper: ConvLSTM, FC-LSTM, three ROVERs and persistence on radar echoes.

    python experiments/radar_echo.py --out runs/radar_echo                 reduced: fewer sequences, a smaller FC-LSTM
    python experiments/radar_echo.py --out runs/radar_echo --full --device cuda             the paper's protocol

The paper's Hong Kong frames are not public; this takes TAASRAD19's training and validation runs (never its test runs)
from ECHOCAST_DATA or --runs: the 97 rainiest days, each day cut into blocks of 40 frames of which one is drawn for
test and one for validation; all windows of 20 frames inside a block; 5 in, 15 out; patches of 2x2; threshold 0.5 mm/h;
the paper's grey levels and its Z-R relation. Their grid of 64x64 cells of 3.75 km stays as it is: no disk filter and
no resizing, which the paper needed to come down to 100x100. Frames come every 5 minutes, not 6.

Writes results.json, table.md, leads.png and cases.png into the folder; the test windows are scored once, at the end.
"""

import argparse
import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from echocast import archive, fields, plugins
from echocast.io import reading
from echocast.models import base
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.models.fc_lstm import FcLstm
from echocast.models.scaling import AnyScaling, RainScaling, Scaling
from echocast.plotting import colours, maps
from echocast.samples import segments, splits, windows
from echocast.training import protocol
from echocast.verification.base import add

PAST, FUTURE, DAYS, THRESHOLD = 5, 15, 97, 0.5
PUBLISHED = {
    "convlstm": (1.420, 0.577, 0.195, 0.660, 0.908),
    "fc_lstm": (1.865, 0.286, 0.335, 0.351, 0.774),
    "rover1": (1.712, 0.516, 0.308, 0.636, 0.843),
    "rover2": (1.684, 0.522, 0.301, 0.642, 0.850),
    "rover3": (1.685, 0.522, 0.301, 0.642, 0.849),
}
SCORES = ("rainfall_mse", "csi", "far", "pod", "correlation")
COLOURS = {
    "convlstm": "#d55e00", "fc_lstm": "#cc79a7", "rover1": "#0072b2", "rover2": "#56b4e9", "rover3": "#009e73",
    "persistence": "#000000",
}  # fmt: skip


def grey_levels() -> Scaling:
    """The paper's grey level, (Z + 10) / 70 with Z = 118.239 R^1.5241, said in Marshall and Palmer's reflectivity."""
    theirs, ours = fields.ZR_RELATIONS["hko-2015"], fields.MARSHALL_PALMER
    lg_ends = [(dbz / 10 - np.log10(theirs.a)) / theirs.b for dbz in (-10.0, 60.0)]  # of the rain at grey 0 and 1
    floor, ceiling = (10 * (np.log10(ours.a) + ours.b * lg) for lg in lg_ends)
    return RainScaling(floor_dbz=float(floor), ceiling_dbz=float(ceiling), dry_mm_h=0.01)


def part(
    field: xr.DataArray, blocks: list[slice], scaling: AnyScaling | None, count: int | None = None
) -> protocol.Sequences:
    """All windows of 20 frames inside the blocks, in grey levels or, without a scaling, in mm/h."""
    starts = segments.window_starts(blocks, PAST, FUTURE, 1)
    if count and count < len(starts):
        starts = starts[np.linspace(0, len(starts) - 1, count).round().astype(int)]
    held = windows.Windows(field, starts, past=PAST, future=FUTURE, in_memory=True)

    def get(numbers: np.ndarray) -> torch.Tensor:
        rain = torch.stack([held[int(n)] for n in numbers])
        return rain if scaling is None else scaling.to_network(rain)

    return protocol.Sequences(len(held), get)


def score(forecasters: dict[str, base.Forecaster], test: protocol.Sequences) -> dict[str, dict[str, list[float]]]:
    """The paper's five scores by lead, all forecasters on the pixels that each says something about."""
    module = plugins.load("echocast.verification.scores", "paper")
    pooled: dict[str, dict[str, np.ndarray]] = {}
    for begin in range(0, test.count, 64):
        rain = test.get(np.arange(begin, min(begin + 64, test.count)))
        made = {name: f.forecast(rain[:, :PAST], FUTURE)[:, :, 0].numpy() for name, f in forecasters.items()}
        spoken = np.all([np.isfinite(forecast) for forecast in made.values()], axis=0)
        observed = np.where(spoken, rain[:, PAST:, 0].numpy(), np.nan)
        for name, forecast in made.items():
            sums = module.statistics(forecast, observed, thresholds=(THRESHOLD,))
            pooled[name] = add(pooled[name], sums) if name in pooled else sums
    return {
        name: {key.removeprefix("paper_"): value.reshape(FUTURE).tolist() for key, value in module.values(sums).items()}
        for name, sums in pooled.items()
    }


def table(results: dict[str, dict[str, list[float]]], words: str) -> str:
    """The table beside the paper's."""
    lines = [
        words,
        "",
        "| forecaster | rainfall-MSE | CSI | FAR | POD | correlation | paper's, on Hong Kong |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for name, scores in results.items():
        published = " / ".join(f"{value:.3f}" for value in PUBLISHED.get(name, ())) or "not given"
        lines.append(f"| {name} | " + " | ".join(f"{np.mean(scores[s]):.3f}" for s in SCORES) + f" | {published} |")
    return "\n".join([*lines, ""])


def draw_leads(out: Path, results: dict[str, dict[str, list[float]]]) -> None:
    """The five scores by lead."""
    figure = Figure(figsize=(14, 3.4), layout="constrained")
    for axis, name in zip(figure.subplots(1, 5), SCORES, strict=True):
        for model, scores in results.items():
            axis.plot(5 * np.arange(1, FUTURE + 1), scores[name], color=COLOURS[model], label=model, marker=".")
        axis.set_title(name.replace("_", " ") + (" in mm2/h2" if name == "rainfall_mse" else ""), fontsize=11)
        axis.set_xlabel("lead in minutes")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    figure.savefig(out / "leads.png", dpi=100, facecolor="white")


def draw_cases(
    out: Path, forecasters: dict[str, base.Forecaster], test: protocol.Sequences, field: xr.DataArray
) -> None:
    """The wettest test window: input, truth and forecasts, every third frame."""
    wet = [float((test.get(np.array([n])) >= THRESHOLD).float().mean()) for n in range(0, test.count, 20)]
    rain = test.get(np.array([20 * int(np.argmax(wet))]))
    rows = [("input", rain[0, :PAST, 0].numpy()), ("observed", rain[0, PAST:, 0].numpy())]
    rows += [(name, f.forecast(rain[:, :PAST], FUTURE)[0, :, 0].numpy()) for name, f in forecasters.items()]
    figure = Figure(figsize=(9, 1.4 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), 5, squeeze=False)
    for (title, frames), line in zip(rows, axes, strict=True):
        chosen = frames if len(frames) == PAST else frames[2::3]
        for number, (axis, frame) in enumerate(zip(line, chosen, strict=True)):
            maps.draw_rain(axis, frame, up=bool(field.y.values[0] > field.y.values[-1]))
            minutes = 5 * (number - PAST + 1) if len(frames) == PAST else 15 * (number + 1)
            if title in ("input", "observed"):
                axis.set_title(f"{minutes:+d} min" if minutes else "issued", fontsize=8)
        line[0].set_ylabel(title, fontsize=9)
    colours.rain_bar(figure, axes.ravel().tolist(), inches=4.0)
    figure.savefig(out / "cases.png", dpi=100, facecolor="white")


def archived(given: Path | None, out: Path) -> xr.DataArray:
    """The archive of the runs, made once."""
    store = out / "taasrad19.zarr"
    if not store.exists():
        if given is None and "ECHOCAST_DATA" not in os.environ:
            raise SystemExit("set ECHOCAST_DATA to the folder that holds taasrad19/, or give --runs")
        runs = given or Path(os.environ["ECHOCAST_DATA"]) / "taasrad19"
        choices = reading.ReadOptions(None, None, None, fields.zr_relation("hko-2015"))
        archive.write([runs / "train", runs / "validation"], store, choices=choices)
    return archive.open(store)


def main() -> None:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/radar_echo"))
    parser.add_argument("--runs", type=Path, help="the folder of TAASRAD19's train and validation runs")
    parser.add_argument("--full", action="store_true", help="FC-LSTM-2000-2000 and 200 epochs")
    parser.add_argument("--quick", action="store_true", help="a few tiny steps: shows that it runs, nothing more")
    parser.add_argument("--sequences", type=int, help="training sequences that each network sees")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(2 if given.device == "cpu" else torch.get_num_threads())
    field = archived(given.runs, given.out)
    parts = splits.blocks(field, days=splits.rainiest_days(field, DAYS), seed=0)
    scaling = grey_levels()
    training = part(field, parts["train"], scaling)
    budget = protocol.Budget(
        sequences=given.sequences or (200 * training.count if given.full else 16 if given.quick else 9_600),
        validations=200 if given.full else 1 if given.quick else 6,
        bf16=not given.full,
    )
    width, channels = (2000, 64) if given.full else (16, 4) if given.quick else (1000, 64)
    networks = {
        "convlstm": partial(EncoderForecaster, hidden_channels=[channels, channels], patch=2, scaling=scaling),
        "fc_lstm": partial(FcLstm, hidden_sizes=[width, width], scaling=scaling),
    }
    forecasters: dict[str, base.Forecaster] = {
        name: protocol.learn(
            make,
            training,
            part(field, parts["validation"], scaling, 8 if given.quick else None if given.full else 300),
            given.out / name,
            past=PAST,
            budget=budget,
            device=given.device,
            say=partial(print, flush=True),
        ).cpu()
        for name, make in networks.items()
    }
    forecasters |= {name: base.resolve(name) for name in ("rover1", "rover2", "rover3", "persistence")}
    test = part(field, parts["test"], None, 8 if given.quick else None)
    results = score(forecasters, test)
    words = (
        f"{training.count} / {len(segments.window_starts(parts['validation'], PAST, FUTURE, 1))} / {test.count} sequences for"
        f" training, validation and test from {len(parts['test'])} days; {budget.steps * budget.batch} sequences seen"
        f" by each network, seed {budget.seed}, FC-LSTM {width}-{width}{', products in bf16' if budget.bf16 else ''};"
        f" means over {FUTURE} leads."
    )
    content = {"budget": asdict(budget), "days": len(parts["test"]), "test": test.count, "results": results}
    (given.out / "results.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    (given.out / "table.md").write_text(table(results, words), encoding="utf-8")
    draw_leads(given.out, results)
    draw_cases(given.out, forecasters, test, field)
    print(table(results, words))


if __name__ == "__main__":
    main()
