"""Experiment files: every key is known, every value checked."""

from pathlib import Path

import pytest

from echocast.errors import ExperimentError
from echocast.models.encoder_forecaster import EncoderForecaster
from echocast.training import experiment as experiments

EXAMPLE = """
[model]
name = "encoder_forecaster"
hidden_channels = [4]
[data]
train = "a.zarr"
[training]
steps = 10
"""


def written(folder: Path, text: str = EXAMPLE) -> Path:
    path = folder / "e.toml"
    path.write_text(text)
    return path


def test_file_settings_and_defaults(tmp_path: Path) -> None:
    made = experiments.load(
        written(tmp_path), ["training.batch=3", "data.train=b.zarr", "model.hidden_channels=[5, 6]"]
    )
    assert (made.training.steps, made.training.batch, made.data.train) == (10, 3, Path("b.zarr"))
    model = made.make_model(grid_km=2.0, time_step_minutes=5.0)
    assert isinstance(model, EncoderForecaster)
    assert (model.hidden_channels, model.grid_km) == ([5, 6], 2.0)
    assert experiments.parse(made.table()) == made


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.stepz=3", r"\[training\] has no key 'stepz'; did you mean 'steps'"),
        ("training.steps=many", r"\[training\] steps = 'many'"),
        ("training.precision=64", r"\[training\] precision"),
        ("trainings.steps=3", r"no table \[trainings\]"),
        ("steps=3", r"section\.key=value"),
        ("data.traim=x", r"\[data\] has no key 'traim'; did you mean 'train'"),
    ],
)
def test_wrong_settings_are_named(setting: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=message):
        experiments.load(written(tmp_path), [setting])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model", "is no TOML"),
        ("[data]\ntrain='a'", r"\[model\] is missing"),
        ("[model]\nname='encoder_forecaster'", r"\[data\] is missing"),
        ("[model]\nhidden=3\n[data]\ntrain='a'", "needs a name"),
        ("seed=3\n[model]\nname='encoder_forecaster'\n[data]\ntrain='a'", "seed"),
    ],
)
def test_wrong_files_are_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=message):
        experiments.load(written(tmp_path, text))


def test_a_missing_file_and_a_model_without_weights(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be read"):
        experiments.load(tmp_path / "nowhere.toml")
    made = experiments.load(written(tmp_path), ["model.name=optical_flow"])
    with pytest.raises(ExperimentError, match="no weights to train"):
        made.make_model()


def test_the_learning_rate_rises_stays_and_falls() -> None:
    optimiser = experiments.Optimiser(warmup=10, decay=0.5)
    shares = [optimiser.factor(step, 100) for step in (0, 4, 9, 30, 50, 75, 100)]
    assert shares == pytest.approx([0.1, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0])


def test_every_experiment_that_ships_is_valid() -> None:
    shipped = sorted((Path(__file__).parents[2] / "experiments").glob("*.toml"))
    assert shipped
    for path in shipped:
        made = experiments.load(path)
        made.make_model()
        made.make_loss()
