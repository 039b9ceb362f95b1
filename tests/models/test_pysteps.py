"""What the forecasters of pysteps are given and give back."""

import numpy as np
import pytest
import torch

from echocast.context import Context
from echocast.models import _pysteps
from echocast.models.sprog import SProg
from echocast.synthetic import storms


@pytest.mark.parametrize("name", list(_pysteps.TRANSFORMS))
def test_transforms_give_rain_back_and_take_drizzle_for_dry(name: str) -> None:
    change = _pysteps.TRANSFORMS[name]
    rain = np.array([0.0, 0.09, 0.11, 2.5, 80.0, np.nan])
    np.testing.assert_allclose(change.back(change.of(rain)), [0.0, 0.0, 0.11, 2.5, 80.0, np.nan], rtol=1e-9)
    assert change.of(np.array([_pysteps.WET_MM_H]))[0] == pytest.approx(change.wet)
    assert (change.of(rain[:2]) < change.wet).all()


def test_levels_grow_with_the_grid() -> None:
    assert [_pysteps.levels(np.empty((side, 2 * side))) for side in (16, 64, 256, 765)] == [2, 4, 6, 6]


def test_another_transform_is_refused() -> None:
    with pytest.raises(ValueError, match="transform='log' must be one of square_root, db"):
        SProg(transform="log")


def test_the_transform_changes_the_forecast_and_not_its_area_of_rain() -> None:
    pytest.importorskip("pysteps", reason="pysteps is not installed")
    past = torch.from_numpy(storms.generate(frames=4, size=64, seed=5).values.astype(np.float32))[None, :, None]
    context = Context(grid_km=2.0, time_step_minutes=5.0)
    root, db = (SProg(transform=name).forecast(past, 6, context)[0, -1, 0] for name in ("square_root", "db"))
    both = root.isfinite() & db.isfinite()
    assert (root[both] - db[both]).abs().max() > 0.05
    areas = [float((made[both] >= 0.1).float().mean()) for made in (root, db)]
    assert areas[0] == pytest.approx(areas[1], rel=0.1)
    assert areas[0] > 0.05
