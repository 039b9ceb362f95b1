"""The five driving sequences of tvtLANE's demonstration, arranged in folders for `echocast archive add-video`.

    python experiments/segmentation_lanes.py lanes/testset lanes/test_index_demo.txt --out arranged/

Each line of the index names five frames and the mask of the last one. Frames go to OUT/frames/SEQUENCE/NAME.jpg as
they are, masks to OUT/masks/SEQUENCE/NAME.png, with 255 where the picture, which is a JPEG, is at least 128, and 0
elsewhere. Then see segmentation_lanes.toml.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image


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


def main(arguments: list[str] | None = None) -> int:
    """Arrange the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder with image/ and truth/")
    parser.add_argument("index", type=Path, help="test_index_demo.txt")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write")
    given = parser.parse_args(arguments)
    count = arrange(given.folder, given.index, given.out)
    print(f"{given.out}: {count} sequences in frames/ and masks/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
