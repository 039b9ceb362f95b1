"""Known motions of known fields are found again, and what nobody saw does no harm."""

import pytest
import torch

from echocast.models._rover import arctan_image
from echocast.motion.advection import advect, advect_repeatedly
from echocast.motion.flow import dense_flow, sparse_flow
from echocast.motion.variational import _gaussian, combined_flow, varflow

SIZE = 128


def texture(seed: int = 0) -> torch.Tensor:
    """A cloudy image with values of 0 to 255, (1, y, x)."""
    noise = torch.randn(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    cloudy = _gaussian(noise, 3.0)[0]
    return (80 + 60 * (cloudy - cloudy.mean()) / cloudy.std()).clamp(0, 255)


def motions() -> dict[str, torch.Tensor]:
    y, x = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
    middle = SIZE / 2
    return {
        "translation": torch.stack([torch.full_like(y, 2.3), torch.full_like(y, -3.6)]),
        "fast": torch.stack([torch.full_like(y, 7.0), torch.full_like(y, 9.0)]),
        "rotation": torch.stack([(x - middle) * 0.03, -(y - middle) * 0.03]),
        "shear": torch.stack([torch.zeros_like(y), (y - middle) * 0.05]),
    }


@pytest.mark.parametrize(("name", "most"), [("translation", 0.05), ("fast", 0.05), ("rotation", 0.06), ("shear", 0.05)])
def test_translation_rotation_and_shear_are_recovered(name: str, most: float) -> None:
    motion = motions()[name][None]
    image = texture()
    flow = combined_flow(image, advect(image[:, None], motion, 1)[:, 0, 0])
    error = (flow - motion)[..., 16:-16, 16:-16].norm(dim=1)
    assert float(error.mean()) < most  # pixels per step
    assert float(error.max()) < 10 * most


@pytest.mark.parametrize("method", ["dis", "farneback", "sparse"])
@pytest.mark.parametrize("name", ["translation", "rotation", "shear"])
def test_the_flows_of_opencv_find_them_too(method: str, name: str) -> None:
    motion = motions()[name][None]
    rain = torch.exp((texture() - 100) / 40)  # mm/h
    frames = torch.cat([rain, advect(rain[:, None], motion, 1)[:, 0, 0]]).numpy()
    flow = sparse_flow(frames, pairs=1) if method == "sparse" else dense_flow(frames, pairs=1, method=method)
    error = (torch.from_numpy(flow) - motion[0])[:, 24:-24, 24:-24].norm(dim=0)
    assert float(error.mean()) < 0.35


def test_the_older_solver_finds_a_slow_motion_of_a_wide_echo() -> None:
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    images = [200 * torch.exp(-((y - 48 - t) ** 2 + (x - 48 - 1.5 * t) ** 2) / 400)[None] for t in (0, 1)]
    flow = varflow(*images)[0, :, 40:56, 40:56].mean(dim=(1, 2))
    assert flow.tolist() == pytest.approx([1.0, 1.5], abs=0.25)


def test_pairs_of_a_batch_do_not_touch_each_other() -> None:
    images = torch.cat([texture(1), texture(2), texture(1)])
    after = torch.roll(images, (2, 1), (1, 2))
    together = combined_flow(images, after)
    torch.testing.assert_close(together[1:2], combined_flow(images[1:2], after[1:2]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(together[0], together[2])


def test_without_echoes_nothing_moves() -> None:
    dry = torch.zeros(1, 40, 50)
    assert combined_flow(dry, dry).abs().max() == 0
    unseen = torch.full((1, 40, 50), torch.nan)
    for solver in (combined_flow, varflow):
        assert solver(unseen, unseen).isfinite().all()
        assert solver(unseen, unseen).abs().max() == 0


def test_half_a_view_gives_the_same_motion_in_that_half() -> None:
    motion = motions()["translation"][None]
    before = texture()
    after = advect(before[:, None], motion, 1)[:, 0, 0]
    before, after = before.clone(), after.clone()
    before[..., SIZE // 2 :] = after[..., SIZE // 2 :] = torch.nan
    flow = combined_flow(before, after)
    assert flow.isfinite().all()
    error = (flow - motion)[..., 16:-16, 16 : SIZE // 2 - 8].norm(dim=1)
    assert float(error.mean()) < 0.1


def test_more_smoothness_is_smoother() -> None:
    motion = motions()["shear"][None]
    after = advect(texture()[:, None], motion, 1)[:, 0, 0]
    rough, smooth = (combined_flow(texture(), after, alpha=alpha) for alpha in (100.0, 1e5))
    assert smooth.diff(dim=-2).abs().mean() < 0.7 * rough.diff(dim=-2).abs().mean()


def test_repeated_sampling_blurs_and_a_single_sampling_does_not() -> None:
    spot = torch.zeros(1, 1, 33, 33)
    spot[..., 16, 10] = 1.0
    motion = torch.zeros(1, 2, 33, 33)
    motion[:, 1] = 0.5
    once, often = advect(spot, motion, 8)[:, -1], advect_repeatedly(spot, motion, 8)[:, -1]
    assert float(once.nan_to_num().max()) == pytest.approx(1.0, abs=1e-5)
    assert float(often.max()) < 0.4
    assert float(often.sum()) == pytest.approx(1.0, abs=1e-4)


def test_the_arctan_image_stretches_what_is_near_33_dbz() -> None:
    rates = torch.tensor([0.0, 10 ** ((33 - 23.0103) / 16), 1e4, float("nan")])
    image = arctan_image(rates)
    assert image[0] == pytest.approx(0.0, abs=1e-3)
    assert image[1] == pytest.approx(255 * 1.4779 / (1.4779 + 1.4231), abs=1.0)
    assert image[2] == pytest.approx(255.0, abs=1e-3)
    assert image[3].isnan()
