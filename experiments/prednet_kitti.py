"""PredNet on drives of a car: archives of any folder of drives, training, and the squared error beside that of copying.

    python experiments/prednet_kitti.py kitti/raw --out runs/prednet_kitti           small and grey, two cores
    python experiments/prednet_kitti.py kitti/raw --out runs/prednet_kitti --full    the published protocol, for a GPU
    python experiments/prednet_kitti.py kitti/raw --out runs/prednet_kitti --full --fine-tune     and extrapolation
    python experiments/prednet_kitti.py --kit ../shared/data --out runs/prednet_kitti    two drives and a clip of bikes

DRIVES is raw KITTI (city, residential and road, of whose cameras image_03 is taken), or any folder of folders of
pictures, videos and arrays. Validation and test drives are the published ones, known by their names, and what lies in
folders called validation and test; all others are learned from. Frames become 128 rows high and are cut to the middle
160 columns (small: half of that). Writes results.json, table.md, predictions.png and errors.png into the folder.
"""

import argparse
import json
import logging
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure
from torch import Tensor

from echocast import archive, video
from echocast.archive import transforms
from echocast.errors import DataError
from echocast.models import base
from echocast.models.prednet import PredNet
from echocast.training import experiment as experiments
from echocast.training import fit
from echocast.video import arrays, decoding, pictures

HERE = Path(__file__).parent
VALIDATION_DRIVES = ("2011_09_26_drive_0005",)
TEST_DRIVES = ("2011_09_26_drive_0104", "2011_09_26_drive_0079", "2011_09_26_drive_0070")
CAMERA = "image_03"
FRAME_RATE = 10.0
FRAMES = 10
"""Of a window."""
KIT_DRIVES = (("train/kitti1", 1, 0, 51), ("validation/kitti2", 2, 0, 20), ("test/kitti2", 2, 21, 51))
KIT_SCENES = (
    ("train/bikes1", 0, 30), ("train/bikes2", 30, 72), ("train/bikes3", 76, 99), ("train/bikes4", 104, 136),
    ("validation/bikes5", 137, 187), ("test/bikes6", 187, 242),
)  # fmt: skip
"""Part and name, first frame, and the one after the last; the clip is cut where its scenes change."""


@dataclass(frozen=True)
class Drive:
    """Frames that belong together: a folder of pictures, a video, or a file of arrays."""

    name: str
    path: Path
    part: str


def drives(root: Path) -> list[Drive]:
    """The drives below a folder, by name; raises `DataError` if a part has none."""
    found = sorted(_below(root, root), key=lambda drive: drive.name)
    for part in ("train", "validation", "test"):
        if not any(drive.part == part for drive in found):
            raise DataError(
                f"{root}: has {len(found)} drives and none for {part}; put folders called train, validation and test"
                f" into it, or the published drives ({', '.join(VALIDATION_DRIVES + TEST_DRIVES)})"
            )
    return found


def _below(path: Path, root: Path) -> Iterator[Drive]:
    if path.is_file():
        if path.suffix.lower() in decoding.SUFFIXES + arrays.SUFFIXES:
            yield _drive(path, root)
        return
    inside = sorted(one for one in path.iterdir() if not one.name.startswith("."))
    if any(one.is_file() and pictures.is_picture(one) for one in inside):
        yield _drive(path, root)
    for one in inside:
        other_camera = one.is_dir() and one.name.startswith("image_0") and one.name != CAMERA
        if not other_camera:
            yield from _below(one, root)


def _drive(path: Path, root: Path) -> Drive:
    """A drive with its name, in which the folders that all of KITTI have do not appear, and its part."""
    folders = path.relative_to(root).with_suffix("").parts
    names = [name for name in folders if name not in (CAMERA, "data")] or [path.stem]
    return Drive("-".join(dict.fromkeys(names)), path, part_of(names))


def part_of(names: list[str]) -> str:
    """``validation`` or ``test`` by the published names or a folder called so, ``train`` else."""
    for part, published in (("validation", VALIDATION_DRIVES), ("test", TEST_DRIVES)):
        if part in names or any(name.startswith(published) for name in names):
            return part
    return "train"


def kit_drives(data: Path, out: Path) -> Path:
    """The kit's two drives and its clip of bikes, at about the same frame rate, as a folder of drives.

    The first drive and four scenes of the clip are learned from, the beginning of the second drive and a scene
    validate, its end and the last scene are the test. What is learned from comes mirrored too, and of the drive the
    left and the right third beside the middle one, which is what the other parts show.
    """
    folder = out / "drives"
    if folder.exists():
        return folder
    for part in ("train", "validation", "test"):
        (folder / part).mkdir(parents=True)
    with tempfile.TemporaryDirectory() as unpacked, tarfile.open(data / "kitti" / "kitti_vo_128.tar") as tar:
        tar.extractall(unpacked, filter="data")
        for name, number, first, stop in KIT_DRIVES:
            frames = video.one(Path(unpacked) / f"sequence_{number}").frames[first:stop]
            if name.startswith("train"):
                for place, part in _thirds(frames).items():
                    _save(folder / f"{name}-{place}", part, mirrored=True)
            else:
                _save(folder / name, frames)
    frames = video.one(data / "clips" / "bikes.mp4", video.Options(grey=True)).frames
    for name, first, stop in KIT_SCENES:
        for half in range(2):  # 25 frames a second become two sequences of 12.5
            part = frames[first + half : stop : 2]
            _save(folder / f"{name}{'ab'[half]}", part, mirrored=name.startswith("train"))
    return folder


def _thirds(frames: np.ndarray) -> dict[str, np.ndarray]:
    """Frames (time, channel, y, x) cut to the shape of the small network's at three places."""
    width = frames.shape[-2] * 80 // 64
    free = frames.shape[-1] - width
    places = {"left": 0, "middle": free // 2, "right": free}
    return {place: frames[..., begin : begin + width] for place, begin in places.items()}


def _save(path: Path, frames: np.ndarray, *, mirrored: bool = False) -> None:
    np.save(path.with_name(f"{path.name}.npy"), frames)
    if mirrored:
        np.save(path.with_name(f"{path.name}-mirrored.npy"), frames[..., ::-1])


def make_archives(found: list[Drive], out: Path, *, grey: bool, height: int, width: int) -> None:
    """One archive a part, with frames of one size; drives that are there already stay as they are."""
    steps = transforms.parse([f"resize_and_crop height={height} width={width}"])
    options = video.Options(grey=grey, frame_rate=FRAME_RATE)
    for part in ("train", "validation", "test"):
        with tempfile.TemporaryDirectory() as folder:
            for drive in found:
                if drive.part == part:
                    suffix = drive.path.suffix if drive.path.is_file() else ""
                    (Path(folder) / f"{drive.name}{suffix}").symlink_to(drive.path.resolve())
            report = archive.add_videos([Path(folder)], str(out / f"{part}.zarr"), options=options, transforms=steps)
        print(f"{part}: {report.sequences} drives, {report.frames} frames of {report.shape}", flush=True)


def windows(stored: xr.DataArray) -> Tensor:
    """All windows of a part, one behind the other, (window, time, channel, y, x)."""
    cut = [
        stored[first : first + FRAMES].values
        for one in archive.sequences(stored)
        for first in range(one.first, one.first + one.length - FRAMES + 1, FRAMES)
    ]
    if not cut:
        raise DataError(f"no test drive has {FRAMES} frames; give longer ones")
    frames = torch.from_numpy(np.stack(cut)).float()
    return frames if "channel" in stored.dims else frames.unsqueeze(2)


@torch.no_grad()
def scores(model: PredNet, test: Tensor, names: list[str], device: str) -> dict[str, dict[str, float]]:
    """Mean squared error of every frame but the first, of the network and of the frame before, by drive and in all."""
    model.to(device)
    made = torch.cat([model.predictions(part.to(device)).cpu() for part in torch.split(test, 4)])
    network = (made - test)[:, 1:].square().mean((1, 2, 3, 4))
    copied = (test[:, :-1] - test[:, 1:]).square().mean((1, 2, 3, 4))
    chosen = {name: [n for n, one in enumerate(names) if one == name] for name in dict.fromkeys(names)}
    chosen["all"] = list(range(len(names)))
    return {
        name: {"windows": len(rows), "prednet": float(network[rows].mean()), "copy": float(copied[rows].mean())}
        for name, rows in chosen.items()
    }


def table(found: dict[str, dict[str, float]], about: str) -> str:
    """The scores as Markdown."""
    lines = [about, "", "| test drive | windows | PredNet | copy of the frame before |", "|---|---:|---:|---:|"]
    lines += [
        f"| {name} | {row['windows']:.0f} | {row['prednet']:.5f} | {row['copy']:.5f} |" for name, row in found.items()
    ]
    return (
        "\n".join([*lines, "", "Mean squared error of grey levels from 0 to 1, of every frame but the first."]) + "\n"
    )


@torch.no_grad()
def draw(model: PredNet, window: Tensor, out: Path) -> None:
    """The frames of one window with their predictions; and the errors of each layer."""
    model.cpu()
    made = model.predictions(window[None])[0].clamp(0, 1)
    rows = {"frame": window, "prediction": made, "copy": torch.cat([window[:1], window[:-1]])}
    figure = Figure(figsize=(11, 0.95 * len(rows)), layout="constrained")
    for line, (title, frames) in zip(figure.subplots(len(rows), FRAMES - 1), rows.items(), strict=True):
        for axis, frame in zip(line, frames[1:], strict=True):
            axis.imshow(frame.movedim(0, -1).squeeze(-1), cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(title)
    figure.savefig(out / "predictions.png", dpi=90, facecolor="white")
    maps = [maps[0].mean(1) for maps in model.error_maps(window[None])]
    figure = Figure(figsize=(11, 0.95 * len(maps) + 1), layout="constrained")
    lines = figure.subplots(len(maps) + 1, FRAMES - 1)
    for axis, frame in zip(lines[0], window[1:], strict=True):
        axis.imshow(frame.movedim(0, -1).squeeze(-1), cmap="gray", vmin=0, vmax=1)
    for layer, (line, one) in enumerate(zip(lines[1:], maps, strict=True)):
        for axis, frame in zip(line, one[1:], strict=True):
            axis.imshow(frame, cmap="magma", vmin=0, vmax=float(one[1:].quantile(0.99)))
        line[0].set_ylabel(f"E{layer}")
    for axis in lines.flat:
        axis.set(xticks=[], yticks=[])
    lines[0][0].set_ylabel("frame")
    figure.savefig(out / "errors.png", dpi=90, facecolor="white")


def settings(given: argparse.Namespace) -> list[str]:
    """What the command line puts over the experiment's file."""
    own = [f"data.{part}={given.out / part}.zarr" for part in ("train", "validation")]
    own.append(f"training.accelerator={'cpu' if given.device == 'cpu' else 'gpu'}")
    if given.full:
        own += ["model.channels=3", "model.hidden_channels=[48, 96, 192]", "training.max_sequences=75_000"]
        own += ["optimiser.learning_rate=1e-3", "training.validations=150"]
    if given.quick:
        own += ["model.hidden_channels=[4, 6]", "training.max_sequences=8", "training.validations=1"]
    return own


def trained(given: argparse.Namespace) -> PredNet:
    """The network after training, and after learning to extrapolate if that is wanted."""
    path = HERE / "prednet_kitti.toml"
    model = fit.fit_or_resume(experiments.load(path, settings(given)), given.out / "run")
    if given.fine_tune:
        more = ["model.loss=extrapolation", "data.past=10", "data.future=5"]
        more += [f"training.init_from={given.out / 'run' / 'weights.safetensors'}"]
        model = fit.fit_or_resume(experiments.load(path, settings(given) + more), given.out / "extrapolation")
    assert isinstance(model, PredNet)  # the experiment says so
    return model


def main() -> None:
    """Archive, train, score, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drives", type=Path, metavar="DRIVES", nargs="?", help="folder of drives")
    parser.add_argument("--kit", type=Path, help="make the drives of the data kit in this folder, in place of DRIVES")
    parser.add_argument("--out", type=Path, default=Path("runs/prednet_kitti"))
    parser.add_argument("--full", action="store_true", help="published size, channels and number of windows")
    parser.add_argument("--fine-tune", action="store_true", help="then learn to extrapolate five frames")
    parser.add_argument("--quick", action="store_true", help="two tiny steps: shows that it runs, nothing more")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    if (given.drives is None) == (given.kit is None):
        parser.error("give a folder of DRIVES, or --kit with the folder of the data kit")
    logging.getLogger("echocast.training").addHandler(logging.StreamHandler(sys.stdout))
    logging.getLogger("echocast.training").setLevel(logging.INFO)
    given.out.mkdir(parents=True, exist_ok=True)
    height, width = (128, 160) if given.full else (64, 80)
    root = given.drives if given.kit is None else kit_drives(given.kit, given.out)
    make_archives(drives(root), given.out, grey=not given.full, height=height, width=width)
    model = trained(given)
    stored = archive.open(str(given.out / "test.zarr"))
    test = windows(stored)
    names = [one.name for one in archive.sequences(stored) for _ in range(one.length // FRAMES)]
    found = scores(model, test, names, given.device)
    steps = base.load(given.out / "run" / "weights.safetensors")
    count = sum(weight.numel() for weight in steps.parameters())
    (given.out / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    text = table(found, f"PredNet of {count:,} weights, frames of {height}x{width}.")
    (given.out / "table.md").write_text(text, encoding="utf-8")
    draw(model, test[len(test) // 2], given.out)
    print(text)


if __name__ == "__main__":
    main()
