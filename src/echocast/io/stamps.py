"""Times as names of files and tags of files spell them, the year first.

>>> str(time_in("201609281445_fmi.pgm"))[:16], time_in("AQC151351825F_00005.801.gif")
('2016-09-28T14:45', None)
"""

import re
from datetime import datetime

import numpy as np

_STAMPS = (
    (re.compile(r"(?<!\d)(\d{14})(?!\d)"), "%Y%m%d%H%M%S"),
    (re.compile(r"(?<!\d)(\d{12})(?!\d)"), "%Y%m%d%H%M"),
    (re.compile(r"(?<!\d)(\d{8}[T_-]\d{6})(?!\d)"), "%Y%m%dT%H%M%S"),
    (re.compile(r"(?<!\d)(\d{8}[T_-]\d{4})(?!\d)"), "%Y%m%dT%H%M"),
    (re.compile(r"(?<!\d)(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)"), "%Y-%m-%dT%H:%M:%S"),
    (re.compile(r"(?<!\d)(\d{4}-\d\d-\d\d[T ]\d\d:\d\d)"), "%Y-%m-%dT%H:%M"),
    (re.compile(r"(?<!\d)(\d{4}-\d\d-\d\dT\d{4})(?!\d)"), "%Y-%m-%dT%H%M"),
    (re.compile(r"(?<!\d)(\d{4}:\d\d:\d\d \d\d:\d\d:\d\d)"), "%Y:%m:%dT%H:%M:%S"),
)


def time_in(text: str) -> np.datetime64 | None:
    """The first time that a text spells, to the second or the minute; None if it spells none."""
    for pattern, form in _STAMPS:
        found = pattern.search(text)
        if found:
            written = re.sub(r"(?<=\d)[T_ -](?=\d\d:?\d\d(:?\d\d)?$)", "T", found[1])
            try:
                return np.datetime64(datetime.strptime(written, form), "ns")
            except ValueError:
                continue
    return None
