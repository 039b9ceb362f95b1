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
import logging
import os
import sys
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from torch.utils.data import DataLoader

from echocast import archive, fields, plugins
from echocast.io import reading
from echocast.models import base
from echocast.plotting import colours, maps
from echocast.samples import segments
from echocast.samples.sources import evenly
from echocast.samples.windows import Windows
from echocast.training import data as training_data
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.verification.base import add

PAST, FUTURE, THRESHOLD = 5, 15, 0.5
FILES = {
    "convlstm": Path(__file__).with_name("radar_echo.toml"),
    "fc_lstm": Path(__file__).with_name("radar_echo_fc.toml"),
}
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


def windows_within(field: xr.DataArray, blocks: list[slice], count: int | None = None) -> Windows:
    """All windows of 20 frames inside the blocks, or some of them, evenly chosen; in mm/h."""
    starts = evenly(segments.window_starts(blocks, PAST, FUTURE, 1), count)
    return Windows(field, starts, past=PAST, future=FUTURE, in_memory=True)


def score(forecasters: dict[str, base.Forecaster], test: Windows) -> dict[str, dict[str, list[float]]]:
    """The paper's five scores by lead, all forecasters on the pixels where each has a value."""
    module = plugins.load("echocast.verification.scores", "shi2015")
    pooled: dict[str, dict[str, np.ndarray]] = {}
    for rain in DataLoader(test, 64):
        made = {name: f.forecast(rain[:, :PAST], FUTURE)[:, :, 0].numpy() for name, f in forecasters.items()}
        known = np.all([np.isfinite(forecast) for forecast in made.values()], axis=0)
        observed = np.where(known, rain[:, PAST:, 0].numpy(), np.nan)
        for name, forecast in made.items():
            sums = module.statistics(forecast, observed, thresholds=(THRESHOLD,))
            pooled[name] = add(pooled[name], sums) if name in pooled else sums
    return {
        name: {key.partition("_")[2]: value.reshape(FUTURE).tolist() for key, value in module.values(sums).items()}
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


def draw_cases(out: Path, forecasters: dict[str, base.Forecaster], test: Windows, field: xr.DataArray) -> None:
    """The wettest test window: input, truth and forecasts, every third frame."""
    wet = [float((test[n] >= THRESHOLD).float().mean()) for n in range(0, len(test), 20)]
    rain = test[20 * int(np.argmax(wet))].unsqueeze(0)
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
        options = reading.ReadOptions(None, None, None, fields.zr_relation("hko-2015"))
        archive.write([runs / "train", runs / "validation"], store, options=options)
    return archive.open(store)


def planned(given: argparse.Namespace) -> dict[str, experiments.Experiment]:
    """The experiments of both networks, with what the command line puts over their files."""
    width, channels = (2000, 64) if given.full else (16, 4) if given.quick else (1000, 64)
    common = [
        f"data.train={given.out / 'taasrad19.zarr'}",
        f"training.precision={'32-true' if given.full else 'bf16-training'}",
        f"training.validations={200 if given.full else 1 if given.quick else 6}",
        f"training.max_sequences={given.sequences or (16 if given.quick else 9_600)}",
        f"training.accelerator={'cpu' if given.device == 'cpu' else 'gpu'}",
    ]
    if given.full or given.quick:
        common.append(f"data.validation_windows={8 if given.quick else 10**9}")
    own = {
        "convlstm": [f"model.hidden_channels={[channels, channels]}"],
        "fc_lstm": [f"model.hidden_sizes={[width, width]}"],
    }
    return {name: experiments.load(FILES[name], [*common, *own[name]]) for name in FILES}


def words(first: experiments.Experiment, counts: dict[str, int], days: int, width: int) -> str:
    """How the numbers of the table came about."""
    training = first.training
    return (
        f"{counts['train']} / {counts['validation']} / {counts['test']} sequences for training, validation and test"
        f" from {days} days; {training.steps * training.batch_size} sequences seen by each network, seed"
        f" {training.seed}, FC-LSTM {width}-{width}"
        f"{', products in bf16' if training.precision == 'bf16-training' else ''}; means over {FUTURE} leads."
    )


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
    logging.getLogger("echocast.training").addHandler(logging.StreamHandler(sys.stdout))
    logging.getLogger("echocast.training").setLevel(logging.INFO)
    torch.set_num_threads(2 if given.device == "cpu" else torch.get_num_threads())
    field = archived(given.runs, given.out)
    parts = training_data.split(field, planned(given)["convlstm"].data)
    counts = {name: len(segments.window_starts(blocks, PAST, FUTURE, 1)) for name, blocks in parts.items()}
    if given.full and not given.sequences:
        given.sequences = 200 * counts["train"]
    plans = planned(given)
    first = plans["convlstm"]
    sources = training_data.open_sources(first.data)
    forecasters = {name: fit.fit_or_resume(one, given.out / name, sources=sources).cpu() for name, one in plans.items()}
    forecasters |= {name: base.resolve(name) for name in ("rover1", "rover2", "rover3", "persistence")}
    test = windows_within(field, parts["test"], 8 if given.quick else None)
    counts["test"] = len(test)
    results = score(forecasters, test)
    days = len(parts["test"])
    text = table(results, words(first, counts, days, plans["fc_lstm"].model["hidden_sizes"][0]))
    content = {"training": first.table()["training"], "days": days, "test": len(test), "results": results}
    (given.out / "results.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    (given.out / "table.md").write_text(text, encoding="utf-8")
    draw_leads(given.out, results)
    draw_cases(given.out, forecasters, test, field)
    print(text)


if __name__ == "__main__":
    main()
