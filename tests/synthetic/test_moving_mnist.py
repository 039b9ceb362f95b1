"""Moving MNIST moves as its authors say."""

import gzip
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from echocast import fields
from echocast.errors import DataError
from echocast.samples import segments
from echocast.synthetic import mnist, moving_mnist

SQUARES = np.full((600, 28, 28), 200, np.uint8)


def corners(sequences: np.ndarray) -> np.ndarray:
    """Top left corner (sequence, frame, 2) of the single white square of each frame."""
    rows, columns = sequences.any(axis=3), sequences.any(axis=2)
    return np.stack([rows.argmax(axis=2), columns.argmax(axis=2)], axis=-1)


def stepwise(start: np.ndarray, velocity: np.ndarray, frames: int) -> np.ndarray:
    """Reflection worked out wall by wall, in exact arithmetic of its own."""
    places, p, v = [], start.astype(float), velocity.astype(float)
    for _ in range(frames):
        places.append(p.copy())
        p = p + v
        for axis in (0, 1):
            while not 14 <= p[axis] <= 50:
                wall = 14 if p[axis] < 14 else 50
                p[axis], v[axis] = 2 * wall - p[axis], -v[axis]
    return np.array(places)


def test_the_papers_digits_are_reflected_exactly() -> None:
    made = corners(moving_mnist.sequences(SQUARES[:500], count=40, per_frame=1, seed=7))
    rng = np.random.RandomState(7)
    rng.randint(500, size=(40, 1))
    angle = rng.random_sample((40, 1)) * 2 * np.pi
    speed = rng.random_sample((40, 1)) * 2 + 3
    start = rng.uniform(14, 50, (40, 1, 2))
    assert speed.min() >= 3
    assert speed.max() < 5
    for n in range(40):
        velocity = np.array([speed[n, 0] * np.cos(angle[n, 0]), speed[n, 0] * np.sin(angle[n, 0])])
        expected = (stepwise(start[n, 0], velocity, 20) - 14).astype(int)
        assert np.abs(made[n] - expected).max() <= 1  # 1 where a centre lies a rounding away from a whole pixel
        assert (made[n] == expected).mean() > 0.98


def test_srivastavas_digits_stop_at_the_wall_and_keep_their_speed() -> None:
    made = corners(moving_mnist.sequences(SQUARES, protocol="srivastava", count=60, per_frame=1, seed=1))
    assert made.min() == 0
    assert made.max() == 36
    inside = ((made[:, :-1] > 3) & (made[:, :-1] < 32) & (made[:, 1:] > 3) & (made[:, 1:] < 32)).all(axis=-1)
    steps = np.linalg.norm(np.diff(made, axis=1), axis=-1)[inside]
    assert 2.0 < steps.min() < steps.max() < 5.1
    assert steps.mean() == pytest.approx(3.6, abs=0.1)


def test_overlapping_digits_show_the_brighter_pixel() -> None:
    two = np.stack([np.full((28, 28), 100, np.uint8), np.full((28, 28), 200, np.uint8)])
    made = moving_mnist.sequences(two, count=30, seed=0)
    assert set(np.unique(made)) <= {0, 100, 200}


def test_the_same_seed_gives_the_same_and_the_parts_share_nothing() -> None:
    first = moving_mnist.sequences(SQUARES[:500], count=3, seed=5)
    np.testing.assert_array_equal(first, moving_mnist.sequences(SQUARES[:500], count=3, seed=5))
    assert not np.array_equal(first, moving_mnist.sequences(SQUARES[:500], count=3, seed=6))
    assert dict(moving_mnist.PAPER_SETS) == {"train": 10_000, "validation": 2_000, "test": 3_000}
    pools = [moving_mnist.paper_pool(np.arange(1000)[:, None, None].repeat(28, 1).repeat(28, 2).astype(np.uint8)),
             moving_mnist.paper_pool(SQUARES.repeat(2, axis=0), unseen=True)]  # fmt: skip
    assert [len(pool) for pool in pools] == [500, 500]


@pytest.mark.data
def test_the_papers_parts_on_the_kits_digits(data_kit: Path) -> None:
    digits, source = mnist.digits_of("train", source=str(data_kit / "mnist"))
    assert (source, digits.shape) == ("MNIST", (60_000, 28, 28))
    test = moving_mnist.paper_set(digits, "test")
    assert test.shape == (3_000, 20, 64, 64)
    assert 0.02 < (test > 127).mean() < 0.1


def test_without_the_files_the_small_digits_are_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    monkeypatch.delenv("ECHOCAST_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(mnist, "_ADDRESS", "http://127.0.0.1:9")
    mnist._warn_of_other_digits.cache_clear()
    digits, source = mnist.digits_of("train")
    mnist.digits_of("train")
    assert "not comparable" in source
    assert caplog.text.count("not comparable with MNIST, since MNIST is not there") == 1
    assert digits.shape == (1500, 28, 28)
    assert digits.max() > 200


def test_damaged_digits_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"0" * 1000))
    with pytest.raises(DataError, match="checksum"):
        mnist.digits_of("train", source=str(tmp_path))
    with pytest.raises(DataError, match="holds no t10k"):
        mnist.digits_of("test", source=str(tmp_path))


def test_the_published_test_file_is_read(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 255, (20, 5, 64, 64)).astype(np.uint8)
    np.save(tmp_path / "mnist_test_seq.npy", stored)
    made = moving_mnist.openstl_test(tmp_path / "mnist_test_seq.npy")
    np.testing.assert_array_equal(made[2, 7], stored[7, 2])
    np.save(tmp_path / "other.npy", stored[0])
    with pytest.raises(DataError, match=r"\(5, 64, 64\)"):
        moving_mnist.openstl_test(tmp_path / "other.npy")


def test_sequences_are_pictures_whose_values_are_made_when_read() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (3, 5, 8, 8)).astype(np.uint8)
    field = moving_mnist.as_field(stored)
    assert fields.check(field, quantity="image").sizes == {"time": 15, "y": 8, "x": 8}
    assert not isinstance(field.variable._data, np.ndarray)
    expected = torch.from_numpy(stored.reshape(15, 8, 8)).float().div(255.0).numpy()
    np.testing.assert_array_equal(field[3:9, 2:5].values, expected[3:9, 2:5])
    np.testing.assert_array_equal(field.values, expected)
    assert segments.segments(field) == [slice(0, 5), slice(5, 10), slice(10, 15)]


@pytest.mark.data
def test_the_parts_of_each_protocol(data_kit: Path) -> None:
    source = str(data_kit / "mnist")
    made = moving_mnist.training_fields(source=source, validation_sequences=3)
    assert {name: field.sizes["time"] for name, field in made.items()} == {"train": 200_000, "validation": 60}
    digits, _ = mnist.digits_of("train", source=source)
    first = moving_mnist.paper_set(digits, "validation")[2]
    np.testing.assert_array_equal(made["validation"][40:].values, first.astype(np.float32) / np.float32(255))
    three = moving_mnist.part("three_digits", source=source)
    assert three.shape == (3_000, 20, 64, 64)
    assert (three > 127).mean() == pytest.approx(0.071, abs=0.001)  # with two digits 0.05


@pytest.mark.data
def test_a_few_sequences(data_kit: Path) -> None:
    field = moving_mnist.generate(count=2, seed=3, source=str(data_kit / "mnist"))
    assert field.sizes == {"time": 40, "y": 64, "x": 64}
    assert float(field.max()) == 1.0


@pytest.mark.data
def test_digits_are_fetched_once_and_kept(data_kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECHOCAST_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    serve = partial(SimpleHTTPRequestHandler, directory=str(data_kit / "mnist"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(mnist, "_ADDRESS", f"http://127.0.0.1:{server.server_address[1]}")
        fetched, source = mnist.digits_of("test")
        server.shutdown()
    assert (source, fetched.shape) == ("MNIST", (10_000, 28, 28))
    again, _ = mnist.digits_of("test", source="download")  # nobody serves any more
    np.testing.assert_array_equal(again, fetched)
    assert [path.name for path in (tmp_path / "echocast/mnist").iterdir()] == ["t10k-images-idx3-ubyte.gz"]
