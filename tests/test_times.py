"""The clock of frames whose times tremble."""

import numpy as np
import pytest
from tests import example_files

from echocast import fields
from echocast.errors import DataError, MissingFrames
from echocast.samples import segments

START = np.datetime64("2016-09-28T12:00:28", "ns")


def seconds(*after: float) -> np.ndarray:
    return START + (np.array(after) * 1e9).astype("timedelta64[ns]")


@pytest.mark.parametrize(
    ("after", "step"),
    [
        ((0, 301, 599, 900), 300),
        ((0, 301, 602, 901, 1202, 1500), 300),
        ((0, 300, 600, 1500), 300),
        ((0, 75, 150, 226), 75),
        ((0, 4, 8, 12), 4),
        ((0, 600, 1200, 1260), 600),
        ((0, 300, 1200, 1500, 2700, 3000, 4500), 300),  # most are missing
    ],
)
def test_the_time_step_is_the_median_of_rounded_differences(after: tuple[float, ...], step: float) -> None:
    assert fields.time_step(seconds(*after)) == np.timedelta64(step, "s")


def test_days_in_floating_point_are_one_clock() -> None:
    days = 17000 + np.arange(300) * 300 / 86400
    times = (days * 86400e9).astype("datetime64[ns]")
    assert len(set(np.diff(times))) > 1, "256 ns off now and then"
    clock = fields.clock(times)
    assert clock.step == np.timedelta64(5, "m")
    np.testing.assert_array_equal(clock.nearest(times), clock.start + np.arange(300) * clock.step)


def test_one_time_has_no_step() -> None:
    with pytest.raises(DataError, match="1 time gives no time step"):
        fields.clock(seconds(0))


def test_a_frame_is_on_the_clock_within_five_seconds_or_a_tenth_of_the_step() -> None:
    clock = fields.Clock(START, np.timedelta64(5, "m"))
    assert clock.has(seconds(5, 295, 306, 150)).tolist() == [True, True, False, False]
    assert clock.positions(seconds(-299, 1, 301, 905)).tolist() == [-1, 0, 1, 3]
    assert fields.tolerance(np.timedelta64(10, "s")) == np.timedelta64(1, "s")


def frames(*after: float) -> object:
    made = example_files.field(example_files.blob(len(after)))
    return made.assign_coords(time=("time", seconds(*after), made.time.attrs))


def test_trembling_frames_are_one_segment_and_snap_to_their_clock() -> None:
    field = frames(0, 301, 599, 901)
    assert segments.segments(field) == [slice(0, 4)]
    newest = segments.newest_segment(field, 4)
    np.testing.assert_array_equal(newest.time.values, seconds(0, 300, 600, 900))
    assert segments.segments(frames(0, 300, 900, 1200)) == [slice(0, 2), slice(2, 4)]


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ((0, 301, 899, 1200), r"no frame between 2016-09-28 12:05 and 2016-09-28 12:15, though one comes every 5 min"),
        ((0, 300, 600, 660, 900), r"12:10:28 and 2016-09-28T12:11:28, though .* remove one of them"),
    ],
)
def test_a_gap_and_a_frame_between_are_told(after: tuple[float, ...], why: str) -> None:
    with pytest.raises(MissingFrames, match=why):
        segments.newest_segment(frames(*after), 10)
