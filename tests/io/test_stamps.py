"""Times in names and tags, and by patterns."""

import numpy as np
import pytest

from echocast.errors import UnreadableFile
from echocast.io.stamps import by_pattern, time_in

TIME = np.datetime64("2016-09-28T14:45", "ns")


@pytest.mark.parametrize(
    "text",
    [
        "201609281445_FINUTM.tif",
        "x_20160928T144500Z.tif",
        "2016-09-28_14-45.tif",
        "20160928T1645+0200.tif",
        "20160928-144500_utc",
        "2016:09:28 14:45:00",
        "20160928_201609281445.tif",
        "20160928_1445_v20160928144500.tif",
        "20160928_1445_1000m.tif",
        "2016-09-28T09:45:00-05:00",
        "12345678901234_20160928T1445.tif",
    ],
)
def test_one_time_is_found(text: str) -> None:
    assert time_in(text) == TIME


@pytest.mark.parametrize("text", ["rain.tif", "20160928.tif", "123456789012.tif", "20161328_1445.tif", "2016092814451"])
def test_no_time_is_found(text: str) -> None:
    assert time_in(text) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("20160928_1445_to_20160928_1500.tif", "two different times, 2016-09-28T14:45:00 and 2016-09-28T15:00:00"),
        ("20160928_1440_1445.tif", "may be a second time"),
        ("201609281445_CEST.tif", "time zone '_CEST.tif' is not known"),
        ("201609281445+060.tif", "time zone"),
    ],
)
def test_what_can_be_understood_in_two_ways_is_refused(text: str, why: str) -> None:
    with pytest.raises(UnreadableFile, match=rf"{why}.*--time-pattern"):
        time_in(text)


@pytest.mark.parametrize("zone", ["CEST", "Europe/Rome", "+0017", "local"])
def test_a_tag_of_an_unknown_zone_is_refused(zone: str) -> None:
    assert time_in("2016-09-28 16:45:00 +02:00", whole=True) == TIME
    with pytest.raises(UnreadableFile, match="time zone"):
        time_in(f"2016-09-28 14:45 {zone}", whole=True)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("rain_280916-1445.tif", "rain_%d%m%y-%H%M.tif"),
        ("a_20160928T1445_b_20160928T1500.tif", "a_%Y%m%dT%H%M_b_*.tif"),
        ("a_20160928T1445_b_20160928T1500.tif", "a_%Y%m%dT%H%M"),
        ("2016/09/28/201609281445.png", "%Y/%m/%d/%Y%m%d%H%M.png"),
        ("x162721445.tif.gz", "x%y%j%H%M.tif"),
        ("x201609281645+0200.tif", "x%Y%m%d%H%M%z.tif"),
    ],
)
def test_a_pattern_tells_the_time(name: str, pattern: str) -> None:
    assert by_pattern(name, pattern) == TIME


@pytest.mark.parametrize(
    ("name", "pattern", "why"),
    [
        ("a_20160928T1445_b_20160928T1500.tif", "%Y%m%dT%H%M", "fits several times"),
        ("2016/09/27/201609281445.png", "%Y/%m/%d/%Y%m%d%H%M.png", "not spelt so"),
        ("x1445", "x%H%M", "tells no date"),
        ("x2016 CET", "x%Y %Z", "has the sign '%Z'"),
        ("x20161328", "x%Y%m%d", "makes no time"),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(name: str, pattern: str, why: str) -> None:
    with pytest.raises(UnreadableFile, match=why):
        by_pattern(name, pattern)
