"""What is pointwise on a GPU: Triton's kernels, run by its interpreter on the CPU, and who takes them."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from echocast.nn import pointwise

SCRIPT = Path(__file__).with_name("interpreted.py")


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed: pip install triton")
def test_the_kernels_compute_what_single_operations_do() -> None:
    here = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False, env=here)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("agrees") == 4


def test_on_the_cpu_single_operations_run() -> None:
    assert not pointwise.takes(torch.zeros(1, 4, 2, 2), None)


def test_without_triton_single_operations_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointwise, "find_spec", lambda name: None)
    pointwise._is_installed.cache_clear()
    try:
        assert not pointwise._is_installed()
    finally:
        pointwise._is_installed.cache_clear()
