"""Does the height of the ground help a nowcast in the Alps: ConvLSTM on TAASRAD19, with and without it.

    python experiments/orography.py --out runs/orography

Takes TAASRAD19's training and validation runs, never its test runs, and SRTM's height from the data kit (--kit, or the
variable ECHOCAST_DATA). July 2016 is cut by date: days before the 16th choose which weights are kept, those after it
are scored. SRTM in the kit ends at 11 degrees east, so that it covers only the western part of the radar: the table has
the cells with a known height, and all. Each network with height is compared with that of the same seed and steps
without it; the network with height is also scored without its file. Writes results.json, table.md and csi.png.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from echocast import archive, fields
from echocast.archive import covariates
from echocast.context import Context
from echocast.evaluation.intervals import BOOTSTRAP_SAMPLES, Days, Estimate
from echocast.models import base
from echocast.samples import segments
from echocast.samples import wet as wet_cells
from echocast.samples.windows import Windows
from echocast.training import experiment as experiments
from echocast.training import fit

PAST, LEADS, STEP_MIN = 4, 6, 5
SCORED_FROM = np.datetime64("2016-07-16", "ns")
THRESHOLDS = (0.5, 2.0)
NAMES = {
    "persistence": "persistence",
    "without": "ConvLSTM",
    "height": "ConvLSTM and height",
    "hidden": "the same, height hidden",
}


def archives(kit: Path, folder: Path) -> None:
    """The training runs, and the validation runs in two parts by date."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = sorted((kit / "taasrad19" / "validation").glob("*.nc"))
    parts: dict[str, list[Path]] = {
        "train": sorted((kit / "taasrad19" / "train").glob("*.nc")),
        "validation": [],
        "scored": [],
    }
    for path in runs:
        with xr.open_dataset(path) as data:
            parts["scored" if data.time.values[0] >= SCORED_FROM else "validation"].append(path)
    for name, paths in parts.items():
        if not (folder / f"{name}.zarr").exists():
            archive.write(paths, folder / f"{name}.zarr")


def train(kit: Path, folder: Path, out: Path, name: str, seed: int, quick: bool) -> base.Forecaster:
    """A network with or without height."""
    sets = [f"data.{part}={str(folder / f'{part}.zarr')!r}" for part in ("train", "validation")]
    sets += [f"training.seed={seed}", f"data.covariates.fields.height.path={str(height_file(kit))!r}"]
    sets += ["training.max_steps=2", "training.validations=1", "model.hidden_channels=[4, 4]"] if quick else []
    plan = experiments.load(Path(__file__).with_suffix(".toml"), sets)
    if name == "without":
        plan = replace(plan, data=replace(plan.data, covariates=None))
    fit.fit_or_resume(plan, out / f"{name}_{seed}")
    return base.load(out / f"{name}_{seed}" / "weights.safetensors")


def height_file(kit: Path) -> Path:
    """SRTM, averaged to 30 arc seconds."""
    return kit / "orography" / "srtm_alps_30s.nc"


def counts(forecast: np.ndarray, observed: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Hits, misses and false alarms (case, lead, threshold, 3) within a mask."""
    seen = np.isfinite(observed) & np.isfinite(forecast) & mask
    made = []
    for limit in THRESHOLDS:
        said, there = (forecast >= limit) & seen, (observed >= limit) & seen
        made.append(np.stack([said & there, ~said & there & seen, said & ~there], axis=-1).sum(axis=(2, 3)))
    return np.stack(made, axis=2)


def scored(
    networks: dict[str, list[base.Forecaster]], field: xr.DataArray, kit: Path, starts: np.ndarray
) -> tuple[dict[str, dict[str, np.ndarray]], np.ndarray]:
    """By set of cells and by forecast the counts (case, lead, threshold, 3), summed over seeds; and the height."""
    wanted = networks["height"][0].covariates
    given = covariates.opened(wanted, {"height": [height_file(kit)]}, field)
    height = given.sources["height"](field.time.values[:1], field.time.values[0])
    cells = {"cells with a known height": np.isfinite(height[0, 0]), "all cells": np.ones(height.shape[2:], bool)}
    step = Context(grid_km=fields.grid_km(field), time_step_minutes=float(STEP_MIN))
    found: dict[str, dict[str, list[np.ndarray]]] = {area: {name: [] for name in NAMES} for area in cells}
    for part in np.array_split(starts, -(-len(starts) // 16)):
        windows = Windows(field, part, past=PAST, future=LEADS)
        frames = torch.stack([windows[n] for n in range(len(part))])
        past, observed = frames[:, :PAST], frames[:, PAST:, 0].numpy()
        known = torch.from_numpy(height)[None].expand(len(part), -1, -1, -1, -1)
        with_height = replace(step, covariates={"height": known})
        made = {"persistence": [base.resolve("persistence").forecast(past, LEADS, step)]}
        made["without"] = [one.forecast(past, LEADS, step) for one in networks["without"]]
        made["height"] = [one.forecast(past, LEADS, with_height) for one in networks["height"]]
        made["hidden"] = [one.forecast(past, LEADS, step) for one in networks["height"]]
        for area, mask in cells.items():
            for name, several in made.items():
                found[area][name].append(sum(counts(one[:, :, 0].numpy(), observed, mask) for one in several))
    joined = {area: {name: np.concatenate(one) for name, one in of.items()} for area, of in found.items()}
    return joined, height[0, 0]


def csi(sums: np.ndarray) -> np.ndarray:
    """The critical success index of (..., 3) counts."""
    return np.asarray(sums[..., 0] / np.maximum(sums.sum(axis=-1), 1))


def estimates(of_area: dict[str, np.ndarray], issued: np.ndarray) -> dict[str, dict[str, Estimate]]:
    """By threshold the mean CSI over leads, and its difference to the network without height; days are drawn."""
    days, which = np.unique(issued.astype("datetime64[D]"), return_inverse=True)
    drawn = np.random.default_rng(0).integers(len(days), size=(BOOTSTRAP_SAMPLES, len(days)))
    found: dict[str, dict[str, Estimate]] = {}
    for number, limit in enumerate(THRESHOLDS):
        sums = {
            name: np.stack([one[which == day][:, :, number].sum(axis=0) for day in range(len(days))])
            for name, one in of_area.items()
        }  # (day, lead, 3)
        whole = {name: float(csi(one.sum(axis=0)).mean()) for name, one in sums.items()}
        several = {name: csi(one[drawn].sum(axis=1)).mean(axis=-1) for name, one in sums.items()}
        weights = Days.of(sums["without"][..., :2].sum(axis=(1, 2)))  # observed events
        made = {name: Estimate.of(whole[name], several[name], weights) for name in NAMES}
        for name in ("height", "hidden"):
            change = whole[name] - whole["without"]
            made[f"{name} - without"] = Estimate.of(change, several[name] - several["without"], weights)
        found[f"{limit:g} mm/h"] = made
    return found


def table(found: dict[str, dict[str, dict[str, Estimate]]]) -> str:
    """CSI with intervals, and the difference that height makes."""
    titles = [f"{area}, {limit}" for area, of in found.items() for limit in of]
    lines = [f"| mean CSI over 30 minutes | {' | '.join(titles)} |", f"|---|{'---:|' * len(titles)}"]
    rows = {**NAMES, "height - without": "difference by height", "hidden - without": "difference, height hidden"}
    for name, title in rows.items():
        cells = [of_limit[name] for of in found.values() for of_limit in of.values()]
        told = [f"{one.value:.3f} ({one.interval[0]:.3f} to {one.interval[1]:.3f})" for one in cells]
        lines.append(f"| {title} | {' | '.join(told)} |")
    return "\n".join([*lines, ""])


def picture(found: dict[str, dict[str, np.ndarray]], height: np.ndarray, path: Path) -> None:
    """The CSI by lead in both sets of cells, and where the height is known."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    first, second, third = figure.subplots(1, 3)
    colours = {"persistence": "#000000", "without": "#0072b2", "height": "#d55e00", "hidden": "#cc79a7"}
    for axis, (area, of_area) in zip((first, second), found.items(), strict=True):
        for name, colour in colours.items():
            by_lead = csi(of_area[name].sum(axis=0)[:, 0])
            axis.plot(STEP_MIN * np.arange(1, LEADS + 1), by_lead, color=colour, label=NAMES[name])
        axis.set_title(f"CSI of {THRESHOLDS[0]:g} mm/h, {area}", fontsize=9)
        axis.set_xlabel("minutes ahead")
        axis.set_ylim(0, 1)
    first.legend(fontsize=7)
    drawn = third.imshow(height, cmap="terrain", vmin=0, vmax=3500)
    third.set_title("height of the ground; white: not in the file", fontsize=9)
    third.set_xticks([])
    third.set_yticks([])
    figure.colorbar(drawn, ax=third, label="m")
    figure.savefig(path, dpi=110)


def main(arguments: list[str] | None = None) -> int:
    """Archives, training, scores."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write")
    parser.add_argument("--kit", type=Path, default=Path(os.environ.get("ECHOCAST_DATA", ".")), help="the data kit")
    parser.add_argument("--seeds", type=int, default=1, help="networks of each kind")
    parser.add_argument("--quick", action="store_true", help="two steps of tiny networks, to see that it runs")
    given = parser.parse_args(arguments)
    folder = given.out / "archives"
    archives(given.kit, folder)
    seeds = range(1 if given.quick else given.seeds)
    networks = {
        name: [train(given.kit, folder, given.out, name, seed, given.quick) for seed in seeds]
        for name in ("without", "height")
    }
    field = archive.open(folder / "scored.zarr")
    starts = segments.window_starts(segments.segments(field), PAST, LEADS, PAST + LEADS)
    wet = wet_cells.counted(field).shares(starts, PAST + LEADS)
    starts = starts[wet >= 0.005][:: 8 if given.quick else 1]
    torch.set_grad_enabled(False)
    sums, height = scored(networks, field, given.kit, starts)
    issued = field.time.values[starts + PAST - 1]
    found = {area: estimates(of_area, issued) for area, of_area in sums.items()}
    plain = {
        area: {limit: {n: [e.value, *e.interval] for n, e in one.items()} for limit, one in of.items()}
        for area, of in found.items()
    }
    about = {"cases": len(starts), "known_height": float(np.isfinite(height).mean())}
    (given.out / "results.json").write_text(json.dumps(about | {"csi": plain}, indent=1), encoding="utf-8")
    (given.out / "table.md").write_text(table(found), encoding="utf-8")
    picture(sums, height, given.out / "csi.png")
    print(f"{len(starts)} cases\n\n{(given.out / 'table.md').read_text(encoding='utf-8')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
