"""The service killed at random moments: no issue twice, none missing, and what a reader sees is always whole."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.operations import service
from tests.operations.fake_radar import START_S, FakeRadar

SPEED = 3000.0


class Killed:
    """The process that runs the service, and a radar that writes meanwhile."""

    def __init__(self, folder: Path, frames: int) -> None:
        self.radar = FakeRadar(folder / "radar", frames, faulty=False)
        self.live = folder / "live"
        self._script = [sys.executable, str(Path(__file__).with_name("kill_me.py")), str(self.radar.folder)]
        self.bad: list[str] = []
        self.reads = 0
        self._done = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within the block the radar writes and a reader reads."""
        began = time.time()
        command = [*self._script, str(self.live), str(START_S), str(began), str(SPEED)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._line() == "ready"
        threads = [threading.Thread(target=self._write, args=(began,)), threading.Thread(target=self._read)]
        for thread in threads:
            thread.start()
        yield
        self._done = True
        for thread in threads:
            thread.join()
        self.process.communicate()

    def start(self) -> int:
        """Start the service; its process id."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return int(self._line())

    def ended(self) -> int:
        """Wait for the end of the service; its exit status."""
        return int(self._line())

    def issues(self) -> list[str]:
        """The times of the published issues."""
        return sorted(meta["time"] for meta in service.read_all(self.live).values())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def _write(self, began: float) -> None:
        while not self._done:
            self.radar.advance(START_S + (time.time() - began) * SPEED)
            time.sleep(0.02)

    def _read(self) -> None:
        while not self._done:
            if (self.live / "index.json").exists():
                try:
                    service.read_all(self.live)
                except Exception as bad:
                    self.bad.append(repr(bad))
                self.reads += 1
            time.sleep(0.01)


def kill_often(folder: Path, kills: int, stops: int, frames: int) -> None:
    killed = Killed(folder, frames)
    rng = np.random.default_rng(kills)
    with killed.running():
        for number in rng.permutation(kills + stops):
            is_kill = number < kills
            pid = killed.start()
            time.sleep(float(rng.uniform(0.05, 0.8)))
            os.kill(pid, signal.SIGKILL if is_kill else signal.SIGTERM)
            began = time.monotonic()
            # SIGTERM may come before the service can hear it.
            assert killed.ended() in ([-signal.SIGKILL] if is_kill else [0, -signal.SIGTERM])
            assert time.monotonic() - began < 10
        pid = killed.start()
        wanted = frames - 1
        for _ in range(3000):
            if (killed.live / "index.json").exists() and len(killed.issues()) >= wanted:
                break
            time.sleep(0.1)
        os.kill(pid, signal.SIGTERM)
        assert killed.ended() == 0
    assert killed.bad == []
    assert killed.reads > kills
    assert max(Counter(killed.issues()).values()) == 1
    assert len(killed.issues()) == wanted
    assert list((killed.live / ".work").iterdir()) == []


def test_killed_five_times_no_issue_is_lost_or_doubled(tmp_path: Path) -> None:
    kill_often(tmp_path, 5, 1, 8)


@pytest.mark.slow  # fifty kills and ten stops: a minute or more
def test_killed_fifty_times_no_issue_is_lost_or_doubled(tmp_path: Path) -> None:
    kill_often(tmp_path, 50, 10, 100)
