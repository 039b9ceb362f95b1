"""The face, as in a notebook: names are completed, mistakes are answered, what is documented works."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from tests import example_files

import echocast
from echocast.context import Context
from echocast.errors import DataError, ModelError

OWN = '''
from echocast import Forecaster


class Fading(Forecaster):
    """The newest frame, each lead with nine tenths of the rain of the lead before."""

    def _forecast(self, past, steps, context):
        left = 0.9 ** (1 + past.new_tensor(range(steps)))
        return past[:, -1:].nan_to_num() * left.view(1, -1, 1, 1, 1)
'''


def test_names_are_completed() -> None:
    assert set(echocast.__all__) <= set(dir(echocast))
    assert all(callable(getattr(echocast, name)) for name in echocast.__all__)
    with pytest.raises(AttributeError, match=r"no attribute 'forecast'; it has: .*forecast_from"):
        echocast.forecast  # noqa: B018


def test_a_forecast_by_name_and_back_from_its_file(tmp_path: Path) -> None:
    past = example_files.field(example_files.blob(3))
    made = echocast.forecast_from(past, "persistence", minutes=10)
    echocast.to_netcdf(made, tmp_path / "f.nc")
    again = echocast.read_forecast(tmp_path / "f.nc")
    np.testing.assert_array_equal(again.values, made.values)
    assert again.lead.values.tolist() == made.lead.values.tolist()
    assert again.lead.dtype.kind == "m"


def test_observed_frames_are_written_and_read_by_folder_list_and_glob(tmp_path: Path) -> None:
    rain = example_files.field(example_files.blob(4))
    for number in range(4):
        echocast.to_netcdf(rain[number : number + 1], tmp_path / f"{number}.nc")
    paths = sorted(tmp_path.iterdir())
    for given in (tmp_path, str(tmp_path), paths, [str(path) for path in paths[::-1]], f"{tmp_path}/*.nc"):
        xr.testing.assert_equal(echocast.read(given), rain)
    xr.testing.assert_equal(echocast.read(paths[2]), rain[2:3])
    assert echocast.read(tmp_path, frames=2).time.values.tolist() == rain.time.values[2:].tolist()


def test_what_is_no_field_is_told_how_to_become_one() -> None:
    rain = example_files.field(example_files.blob(3))
    for wrong, words in (
        (rain.drop_vars("crs"), "'crs'"),
        (rain.astype(float), "float32"),
        (rain.rename("rain"), "unit"),
    ):
        if isinstance(wrong, xr.DataArray) and wrong.name == "rain":
            del wrong.attrs["units"]
        with pytest.raises(DataError, match=words):
            echocast.forecast_from(wrong, "persistence")


def test_numbers_alone_are_told_how_to_become_a_field() -> None:
    line = "import echocast, numpy; echocast.forecast_from(numpy.zeros((3, 8, 8)), 'persistence')"  # no types checked
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert "is a numpy.ndarray: make one of it with echocast.make_field" in done.stderr


def test_scores_by_wrong_names() -> None:
    rain = example_files.field(example_files.blob(8, 16, 16))
    config = echocast.VerificationConfig(past=2, leads=2, thresholds=(0.5, 1.0), scores=("contingency",))
    scores = echocast.evaluate(rain, {"same": echocast.resolve("persistence")}, config)
    for arguments, words in (
        (("CSI", "same", 0.5), "did you mean 'csi'"),
        (("csi", "some", 0.5), "did you mean 'same'"),
        (("csi", "same", 0.7), "0.7 mm/h is none of the thresholds that were scored: 0.5, 1"),
        (("csi", "same"), "give one of 0.5, 1 mm/h"),
    ):
        with pytest.raises(ValueError, match=words):
            scores.mean(*arguments)
    table = scores.to_dataframe()
    chosen = table[(table.score == "csi") & (table.threshold_mm_h == 0.5)]
    assert chosen.lead_minutes.tolist() == [5.0, 10.0]
    assert chosen.value.mean() == pytest.approx(scores.mean("csi", "same", 0.5))


def test_ones_own_forecaster(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(OWN)
    documented = (Path(__file__).parents[1] / "docs/plugins.md").read_text()
    assert OWN.strip() in documented
    made = echocast.forecast_from(example_files.field(np.ones((2, 3, 3))), f"{tmp_path}/my.py:Fading", minutes=10)
    np.testing.assert_allclose(made.values[:, 0, 0], [0.9, 0.81], rtol=1e-6)
    with pytest.raises(ModelError, match=r"no Forecaster of this name; there are: Forecaster, Fading"):
        echocast.resolve(f"{tmp_path}/my.py:Fadin")
    with pytest.raises(ModelError, match=r"there is no file .*your\.py"):
        echocast.resolve(f"{tmp_path}/your.py:Fading")
    (tmp_path / "bad.py").write_text("import nothing_of_the_kind")
    with pytest.raises(ModelError, match="ModuleNotFoundError"):
        echocast.resolve(f"{tmp_path}/bad.py:Fading")
    with pytest.raises(ModelError, match=r"Own of .* is not known by a name.*--model my\.py:Own"):
        echocast.save(Own(), tmp_path / "own.safetensors")
    assert not (tmp_path / "own.safetensors").exists()


class Own(echocast.Forecaster):
    def _forecast(self, past: torch.Tensor, steps: int, context: Context) -> torch.Tensor:
        return past[:, -1:].expand(-1, steps, -1, -1, -1)


def test_a_figure_of_frames_and_of_a_forecast(tmp_path: Path) -> None:
    past = example_files.field(example_files.blob(3))
    figure = echocast.plot(past)
    assert [axis.get_title() for axis in figure.axes][:3] == [f"2016-09-28 14:{n} UTC" for n in (45, 50, 55)]
    figure.savefig(tmp_path / "rain.png")
    made = echocast.forecast_from(past, "persistence", minutes=90)
    titles = [axis.get_title() for axis in echocast.plot(made, panels=3).axes]
    assert titles[:3] == [
        "+5 min\n2016-09-28 15:00 UTC",
        "+45 min\n2016-09-28 15:40 UTC",
        "+90 min\n2016-09-28 16:25 UTC",
    ]
    with pytest.raises(DataError, match="plot shows rainfall_rate"):
        echocast.plot(example_files.field(np.ones((1, 3, 3))).rename("reflectivity").assign_attrs(units="dBZ"))
