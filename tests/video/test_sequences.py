"""Videos, folders of pictures and arrays become sequences, as they are."""

from collections.abc import Callable
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
from PIL import Image

from echocast import archive, video
from echocast.archive import transforms as transforming
from echocast.errors import DataError, UnreadableFile
from echocast.video import writing

DRAWN = np.random.default_rng(0)


def grey(count: int = 4, rows: int = 6, columns: int = 10) -> np.ndarray:
    return DRAWN.integers(0, 256, (count, 1, rows, columns), dtype=np.uint8)


def save(folder: Path, frames: np.ndarray, ending: str = "png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        picture = frame[0] if len(frame) == 1 else np.moveaxis(frame, 0, -1)
        Image.fromarray(picture).save(folder / f"f{number + 8}.{ending}")
    return folder


def test_a_folder_of_pictures_is_one_sequence_in_the_order_of_numbers(tmp_path: Path) -> None:
    frames = grey(4)
    found = video.one(save(tmp_path / "clip", frames))  # f8, f9, f10, f11
    np.testing.assert_array_equal(found.frames, frames)
    field = found.field()
    assert (field.name, field.dims, found.frame_rate) == ("image", ("time", "y", "x"), 1.0)
    np.testing.assert_array_equal(field.values, frames[:, 0].astype(np.float32) / np.float32(255))


def test_colours_keep_their_order_and_sixteen_bits_their_depth(tmp_path: Path) -> None:
    colours = DRAWN.integers(0, 256, (2, 3, 5, 7), dtype=np.uint8)
    found = video.one(save(tmp_path / "rgb", colours))
    assert found.field().channel.values.tolist() == ["red", "green", "blue"]
    np.testing.assert_array_equal(found.frames, colours)
    deep = DRAWN.integers(0, 2**16, (2, 1, 5, 7)).astype(np.uint16)
    again = video.one(save(tmp_path / "deep", deep))
    np.testing.assert_array_equal(again.frames, deep)
    np.testing.assert_array_equal(again.field().values, deep[:, 0].astype(np.float32) / np.float32(65535))
    luma = np.rint(np.einsum("tcyx,c->tyx", colours.astype(float), [0.299, 0.587, 0.114]))
    made = video.one(tmp_path / "rgb", video.Options(grey=True)).frames[:, 0]
    np.testing.assert_allclose(made, luma, atol=1)


def test_a_folder_of_folders_is_several_sequences(tmp_path: Path) -> None:
    for name in ("b", "a", "a10", "a9"):
        save(tmp_path / "all" / name, grey(2))
    assert [one.name for one in video.sequences([tmp_path / "all"])] == ["a", "a9", "a10", "b"]
    with pytest.raises(DataError, match="several sequences, 'a' first"):
        video.one(tmp_path / "all")


def test_an_mp4_keeps_size_rate_and_colours(tmp_path: Path) -> None:
    flat = np.zeros((9, 16, 32, 3), np.uint8)
    flat[:, :, :16], flat[:, :, 16:] = (200, 30, 40), (20, 90, 220)
    writing.write(tmp_path / "clip.mp4", flat, frame_rate=30000 / 1001)
    found = video.one(tmp_path / "clip.mp4")
    assert found.frames.shape == (9, 3, 16, 32)
    assert found.frame_rate == pytest.approx(30000 / 1001)
    assert np.abs(found.frames[:, :, 8, 4].astype(int) - [200, 30, 40]).max() < 12
    assert np.abs(found.frames[:, :, 8, 28].astype(int) - [20, 90, 220]).max() < 12


def test_a_gif_keeps_its_rate(tmp_path: Path) -> None:
    frames = np.repeat(grey(3)[:, 0, :, :, None] // 32 * 32, 3, axis=-1)
    writing.write(tmp_path / "a.gif", frames, frame_rate=5)
    found = video.one(tmp_path / "a.gif")
    assert found.frame_rate == pytest.approx(5)
    np.testing.assert_array_equal(found.frames[:, 0], frames[..., 0])


def test_a_cut_video_is_refused(tmp_path: Path) -> None:
    writing.write(tmp_path / "whole.avi.mp4", np.full((30, 32, 32, 3), 9, np.uint8), frame_rate=10)
    content = (tmp_path / "whole.avi.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableFile, match=r"cut\.mp4: (is cut off|cannot be decoded)"):
        video.one(tmp_path / "cut.mp4")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        container.add_stream("aac", rate=8000)
    with pytest.raises(UnreadableFile, match=r"sound\.mp4"):
        video.one(tmp_path / "sound.mp4")


def moving_mnist(path: Path) -> list[np.ndarray]:
    stored = DRAWN.integers(0, 256, (20, 4, 64, 64), dtype=np.uint8)
    np.save(path, stored)
    return list(stored.swapaxes(0, 1)[:, :, None])


def clips(path: Path) -> list[np.ndarray]:
    frames = DRAWN.random((40, 1, 8, 8)).astype(np.float32)
    np.savez(
        path,
        clips=np.array([[[0, 10], [20, 10]], [[10, 10], [30, 10]]]),
        input_raw_data=frames,
        dims=np.array([[1, 8, 8]]),
    )
    return [frames[:20], frames[20:]]


def channels_last(path: Path) -> list[np.ndarray]:
    frames = DRAWN.integers(0, 256, (6, 9, 8, 3), dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file["data_0"] = frames
    return [np.moveaxis(frames, -1, 1)]


def levels(path: Path) -> list[np.ndarray]:
    frames = DRAWN.random((6, 9, 8))
    np.save(path, frames)
    return [frames[:, None].astype(np.float32)]


@pytest.mark.parametrize(
    ("write", "name"),
    [(moving_mnist, "mnist_test_seq.npy"), (clips, "train.npz"), (channels_last, "x.hkl"), (levels, "one.npy")],
)
def test_arrays(tmp_path: Path, write: Callable[[Path], list[np.ndarray]], name: str) -> None:
    wanted = write(tmp_path / name)
    found = list(video.sequences([tmp_path / name]))
    assert len(found) == len(wanted)
    for one, frames in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.frames, frames)


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros((4, 5)), "holds no frames"),
        (np.full((4, 5, 6), 700.0), "from 700 to 700"),
        (np.full((4, 5, 6), np.inf), "inf"),
        (np.full((4, 5, 6), -1), "from -1 to -1"),
        (np.zeros((4, 3, 6, 3)), "does not tell which axis"),
        (np.zeros((4, 5, 6), complex), "complex"),
        (np.zeros((0, 5, 6)), "holds no frames"),
    ],
)
def test_arrays_that_are_no_frames_are_refused(tmp_path: Path, array: np.ndarray, why: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UnreadableFile, match=why):
        list(video.sequences([tmp_path / "a.npy"]))


def test_pictures_that_change_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "clip", grey(2))
    Image.fromarray(np.zeros((6, 11), np.uint8)).save(folder / "f20.png")
    with pytest.raises(UnreadableFile, match=r"f20\.png: is of 11 x 6 pixels .* the pictures before it are of 10 x 6"):
        video.one(folder)
    (folder / "f20.png").write_bytes((folder / "f8.png").read_bytes()[:40])
    with pytest.raises(UnreadableFile, match=r"f20\.png: is no whole picture"):
        video.one(folder)
    with pytest.raises(DataError, match="holds no video, picture or array"):
        video.one(tmp_path.joinpath("empty").mkdir() or tmp_path / "empty")
    with pytest.raises(UnreadableFile, match="no such file"):
        video.one(tmp_path / "nowhere.mp4")


def test_labels_keep_their_place_and_unknown_classes_are_refused(tmp_path: Path) -> None:
    frames = grey(4)
    save(tmp_path / "frames/s", frames)
    masks = (frames > 128).astype(np.uint8) * 255
    save(tmp_path / "masks/s", masks)
    for number in (8, 10):
        (tmp_path / f"masks/s/f{number}.png").unlink()
    options = video.Options(quantity="label", classes=(0, 255), beside=tmp_path / "frames")
    found = next(video.sequences([tmp_path / "masks"], options))
    assert found.places == (1, 3)
    np.testing.assert_array_equal(found.field().values, (masks[[1, 3], 0] / 255).astype(np.float32))
    with pytest.raises(DataError, match="pixel values 255, which are not among the classes 0"):
        next(video.sequences([tmp_path / "masks"], video.Options(quantity="label", classes=(0,)))).field()
    (tmp_path / "masks/s/f9.png").rename(tmp_path / "masks/s/other.png")
    with pytest.raises(DataError, match="no picture called other"):
        next(video.sequences([tmp_path / "masks"], options))


def test_an_archive_of_sequences(tmp_path: Path) -> None:
    frames = {name: grey(5) for name in ("a", "b")}
    for name, one in frames.items():
        save(tmp_path / "in" / name, one)
    store = tmp_path / "s.zarr"
    options = video.Options(frame_rate=30000 / 1001)
    report = archive.add_videos([tmp_path / "in"], store, options=options)
    assert (report.added, report.added_frames, report.frame_rate) == (2, 10, pytest.approx(30000 / 1001))
    stored = archive.open(store)
    assert [tuple(one) for one in archive.sequences(stored)] == [("a", 0, 5), ("b", 6, 5)]
    assert stored.observed.values.tolist() == [True] * 5 + [False] + [True] * 5
    for name, first, length in archive.sequences(stored):
        np.testing.assert_array_equal(stored.values[first : first + length], frames[name][:, 0] / np.float32(255))
    again = archive.add_videos([tmp_path / "in"], store, options=options)
    assert (again.added, again.already_there) == (0, ["a", "b"])
    save(tmp_path / "more" / "c", grey(3))
    with pytest.raises(DataError, match="c: has 25 frames a second"):
        archive.add_videos([tmp_path / "more"], store, options=video.Options(frame_rate=25))
    assert archive.add_videos([tmp_path / "more"], store, options=options).sequences == 3
    save(tmp_path / "wide" / "d", grey(3, columns=11))
    with pytest.raises(DataError, match="d has 11 cells along x, the others have 10"):
        archive.add_videos([tmp_path / "wide"], store, options=options)


def test_transforms_treat_channels_alike_and_keep_classes(tmp_path: Path) -> None:
    save(tmp_path / "rgb", DRAWN.integers(0, 256, (2, 3, 6, 10), dtype=np.uint8))
    halved = transforming.parse(["resize height=3"])
    archive.add_videos([tmp_path / "rgb"], tmp_path / "rgb.zarr", transforms=halved)
    stored = archive.open(tmp_path / "rgb.zarr")
    assert stored.shape == (2, 3, 3, 5)
    whole = video.one(tmp_path / "rgb").field().values
    np.testing.assert_allclose(stored.values, whole.reshape(2, 3, 3, 2, 5, 2).mean(axis=(3, 5)), atol=1e-6)
    classes = DRAWN.integers(0, 3, (2, 1, 6, 10), dtype=np.uint8)
    save(tmp_path / "label", classes)
    label = video.Options(quantity="label")
    archive.add_videos([tmp_path / "label"], tmp_path / "label.zarr", options=label, transforms=halved)
    np.testing.assert_array_equal(archive.open(tmp_path / "label.zarr").values, classes[:, 0, 1::2, 1::2])
    with pytest.raises(DataError, match="a mean of class numbers is no class"):
        archive.add_videos(
            [tmp_path / "label"], tmp_path / "other.zarr", options=label,
            transforms=transforming.parse(["coarsen factor=2"]),
        )  # fmt: skip
