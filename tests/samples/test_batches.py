"""Batches of several archives, the same for whoever asks."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tests import example_files

from echocast import fields
from echocast.context import Context
from echocast.errors import MissingFrames
from echocast.samples import batches, segments
from echocast.samples.batches import Batches, Data, Rounds


def data(**settings: object) -> Data:
    return Data(train=Path("unused"), past=4, future=4, **settings)  # type: ignore[arg-type]


def first(frames: int = 30, **settings: object) -> batches.Source:
    field = example_files.field(example_files.blob(frames, 16, 16, dx=0.3, dy=0.1))
    return batches.of_archive(field, segments.segments(field), data(**settings), 1, "training")


def other(frames: int = 12, minutes: int = 5, **settings: object) -> batches.Source:
    """A big grid where each pixel's value tells its frame and place."""
    rain = np.arange(frames * 40 * 50, dtype=np.float32).reshape(frames, 40, 50) / 1000 + 1
    times = example_files.TIME + np.arange(frames) * np.timedelta64(minutes, "m")
    field = fields.make(rain, time=times, y=np.arange(40)[::-1] * 2e3, x=np.arange(50) * 2e3, crs="EPSG:3067")
    return batches.of_another(field, data(crop=16, **settings))


def test_a_batch_is_the_same_for_whoever_asks_and_shared_by_processes() -> None:
    makes = [
        Batches([first(), other()], share=0.5, size=4, seed=3, rank=rank, world=world)
        for rank, world in ((0, 1), (0, 1), (0, 2), (1, 2))
    ]
    for number in range(12):
        one, again, even, odd = (batches[number] for batches in makes)
        torch.testing.assert_close(one.windows, again.windows, rtol=0, atol=0)
        torch.testing.assert_close(one.windows[0::2], even.windows, rtol=0, atol=0)
        torch.testing.assert_close(one.windows[1::2], odd.windows, rtol=0, atol=0)
        assert one.at == odd.at


def test_the_share_of_others_and_none_without_others() -> None:
    batches = Batches([first(), other()], share=0.3, size=2, seed=0)
    cells = [batches[number].context.grid_km for number in range(200)]
    assert 0.2 < np.mean([cell == pytest.approx(2.0) for cell in cells]) < 0.4
    alone = Batches([first()], share=0.3, size=2, seed=0)
    assert {alone[number].at for number in range(20)} == {Context(4.0, 5.0)}


def test_squares_keep_time_and_place_and_vary_in_strength() -> None:
    drawn = other().batch(np.random.default_rng(0), 8, slice(None))
    assert drawn.windows.shape == (8, 8, 1, 16, 16)
    for window in drawn.windows[:, :, 0].numpy():
        right, later = window[0, 0, 1] - window[0, 0, 0], window[1, 0, 0] - window[0, 0, 0]
        assert later / right == pytest.approx(2000.0, rel=1e-2)  # as far apart as two frames are in `other`
        assert right != pytest.approx(0.001, rel=1e-4)


def test_steps_up_to_the_longest_come_with_as_long_a_view() -> None:
    source = other(frames=12, minutes=2, longest_step=4.0)
    assert source.thinnings == [1]  # two times four frames every 4 min would be too few
    long = batches.Source(source.field, np.zeros(1, int), Data(train=Path("u"), past=6, future=6, longest_step=4.0))
    seen = {long.batch(np.random.default_rng(n), 1, slice(None))[1:] for n in range(30)}
    assert seen == {(6, Context(2.0, 2.0)), (3, Context(2.0, 4.0))}


def test_short_runs_of_others_make_short_windows_and_too_short_ones_are_refused() -> None:
    drawn = other(frames=5).batch(np.random.default_rng(0), 2, slice(None))
    assert (drawn.windows.shape[1], drawn.past) == (5, 2)
    with pytest.raises(MissingFrames, match=r"data\.others"):
        other(frames=3)


def test_a_grid_smaller_than_the_square_is_filled_with_nothing() -> None:
    field = example_files.field(example_files.blob(10, 16, 24))
    drawn = batches.of_another(field, data(crop=20)).batch(np.random.default_rng(0), 2, slice(None))
    assert drawn.windows.shape[-2:] == (20, 20)
    assert drawn.windows[..., 16:, :].isnan().all()
    assert drawn.windows[..., :16, :].isfinite().all()


def test_wet_windows_are_likelier() -> None:
    rain = np.zeros((60, 8, 8), np.float32)
    rain[30:] = 2.0
    field = example_files.field(rain)
    source = batches.of_archive(field, segments.segments(field), data(least_wet=0.0), 1, "training")
    drawn = source.batch(np.random.default_rng(0), 400, slice(None))
    wet = float((drawn.windows[:, :, 0, 0, 0].mean(dim=1) > 0).float().mean())
    assert 0.92 < wet < 0.98  # 23 dry windows at 0.01, 30 wet ones at up to 0.15: 0.95


def test_rounds_follow_each_other() -> None:
    rounds = Rounds(3)
    rounds.set_epoch(2)
    assert list(rounds) == [6, 7, 8]
    assert len(rounds) == 3


def test_varied_windows_are_turned_and_of_another_calibration_and_others_are_as_they_were() -> None:
    field = example_files.field(example_files.blob(30, 16, 16, dx=0.3, dy=0.1))
    for varied in (False, True):
        source = batches.of_archive(field, segments.segments(field), data(varied=varied), 1, "training")
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


def test_a_right_angle_is_exact() -> None:
    frames = np.random.default_rng(0).random((3, 7, 7), dtype=np.float32)
    np.testing.assert_array_equal(batches.at_an_angle(frames, math.pi / 2), np.rot90(frames, axes=(1, 2)))
    np.testing.assert_array_equal(batches.at_an_angle(frames, 0.0), frames)


@pytest.mark.parametrize("angle", [0.3, 2.0, 5.5])
def test_any_angle_moves_values_and_makes_none(angle: float) -> None:
    frames = np.random.default_rng(1).random((2, 64, 64), dtype=np.float32)
    turned = batches.at_an_angle(frames, angle)
    along = np.arange(64) - 31.5
    disc = along[:, None] ** 2 + along**2 < 31**2
    assert np.isfinite(turned[:, disc]).all()
    assert np.isnan(turned[:, ~disc]).any()
    assert np.isin(turned[np.isfinite(turned)], frames).all()


def test_what_is_right_of_the_middle_goes_where_the_angle_says_in_all_frames() -> None:
    frames = np.zeros((2, 65, 65), np.float32)
    frames[:, 30:35, 50:55] = 1.0  # 20 cells to the right
    rows, columns = np.nonzero(batches.at_an_angle(frames, math.radians(30.0))[1] == 1.0)
    assert rows.mean() == pytest.approx(32 - 20 * math.sin(math.radians(30.0)), abs=0.5)
    assert columns.mean() == pytest.approx(32 + 20 * math.cos(math.radians(30.0)), abs=0.5)
