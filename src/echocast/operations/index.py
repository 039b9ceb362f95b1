"""An issue as index.json names it: what the service writes and readers read. It needs nothing but the standard library.

>>> entry = {"id": "a", "time": "2026-11-28T05:10:00Z", "revision": 0, "published": "", "expires": "", "leads": [5.0]}
>>> entry |= {"layers": ["rate"], "degraded": False, "path": "issues/a", "sha256": "", "bytes": 9, "not known": 1}
>>> Issue(**told(entry)).leads
(5.0,)
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from echocast.operations import stamps


@dataclass(frozen=True)
class Issue:
    """A published issue, as index.json names it.

    Args:
        id: opaque to readers; names sort as times do.
        time: the issue's time, as ``2026-11-28T05:10:00Z``.
        revision: 0, or a higher number where an issue of the same time came before.
        published: when.
        expires: the end of its last lead time.
        leads: lead times in minutes.
        layers: the layers of layers.bin.
        degraded: whether frames were missing, filled or late, or no run of the weather model could be used.
        path: its folder, below that of the service.
        sha256: of its meta.json, which holds the checksums of its files.
        bytes: of all its files.
    """

    id: str
    time: str
    revision: int
    published: str
    expires: str
    leads: tuple[float, ...]
    layers: tuple[str, ...]
    degraded: bool
    path: str
    sha256: str
    bytes: int

    @property
    def seconds(self) -> float:
        """The issue's time in seconds since 1970."""
        return stamps.seconds_of(self.time)


def told(about: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry of index.json says of an issue, by the names of `Issue`; other keys are ignored.

    Raises:
        KeyError: the entry lacks one.
    """
    said = {one.name: about[one.name] for one in fields(Issue)}
    return said | {"leads": tuple(said["leads"]), "layers": tuple(said["layers"])}
