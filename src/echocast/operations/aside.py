"""Work that may hang, such as asking a server or a network disk, done in a thread so that the service goes on.

>>> Aside().call(lambda: 2, deadline=1.0)
2
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

R = TypeVar("R")

_LOOK_S = 0.2


class Aside:
    """Does one thing at a time. What hangs is left alone, and nothing else is begun before it has ended."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[], R], *, deadline: float, on_wait: Callable[[], None] = lambda: None) -> R:
        """What `work` gives.

        Args:
            work: what to do.
            deadline: seconds after which it is left alone.
            on_wait: called several times a second meanwhile.

        Raises:
            TimeoutError: the deadline is over, or what was begun before hangs still.
            BaseException: whatever `work` or `on_wait` raised.
        """
        if self._thread is not None and self._thread.is_alive():
            raise TimeoutError("does not answer: what was asked before hangs still")
        answers: queue.SimpleQueue[tuple[R | None, BaseException | None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=_answered, args=(work, answers), daemon=True)
        self._thread.start()
        end = time.monotonic() + deadline
        while True:
            try:
                result, bad = answers.get(timeout=_LOOK_S)
                break
            except queue.Empty:
                on_wait()
            if time.monotonic() > end:
                raise TimeoutError(f"does not answer within {deadline:g} s")
        self._thread.join()  # it has answered, and may take a moment to end
        if bad is not None:
            raise bad
        return result  # type: ignore[return-value]  # there is no error, so there is a result


def _answered(work: Callable[[], R], answers: "queue.SimpleQueue[tuple[R | None, BaseException | None]]") -> None:
    try:
        answers.put((work(), None))
    except BaseException as bad:  # it belongs to who asked
        answers.put((None, bad))
