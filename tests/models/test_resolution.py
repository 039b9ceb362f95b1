"""From fine grids to coarse and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echocast.models import resolution


def test_factor() -> None:
    assert resolution.factor(1.0, 3.75) == 4
    assert resolution.factor(3.75, 3.75) == 1
    assert resolution.factor(8.0, 3.75) == 1
    assert resolution.factor(None, 3.75) == resolution.factor(1.0, None) == 1


def test_coarsening_is_the_mean_of_what_was_seen() -> None:
    rain = torch.tensor([[1.0, 3.0, 5.0], [float("nan"), 2.0, 7.0]]).view(1, 1, 1, 2, 3)
    assert resolution.coarsen(rain, 2).flatten().tolist() == [2.0, 6.0]
    assert resolution.coarsen(torch.full((1, 1, 1, 4, 4), torch.nan), 2).isnan().all()


def test_bands_of_rows_are_averaged_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rain = torch.rand(1, 2, 1, 23, 17)
    rain[..., 3:9, 4:12] = torch.nan
    whole = resolution.coarsen(rain, 4)
    monkeypatch.setattr(resolution, "_PIXELS", 1)
    assert torch.equal(resolution.coarsen(rain, 4).nan_to_num(-1.0), whole.nan_to_num(-1.0))


@given(st.integers(2, 5), st.integers(1, 23), st.integers(1, 23))
def test_a_flat_field_stays_flat_on_any_grid(by: int, height: int, width: int) -> None:
    rain = torch.full((2, 3, 1, height, width), 4.0)
    torch.testing.assert_close(resolution.refine(resolution.coarsen(rain, by), by, (height, width)), rain)
