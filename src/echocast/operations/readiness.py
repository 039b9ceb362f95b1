"""Which files are ready to be read: those whose fingerprint stays the same, and again those that changed.

A file is tried when its fingerprint was the same for `settle` seconds. What then cannot be read is tried again after 2,
4, 8, ... seconds until `patience` is over, and then set aside until its fingerprint changes.

>>> files = Readiness(settle=2.0, patience=120.0)
>>> files.update({"a.nc": Fingerprint(10, "1")}, now=0.0)
>>> files.ready(1.0), files.ready(2.0)
([], ['a.nc'])
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_FIRST_WAIT = 2.0
_LONGEST_WAIT = 300.0
_REMEMBERED = 20_000
"""So many of the files that were dealt with last are known after a restart; of older ones it knows by their names."""
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Fingerprint:
    """What tells that a file has changed: its size, and its checksum (ETag) or the time of its last change.

    Args:
        size: in bytes, -1 if it is not known.
        tag: an ETag, or a time of change as text.
        modified: the time of change in seconds since 1970 where it is all there is and may be off by `about`.
        about: by how many seconds it may be off: web servers behind each other tell different times.
    """

    size: int
    tag: str = ""
    modified: float | None = None
    about: float = 0.0

    def is_same(self, other: "Fingerprint") -> bool:
        """Whether a file with this fingerprint is taken to be unchanged."""
        if self.size != other.size or self.tag != other.tag:
            return False
        if self.modified is None or other.modified is None:
            return self.modified == other.modified
        return abs(self.modified - other.modified) <= max(self.about, other.about)


@dataclass
class _Waiting:
    """A file that is not dealt with yet."""

    fingerprint: Fingerprint
    since: float
    next_try: float
    wait: float = _FIRST_WAIT
    first_tried: float | None = None
    reason: str = ""


@dataclass
class Readiness:
    """The files that were seen, and those that wait.

    Args:
        settle: seconds for which a fingerprint must stay the same.
        patience: seconds for which an unreadable file is tried again.
        seen: files that are dealt with: fingerprint and outcome; kept over a restart.
    """

    settle: float
    patience: float
    seen: dict[str, tuple[Fingerprint, str]] = field(default_factory=dict)
    _waiting: dict[str, _Waiting] = field(default_factory=dict)

    def update(self, listed: Mapping[str, Fingerprint], now: float) -> None:
        """Take in a listing of one source, at a time in seconds that never jumps."""
        for name, found in listed.items():
            waiting, seen = self._waiting.get(name), self.seen.get(name)
            if waiting is not None:
                if not waiting.fingerprint.is_same(found):
                    self._waiting[name] = _Waiting(found, now, now + self.settle)
            elif seen is None or not seen[0].is_same(found):
                self._waiting[name] = _Waiting(found, now, now + self.settle)

    def forget(self, names: set[str]) -> None:
        """Forget files that are gone."""
        for name in names:
            self.seen.pop(name, None)
            self._waiting.pop(name, None)

    def ready(self, now: float) -> list[str]:
        """The files to try now, in the order that their names tell."""
        return sorted((name for name, one in self._waiting.items() if one.next_try <= now), key=_order)

    def next_time(self) -> float | None:
        """When the next file may be ready."""
        return min((one.next_try for one in self._waiting.values()), default=None)

    def done(self, name: str, outcome: str) -> None:
        """A file is dealt with: it is not read again unless it changes."""
        self.seen.pop(name, None)  # the last one dealt with stands last
        self.seen[name] = (self._waiting.pop(name).fingerprint, outcome)

    def wait_until(self, name: str, time: float) -> None:
        """Try a file again at a time: its frames are not wanted yet."""
        self._waiting[name].next_try = time

    def failed(self, name: str, reason: str, now: float, *, patience: float | None = None) -> bool:
        """A file could not be read; whether it is set aside from now on.

        Args:
            name: the file.
            reason: why.
            now: the time by a clock that never jumps.
            patience: another patience than usual.
        """
        one, patience = self._waiting[name], self.patience if patience is None else patience
        one.first_tried = now if one.first_tried is None else one.first_tried
        one.reason = reason
        if now - one.first_tried >= patience:
            self.done(name, f"quarantined: {reason}")
            return True
        one.next_try = min(now + one.wait, one.first_tried + patience)
        one.wait = min(2 * one.wait, _LONGEST_WAIT)
        return False

    def drop(self, names: set[str]) -> None:
        """Files that wait and are gone wait no more."""
        for name in names:
            self._waiting.pop(name, None)

    def since(self, name: str) -> float:
        """When a file that waits was first seen as it is now."""
        return self._waiting[name].since

    @property
    def waiting(self) -> dict[str, str]:
        """The files that wait, with the reason of those that could not be read."""
        return {name: one.reason for name, one in self._waiting.items()}

    def as_json(self) -> dict[str, Any]:
        """What a restart must know."""
        last = list(self.seen.items())[-_REMEMBERED:]
        return {name: [f.size, f.tag, f.modified, f.about, outcome] for name, (f, outcome) in last}

    def load(self, content: Mapping[str, Any]) -> None:
        """Take over what `as_json` gave; raises `ValueError` or `TypeError` for anything else."""
        for name, (size, tag, modified, about, outcome) in content.items():
            self.seen[name] = (Fingerprint(size, tag, modified, about), outcome)


def _order(name: str) -> tuple[list[int], str]:
    """Numbers of a name as numbers: 9 before 10."""
    return [int(digits) for digits in _DIGITS.findall(name.rpartition("/")[2])], name
