"""Anomaly detection on UCSD Ped2: three kinds of error, their settings chosen on normal clips, one look at the test.

    python experiments/anomaly_ped2.py ucsd_ped2/ --labels frame_labels.json --out runs/anomaly_ped2

`ucsd_ped2/` holds the folders training, testing and masks. It makes the two archives, trains the networks of
anomaly_ped2.toml and anomaly_ped2_autoencoder.toml, and for each kind of error takes the settings (of a forecast also
how many frames ahead it is) with the largest ROC area on held-out normal clips with pasted anomalies
(anomaly_ped2_choice.py). Then the test clips are scored once. It
writes table.md, results.json and scores.png. `--untrained` leaves the networks out, `--quick` is for a first try.
"""

import argparse
import dataclasses
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import xarray as xr

sys.path.insert(0, str(Path(__file__).parent))
from anomaly_ped2_choice import with_anomalies

from echocast import archive, fields, video
from echocast.anomaly import detection, figures, normal, truth
from echocast.anomaly.errors import Errors, NextFrame, Reconstruction
from echocast.anomaly.ranking import roc
from echocast.anomaly.scores import Settings, block_means, of_maps, smoothed
from echocast.models import base
from echocast.samples import splits
from echocast.training import experiment as experiments
from echocast.training import fit

HERE = Path(__file__).parent
BLOCKS, SMOOTHS, LEADS = (None, 6, 8, 12, 16), (1, 5, 9, 15), (1, 2, 4)
PASTED = 12


def main() -> None:
    arguments = _arguments()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    stores = {name: _archive(arguments.folder / folder, out / f"{name}.zarr") for name, folder in _FOLDERS.items()}
    finders = _finders(out, trained=not arguments.untrained, quick=arguments.quick)
    clips = 3 if arguments.quick else PASTED
    rows = [_row(name, finder, stores, arguments, clips) for name, finder in finders.items()]
    (out / "results.json").write_text(json.dumps(rows, indent=2))
    (out / "table.md").write_text(_table(rows))
    print(_table(rows))


_FOLDERS = {"normal": "training", "test": "testing"}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/anomaly_ped2"))
    parser.add_argument("--untrained", action="store_true", help="persistence alone")
    parser.add_argument("--quick", action="store_true", help="train for 10 steps, choose on 3 clips")
    return parser.parse_args()


def _archive(folder: Path, store: Path) -> xr.DataArray:
    archive.add_videos([folder], str(store), options=video.Options(frame_rate=10.0))
    return archive.open(str(store)).load()


def _finders(out: Path, *, trained: bool, quick: bool) -> dict[str, Errors]:
    found: dict[str, Errors] = {"persistence": NextFrame(base.resolve("persistence"), past=1)}
    if not trained:
        return found
    sets = [f"data.train={out / 'normal.zarr'}", *(["training.max_steps=10"] if quick else [])]
    forecaster = experiments.load(HERE / "anomaly_ped2.toml", sets)
    network = fit.fit_or_resume(forecaster, out / "forecaster")
    found["ConvLSTM next frame"] = NextFrame(network, past=forecaster.data.past)
    autoencoder = experiments.load(HERE / "anomaly_ped2_autoencoder.toml", sets)
    found["Chong and Tay, reduced"] = Reconstruction(fit.fit_or_resume(autoencoder, out / "autoencoder"))
    return found


def _row(
    name: str, finder: Errors, stores: dict[str, xr.DataArray], arguments: argparse.Namespace, clips: int
) -> dict[str, object]:
    """Choose the settings of one kind of error, and score the test clips with them."""
    parts = {part: splits.by_fractions(stores["normal"], part) for part in splits.PARTS[1:]}
    finder, settings, synthetic = max(
        ((one, *_choose(one, stores["normal"], parts, clips)) for one in _ahead(finder)), key=lambda found: found[2]
    )
    train = [_maps(finder, stores["normal"][one]) for one in parts["train"][::3]]
    held = [_maps(finder, stores["normal"][one]) for one in parts["validation"] + parts["test"]]
    learned = normal.learn([iter([maps]) for maps in train], settings)
    known = dataclasses.replace(learned, scores=_scores(held, learned, settings))
    result = detection.detect(stores["test"], finder, settings, known)
    labels = truth.read_labels(arguments.labels, {one.name: len(one.scores) for one in result.sequences})
    curves = {
        "frame": truth.frame_curve(result, labels),
        "frame, by regularity": truth.frame_curve(result, labels, regular=True),
        "pixel": truth.pixel_curve(result, truth.read_masks(arguments.folder / "masks", result)),
    }
    figures.score_figure(result, labels).savefig(arguments.out / f"{name.split(',')[0].replace(' ', '_')}.png")
    found = np.concatenate([one.abnormal for one in result.sequences])
    truly = np.concatenate([labels[one.name] for one in result.sequences])
    return {
        "error": name,
        "frames ahead": finder.lead if isinstance(finder, NextFrame) else 0,
        "settings": dataclasses.asdict(settings),
        "synthetic": synthetic,
        "detected": float(found[truly].mean()),
        "false_alarms": float(found[~truly].mean()),
    } | {key: {"roc_area": curve.area, "equal_error_rate": curve.equal_error_rate} for key, curve in curves.items()}


def _maps(finder: Errors, frames: xr.DataArray) -> np.ndarray:
    return np.concatenate(list(finder.maps(frames)))


def _scores(held: list[np.ndarray], learned: normal.Normal, settings: Settings) -> np.ndarray:
    """The scores of held-out normal frames, which the threshold comes from."""
    scores = [smoothed(of_maps(block_means(m / learned.scale, settings.block)), settings.smooth) for m in held]
    together = np.concatenate(scores)
    return np.sort(together[np.isfinite(together)])


def _ahead(finder: Errors) -> list[Errors]:
    """A forecaster at different leads; an autoencoder as it is."""
    if isinstance(finder, NextFrame):
        return [dataclasses.replace(finder, lead=lead) for lead in LEADS]
    return [finder]


def _choose(finder: Errors, stored: xr.DataArray, parts: dict[str, list[slice]], clips: int) -> tuple[Settings, float]:
    """The settings with the largest ROC area on held-out normal clips with pasted anomalies, and that area."""
    train = [_maps(finder, stored[one]) for one in parts["train"][::3]]
    rng, held, donors = np.random.default_rng(0), parts["validation"] + parts["test"], parts["train"]
    maps, labels = [], []
    for number in range(clips):
        host, donor = stored[held[number % len(held)]][:150], stored[donors[int(rng.integers(len(donors)))]].values
        frames, shown = with_anomalies(host.values, donor, rng)
        maps.append(_maps(finder, _clip(frames)))
        labels.append(shown)
    best: tuple[float, Settings] | None = None
    for block, by_place in itertools.product(BLOCKS, (False, True)):
        scale = normal.learn([iter([one]) for one in train], Settings(block=block, by_place=by_place)).scale
        raw = [of_maps(block_means(one / scale, block)) for one in maps]
        for smooth in SMOOTHS:
            scores = np.concatenate([smoothed(one, smooth) for one in raw])
            area = roc(scores, np.concatenate(labels)).area
            if best is None or area > best[0]:
                best = area, Settings(block=block, by_place=by_place, smooth=smooth)
    assert best is not None  # there are settings to choose from
    return best[1], best[0]


def _clip(frames: np.ndarray) -> xr.DataArray:
    times = video.START + np.arange(len(frames)) * np.timedelta64(100, "ms")
    rows, columns = frames.shape[1:]
    return fields.make(frames, time=times, y=range(rows), x=range(columns), quantity="image")


def _table(rows: list[dict[str, object]]) -> str:
    names = ("error", "frames ahead", "block", "by place", "smooth", "ROC area, pasted", "ROC area", "EER")
    names += ("by regularity", "pixel level")
    lines = [f"| {' | '.join(names)} |\n{'|---' * len(names)}|"]
    for row in rows:
        settings, frame = row["settings"], row["frame"]
        block = settings["block"] or "frame"
        lines.append(
            f"| {row['error']} | {row['frames ahead'] or ''} | {block} | {'yes' if settings['by_place'] else 'no'}"
            f" | {settings['smooth']}"
            f" | {row['synthetic']:.3f} | {frame['roc_area']:.3f} | {frame['equal_error_rate']:.3f}"
            f" | {row['frame, by regularity']['roc_area']:.3f} | {row['pixel']['roc_area']:.3f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
