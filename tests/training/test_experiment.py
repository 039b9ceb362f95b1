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
max_steps = 10
"""


def written(folder: Path, text: str = EXAMPLE) -> Path:
    path = folder / "e.toml"
    path.write_text(text)
    return path


def test_file_settings_and_defaults(tmp_path: Path) -> None:
    made = experiments.load(
        written(tmp_path), ["training.batch_size=3", "data.train=b.zarr", "model.hidden_channels=[5, 6]"]
    )
    assert (made.training.steps, made.training.batch_size, made.data.train) == (10, 3, Path("b.zarr"))
    model = made.make_model(grid_km=2.0, time_step_minutes=5.0)
    assert isinstance(model, EncoderForecaster)
    assert (model.hidden_channels, model.grid_km) == ([5, 6], 2.0)
    assert experiments.parse(made.table()) == made


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.max_stepz=3", r"\[training\] has no key 'max_stepz'; did you mean 'max_steps'"),
        ("training.max_steps=many", r"\[training\] max_steps = 'many'"),
        ("training.precision=64", r"\[training\] precision"),
        ("trainings.steps=3", r"no table \[trainings\]"),
        ("steps=3", r"section\.key=value"),
        ("data.synthetic.name=moving_mnist", r"either train, .* or a table \[data\.synthetic\]"),
        ("data.sampling=often", r"\[data\] sampling"),
        ('data.auxiliary=["b.zarr"]\ndata.sampling=uniform', r"draws whole windows of data\.train only"),
        ("data.wet_fraction_range=[0.2, 0.1]", r"must be two increasing shares"),
        ("data.split=blocks\ndata.validation=b.zarr", r"data\.validation = b\.zarr"),
        ("optimiser.name=rmsprop\noptimiser.weight_decay=0.1", r"weight_decay = 0\.1 needs"),
        ("data.traim=x", r"\[data\] has no key 'traim'; did you mean 'train'"),
    ],
)
def test_wrong_settings_are_named(setting: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=message):
        experiments.load(written(tmp_path), setting.splitlines())


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
    optimiser = experiments.Optimiser(warmup=10, decay_fraction=0.5)
    shares = [optimiser.factor(step, 100) for step in (0, 4, 9, 30, 50, 75, 100)]
    assert shares == pytest.approx([0.1, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0])


def test_a_constant_rate_stays_constant() -> None:
    optimiser = experiments.Optimiser(warmup=0, decay_fraction=0)
    assert {optimiser.factor(step, 100) for step in range(101)} == {1.0}


def test_budgets_in_sequences_and_validations() -> None:
    assert (experiments.Training().steps, experiments.Training().interval) == (5000, 200)
    budget = experiments.Training(max_sequences=100, batch_size=16, validations=4)
    assert (budget.steps, budget.interval) == (6, 1)
    assert experiments.Training(max_sequences=3, batch_size=16, validations=4).steps == 1


def test_tables_in_tables_are_set_and_kept(tmp_path: Path) -> None:
    settings = ["data.synthetic.name=moving_mnist", "data.synthetic.protocol=openstl", "data.past=4"]
    made = experiments.parse(
        {"model": {"name": "fc_lstm", "scaling": {"kind": "image"}}, "data": {"synthetic": {"name": "x"}}}
    )
    assert experiments.parse(made.table()) == made
    path = written(tmp_path, "[model]\nname='fc_lstm'\n")
    assert experiments.load(path, settings).data.synthetic == {"name": "moving_mnist", "protocol": "openstl"}


@pytest.mark.parametrize("name", ["moving_mnist", "radar_echo"])
def test_the_networks_of_the_paper_differ_in_nothing_but_the_model(name: str) -> None:
    one, other = (
        experiments.load(Path(__file__).parents[2] / "experiments" / f"{name}{which}.toml").table()
        for which in ("", "_fc")
    )
    assert one.pop("model")["scaling"] == other.pop("model")["scaling"]
    assert one == other


def test_every_experiment_that_ships_is_valid() -> None:
    shipped = sorted((Path(__file__).parents[2] / "experiments").glob("*.toml"))
    assert shipped
    for path in shipped:
        made = experiments.load(path)
        made.make_model()
        made.make_loss()
