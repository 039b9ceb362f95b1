"""The task of reconstruction: an autoencoder learns from an archive, and what does not fit is refused."""

from pathlib import Path

import numpy as np
import pytest

from echocast import archive, video
from echocast.anomaly.base import REGISTRY
from echocast.errors import ExperimentError
from echocast.training import experiment, fit

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.*:FutureWarning", "ignore:.*LeafSpec.*:DeprecationWarning", "ignore:.*GPU.*"
)  # Lightning's own


def tables(store: Path, **changed: object) -> dict[str, object]:
    model = {"name": "spatiotemporal", "spatial_channels": [3, 3], "temporal_channels": [3, 2, 3]}
    return {
        "task": "reconstruction",
        "model": model,
        "data": {"train": str(store), "frames": 3},
        "optimiser": {"warmup": 0, "learning_rate": 0.01},
        "training": {"max_steps": 3, "batch_size": 2, "validations": 1},
    } | changed


@pytest.fixture
def store(tmp_path: Path) -> Path:
    frames = np.random.default_rng(0).random((3, 6, 1, 27, 27)).astype(np.float32)
    for number, one in enumerate(frames):
        np.save(tmp_path / f"{number}.npy", one[:, 0])
    made = tmp_path / "clips.zarr"
    archive.add_videos(sorted(tmp_path.glob("*.npy")), str(made), options=video.DEFAULT)
    return made


def test_it_learns_and_its_weights_load(store: Path, tmp_path: Path) -> None:
    plan = experiment.parse(tables(store))
    assert fit.fit(plan, tmp_path / "run")
    network = REGISTRY.load(tmp_path / "run" / "weights.safetensors")
    assert network.frames == 3  # as long as the windows that it learned from


def test_what_does_not_fit_is_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="a reconstruction has name = 'mse' or 'mae'"):
        fit.fit(experiment.parse(tables(store, loss={"name": "balanced"})), tmp_path / "a")
    with pytest.raises(ExperimentError, match=r"data\.frames = 1"):
        fit.fit(experiment.parse(tables(store, data={"train": str(store), "frames": 1})), tmp_path / "b")
    rain = {"name": "spatiotemporal", "scaling": {"kind": "rain"}}
    with pytest.raises(ExperimentError, match="holds 'image', and the model's scaling is for 'rainfall_rate'"):
        fit.fit(experiment.parse(tables(store, model=rain)), tmp_path / "c")
