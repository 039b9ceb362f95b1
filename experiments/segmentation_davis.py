"""What recurrence gives a U-Net on DAVIS 2016: IoU, Dice and boundary F of the test sequences, with and without.

    python experiments/segmentation_davis.py --davis davis16/ --out runs/segmentation_davis

The folder has frames/SEQUENCE and masks/SEQUENCE, 224 x 128 pixels; without --davis the archive davis16 of the folder
ECHOCAST_DATA is unpacked into --out. Both networks have about as many weights, and learn from the same windows in the
same order (see segmentation_davis.toml and segmentation_davis_unet.toml). The weights with the highest IoU on the four
validation sequences are kept, and so is the number of frames after which a network starts afresh: what it learned from
windows of six need not hold for a longer memory. The four test sequences are scored once, at the end.

Writes results.json, table.md, iou.png (of every frame) and examples.png into the folder.
"""

import argparse
import json
import os
import sys
import tarfile
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from echocast import archive, video
from echocast.archive import transforms
from echocast.segmentation import pictures, scores
from echocast.segmentation.base import Segmenter
from echocast.segmentation.classes import segment
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.verification.base import Sums, add
from echocast.video import writing

FILES = {
    "U-Net of ConvLSTMs": Path(__file__).with_name("segmentation_davis.toml"),
    "U-Net without recurrence": Path(__file__).with_name("segmentation_davis_unet.toml"),
}
SCORES = ("iou", "frame_iou", "dice", "boundary_f")
MEMORIES = (6, 12, None)
"""Frames after which a network starts afresh, to choose from; None: never."""
_QUICK = ("training.max_steps=2", "training.validations=1", "model.width=2")


def unpacked(davis: Path | None, out: Path) -> Path:
    """The folder with frames/ and masks/."""
    if davis is not None:
        return davis
    packed = Path(os.environ["ECHOCAST_DATA"]) / "davis16/davis16_val_224x128.tar"
    with tarfile.open(packed) as file:
        file.extractall(out / "davis16", filter="data")
    return next(found.parent for found in (out / "davis16").rglob("frames"))


def archived(folder: Path, out: Path) -> None:
    """The archives of images and labels; what is there already stays."""
    small = transforms.parse(["resize height=32 width=56"])
    archive.add_videos([folder / "frames"], str(out / "images.zarr"), transforms=small)
    labels = video.Options(quantity="label", classes=(0, 255))
    archive.add_videos([folder / "masks"], str(out / "labels.zarr"), options=labels)


def trained(out: Path, *, quick: bool) -> dict[str, Segmenter]:
    """Both networks, trained or taken from their finished runs."""
    paths = [f"data.train={str(out / 'images.zarr')!r}", f"data.labels={str(out / 'labels.zarr')!r}"]
    found = {}
    for name, file in FILES.items():
        plan = experiments.load(file, [*paths, *(_QUICK if quick else ())])
        found[name] = fit.fit_or_resume(plan, out / file.stem)
    return found


def tested(
    network: Segmenter, out: Path, names: tuple[str, ...], frames: int | None, memory: int | None
) -> dict[str, Sums]:
    """The sums of every sequence of these names."""
    images, labels = archive.open(out / "images.zarr"), archive.open(out / "labels.zarr")
    places = {one.name: one for one in archive.sequences(labels)}
    found = {}
    for one in archive.sequences(images):
        if one.name in names:
            predicted = segment(network, images[one.frames][:frames], memory=memory).values.astype(int)
            truth = labels[places[one.name].frames][:frames].values.astype(int)
            found[one.name] = scores.statistics(predicted, truth, classes=network.classes)
    return found


def best_memory(network: Segmenter, out: Path, names: tuple[str, ...], frames: int | None) -> int | None:
    """The memory with the highest IoU on the validation sequences; the longest of equals."""
    found = {}
    for memory in reversed(MEMORIES):
        found[memory] = float(
            scores.values(reduce(add, tested(network, out, names, frames, memory).values()))["iou"][1]
        )
        print(f"{type(network).__name__}, memory {memory}: IoU {found[memory]:.3f} on the validation sequences")
    return max(found, key=lambda memory: found[memory])


def table(
    results: dict[str, dict[str, dict[str, float]]], counts: dict[str, int], memories: dict[str, int | None]
) -> str:
    """Scores of the object, by network and sequence."""
    lines = [
        "| network | weights | memory | sequence | IoU | IoU by frame (J) | Dice | boundary F |",
        "|---|---:|---:|---|" + "---:|" * 4,
    ]
    for name, sequences in results.items():
        for sequence, found in sequences.items():
            lines.append(
                f"| {name} | {counts[name]:,} | {memories[name] or 'all'} | {sequence} | "
                + " | ".join(f"{found[s]:.3f}" for s in SCORES)
                + " |"
            )
    return "\n".join([*lines, ""])


def draw_frames(
    networks: dict[str, Segmenter], out: Path, names: tuple[str, ...], memories: dict[str, int | None]
) -> None:
    """The IoU of every frame of the test sequences."""
    images, labels = archive.open(out / "images.zarr"), archive.open(out / "labels.zarr")
    places = {one.name: one for one in archive.sequences(labels)}
    figure = Figure(figsize=(2.6 * len(names), 2.6), layout="constrained")
    axes = figure.subplots(1, len(names), sharey=True)
    for axis, name in zip(axes, names, strict=True):
        one = next(found for found in archive.sequences(images) if found.name == name)
        truth = labels[places[name].frames].values == 1
        for label, network in networks.items():
            found = segment(network, images[one.frames], memory=memories[label]).values == 1
            both, either = ((found & truth).sum((1, 2)), (found | truth).sum((1, 2)))
            axis.plot(both / np.maximum(either, 1), label=label)
        axis.set(title=name, xlabel="frame", ylim=(0, 1))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("IoU")
    axes[-1].legend(frameon=False, fontsize=7)
    figure.savefig(out / "iou.png", dpi=90, facecolor="white")


def draw(networks: dict[str, Segmenter], out: Path, names: tuple[str, ...], memories: dict[str, int | None]) -> None:
    """The middle frame of each test sequence: truth, and what each network says."""
    images, labels = archive.open(out / "images.zarr"), archive.open(out / "labels.zarr")
    places = {one.name: one for one in archive.sequences(labels)}
    figure = Figure(figsize=(3 * len(names), 1.8 * (1 + len(networks))), layout="constrained")
    axes = figure.subplots(1 + len(networks), len(names))
    for column, name in enumerate(names):
        one = next(found for found in archive.sequences(images) if found.name == name)
        middle = one.length // 2
        field = images[one.first : one.first + middle + 1]
        shown = writing.to_pictures(field.values[-1:])
        rows = {"truth": labels[places[name].first + middle].values[None]}
        rows |= {name: segment(one, field, memory=memories[name]).values[-1:] for name, one in networks.items()}
        for axis, (label, classes) in zip(axes[:, column], rows.items(), strict=True):
            axis.imshow(pictures.overlay(shown, classes, 2)[0])
            axis.set_xticks([])
            axis.set_yticks([])
            if column == 0:
                axis.set_ylabel(label)
        axes[0, column].set_title(name)
    figure.savefig(out / "examples.png", dpi=80, facecolor="white")


def main(arguments: list[str] | None = None) -> int:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--davis", type=Path, metavar="FOLDER", help="frames/ and masks/ of DAVIS 2016")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write")
    parser.add_argument("--quick", action="store_true", help="two steps of tiny networks, to see that it runs")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    archived(unpacked(given.davis, given.out), given.out)
    networks = trained(given.out, quick=given.quick)
    data, frames = experiments.load(FILES["U-Net of ConvLSTMs"]).data, 3 if given.quick else None
    names, validation = data.held_out, data.validation_sequences
    memories = {label: best_memory(one, given.out, validation, frames) for label, one in networks.items()}
    results = {}
    for label, network in networks.items():
        sums = tested(network, given.out, names, frames, memories[label])
        sums["all"] = reduce(add, sums.values())
        results[label] = {
            name: {score: float(scores.values(one)[score][1]) for score in SCORES} for name, one in sums.items()
        }
    counts = {name: sum(weight.numel() for weight in one.parameters()) for name, one in networks.items()}
    text = table(results, counts, memories)
    (given.out / "table.md").write_text(text, encoding="utf-8")
    content = {
        "results": results,
        "weights": counts,
        "memory": memories,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    (given.out / "results.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    draw(networks, given.out, names, memories)
    draw_frames(networks, given.out, names, memories)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
