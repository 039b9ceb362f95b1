"""A prefix of S3 or GS. Of S3, which lists by name, only what comes after yesterday's names is asked for."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from echocast.io import location as locations
from echocast.io.location import Mark
from echocast.operations.readiness import Fingerprint

_DAY_S = 86_400.0
_ALL_AGAIN_S = 3600.0
"""All names are listed so often: a new series may sort before all that is known."""


@dataclass
class Bucket:
    """A prefix, or a glob, of S3 or GS.

    Args:
        name: its URL.
    """

    name: str
    asked_to_wait: float = 0.0
    _marks: dict[str, Mark] = field(default_factory=dict)
    _all_at: float = -_ALL_AGAIN_S

    def files(self, known: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
        """The files there are now, with sizes and checksums; raises `UnreadableFile` where it cannot be reached.

        A file that was removed and whose name is not asked for counts as there until all names are listed again.
        """
        after = "" if time.monotonic() - self._all_at >= _ALL_AGAIN_S else start_after(self._marks)
        found = locations.list_marks(self.name, after=after)
        if after:
            found = {url: mark for url, mark in self._marks.items() if url <= after} | found
        else:
            self._all_at = time.monotonic()
        self._marks = found
        return {
            url: Fingerprint(mark.size, mark.tag, None if mark.tag else mark.modified) for url, mark in found.items()
        }


def start_after(marks: Mapping[str, Mark]) -> str:
    """The name after which a listing may start: it gives whatever changed within a day of the newest change.

    Empty where all names must be listed: there is none that is older, or times of change are not told.
    """
    times = [mark.modified for mark in marks.values() if mark.modified is not None]
    if len(times) < len(marks) or not times:
        return ""
    first = min(url for url, mark in marks.items() if (mark.modified or 0.0) >= max(times) - _DAY_S)
    return max((url for url in marks if url < first), default="")
