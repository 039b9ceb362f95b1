"""Reflectivity and rain rate of one relation, for arrays and tensors alike."""

import numpy as np
import pytest
import torch

from echocast.zr import MARSHALL_PALMER, ZR_RELATIONS


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_ten_mm_h_by_marshall_and_palmer(kind: type) -> None:
    dbz = MARSHALL_PALMER.dbz(kind([1.0]))  # log10 of 10 mm/h: 10 lg 200 + 16 = 39.0103
    assert type(dbz) is type(kind([1.0]))
    assert float(dbz[0]) == pytest.approx(39.0103, abs=1e-4)


@pytest.mark.parametrize("name", ZR_RELATIONS)
def test_log_rate_is_the_inverse(name: str) -> None:
    log_rate = np.linspace(-3.0, 5.0, 9)
    dbz = ZR_RELATIONS[name].dbz(log_rate / np.log(10.0))
    np.testing.assert_allclose(ZR_RELATIONS[name].log_rate(dbz), log_rate, atol=1e-12)
