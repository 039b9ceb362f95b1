"""Segments, the windows inside them, and how they are shared out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import example_files

from echocast import fields
from echocast.errors import DataError, MissingFrames
from echocast.samples import segments, splits


def with_gaps(observed: list[bool]) -> "example_files.xr.DataArray":
    """A field whose frames are missing where `observed` is false."""
    rain = np.ones((len(observed), 3, 4), np.float32) * np.arange(len(observed))[:, None, None]
    rain[~np.array(observed)] = np.nan
    return example_files.field(rain)


def test_segments_are_the_stretches_between_missing_frames() -> None:
    field = with_gaps([True, True, False, True, False, False, True, True, True])
    assert segments.segments(field) == [slice(0, 2), slice(3, 4), slice(6, 9)]
    assert segments.segments(field[:0]) == []


def test_a_frame_counts_if_any_channel_of_it_does() -> None:
    values = np.full((4, 2, 3, 3), np.nan, np.float32)
    values[[0, 1, 3], 1] = 0.5
    times = example_files.TIME + np.arange(4) * np.timedelta64(1, "m")
    clip = fields.make(values, time=times, y=range(3), x=range(3), quantity="image", channels=["left", "right"])
    assert segments.segments(clip) == [slice(0, 2), slice(3, 4)]


def test_a_step_in_time_breaks_a_segment() -> None:
    field = with_gaps([True] * 6)
    assert segments.segments(field.isel(time=[0, 1, 2, 4, 5])) == [slice(0, 3), slice(3, 5)]


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_no_window_holds_a_missing_frame(observed: list[bool], past: int, future: int, stride: int) -> None:
    for start in segments.window_starts(segments.segments(with_gaps(observed)), past, future, stride):
        assert all(observed[start : start + past + future])


@given(st.lists(st.booleans(), min_size=9, max_size=60))
def test_parts_never_share_a_segment(observed: list[bool]) -> None:
    field = with_gaps(observed)
    found = segments.segments(field)
    if len(found) < 3:
        with pytest.raises(DataError, match="cannot be split"):
            splits.by_fractions(field, "test")
        return
    parts = [splits.by_fractions(field, part) for part in ("train", "validation", "test")]
    assert [one for part in parts for one in part] == found == splits.by_fractions(field, "all")
    assert all(parts)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(DataError, match="no split 'tests'"):
        splits.by_fractions(with_gaps([True] * 3), "tests")


def test_newest_segment_refuses_a_gap_with_the_remedy() -> None:
    field = with_gaps([True] * 8)
    assert segments.newest_segment(field, 3).time.values.tolist() == field.time.values[-3:].tolist()
    assert segments.newest_segment(field, 99).sizes["time"] == 8
    with pytest.raises(MissingFrames, match=r"no frame between 2016-09-28 15:05 and 2016-09-28 15:15.*--frames 2"):
        segments.newest_segment(field.isel(time=[0, 1, 2, 3, 4, 6, 7]), 6)
    assert segments.newest_segment(field.isel(time=[0, 1, 2, 3, 4, 6, 7]), 2).sizes["time"] == 2
