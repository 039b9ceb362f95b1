"""The outbox: what is still to be sent, a file for each message and channel, until it is sent or has expired.

Messages of one incident go to a channel in their order: a later one waits for an earlier one. Retries come after 5, 10,
20, ... s, at most an hour apart.
"""

import json
import logging
import threading
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from echocast.atomic import sync_folder, write_bytes
from echocast.errors import DataError
from echocast.operations.alerts import messages
from echocast.operations.alerts.messages import Message
from echocast.operations.disk import disk_errors
from echocast.operations.stamps import seconds_of

log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 3600.0


@dataclass(frozen=True)
class Entry:
    """A message to a channel.

    Args:
        message: the message.
        channel: the id of the channel.
        number: among the messages that were made at one time.
        attempts: how often it was tried.
        due: when it is tried next, in seconds since 1970.
        error: why the last attempt failed.
    """

    message: Message
    channel: str
    number: int = 0
    attempts: int = 0
    due: float = 0.0
    error: str = ""

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.message.id}.{self.channel}.json"

    @property
    def order(self) -> tuple[str, int]:
        """By which entries are sorted, oldest first."""
        return self.message.sent, self.number

    def to_json(self) -> dict[str, Any]:
        """The entry as plain values."""
        about = {name: getattr(self, name) for name in ("channel", "number", "attempts", "due", "error")}
        return about | {"message": self.message.to_json()}


def wait_after(attempts: int) -> float:
    """Seconds from one failed attempt to the next."""
    return float(min(FIRST_WAIT_S * 2.0 ** min(attempts - 1, 30), LONGEST_WAIT_S))


class Outbox:
    """The entries in a folder; what is there is taken in. Safe to use from many threads.

    Args:
        folder: where the files lie; it is made.

    Raises:
        DiskTrouble: the folder cannot be made or read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.RLock()
        self.changed = threading.Condition(self._lock)
        self._entries: dict[str, Entry] = {}
        self.counts: Counter[tuple[str, str, str]] = Counter()
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.iterdir()):
                self._take_in(path)

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def put(self, entries: list[Entry]) -> None:
        """Take in entries, on the disk when this returns; those that are there already stay.

        Raises:
            DiskTrouble: the disk is full or read-only.
        """
        with self._lock, disk_errors(self._folder):
            for entry in entries:
                if entry.name not in self._entries:
                    write_bytes(self._folder / entry.name, _bytes(entry), sync=True)
                    self._entries[entry.name] = entry
            sync_folder(self._folder)
            self.changed.notify_all()

    def next(self, channel: str, now: float) -> Entry | None:
        """The next entry of a channel that is due, the oldest first; None if there is none now."""
        with self._lock:
            waiting: set[str] = set()
            for entry in sorted(self._entries.values(), key=lambda one: one.order):
                if entry.channel != channel or entry.message.incident in waiting:
                    continue
                if entry.due <= now or entry.due > now + LONGEST_WAIT_S:  # the latter: the clock was set back
                    return entry
                waiting.add(entry.message.incident)
        return None

    def sent(self, entry: Entry) -> None:
        """An entry was sent."""
        self._end(entry, "sent")

    def failed(self, entry: Entry, now: float, *, why: str, wait: float = 0.0) -> None:
        """An entry could not be sent; it is tried again after the usual time, or a longer `wait` (seconds)."""
        attempts = entry.attempts + 1
        due = now + min(max(wait_after(attempts), wait), LONGEST_WAIT_S)
        later = replace(entry, attempts=attempts, due=due, error=why)
        with self._lock:
            self.counts[entry.message.rule, entry.channel, "not_sent"] += 1
            self._entries[entry.name] = later
            try:
                write_bytes(self._folder / entry.name, _bytes(later))
            except DataError as bad:
                log.warning("%s: the attempt could not be noted (%s)", entry.name, bad)

    def drop_expired(self, now: float) -> list[Entry]:
        """Drop what has expired; it is counted, and given back to be told."""
        with self._lock:
            found = [one for one in self._entries.values() if seconds_of(one.message.expires) <= now]
            for entry in found:
                self._end(entry, "expired")
        return found

    def _end(self, entry: Entry, outcome: str) -> None:
        with self._lock:
            self.counts[entry.message.rule, entry.channel, outcome] += 1
            self._entries.pop(entry.name, None)
            try:
                (self._folder / entry.name).unlink(missing_ok=True)
            except OSError as bad:
                log.warning("%s: cannot be removed (%s); it is sent again after a restart", entry.name, bad)

    def _take_in(self, path: Path) -> None:
        if path.name.startswith("."):
            path.unlink(missing_ok=True)  # what a killed process left
            return
        if path.suffix != ".json":
            return
        try:
            content = json.loads(path.read_bytes())
            message = messages.from_json(content.pop("message"))
            entry = Entry(message=message, **content)
        except (OSError, ValueError, KeyError, TypeError) as bad:
            log.warning("%s: is no message (%s); it was set aside as .damaged", path, bad)
            path.rename(path.with_suffix(".damaged"))
            return
        self._entries[entry.name] = entry


def _bytes(entry: Entry) -> bytes:
    return json.dumps(entry.to_json(), indent=1, ensure_ascii=False).encode() + b"\n"
