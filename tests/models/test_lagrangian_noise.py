"""Noise in space and time, and its moments over members."""

import numpy as np
import pytest
import torch

from echocast.models._lagrangian.noise import Noise, match_moments
from echocast.models._lagrangian.settings import NoiseSettings
from echocast.verification.scores import crps


@pytest.mark.parametrize("members", [1, 2, 5, 12, 20])
def test_members_have_the_mean_and_many_the_deviation_that_they_are_drawn_with(members: int) -> None:
    generator = torch.Generator().manual_seed(5)
    deviation = torch.rand(3, 1, 30, 40, generator=generator) + 0.1
    drawn = torch.randn(3, members, 30, 40, generator=generator) * deviation
    made = match_moments(drawn, deviation, from_members=10)
    if members == 1:
        torch.testing.assert_close(made, drawn)
        return
    torch.testing.assert_close(made.mean(dim=1), torch.zeros(3, 30, 40), rtol=0, atol=1e-5)
    if members < 10:  # right on average
        assert (made / deviation).square().mean() == pytest.approx(1.0, abs=0.05)
    else:
        torch.testing.assert_close(made.std(dim=1), deviation[:, 0])
    assert not match_moments(0.0 * drawn, 0.0 * deviation, from_members=10).any()


def test_members_with_exact_moments_have_a_lower_crps_than_independent_ones() -> None:
    generator = torch.Generator().manual_seed(6)
    drawn, truth = torch.randn(1, 20, 200, 200, generator=generator), torch.randn(1, 1, 200, 200, generator=generator)
    scores = [
        crps.values(crps.statistics(made[:, :, None].numpy(), truth.numpy(), thresholds=(0.5,)))["crps"].mean()
        for made in (drawn, match_moments(drawn, torch.ones(1, 1, 200, 200), from_members=10))
    ]
    assert scores[1] < 0.98 * scores[0]


@pytest.mark.parametrize("scale", range(4))
def test_noise_has_variance_one_and_the_size_of_its_octave(scale: int) -> None:
    generator = torch.Generator().manual_seed(3)
    noise = Noise(NoiseSettings(octaves=4), cell_km=4.0)
    octave = noise.fields(noise.start(30, (96, 120), [generator], torch.zeros(1)), (96, 120))[:, scale]
    assert octave.std() == pytest.approx(1.0, abs=0.08)
    assert abs(octave.mean()) < 0.1
    near = (octave[..., :-1] * octave[..., 1:]).mean()
    far = (octave[..., : -4 * 2**scale] * octave[..., 4 * 2**scale :]).mean()
    assert near > [-0.02, 0.4, 0.75, 0.9][scale]
    assert abs(far) < 0.12


def test_noise_decorrelates_with_the_lifetime_of_its_octave() -> None:
    generator = torch.Generator().manual_seed(3)
    noise = Noise(NoiseSettings(octaves=3), cell_km=4.0)
    drawn = noise.start(400, (8, 8), [generator], torch.zeros(1))
    with torch.no_grad():
        later = noise.next(drawn, 10.0, [generator])
    for scale, (a, b) in enumerate(zip(drawn, later, strict=True)):
        kept = float((a * b).mean() / a.square().mean())
        assert kept == pytest.approx(np.exp(-10.0 / (0.94 * 8 * 2**scale)), abs=0.05)
        assert float(b.std()) == pytest.approx(1.0, abs=0.05)


def test_each_case_is_drawn_from_its_own_generator() -> None:
    noise, size = Noise(NoiseSettings(octaves=2), cell_km=4.0), (12, 12)
    together = noise.start(6, size, [torch.Generator().manual_seed(seed) for seed in (1, 2, 3)], torch.zeros(1))
    for case, seed in enumerate((1, 2, 3)):
        alone = noise.start(2, size, [torch.Generator().manual_seed(seed)], torch.zeros(1))
        for octave, expected in zip(together, alone, strict=True):
            assert torch.equal(octave[2 * case : 2 * case + 2], expected)
