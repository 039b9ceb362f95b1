"""Batches of several archives, the same for whoever asks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests import example_files

from echocast import fields
from echocast.context import Context
from echocast.errors import ExperimentError, MissingFrames
from echocast.samples import segments, sources
from echocast.samples.batches import Batches, StepSampler
from echocast.samples.data import Data
from echocast.samples.sources import Source


def data(**settings: object) -> Data:
    return Data(train=Path("unused"), past=4, future=4, **settings)  # type: ignore[arg-type]


def first(frames: int = 30, **settings: object) -> Source:
    field = example_files.field(example_files.blob(frames, 16, 16, dx=0.3, dy=0.1))
    return sources.of_archive(field, segments.segments(field), data(**settings), 1, "training")


def other(frames: int = 12, minutes: int = 5, **settings: object) -> Source:
    """A big grid where each pixel's value tells its frame and place."""
    rain = np.arange(frames * 40 * 50, dtype=np.float32).reshape(frames, 40, 50) / 1000 + 1
    times = example_files.TIME + np.arange(frames) * np.timedelta64(minutes, "m")
    field = fields.make(rain, time=times, y=np.arange(40)[::-1] * 2e3, x=np.arange(50) * 2e3, crs="EPSG:3067")
    return sources.of_auxiliary(field, data(crop_size=16, **settings))


def test_a_batch_is_the_same_for_whoever_asks_and_shared_by_processes() -> None:
    makes = [
        Batches([first(), other()], size=4, seed=3, rank=rank, world=world)
        for rank, world in ((0, 1), (0, 1), (0, 2), (1, 2))
    ]
    for number in range(12):
        one, again, even, odd = (batches[number] for batches in makes)
        torch.testing.assert_close(one.windows, again.windows, rtol=0, atol=0)
        torch.testing.assert_close(one.windows[0::2], even.windows, rtol=0, atol=0)
        torch.testing.assert_close(one.windows[1::2], odd.windows, rtol=0, atol=0)
        assert one.context == odd.context


def test_the_fraction_of_auxiliary_batches_and_none_without_auxiliary_archives() -> None:
    batches = Batches([first(auxiliary_fraction=0.3), other()], size=2, seed=0)
    cells = [batches[number].context.grid_km for number in range(200)]
    assert 0.2 < np.mean([cell == pytest.approx(2.0) for cell in cells]) < 0.4
    alone = Batches([first(auxiliary_fraction=0.3)], size=2, seed=0)
    assert {alone[number].context.grid_km for number in range(20)} == {4.0}
    assert alone[0].context == Context(4.0, 5.0)


def test_uniform_batches_are_drawn_from_seed_and_number_without_repetition() -> None:
    source = first(sampling="uniform", min_wet_fraction=0.0)
    batches = Batches([source], size=6, seed=5)
    for number in range(4):
        drawn = np.random.default_rng([5, number]).choice(len(source.starts), 6, replace=False)
        expected = torch.stack([source.windows[int(n)] for n in drawn])
        torch.testing.assert_close(batches[number].windows, expected, rtol=0, atol=0)
    few = Batches([Source(source.field, source.starts[:2], source.data)], size=6, seed=5)
    assert len(few[0].windows) == 6


def test_windows_come_alike_from_memory_and_from_the_field() -> None:
    kept, read = (first(in_memory=in_memory, augment=True) for in_memory in (True, False))
    made = [source.batch(np.random.default_rng(1), 5, slice(None)).windows for source in (kept, read)]
    torch.testing.assert_close(*made, rtol=0, atol=0, equal_nan=True)


def test_channels_and_pictures_come_through_whole() -> None:
    times = example_files.TIME + np.arange(12) * np.timedelta64(1, "m")
    values = np.random.default_rng(0).random((12, 3, 8, 8), dtype=np.float32)
    clip = fields.make(values, time=times, y=range(8), x=range(8), quantity="image", channels=["r", "g", "b"])
    settings = {"sampling": "uniform", "min_wet_fraction": 0.0}
    source = sources.of_archive(clip, [slice(0, 12)], data(**settings), 1, "training")
    batch = source.uniform_batch(np.random.default_rng(0), 3, slice(None))
    assert batch.windows.shape == (3, 8, 3, 8, 8)
    assert batch.context == Context(None, 1.0)
    drawn = np.random.default_rng(0).choice(5, 3, replace=False)
    np.testing.assert_array_equal(batch.windows[1], values[drawn[1] : drawn[1] + 8])
    with pytest.raises(
        ExperimentError, match=r"holds 'image', not rain: set data\.min_wet_fraction = 0, data\.sampling"
    ):
        sources.of_archive(clip, [slice(0, 12)], data(), 1, "training")


def test_windows_are_chosen_evenly() -> None:
    assert sources.evenly(np.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert sources.evenly(np.arange(3), 4).tolist() == sources.evenly(np.arange(3), None).tolist() == [0, 1, 2]


def test_squares_keep_time_and_place_and_vary_in_strength() -> None:
    drawn = other().batch(np.random.default_rng(0), 8, slice(None))
    assert drawn.windows.shape == (8, 8, 1, 16, 16)
    for window in drawn.windows[:, :, 0].numpy():
        right, later = window[0, 0, 1] - window[0, 0, 0], window[1, 0, 0] - window[0, 0, 0]
        assert later / right == pytest.approx(2000.0, rel=1e-2)  # as far apart as two frames are in `other`
        assert right != pytest.approx(0.001, rel=1e-4)


def test_steps_up_to_the_longest_come_with_as_long_a_view() -> None:
    source = other(frames=12, minutes=2, max_time_step_minutes=4.0)
    assert source.strides == [1]  # two times four frames every 4 min would be too few
    long = Source(source.field, np.zeros(1, int), Data(train=Path("u"), past=6, future=6, max_time_step_minutes=4.0))
    drawn = [long.batch(np.random.default_rng(n), 1, slice(None)) for n in range(30)]
    seen = {(batch.past, batch.context) for batch in drawn}
    assert seen == {(6, Context(2.0, 2.0)), (3, Context(2.0, 4.0))}


def test_short_runs_of_others_make_short_windows_and_too_short_ones_are_refused() -> None:
    drawn = other(frames=5).batch(np.random.default_rng(0), 2, slice(None))
    assert (drawn.windows.shape[1], drawn.past) == (5, 2)
    with pytest.raises(MissingFrames, match=r"data\.auxiliary"):
        other(frames=3)


def test_a_grid_smaller_than_the_square_is_filled_with_nothing() -> None:
    field = example_files.field(example_files.blob(10, 16, 24))
    drawn = sources.of_auxiliary(field, data(crop_size=20)).batch(np.random.default_rng(0), 2, slice(None))
    assert drawn.windows.shape[-2:] == (20, 20)
    assert drawn.windows[..., 16:, :].isnan().all()
    assert drawn.windows[..., :16, :].isfinite().all()


def test_wet_windows_are_likelier() -> None:
    rain = np.zeros((60, 8, 8), np.float32)
    rain[30:] = 2.0
    field = example_files.field(rain)
    source = sources.of_archive(field, segments.segments(field), data(min_wet_fraction=0.0), 1, "training")
    drawn = source.batch(np.random.default_rng(0), 400, slice(None))
    wet = float((drawn.windows[:, :, 0, 0, 0].mean(dim=1) > 0).float().mean())
    assert 0.92 < wet < 0.98  # 23 dry windows at 0.01, 30 wet ones at up to 0.15: 0.95


def test_a_round_goes_from_the_present_step_to_the_next_validation() -> None:
    done = 6
    sampler = StepSampler(3, step=lambda: done)
    assert list(sampler) == [6, 7, 8]
    assert len(sampler) == 3
    done = 10
    assert list(sampler) == [10, 11]


def test_varied_windows_are_turned_and_of_another_calibration_and_others_are_as_they_were() -> None:
    field = example_files.field(example_files.blob(30, 16, 16, dx=0.3, dy=0.1))
    for varied in (False, True):
        source = sources.of_archive(field, segments.segments(field), data(augment=varied), 1, "training")
        drawn = source.batch(np.random.default_rng(2), 40, slice(None)).windows[:, :, 0].numpy()
        whole = {
            window.tobytes()
            for window in np.lib.stride_tricks.sliding_window_view(field.values, 8, axis=0)
            .transpose(0, 3, 1, 2)
            .astype(np.float32)
        }
        assert {window.tobytes() in whole for window in drawn} == {not varied}
        cut = np.isnan(drawn).any(axis=(1, 2, 3))
        assert cut.mean() == pytest.approx(0.5 if varied else 0.0, abs=0.2)  # corners, of those at an angle
        peaks = np.nanmax(drawn, axis=(1, 2, 3)) / float(field.max())
        assert (np.log(peaks).std() > 0.1) == varied
