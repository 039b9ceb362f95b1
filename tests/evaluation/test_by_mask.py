"""The CSI on the pixels of all, of each and of pairs, and what the mask of a verification does."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from tests import example_files
from tests.report.test_report import rain

from echocast import evaluation, report
from echocast.context import Context
from echocast.errors import DataError
from echocast.evaluation import VerificationConfig, VerificationResult
from echocast.evaluation.by_mask import COMMON, OWN, csi, mask_sums, pair
from echocast.evaluation.pairs import pair_difference
from echocast.models.base import EnsembleForecaster, Forecaster
from echocast.models.persistence import Persistence
from echocast.report import page


class Half(Forecaster):
    """Persistence in every other column, nothing between them."""

    def _forecast(self, past: torch.Tensor, steps: int, context: Context) -> torch.Tensor:
        made = past[:, -1:].expand(-1, steps, -1, *past.shape[-2:]).clone()
        made[..., ::2] = torch.nan
        return made


class Gaps(EnsembleForecaster):
    """Persistence, where the second of two members has twice the rain, and none on the right half."""

    members = 2

    def _ensemble(
        self, past: torch.Tensor, steps: int, members: int, seeds: Sequence[int], context: Context
    ) -> torch.Tensor:
        last = Persistence()._forecast(past, steps, context)
        second = 2 * last
        second[..., second.shape[-1] // 2 :] = torch.nan
        return torch.stack([last, second], dim=1)


class Wetter(Forecaster):
    """Persistence with half as much rain again."""

    def _forecast(self, past: torch.Tensor, steps: int, context: Context) -> torch.Tensor:
        return 1.5 * past[:, -1:].expand(-1, steps, -1, *past.shape[-2:])


def eight_days(forecasters: dict[str, Forecaster]) -> VerificationResult:
    """Showers of different speed on eight days."""
    days = [
        example_files.field(
            example_files.blob(14, 32, 32, dx=1.0 + 0.3 * day), start=example_files.TIME + day * np.timedelta64(1, "D")
        )
        for day in range(8)
    ]
    field = xr.concat(days, "time", combine_attrs="override")
    parts = [slice(14 * day, 14 * day + 14) for day in range(8)]
    config = VerificationConfig(past=2, leads=3, stride=3, thresholds=(0.5, 2.0), scores=("contingency",))
    return evaluation.evaluate(field, forecasters, config, segments=parts)


def test_each_mask_counts_as_a_loop_over_pixels_does() -> None:
    rng = np.random.default_rng(0)
    observed, a, b, c = rng.gamma(0.4, 4.0, (4, 3, 2, 6, 7)).astype(np.float32)
    for field, share in ((observed, 0.1), (a, 0.0), (b, 0.2), (c, 0.4)):
        field[rng.random(field.shape) < share] = np.nan
    observed[2] = a[2] = b[2] = c[2] = 0.0  # a case without an event
    forecasts = {"a": a, "b": b, "c": c}
    sums = mask_sums(forecasts, observed, thresholds=(1.0,))
    assert set(sums) == {(n, m) for n in "abc" for m in (COMMON, OWN)} | {
        ("b", pair("a")), ("c", pair("a")), ("a", pair("b")), ("a", pair("c")),
    }  # fmt: skip
    for (name, mask), found in sums.items():
        needed = {COMMON: "abc", OWN: "", f"pair {mask[-1]}": name + mask[-1]}[mask]
        hits, either = np.zeros((3, 2)), np.zeros((3, 2))
        for case, lead, y, x in np.ndindex(3, 2, 6, 7):
            at = (case, lead, y, x)
            if np.isnan(observed[at]) or any(np.isnan(forecasts[n][at]) for n in needed):
                continue
            forecast, event = np.nan_to_num(forecasts[name][at]) >= 1.0, observed[at] >= 1.0
            hits[case, lead] += forecast and event
            either[case, lead] += forecast or event
        pooled, by_case = csi(found)
        np.testing.assert_allclose(pooled[:, 0], hits.sum(axis=0) / either.sum(axis=0))
        np.testing.assert_allclose(by_case[:, 0], (hits[:2] / either[:2]).mean(axis=0))


def verified(mask: str = "common") -> VerificationResult:
    config = VerificationConfig(past=2, leads=3, stride=4, thresholds=(0.5, 2.0), mask=mask)
    return evaluation.evaluate(rain(), {"whole": Persistence(), "half": Half()}, config)


def test_the_common_mask_hides_what_a_forecaster_leaves_out_and_its_own_does_not() -> None:
    made = verified()
    assert made.mean("csi", "whole", 0.5) == pytest.approx(made.mean("csi", "half", 0.5))
    assert made.csi_by_mask("half", COMMON, 0.5) == pytest.approx(made.mean("csi", "half", 0.5))
    assert made.csi_by_mask("half", OWN, 0.5) < 0.7 * made.csi_by_mask("whole", OWN, 0.5)
    own = verified("own")
    for name in own.forecasters:
        assert own.mean("csi", name, 0.5) == pytest.approx(made.csi_by_mask(name, OWN, 0.5))
        assert own.mean("coverage", name) == made.mean("coverage", name)


def test_the_mean_of_an_ensemble_is_that_of_its_finite_members() -> None:
    config = VerificationConfig(past=2, leads=2, scores=("continuous", "crps"))
    field = example_files.field(np.full((6, 8, 8), 3.0, np.float32))
    made = evaluation.evaluate(field, {"gaps": Gaps()}, config)
    # The mean is 4.5 on the left half, where both members are, and 3 on the right one.
    assert made.mean("mae", "gaps") == pytest.approx(0.75)
    assert made.mean("coverage", "gaps") == 1.0
    # Members 3 and 6 against 3: 1.5 - 3 / 4, where both have a value.
    assert made.mean("crps", "gaps") == pytest.approx(0.75)


def test_the_report_has_every_mask_pooled_and_by_case(tmp_path: Path) -> None:
    made = verified()
    report.write_report(made, tmp_path, command="x")
    text = (tmp_path / "report.md").read_text()
    for mask, words in ((COMMON, "common"), (OWN, "own, unknown is dry")):
        for by_case in (False, True):
            value = made.csi_by_mask("half", mask, 0.5, by_case=by_case)
            assert f"| half | {words} | {value:.3f} |" in text
    with (tmp_path / "masks.csv").open() as file:
        rows = {(r["forecaster"], r["mask"], r["threshold_mm_h"]): r for r in csv.DictReader(file)}
    assert len(rows) == 2 * (4 + 2)
    assert float(rows["half", "pair whole", "2"]["csi_pooled"]) == pytest.approx(
        made.csi_by_mask("half", pair("whole"), 2.0), rel=1e-5
    )


def test_the_mask_is_told_and_another_one_refused() -> None:
    assert "has no value it counts as dry" in page.markdown(page.sections_of(verified("own"), "x"), {})
    with pytest.raises(DataError, match="no mask 'mine'; there are: common, own"):
        VerificationConfig(mask="mine")


def test_a_difference_on_shared_pixels_has_the_interval_of_these_pixels() -> None:
    """`half` leaves half of the pixels to all three; the other two are compared on all that they share."""
    made = eight_days({"whole": Persistence(), "wetter": Wetter(), "half": Half()})
    alone = eight_days({"whole": Persistence(), "wetter": Wetter()})
    found, expected = pair_difference(made, "wetter", 0.5), alone.difference("csi", "wetter", "whole", 0.5)
    assert found.value == pytest.approx(expected.value)
    # The effective days are those of the events on the common pixels, of which `half` leaves half.
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=2e-3)
    samples = [
        made.sampled_csi_by_mask("wetter", pair("whole"), 0.5) - made.sampled_csi_by_mask("whole", pair("wetter"), 0.5),
        alone.sampled_csi_by_mask("wetter", COMMON, 0.5) - alone.sampled_csi_by_mask("whole", COMMON, 0.5),
    ]
    np.testing.assert_allclose(*samples)
    assert found.low < found.value < found.high
    assert found.value != pytest.approx(made.difference("csi", "wetter", "whole", 0.5).value)
    with pytest.raises(ValueError, match="forecaster='whole' must be one of wetter, half"):
        pair_difference(made, "whole", 0.5)
