"""Forecasters without weights, on rain whose future is known."""

import sys

import numpy as np
import pytest
import torch
from tests import example_files

from echocast.context import Context
from echocast.errors import MissingDependency
from echocast.models import _pysteps, base
from echocast.models.base import EnsembleForecaster
from echocast.models.fc_lstm import FcLstm
from echocast.models.optical_flow import OpticalFlow
from echocast.models.persistence import Persistence
from echocast.models.rover1 import Rover1
from echocast.models.rover2 import Rover2
from echocast.models.rover3 import Rover3
from echocast.models.rover_hko7 import RoverHko7
from echocast.models.scaling import ImageScaling
from echocast.synthetic import storms


def test_persistence_repeats_the_newest_that_was_seen() -> None:
    past = torch.tensor([[1.0, 2.0, 3.0], [4.0, float("nan"), float("nan")]]).view(1, 2, 1, 1, 3)
    assert Persistence().forecast(past, 2)[0, :, 0, 0].tolist() == [[4.0, 2.0, 3.0]] * 2


def test_optical_flow_beats_persistence_on_a_moving_shower() -> None:
    rain = torch.from_numpy(example_files.blob(14, 64, 64, dx=2.0, dy=1.0))[None, :, None]
    past, future = rain[:, :6], rain[:, 6:]
    flow = OpticalFlow().forecast(past, 8)
    known = flow.isfinite()
    error = (flow - future)[known].abs().mean()
    assert error < 0.25 * (Persistence().forecast(past, 8) - future)[known].abs().mean()


def shower(frames: int = 4, dx: float = 2.0) -> torch.Tensor:
    return torch.from_numpy(example_files.blob(frames, 64, 64, dx=dx, dy=1.0))[None, :, None]


@pytest.mark.parametrize("name", ["rover1", "rover2", "rover3", "farneback", "lucas_kanade"])
def test_each_flow_beats_persistence_on_a_moving_shower(name: str) -> None:
    rain = shower(14)
    past, future = rain[:, :6], rain[:, 6:]
    made = base.resolve(name).forecast(past, 8)
    known = made.isfinite()
    error = (made - future)[known].abs().mean()
    assert error < 0.3 * (Persistence().forecast(past, 8) - future)[known].abs().mean()


def test_the_three_rovers_start_from_one_two_and_three_flows() -> None:
    rain = torch.cat([shower(1, 1.0), shower(3)], dim=1)
    flows = [Rover1().motion(rain[:, newest - 1 : newest + 1]) for newest in (3, 2, 1)]
    torch.testing.assert_close(Rover1().motion(rain), flows[0])
    torch.testing.assert_close(Rover2().motion(rain), (flows[0] + flows[1]) / 2)
    torch.testing.assert_close(Rover3().motion(rain), 0.7 * flows[0] + 0.2 * flows[1] + 0.1 * flows[2])
    torch.testing.assert_close(Rover3().motion(rain[:, 1:]), (0.7 * flows[0] + 0.2 * flows[1]) / 0.9)


def test_the_hko7_rover_blurs_and_lets_dry_air_in() -> None:
    made = RoverHko7().forecast(shower(), 8)
    assert made.isfinite().all()
    assert made[0, -1].max() < 0.98 * made[0, 0].max()


@pytest.mark.filterwarnings("ignore")
class TestPysteps:
    """The adapters give what pysteps gives."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("pysteps", reason="pysteps is not installed")

    @staticmethod
    def frames() -> tuple[torch.Tensor, np.ndarray]:
        rain = storms.generate(frames=4, size=64, seed=5).values.astype(np.float32)
        return torch.from_numpy(rain)[None, :, None], rain.astype(np.float64)

    @staticmethod
    def motion(rain: np.ndarray) -> np.ndarray:
        from pysteps.motion import get_method

        with _pysteps.quiet():
            return np.asarray(get_method("LK")(np.ma.masked_invalid(_pysteps.to_dbr(rain[-3:]))))

    @pytest.mark.parametrize("transform", ["square_root", "db"])
    def test_sprog(self, transform: str) -> None:
        from pysteps.nowcasts import get_method

        past, rain = self.frames()
        dry = rain[-3:] < 0.1
        with np.errstate(divide="ignore"):
            given, wet, back = {
                "square_root": (np.where(dry, 0.0, np.sqrt(rain[-3:])), np.sqrt(0.1), np.square),
                "db": (np.where(dry, -15.0, 10 * np.log10(rain[-3:])), -10.0, lambda dbr: 10 ** (dbr / 10)),
            }[transform]
        with _pysteps.quiet():
            theirs = get_method("sprog")(given, self.motion(rain), 3, precip_thr=wet, n_cascade_levels=5)
        ours = base.construct("sprog", {"transform": transform}).forecast(past, 3)[0, :, 0].numpy()
        expected = np.where(theirs < wet, 0.0, back(theirs))
        seen = np.isfinite(ours)
        assert seen.mean() > 0.5
        np.testing.assert_allclose(ours[seen], expected[seen], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("grid_km", [1.0, 2.0])
    def test_anvil(self, grid_km: float) -> None:
        from pysteps.nowcasts import get_method

        past, rain = self.frames()
        with _pysteps.quiet():
            radius = {1.0: 25, 2.0: 12}[grid_km]
            theirs = get_method("anvil")(rain, self.motion(rain), 3, n_cascade_levels=4, ar_window_radius=radius)
        where = Context(grid_km=grid_km, time_step_minutes=5.0)
        ours = base.resolve("anvil").forecast(past, 3, where)[0, :, 0].numpy()
        seen = np.isfinite(ours)
        assert seen.mean() > 0.5
        np.testing.assert_allclose(ours[seen], np.maximum(theirs, 0)[seen], rtol=1e-4, atol=1e-5)

    def test_steps_members_differ_and_come_again_with_their_seed(self) -> None:
        past, _ = self.frames()
        model = base.construct("steps", {"members": 3})
        assert isinstance(model, EnsembleForecaster)
        where = {"context": Context(grid_km=2.0, time_step_minutes=5.0)}
        made = model.ensemble(past, 2, seed=4, **where)
        assert made.shape == (1, 3, 2, 1, 64, 64)
        assert not torch.equal(made[:, 0].nan_to_num(), made[:, 1].nan_to_num())
        torch.testing.assert_close(model.ensemble(past, 2, seed=4, **where), made, equal_nan=True)
        assert model.ensemble(past, 2, members=2, **where).shape[1] == 2
        mean = model.forecast(past, 2, **where)
        torch.testing.assert_close(mean, model.ensemble(past, 2, seed=0, **where).mean(dim=1), equal_nan=True)

    def test_without_rain_members_are_the_last_frame(self) -> None:
        made = base.construct("steps", {"members": 3}).ensemble(torch.zeros(2, 4, 1, 32, 32), 2)
        assert made.shape == (2, 3, 2, 1, 32, 32)
        assert made.max() == 0

    @pytest.mark.usefixtures("as_users_run")
    def test_no_members_are_refused(self) -> None:
        with pytest.raises(ValueError, match="members=0"):
            base.construct("steps", {}).ensemble(torch.zeros(1, 4, 1, 32, 32), 2, members=0)


def test_without_pysteps_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysteps", None)
    with pytest.raises(MissingDependency, match=r"echocast\[pysteps\]"):
        base.resolve("sprog").forecast(torch.zeros(1, 4, 1, 32, 32), 2)


def test_the_fully_connected_network_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        paper = FcLstm()
        radar = FcLstm(hidden_sizes=(2000, 2000), grid=(100, 100))
    assert sum(p.numel() for p in paper.parameters()) == 142_667_776
    assert sum(p.numel() for p in radar.parameters()) == 196_066_000


def test_the_first_frame_comes_straight_from_the_encoder() -> None:
    torch.manual_seed(0)
    model = FcLstm(hidden_sizes=(8, 8), grid=(6, 6))
    past = torch.rand(1, 3, 1, 6, 6)
    state = model.encoder.last_state(past.flatten(2))
    torch.testing.assert_close(model(past, 1)[0, 0, 0].flatten(), model.output(state[0][-1])[0])
    torch.testing.assert_close(model(past, 4)[:, :1], model(past, 1))
    with pytest.raises(ValueError, match=r"\(1, 6, 6\).*\(1, 5, 6\)"):
        model(torch.rand(1, 3, 1, 5, 6), 1)


def test_the_fully_connected_network_takes_images_of_several_channels() -> None:
    torch.manual_seed(0)
    model = FcLstm(hidden_sizes=(8, 8), grid=(6, 6), channels=3, scaling=ImageScaling())
    assert model.output.out_features == 3 * 36
    past = torch.rand(1, 3, 3, 6, 6)
    assert model(past, 2).shape == (1, 2, 3, 6, 6)
    assert model.forecast(torch.rand(1, 3, 3, 9, 7), 2).shape == (1, 2, 3, 9, 7)
    with pytest.raises(ValueError, match=r"\(3, 6, 6\).*\(1, 6, 6\)"):
        model(past[:, :, :1], 1)
