"""Delivery: a thread for each channel takes what is due from the outbox; none waits for another, nor the service.

>>> delivery = Delivery(outbox, senders, now=clock.now, tell=log.event)  # doctest: +SKIP
>>> delivery.start()  # doctest: +SKIP
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from echocast.operations.alerts.channels import NotSent, Sender
from echocast.operations.alerts.outbox import Entry, Outbox

_SHORT_S = 0.02
_LOOK_S = 0.5
"""At most so long a thread sleeps before it looks at the clock again, which may be a fast one."""


class Delivery:
    """Sends what is in the outbox.

    Args:
        outbox: what is to be sent.
        senders: by the ids of their channels.
        now: the time, in seconds since 1970.
        tell: called with an event, its level and what belongs to it, from the threads.
    """

    def __init__(
        self,
        outbox: Outbox,
        senders: Mapping[str, Sender],
        *,
        now: Callable[[], float],
        tell: Callable[..., Any] = lambda *_, **__: None,
    ) -> None:
        self._outbox, self._senders, self._now, self._tell = outbox, dict(senders), now, tell
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to send."""
        for channel in self._senders:
            thread = threading.Thread(target=self._run, args=(channel,), name=f"alerts {channel}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def end(self, *, within_s: float = 5.0) -> None:
        """Try what is due, for so many seconds at most, and stop; what is not sent stays in the outbox.

        A thread that waits for a slow channel is left behind.
        """
        end = time.monotonic() + within_s
        while self._threads and time.monotonic() < end and self._is_any_due():
            time.sleep(_SHORT_S)
        self._stop.set()
        with self._outbox.changed:
            self._outbox.changed.notify_all()
        end = max(end, time.monotonic() + 1.0)
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def drop_expired(self) -> None:
        """Drop what has expired and tell it."""
        for entry in self._outbox.drop_expired(self._now()):
            self._say("expired", entry, "warning", reason=entry.error or "no such channel, or it was never reached")

    def send_due(self, channel: str) -> int:
        """Send all that is due on a channel now; how many were tried."""
        tried = 0
        while not self._stop.is_set() and (entry := self._outbox.next(channel, self._now())) is not None:
            self._send(entry)
            tried += 1
        return tried

    def _send(self, entry: Entry) -> None:
        try:
            remark = self._senders[entry.channel].send(entry.message)
        except NotSent as bad:
            self._outbox.failed(entry, self._now(), why=str(bad), wait=bad.wait)
            self._say("not_sent", entry, "warning", reason=str(bad), attempts=entry.attempts + 1)
        except Exception as bad:  # a fault in one message must not end the thread, and with it the channel
            why = f"{type(bad).__name__}: {bad}"
            self._outbox.failed(entry, self._now(), why=why)
            self._say("not_sent", entry, "error", reason=why, attempts=entry.attempts + 1)
        else:
            self._outbox.sent(entry)
            self._say("sent", entry, "warning" if remark else "info", reason=remark or None)

    def _is_any_due(self) -> bool:
        return any(self._outbox.next(channel, self._now()) is not None for channel in self._senders)

    def _run(self, channel: str) -> None:
        while not self._stop.is_set():
            self.drop_expired()
            self.send_due(channel)
            with self._outbox.changed:
                if not self._stop.is_set() and self._outbox.next(channel, self._now()) is None:
                    self._outbox.changed.wait(_LOOK_S)

    def _say(self, outcome: str, entry: Entry, level: str, **more: Any) -> None:
        message = entry.message
        self._tell(
            "notification",
            level=level,
            outcome=outcome,
            channel=entry.channel,
            kind=message.kind,
            message=message.id,
            rule=message.rule,
            area=message.area["id"],
            **more,
        )
