"""A hint of the system that a folder has changed, so that it is listed at once.

Only a hint: network disks give none, and the listing at each ``--poll`` is what counts. Needs watchfiles (extra
``operations``); without it nothing wakes the service before its time.
"""

import logging
import threading
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

log = logging.getLogger(__name__)

_AGAIN_S = 1.0
"""A folder that changes all the time is listed at most so often for that."""
_RETRY_S = 30.0


class Waker:
    """Listens to folders in a thread.

    Args:
        folders: what to listen to, with all below.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = list(folders)
        self._changed, self._stop = threading.Event(), threading.Event()
        self._woken_at = -_AGAIN_S
        self._thread: threading.Thread | None = None
        if self._folders and find_spec("watchfiles"):
            self._thread = threading.Thread(target=self._listen, name="waking", daemon=True)
            self._thread.start()

    def has_changed(self) -> bool:
        """Whether a folder has changed since this was last true."""
        now = time.monotonic()
        if not self._changed.is_set() or now - self._woken_at < _AGAIN_S:
            return False
        self._woken_at = now
        self._changed.clear()
        return True

    def close(self) -> None:
        """Listen no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _listen(self) -> None:
        is_told = False
        while not self._stop.is_set():
            try:
                self._listen_to([folder for folder in self._folders if folder.is_dir()])
            except (OSError, RuntimeError) as bad:
                if not is_told:
                    log.warning("the system gives no hints of new files (%s); folders are listed at each --poll", bad)
                is_told = True
            self._stop.wait(_RETRY_S)

    def _listen_to(self, folders: list[Path]) -> None:
        import watchfiles

        if not folders:
            return
        changes = watchfiles.watch(
            *folders, watch_filter=None, debounce=200, step=50, stop_event=self._stop, rust_timeout=1000,
            yield_on_timeout=True, raise_interrupt=False,
        )  # fmt: skip
        for found in changes:
            if found:
                self._changed.set()
            if len([folder for folder in self._folders if folder.is_dir()]) != len(folders):
                return  # a folder has come or gone: begin again
