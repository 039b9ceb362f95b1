"""Keras 3 on its PyTorch and JAX backends as contenders, each in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

BACKENDS = {"torch": "torch", "jax": "jax"}


class Worker:
    """A process with Keras on one backend."""

    def __init__(self, backend: str, threads: int) -> None:
        environment = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "echocast.bench.keras_worker"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def seconds(self, case: Sequence[int], *, training: bool) -> float:
        """What one call took by the worker's clock.

        Raises:
            RuntimeError: the worker has died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"case": list(case), "training": training}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the process with Keras ended before it answered; is there memory enough?")
        return float(json.loads(answer))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextmanager
def workers(threads: int) -> Iterator[dict[str, Worker]]:
    """A worker for every backend that is installed, by name."""
    found = {}
    if importlib.util.find_spec("keras") is not None:
        found = {name: Worker(name, threads) for name, module in BACKENDS.items() if importlib.util.find_spec(module)}
    try:
        yield found
    finally:
        for worker in found.values():
            worker.close()
