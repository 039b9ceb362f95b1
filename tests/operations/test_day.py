"""A simulated day: memory, open files, threads and disk stay as they are after the first issues."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
AFTER = 50


@pytest.mark.slow  # 288 frames, some 180 ensembles (faults leave gaps) in a process of their own: minutes
def test_a_day_of_issues_leaves_memory_files_threads_and_disk_as_they_are(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.operations.day", str(tmp_path), "288"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    sys.stdout.write(done.stdout)
    samples = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(samples) > 150
    flat = samples[AFTER:]
    at = np.arange(len(flat))
    for name, most in (("main_mb", 0.1), ("worker_mb", 0.1), ("disk_mb", 0.05)):
        slope = np.polyfit(at, [one[name] for one in flat], 1)[0]
        sys.stdout.write(f"{name}: {flat[0][name]:.1f} to {flat[-1][name]:.1f}, {slope:+.4f} an issue\n")
        assert slope < most, name
    for name in ("fds", "threads"):
        values = [one[name] for one in flat]
        sys.stdout.write(f"{name}: {min(values)} to {max(values)}\n")
        assert max(values) - min(values) <= 4
        assert abs(np.median(values[-20:]) - np.median(values[:20])) <= 2
