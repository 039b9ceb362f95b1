"""`echocast demo --live` as a newcomer runs it: real processes, a real port, and Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echocast.io import reading
from echocast.operations.clocks import ManualClock
from echocast.operations.simulated_radar import STEP_S, SimulatedRadar

NOW = 1_795_896_123.0


def test_the_simulated_radar_drops_each_frame_once_when_it_is_due(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    radar = SimulatedRadar(tmp_path, clock, size=16, past=3)
    assert radar.advance() == 3
    assert radar.advance() == 0
    clock.sleep(2 * STEP_S)
    assert radar.advance() == 2
    frames, _ = reading.newest(sorted(tmp_path.iterdir()), 9)
    seconds = frames.time.values.astype("datetime64[s]").astype(int)
    assert (np.diff(seconds) == STEP_S).all()
    assert 60 <= clock.now() - seconds[-1] < 60 + STEP_S


@pytest.mark.slow  # half a minute: it loads the model in a process of its own
def test_a_map_moves_within_a_minute_and_ctrl_c_ends_everything(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "echocast", "demo", "--live", "--no-browser", "--members", "2"]
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    try:
        assert running.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", running.stdout.readline())
        assert found
        address = found[0]
        first = _index(address, issues=1)
        assert first["clock_speed"] == 60
        later = _index(address, issues=2)
        assert later["issued"] > first["issued"]
        with urllib.request.urlopen(address) as page:
            assert b"Rain forecast map" in page.read()
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address)
    assert list(tmp_path.iterdir()) == []


def _index(address: str, issues: int) -> Any:
    """The index as soon as there are so many issues."""
    for _ in range(3000):
        try:
            with urllib.request.urlopen(f"{address}v1/index.json") as answer:
                content = json.load(answer)
            if len(content["issues"]) >= issues:
                return content
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError("no issue came")
