"""Splits by block, by day, by date."""

import numpy as np
import pytest
from tests import example_files

from echocast.errors import DataError
from echocast.samples import splits
from echocast.samples.segments import window_starts


def test_the_papers_blocks_give_its_numbers_of_windows() -> None:
    count = 97 * 240
    field = example_files.field(np.zeros((count, 1, 2), np.float32), minutes=6, start=np.datetime64("2011-01-01", "ns"))
    parts = splits.blocks(field, seed=3)
    windows = {name: len(window_starts(found, 5, 15, 1)) for name, found in parts.items()}
    assert windows == {"train": 8148, "validation": 2037, "test": 2037}
    frames = [n for found in parts.values() for segment in found for n in range(segment.start, segment.stop)]
    assert sorted(frames) == list(range(count))
    assert splits.blocks(field, seed=3) == parts != splits.blocks(field, seed=4)
    with pytest.raises(DataError, match="three whole blocks"):
        splits.blocks(field[:100])


def test_days_are_ordered_by_rain_and_splits_by_date_share_nothing() -> None:
    values = np.zeros((4 * 24, 2, 2), np.float32)
    values[24:48], values[72:] = 1.0, 3.0
    field = example_files.field(values, minutes=60, start=np.datetime64("2016-07-01", "ns"))
    assert [str(d) for d in splits.rainiest_days(field, 2)] == ["2016-07-02", "2016-07-04"]
    parts = splits.by_dates(field, validation=("2016-07-02", "2016-07-03"), test=("2016-07-04", "2016-07-05"))
    assert parts == {
        "train": [slice(0, 24), slice(48, 72)], "validation": [slice(24, 48)], "test": [slice(72, 96)]
    }  # fmt: skip
    with pytest.raises(DataError, match="overlap"):
        splits.by_dates(field, validation=("2016-07-02", "2016-07-04"), test=("2016-07-03", "2016-07-05"))
    with pytest.raises(DataError, match="no times"):
        splits.by_dates(field, validation=("july", "august"), test=("2016-07-03", "2016-07-05"))
    with pytest.raises(DataError, match="no span"):
        splits.by_dates(field, validation=("2016-07-03", "2016-07-02"), test=("2016-07-03", "2016-07-05"))


def test_few_events_are_split_by_time_with_a_gap() -> None:
    field = example_files.field(np.zeros((100, 1, 2), np.float32)).assign_coords(
        observed=("time", [number != 30 for number in range(100)])
    )
    parts = splits.by_time(field, 4, 6)
    first, second = (window_starts(parts[name], 4, 6, 1) for name in ("train", "validation"))
    assert second[0] - (first[-1] + 9) > 10  # frames between the last of one and the first of the other
    assert 0.7 < len(first) / (len(first) + len(second)) < 0.8
    assert parts["test"] == []
    assert len(window_starts(splits.by_time(field[31:61], 4, 6)["validation"], 4, 6, 1)) == 1
    with pytest.raises(DataError, match=r"1 unbroken segments, the longest of 29 frames.*takes 30 frames"):
        splits.by_time(field[31:60], 4, 6)
