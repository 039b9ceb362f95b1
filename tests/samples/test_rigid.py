"""What is done to frames is done to their labels."""

import math

import numpy as np
import pytest
import torch

from echocast.samples import rigid
from echocast.samples.tensors import IGNORED


def grid(rows: int, columns: int, factor: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """The places of cells, in cells of the coarse grid."""
    y, x = ((torch.arange(n * factor) + 0.5) / factor - 0.5 for n in (rows, columns))
    return torch.meshgrid(y, x, indexing="ij")


@pytest.mark.parametrize(("angle", "shift"), [(0.0, (0.15, 0.1)), (math.pi / 2, (0.0, 0.0)), (0.3, (0.05, -0.1))])
def test_a_blob_and_its_label_go_where_the_motion_takes_them(angle: float, shift: tuple[float, float]) -> None:
    rows, columns = 32, 40

    def blob(factor: int) -> torch.Tensor:
        y, x = grid(rows, columns, factor)
        return torch.exp(-((y - 12) ** 2 + (x - 24) ** 2) / 8)[None, None, None]

    frames, labels = rigid.moved(blob(1), (blob(4) > 0.5).long(), torch.tensor([angle]), torch.tensor([shift]))
    right, down = 24 - 19.5, 12 - 15.5
    x = 19.5 + math.cos(angle) * right - math.sin(angle) * down + shift[0] * columns
    y = 15.5 + math.sin(angle) * right + math.cos(angle) * down + shift[1] * rows
    for values, factor in ((frames.nan_to_num(0), 1), ((labels == 1).float(), 4)):
        at_y, at_x = grid(rows, columns, factor)
        weight = values[0, 0, 0] / values.sum()
        assert float((weight * at_x).sum()) == pytest.approx(x, abs=0.13)
        assert float((weight * at_y).sum()) == pytest.approx(y, abs=0.13)


def test_what_comes_from_beyond_the_border_is_unknown() -> None:
    frames, labels = torch.ones(1, 2, 1, 8, 8), torch.zeros(1, 2, 1, 16, 16, dtype=torch.int64)
    frames[..., 0, 0] = torch.nan
    moved, placed = rigid.moved(frames, labels, torch.zeros(1), torch.tensor([[0.25, 0.0]]))
    assert moved[..., :2].isnan().all()
    assert (placed[..., :4] == IGNORED).all()
    assert moved[..., 0, 2].isnan().all()
    assert (moved[..., 1:, 2:] == 1).all()
    assert (placed[..., 4:] == 0).all()


def test_mirrored_and_jittered_by_the_generator_alone() -> None:
    frames, labels = torch.rand(6, 2, 1, 4, 6), torch.randint(0, 3, (6, 2, 1, 8, 12))
    once, twice = (rigid.mirrored(frames, labels, np.random.default_rng(1), -1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))
    changed = [not torch.equal(a, b) for a, b in zip(once[0], frames, strict=True)]
    assert changed == [not torch.equal(a, b) for a, b in zip(once[1], labels, strict=True)]
    assert 0 < sum(changed) < 6
    frames[0, 0, 0, 0, 0] = torch.nan
    jittered = rigid.jittered(frames, np.random.default_rng(2), sigma=0.2)
    assert jittered.isnan().sum() == 1
    assert 0 <= jittered.nan_to_num(0).min() <= jittered.nan_to_num(0).max() <= 1
    assert torch.equal(rigid.jittered(frames, np.random.default_rng(2), sigma=0.0).nan_to_num(), frames.nan_to_num())
