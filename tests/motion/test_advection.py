"""Known fields on known motions."""

import numpy as np
import pytest
import torch

from echocast.motion.advection import advect


def bell(y: float, x: float, size: int = 48, width: float = 4.0) -> torch.Tensor:
    """A smooth bump with its top at (y, x)."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2)).double()[None, None]


def uniform(dy: float, dx: float, size: int = 48) -> torch.Tensor:
    return torch.tensor([dy, dx]).double().view(1, 2, 1, 1).expand(1, 2, size, size).contiguous()


def spinning(radians: float, size: int = 48) -> torch.Tensor:
    """Rotation about the middle: displacement per step of a small angle."""
    middle = (size - 1) / 2
    rows, columns = (g.double() - middle for g in torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij"))
    return torch.stack([radians * columns, -radians * rows])[None]


def test_translation_is_recovered_and_does_not_diffuse() -> None:
    carried = advect(bell(20, 20), uniform(1.5, -0.75), steps=8)
    for step in (1, 4, 8):
        made, expected = carried[:, step - 1], bell(20 + 1.5 * step, 20 - 0.75 * step)
        known = made.isfinite()
        assert (made - expected)[known].abs().max() < 0.02
    # One interpolation however far: the top after 8 steps of whole pixels is the top, not 8 times blurred.
    assert advect(bell(20, 20), uniform(1.0, 2.0), steps=8)[0, -1].nan_to_num().max() == pytest.approx(1.0)


def test_rotation_by_a_right_angle() -> None:
    steps, middle = 18, 23.5
    carried = advect(bell(middle, middle + 10), spinning(np.pi / 2 / steps), steps)[:, -1]
    top = np.unravel_index(int(carried.nan_to_num().argmax()), (48, 48))
    assert np.abs(np.array(top) - [middle + 10, middle]).max() < 1.0
    assert carried.nan_to_num().max() > 0.95


def test_shear_moves_each_row_by_its_own() -> None:
    motion = torch.zeros(1, 2, 32, 32, dtype=torch.float64)
    motion[:, 1] = torch.arange(32).double()[:, None] / 16
    field = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    field[..., 5] = 1.0
    carried = advect(field, motion, steps=4)[0, -1, 0]
    for row in (0, 8, 16, 24):
        assert carried[row].nan_to_num().argmax() == 5 + 4 * row // 16


def test_what_comes_from_outside_or_from_unseen_pixels_is_unknown() -> None:
    field = torch.ones(1, 1, 16, 16)
    field[..., 8, 8] = torch.nan
    carried = advect(field, uniform(0, 2.0, 16).float(), steps=3)
    assert carried[0, 2, 0, :, :6].isnan().all()
    assert carried[0, 2, 0, 8, 14].isnan()
    assert carried[0, 2, 0, :8, 6:].isfinite().all()


def test_gradients_reach_field_and_motion() -> None:
    field, motion = bell(6, 6, 12, 2.0).requires_grad_(), (uniform(0.3, 0.2, 12)).requires_grad_()
    inner = (..., slice(3, 9), slice(3, 9))
    assert torch.autograd.gradcheck(lambda f, m: advect(f, m, 2)[inner], (field, motion))


def test_each_case_moves_with_its_own_motion() -> None:
    fields = torch.cat([bell(20, 20), bell(30, 12)])
    motions = torch.cat([uniform(1, 0), uniform(-1, 2)])
    together = advect(fields, motions, 3)
    for case in range(2):
        alone = advect(fields[case : case + 1], motions[case : case + 1], 3)
        torch.testing.assert_close(together[case : case + 1], alone, equal_nan=True)
