"""The five driving sequences of tvtLANE's demonstration, arranged in folders for `echocast archive add-video`.

    python experiments/segmentation_lanes.py lanes/testset lanes/test_index_demo.txt --out arranged/

Each line of the index names five frames and the mask of the last one. Frames go to OUT/frames/SEQUENCE/NAME.jpg as
they are, masks to OUT/masks/SEQUENCE/NAME.png, with 255 where the picture, which is a JPEG, is at least 128, and 0
elsewhere. Then see segmentation_lanes.toml; or --train does the rest too, into OUT: archives, training, and the scores
of the held-out sequence in table.md and results.json.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from echocast import archive, video
from echocast.archive import transforms
from echocast.segmentation import run
from echocast.training import experiment as experiments
from echocast.training import fit


def arrange(folder: Path, index: Path, out: Path) -> int:
    """Copy frames and masks; returns the number of sequences."""
    lines = [line.split() for line in index.read_text(encoding="utf-8").splitlines() if line.strip()]
    for words in lines:
        *frames, mask = (Path(word) for word in words)
        sequence = frames[0].stem.partition("_")[0]
        for kind in ("frames", "masks"):
            (out / kind / sequence).mkdir(parents=True, exist_ok=True)
        for frame in frames:
            shutil.copyfile(folder / "image" / frame.name, out / "frames" / sequence / frame.name)
        grey = np.asarray(Image.open(folder / "truth" / mask.name).convert("L"))
        Image.fromarray(np.where(grey >= 128, 255, 0).astype(np.uint8)).save(
            out / "masks" / sequence / f"{mask.stem}.png"
        )
    return len(lines)


def learn(folder: Path, out: Path, *, quick: bool) -> None:
    """Archives of what was arranged, the training, and the scores of the held-out sequence."""
    small = transforms.parse(["resize height=32 width=64"])
    archive.add_videos([folder / "frames"], str(out / "images.zarr"), transforms=small)
    labels = video.Options(quantity="label", classes=(0, 255), beside=folder / "frames")
    archive.add_videos([folder / "masks"], str(out / "labels.zarr"), options=labels)
    own = [f"data.train={str(out / 'images.zarr')!r}", f"data.labels={str(out / 'labels.zarr')!r}"]
    own += ["training.max_steps=2", "training.validations=1", "model.width=2"] if quick else []
    plan = experiments.load(Path(__file__).with_suffix(".toml"), own)
    fit.fit_or_resume(plan, out / "run")
    (held,) = plan.data.held_out
    masks = run.Labels(folder / "masks" / held, (0, 255))
    weights = out / "run" / "weights.safetensors"
    result = run.run(folder / "frames" / held, weights, out / "segmented", transforms=small, labels=masks)
    (scored,) = result.scores().values()  # one sequence
    found = {name: [float(one) for one in np.atleast_1d(values)] for name, values in scored.items()}
    (out / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    lines = ["| score of sequence 5 | road | lanes |", "|---|---:|---:|"]
    lines += [f"| {name} | {v[0]:.3f} | {v[1]:.3f} |" for name, v in found.items() if len(v) == 2]
    (out / "table.md").write_text("\n".join([*lines, ""]), encoding="utf-8")
    print((out / "table.md").read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> int:
    """Arrange the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder with image/ and truth/")
    parser.add_argument("index", type=Path, help="test_index_demo.txt")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write")
    parser.add_argument("--train", action="store_true", help="train and score too")
    parser.add_argument("--quick", action="store_true", help="two steps of a tiny network, to see that it runs")
    given = parser.parse_args(arguments)
    folder = given.out / "arranged" if given.train else given.out
    count = arrange(given.folder, given.index, folder)
    print(f"{folder}: {count} sequences in frames/ and masks/")
    if given.train:
        learn(folder, given.out, quick=given.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main())
