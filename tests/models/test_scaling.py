"""Scalings by hand and back."""

import pytest
import torch

from echocast.models.scaling import ImageScaling, RainScaling, Scaling


def test_rain_by_hand_and_back() -> None:
    scaling = RainScaling()
    rate = torch.tensor([0.0, 0.1, 1.0, 10.0, 100.0, 1e4, float("nan")], dtype=torch.float64)
    level = scaling.to_network(rate)
    # 1 mm/h is 23.01 dBZ, 23.01 / 60 = 0.3835; 10 mm/h is 39.01 dBZ
    torch.testing.assert_close(
        level[[0, 2, 3, 5, 6]], torch.tensor([0, 0.38350, 0.65017, 1, 0]).double(), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(scaling.to_values(level)[1:5], rate[1:5])
    assert scaling.to_values(torch.tensor([0.0, 0.05])).tolist() == [0.0, 0.0]
    assert scaling.level(1.0) == pytest.approx(0.3835, abs=1e-4)
    with pytest.raises(ValueError, match="floor_dbz=50 must be below ceiling_dbz=40"):
        RainScaling(floor_dbz=50.0, ceiling_dbz=40.0)


def test_images_stay_as_they_are() -> None:
    values = torch.tensor([-0.5, 0.25, 1.5, float("nan")])
    scaling = ImageScaling()
    assert isinstance(scaling, Scaling)
    assert scaling.to_network(values).tolist() == [0.0, 0.25, 1.0, 0.0]
    assert scaling.to_level(values)[3].isnan()
    assert scaling.to_values(torch.tensor([0.25])).tolist() == [0.25]
    assert (scaling.level(0.3), scaling.level(2.0)) == (0.3, 1.0)
