"""The experiment on drives of a car: which drive is for what, and the whole of it in little."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from echocast.errors import DataError

SCRIPT = Path(__file__).parent.parent / "experiments" / "prednet_kitti.py"


@pytest.fixture(scope="module")
def kitti() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prednet_kitti", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["prednet_kitti"] = module
    spec.loader.exec_module(module)
    return module


def write_drive(folder: Path, *, count: int = 1, rows: int = 8, columns: int = 30) -> None:
    folder.mkdir(parents=True)
    drawn = np.random.default_rng(len(str(folder)))
    for n in range(count):
        Image.fromarray(drawn.integers(0, 256, (rows, columns, 3), np.uint8)).save(folder / f"{n:010d}.png")


def test_raw_kitti_is_known_by_its_names(kitti: ModuleType, tmp_path: Path) -> None:
    for kind, name in (
        ("city", "2011_09_26_drive_0001"), ("city", "2011_09_26_drive_0005"), ("city", "2011_09_26_drive_0104"),
        ("residential", "2011_09_26_drive_0079"), ("road", "2011_09_26_drive_0070"), ("road", "2011_10_03_drive_0042"),
    ):  # fmt: skip
        for camera in ("image_02", "image_03"):
            write_drive(tmp_path / kind / f"{name}_sync" / name[:10] / f"{name}_sync" / camera / "data")
    found = {drive.name: drive.part for drive in kitti.drives(tmp_path)}
    assert found == {
        "city-2011_09_26_drive_0001_sync-2011_09_26": "train",
        "city-2011_09_26_drive_0005_sync-2011_09_26": "validation",
        "city-2011_09_26_drive_0104_sync-2011_09_26": "test",
        "residential-2011_09_26_drive_0079_sync-2011_09_26": "test",
        "road-2011_09_26_drive_0070_sync-2011_09_26": "test",
        "road-2011_10_03_drive_0042_sync-2011_10_03": "train",
    }
    assert all(drive.path.parent.name == "image_03" for drive in kitti.drives(tmp_path))


def test_any_folder_of_drives_may_be_sorted_by_hand(kitti: ModuleType, tmp_path: Path) -> None:
    for part in ("validation", "test", "mine"):
        write_drive(tmp_path / part / "one")
    np.save(tmp_path / "more.npy", np.zeros((2, 8, 30), np.uint8))
    found = {drive.name: drive.part for drive in kitti.drives(tmp_path)}
    assert found == {"mine-one": "train", "more": "train", "test-one": "test", "validation-one": "validation"}
    with pytest.raises(DataError, match="has 1 drives and none for validation"):
        kitti.drives(tmp_path / "mine")


@pytest.mark.slow  # it starts a process and trains
def test_drives_of_different_sizes_are_learned_from_and_scored(tmp_path: Path) -> None:
    for part, rows in (("train", 70), ("validation", 66), ("test", 68)):
        write_drive(tmp_path / "drives" / part / "one", count=16, rows=rows, columns=240)
    write_drive(tmp_path / "drives" / "train" / "other", count=16, rows=80, columns=240)
    words = [str(SCRIPT), str(tmp_path / "drives"), "--out", str(tmp_path / "out"), "--quick", "--fine-tune"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(found) == {"test-one", "all"}
    assert found["all"]["windows"] == 1
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"predictions.png", "errors.png"}


@pytest.mark.data
@pytest.mark.slow  # it reads real pictures
def test_the_kits_drives_become_an_archive(kitti: ModuleType, tmp_path: Path, data_kit: Path) -> None:
    import tarfile

    from echocast import archive

    with tarfile.open(data_kit / "kitti" / "kitti_vo_128.tar") as tar:
        tar.extractall(tmp_path / "train", filter="data")
    for part in ("validation", "test"):
        write_drive(tmp_path / part / "one", count=2, rows=128, columns=200)
    kitti.make_archives(kitti.drives(tmp_path), tmp_path, grey=True, height=128, width=160)
    stored = archive.open(str(tmp_path / "train.zarr"))
    assert [one.length for one in archive.sequences(stored)] == [51, 51]
    assert stored.shape[1:] == (128, 160)
    picture = np.asarray(Image.open(tmp_path / "train" / "sequence_1" / "000000.png").convert("L"))
    begin = (picture.shape[1] - 160) // 2
    np.testing.assert_allclose(stored[0].values, picture[:, begin : begin + 160] / 255, atol=1e-6)
