"""Work shared among processes: on this machine, or on a Dask cluster.

Results come back in the order of the items, and only a few items are in work at a time, so memory is bounded by the
size of an item and not by their number. A worker process that dies (a C library in a damaged file, too little memory)
is an error that names the items it may have died of. The
function is unpickled once in each process: if it is an object, what it opens when first called stays open there for the
next items.

    >>> list(parallel_map(abs, [-1, 2], Workers(processes=1)))
    [(-1, 1), (2, 2)]
"""

import ctypes
import math
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from echocast.errors import DataError, MissingDependency

T = TypeVar("T")
R = TypeVar("R")

_thread_limit: ContextVar[int | None] = ContextVar("thread_limit", default=None)


@dataclass(frozen=True)
class Workers:
    """Which processes do the work.

    Args:
        processes: on this machine; 1 for this process alone, 0 for as many as there are processors.
        dask: the address of a Dask scheduler, whose workers are used in place of processes here.
    """

    processes: int = 0
    dask: str | None = None

    @property
    def count(self) -> int:
        """How many processes work at the same time on this machine; 1 with a Dask cluster."""
        return 1 if self.dask else self.processes or processors()


def parallel_map(
    work: Callable[[T], R], items: Iterable[T], workers: Workers, *, error: type[DataError] = DataError
) -> Iterator[tuple[T, R]]:
    """Each item with what `work` makes of it, in the order of the items.

    Args:
        work: a function that other processes can import, with its fixed arguments (`functools.partial`), or an object
            with `__call__`; unpickled once in each process.
        items: each is sent to the next free process; a generator is asked for an item only when it can be sent.
        workers: with one process and no cluster the work is done here.
        error: what to raise where a process died.

    Raises:
        DataError: the Dask scheduler does not answer, or a process died.
        Exception: whatever `work` raised, when its item's turn comes; the items after it are not worked on.
    """
    if not workers.dask and workers.count == 1:
        for item in items:
            yield item, work(item)
        return
    # Unpickled in each process once, not with each item.
    work = partial(_work_on_dask if workers.dask else _work_on, pickle.dumps(work))
    with _executor(workers) as executor:
        waiting: deque[tuple[T, Future[R]]] = deque()
        rest = iter(items)
        try:
            _submit(work, islice(rest, _in_flight(workers)), executor, waiting)
            while waiting:
                result = waiting[0][1].result()
                item, _ = waiting.popleft()
                yield item, result
                _submit(work, islice(rest, 1), executor, waiting)
        except _process_deaths(workers) as bad:
            suspects = [str(item) for item, future in waiting if not _succeeded(future)]
            raise error(_died(suspects)) from bad


def _work_on(pickled: bytes, item: Any) -> Any:
    return _unpickled(pickled)(item)


def _work_on_dask(pickled: bytes, item: Any) -> Any:
    """The same in a task of Dask, which gives no parts of its own to the cluster: xarray would lock files by it."""
    import dask

    with dask.config.set(scheduler="synchronous"):
        return _work_on(pickled, item)


@lru_cache(maxsize=1)
def _unpickled(pickled: bytes) -> Callable[[Any], Any]:
    """The function of `parallel_map` in another process: the same object for each item."""
    work: Callable[[Any], Any] = pickle.loads(pickled)
    return work


@contextmanager
def thread_limit(count: int) -> Iterator[None]:
    """Within the block `thread_count` is `count`: for a process that shares the machine with others."""
    token = _thread_limit.set(count)
    try:
        yield
    finally:
        _thread_limit.reset(token)


def thread_count() -> int:
    """How many threads one piece of work may use: ``OMP_NUM_THREADS``, else all `processors`, or `thread_limit`."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return _thread_limit.get() or (int(told) if told.isdigit() and int(told) else processors())


def processors() -> int:
    """How many processors this process may use: of its affinity, and of the share that its control group has."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CPU_SHARE.read_text(encoding="ascii").split()
        return max(1, min(allowed, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no control groups, or "max": no limit
        return allowed


_CPU_SHARE = Path("/sys/fs/cgroup/cpu.max")


def share_the_machine() -> None:
    """Let threads that wait sleep, and start no more of them than there are `processors`.

    PyTorch's threads wait for each other by turning round and round, which takes the processors from whatever else runs
    on a busy machine, and from themselves. To be called before PyTorch is imported; what the environment says stays:
    ``OMP_WAIT_POLICY`` (``active`` gives a few per cent on an idle machine) and ``OMP_NUM_THREADS``.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", str(processors()))


def release_memory() -> None:
    """Give back to the system what was freed: glibc keeps pieces below 32 MB, on large grids a gigabyte.

    Elsewhere than on Linux with glibc it does nothing.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _in_flight(workers: Workers) -> int:
    """How many items are sent before the first result is taken: two for each process, so that none waits."""
    return 2 * (workers.processes or processors()) + 2


def _submit(
    work: Callable[[T], R], items: Iterable[T], executor: Executor, waiting: deque[tuple[T, Future[R]]]
) -> None:
    for item in items:
        waiting.append((item, executor.submit(work, item)))


def _succeeded(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _died(suspects: list[str]) -> str:
    if not suspects:
        return "a process died that had nothing to do; was it ended from outside, or is memory short? run it again"
    first, *others = suspects
    among = f" or on one of the next ({', '.join(others)})" if others else ""
    return (
        f"{first}: a process died while working on it{among}; look at them, run with --workers 1 to find the one, or"
        " use a machine with more memory"
    )


def _process_deaths(workers: Workers) -> tuple[type[Exception], ...]:
    """What a pool raises where one of its processes has died."""
    if not workers.dask:
        return (BrokenProcessPool,)
    from distributed import KilledWorker

    return (KilledWorker,)


@contextmanager
def _executor(workers: Workers) -> Iterator[Executor]:
    if workers.dask:
        client = _cluster(workers.dask)
        try:
            yield client.get_executor(pure=False)
        finally:
            client.close()  # which also cancels what is still waiting on the cluster
        return
    pool = ProcessPoolExecutor(
        workers.count, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_the_parent
    )
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_the_parent() -> None:
    """Let a worker end when its parent was killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class KeptProcess:
    """One process that is kept for one piece of work after another: what it loads stays loaded.

    It is started when first needed and again after it died or was ended; it ends with its parent.

    Args:
        environment: variables that are set while it starts.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(environment or {})
        self._process: Any = None
        self._pipe: Any = None

    @property
    def pid(self) -> int | None:
        """The number of the process while it runs."""
        return self._process.pid if self._process is not None and self._process.is_alive() else None

    def call(
        self, work: Callable[[T], R], item: T, *, deadline: float, on_wait: Callable[[], None] = lambda: None
    ) -> R:
        """What `work` makes of an item in the process.

        Args:
            work: a function that the process can import.
            item: what it is given.
            deadline: seconds after which the process is ended.
            on_wait: called several times a second while the work is done; what it raises ends the process.

        Raises:
            TimeoutError: the deadline is over.
            DataError: the process died.
            Exception: whatever `work` raised.
        """
        if self.pid is None:
            self._start()
        began = time.monotonic()
        try:
            self._pipe.send((work, item))
            while not self._pipe.poll(_LOOK_S):
                on_wait()
                if time.monotonic() - began > deadline:
                    raise TimeoutError(f"{item}: not done after {deadline:g} s; the process was ended")
            succeeded, result = self._pipe.recv()
        except (EOFError, ConnectionError) as bad:
            self.end()
            raise DataError(_died([str(item)])) from bad
        except BaseException:
            self.end()
            raise
        if not succeeded:
            raise result
        return result  # type: ignore[no-any-return]  # what `work` gave

    def end(self) -> None:
        """End the process at once, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._pipe.close()
        self._process = self._pipe = None

    def _start(self) -> None:
        self.end()
        before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)
        try:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


_LOOK_S = 0.2
"""Seconds between two looks at a process that works."""


def _serve(pipe: Any) -> None:
    """Work on what comes through the pipe until the parent closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which ends this process
    _end_with_the_parent()
    while True:
        try:
            work, item = pipe.recv()
        except EOFError:
            return
        try:
            answer = True, work(item)
        except Exception as bad:
            answer = False, _sendable(bad)
        pipe.send(answer)


def _sendable(bad: Exception) -> Exception:
    """An error that survives the way to another process."""
    try:
        pickle.loads(pickle.dumps(bad))
    except Exception:
        return DataError(" ".join(f"{type(bad).__name__}: {bad}".split()))
    return bad


def _cluster(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as bad:
        raise MissingDependency("distributed", "dask") from bad
    try:
        client: Any = Client(address, timeout=5)  # type: ignore[no-untyped-call]  # distributed has no types
    except (OSError, ValueError, TimeoutError) as bad:
        raise DataError(
            f"--dask {address}: no scheduler answers there ({bad}); start one, or leave out --dask"
        ) from bad
    return client
