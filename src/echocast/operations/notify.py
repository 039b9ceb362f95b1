"""Messages to systemd: ready, alive, reloading, stopping. Nothing is sent where no systemd waits for them.

>>> Notifier({}).ready("watching")  # no NOTIFY_SOCKET: nothing happens
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

_ALIVE_S = 5.0


class Notifier:
    """Sends messages to the socket of ``NOTIFY_SOCKET``, which may be an abstract one.

    Args:
        environment: variables.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        known = os.environ if environment is None else environment
        path = known.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._alive_every = _watchdog_s(known)
        self._told, self._alive_at, self.is_ready = "", -1e9, False

    def ready(self, status: str) -> None:
        """The service works."""
        self.is_ready = True
        self._send("READY=1", self._status(status))

    def status(self, status: str) -> None:
        """One line for ``systemctl status``; sent where it has changed."""
        if status != self._told:
            self._send(self._status(status))

    def alive(self) -> None:
        """The loop turns: must be called by the loop itself, so that one that hangs is started again."""
        now = time.monotonic()
        if self._alive_every and now - self._alive_at >= self._alive_every:
            self._alive_at = now
            self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """The configuration is read again; `ready` follows."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service ends."""
        self._send("STOPPING=1", self._status("stopping"))

    def _status(self, status: str) -> str:
        self._told = status
        return f"STATUS={' '.join(status.split())}"

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # Nobody may listen any more, or the kind of socket may be unknown: the service does not depend on it.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto("\n".join(lines).encode(), self._address)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """Seconds between two signs of life: a third of what systemd waits for; 0 where it does not wait."""
    waits, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not waits.isdigit() or (pid and pid != str(os.getpid())):
        return 0.0
    return min(_ALIVE_S, int(waits) / 3e6)
