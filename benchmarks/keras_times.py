"""Keras 3 on its PyTorch and JAX backends as candidates, each in a process of its own."""

import importlib.util
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

BACKENDS = {"torch": "torch", "jax": "jax"}


LIMIT = 20.0
"""Seconds that a call may take, the first one with its compilation; a slower candidate is left out of a case."""


class Worker:
    """A process with Keras on one backend."""

    def __init__(self, backend: str, threads: int) -> None:
        self._environment = {**os.environ, "KERAS_BACKEND": backend, "OMP_NUM_THREADS": str(threads)}
        self._process: subprocess.Popen[str] | None = None
        self._gave_up_on = ""

    def seconds(self, case: Sequence[int], *, training: bool) -> float:
        """What one call took by the worker's clock; infinite if more than `LIMIT`, or if the process died of it."""
        request = json.dumps({"case": list(case), "training": training})
        if request == self._gave_up_on:
            return math.inf
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None  # `_start` asks for pipes
        assert self._process.stdout is not None  # the same
        timer = threading.Timer(LIMIT, self._process.kill)
        timer.start()
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        timer.cancel()
        if answer:
            return float(json.loads(answer))
        self.close()
        self._gave_up_on = request
        return math.inf

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.keras_worker"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


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
