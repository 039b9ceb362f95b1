"""When skill over persistence is lost, what a pixel is in km, and which members the fair CRPS is for."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from tests.report.test_report import rain

from echocast import evaluation
from echocast.context import Context
from echocast.evaluation import VerificationConfig
from echocast.evaluation.forecasts import dependent
from echocast.evaluation.lost_skill import lost_at, lost_skill
from echocast.models.base import EnsembleForecaster, Forecaster
from echocast.models.lagrangian import Lagrangian
from echocast.models.optical_flow import OpticalFlow
from echocast.models.persistence import Persistence
from echocast.report import page


class Failing(Forecaster):
    """Optical flow, that has ten times the rain, far away, from the third step on."""

    def _forecast(self, past: torch.Tensor, steps: int, context: Context) -> torch.Tensor:
        made = OpticalFlow()._forecast(past, steps, context).clone()
        made[:, 2:] = 10.0 * made[:, 2:].roll(32, -1)
        return made


class Pair(EnsembleForecaster):
    """Two members that are drawn independently."""

    members = 2

    def _ensemble(
        self, past: torch.Tensor, steps: int, members: int, seeds: Sequence[int], context: Context
    ) -> torch.Tensor:
        factors = torch.stack([torch.rand(members, generator=torch.Generator().manual_seed(s)) for s in seeds]) + 0.5
        return Persistence()._forecast(past, steps, context).unsqueeze(1) * factors[..., None, None, None, None]


class Opposite(Pair):
    """The same, called dependent."""

    independent_members = False


def test_skill_is_lost_where_the_gain_first_reaches_0() -> None:
    minutes = (10.0, 20.0, 40.0)
    assert lost_at(np.array([0.3, 0.1, -0.1]), minutes) == 30.0
    assert lost_at(np.array([-0.1, 0.1, 0.1]), minutes) == 10.0
    assert lost_at(np.array([0.1, 0.1, 0.1]), minutes) == np.inf
    assert np.isnan(lost_at(np.array([0.1, np.nan, -0.1]), minutes))


@pytest.mark.parametrize(("score", "threshold"), [("csi", 0.5), ("rmse", None)])
def test_it_works_for_scores_that_rise_and_scores_that_fall(score: str, threshold: float | None) -> None:
    config = VerificationConfig(past=2, leads=4, stride=4, thresholds=(0.5, 2.0))
    made = evaluation.evaluate(
        rain(), {"failing": Failing(), "flow": OpticalFlow(), "persistence": Persistence()}, config
    )
    assert 10.0 < lost_skill(made, "failing", score, threshold) < 15.0
    assert lost_skill(made, "flow", score, threshold) == np.inf
    assert lost_skill(made, "persistence", score, threshold, baseline="flow") == 5.0
    text = page.markdown(page.sections_of(made, "x"), {})
    assert "| flow | > 20 |" in text.partition("Lead time at which skill over persistence is lost")[2]
    assert "A pixel is 4 km wide, 5 pixels are 20 km, 17 pixels are 68 km." in text


def test_the_fair_crps_is_only_that_of_independent_members() -> None:
    config = VerificationConfig(past=2, leads=2, scores=("crps",), thresholds=(0.5, 2.0))
    made = evaluation.evaluate(rain(), {"drawn": Pair(), "opposite": Opposite()}, config)
    assert made.dependent == ("opposite",)
    assert np.isfinite(made.values["drawn"]["crps_fair"]).all()
    assert np.isnan(made.values["opposite"]["crps_fair"]).all()
    np.testing.assert_array_equal(made.values["opposite"]["crps"], made.values["drawn"]["crps"])
    text = page.markdown(page.sections_of(made, "x"), {})
    assert "The members of opposite are not drawn independently" in text


@pytest.mark.parametrize(("members", "named"), [(3, ("learned",)), (None, ())])
def test_the_members_of_lagrangian_are_dependent_where_it_makes_any(
    members: int | None, named: tuple[str, ...]
) -> None:
    config = VerificationConfig(past=2, leads=2, members=members)
    assert dependent({"learned": Lagrangian(hidden_channels=[4]), "drawn": Pair()}, config) == named
