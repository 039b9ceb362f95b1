"""Archive, forecasters and scores become tables."""

import numpy as np
import pytest
import torch
from tests import example_files

from echocast import evaluation
from echocast.context import Context
from echocast.errors import MissingFrames
from echocast.evaluation import VerificationConfig, forecasts
from echocast.models.base import Forecaster
from echocast.models.optical_flow import OpticalFlow
from echocast.models.persistence import Persistence
from echocast.samples import windows
from echocast.verification.scores import contingency


class Half(Forecaster):
    """Forecasts only the left half of the grid."""

    def _forecast(self, past: torch.Tensor, steps: int, context: Context) -> torch.Tensor:
        future = Persistence()._forecast(past, steps, context).clone()
        future[..., past.shape[-1] // 2 :] = torch.nan
        return future


def rain(frames: int = 20) -> "example_files.xr.DataArray":
    return example_files.field(example_files.blob(frames, 40, 64, dx=1.5))


def test_scores_are_those_of_the_pooled_cases() -> None:
    field = rain()
    made = evaluation.evaluate(
        field, {"p": Persistence()}, VerificationConfig(past=2, leads=3, stride=4, thresholds=(0.5, 2.0))
    )
    cases = windows.stack(windows.Windows(field, np.arange(0, 16, 4), past=2, future=3))[:, :, 0].numpy()
    assert made.cases == 4
    sums = contingency.statistics(np.repeat(cases[:, 1:2], 3, axis=1), cases[:, 2:], thresholds=(0.5, 2.0))
    np.testing.assert_allclose(made.values["p"]["csi"], contingency.values(sums)["csi"])
    assert made.lead_minutes == (5.0, 10.0, 15.0)
    assert made.mean("csi", "p", 2.0) == pytest.approx(contingency.values(sums)["csi"][:, 1].mean())


def test_all_are_scored_on_the_pixels_that_each_forecasts() -> None:
    field = rain()
    alone = evaluation.evaluate(field, {"half": Half()}, VerificationConfig(past=2, leads=2))
    both = evaluation.evaluate(field, {"whole": Persistence(), "half": Half()}, VerificationConfig(past=2, leads=2))
    np.testing.assert_allclose(both.values["whole"]["rmse"], alone.values["half"]["rmse"])
    np.testing.assert_allclose(both.values["half"]["coverage"], 0.5)
    np.testing.assert_allclose(both.values["whole"]["coverage"], 1.0)


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluation.evaluate(rain(), {"flow": OpticalFlow()}, VerificationConfig(past=3, leads=2, stride=2))
    monkeypatch.setattr(forecasts, "BATCH_PIXELS", 1)
    single = evaluation.evaluate(rain(), {"flow": OpticalFlow()}, VerificationConfig(past=3, leads=2, stride=2))
    for score, value in whole.values["flow"].items():
        np.testing.assert_allclose(single.values["flow"][score], value, rtol=1e-6)


def test_windows_with_a_missing_frame_are_not_used() -> None:
    field = rain(20)
    field[9] = np.nan
    made = evaluation.evaluate(field, {"p": Persistence()}, VerificationConfig(past=2, leads=3, stride=1))
    assert made.cases == (9 - 4) + (10 - 4)
    with pytest.raises(MissingFrames, match=r"no segment \(unbroken series of frames\) holds 10"):
        evaluation.evaluate(field, {"p": Persistence()}, VerificationConfig(past=10, leads=3))


def test_a_forecaster_of_another_time_step_is_refused() -> None:
    model = Persistence()
    model.time_step_minutes = 10.0
    with pytest.raises(MissingFrames, match=r"every 5 min.*every 10 min"):
        evaluation.evaluate(rain(), {"p": model}, VerificationConfig(past=2, leads=2))
