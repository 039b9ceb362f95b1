"""What all tests share: the folder of real radar files, and calm threads."""

import os
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch

# Processes that share the processors share them evenly: threads that wait for a core cost more than they give.
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
torch.set_num_threads(max(1, min(2, (os.cpu_count() or 1) // _PROCESSES)))
# The profiler of Dask's workers looks into the thread that reads with h5py, and was seen to lock its worker for good.
os.environ.setdefault("DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED", "False")


@pytest.fixture(scope="session")
def data_kit() -> Path:
    """The folder of real radar files; tests that want it are skipped, saying so, where there is none."""
    folder = os.environ.get("ECHOCAST_DATA")
    if not folder:
        pytest.skip("ECHOCAST_DATA is not set: no real radar files here")
    if not Path(folder).is_dir():
        pytest.fail(f"ECHOCAST_DATA names {folder}, which is no folder")
    return Path(folder).resolve()


@pytest.fixture
def as_users_run() -> Iterator[None]:
    """Without the checks of shapes and types that only tests run under, which would refuse a wrong call first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
