"""Who reads the files: this process, several on this machine, or the workers of a Dask cluster.

Files come back in their order, and never more than a few are on their way, so memory is bounded by their size and not
by their number. A reader that dies (a C library in a damaged file) ends its own process and not this one.
"""

import multiprocessing
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from echocast.data import prepare
from echocast.data.files import Choices
from echocast.data.levels import Packed
from echocast.data.places import Place
from echocast.data.prepare import Step
from echocast.data.readers import zarr as stores
from echocast.errors import DataError, MissingDependency, UnreadableFile

_WORTH_S = 5.0
"""Seconds of reading that are worth starting processes for."""


@dataclass(frozen=True)
class Hands:
    """Who reads.

    Args:
        workers: processes on this machine; 0 for as many as there are processors, where that pays.
        dask: the address of a Dask scheduler, in place of processes here.
    """

    workers: int = 0
    dask: str | None = None


def fields_of(
    paths: Sequence[Place], choices: Choices, steps: tuple[Step, ...], hands: Hands
) -> Iterator[tuple[int, Place, Packed]]:
    """The prepared and packed fields of many files in their order, each with its number and place.

    Raises:
        UnreadableFile: a file cannot be read, or reading it killed its process.
        DataError: the Dask scheduler does not answer.
    """
    begun, done, work = time.monotonic(), 0, uuid.uuid4().hex
    with _several(hands) as (executor, count):
        while done < len(paths) and not _pays(hands, paths[done:], time.monotonic() - begun, done):
            for field in prepare.each(paths[done], choices, steps, work):
                yield done, paths[done], field
            done += 1
        if done < len(paths):
            ask = partial(executor().submit, prepare.prepared, choices=choices, steps=steps, work=work)
            yield from _ahead(ask, paths, done, 2 * count + 2)


T = TypeVar("T")
R = TypeVar("R")


def apart(work: Callable[[T], R], items: Sequence[T], hands: Hands) -> Iterator[tuple[T, R]]:
    """Each item with what `work` makes of it, in their order; in other processes if there are several hands.

    Args:
        work: a function that other processes can import, and its fixed arguments (`functools.partial`).
        items: each is sent to whoever is free.
        hands: with one worker and no cluster the work is done here.

    Raises:
        DataError: the Dask scheduler does not answer, or a process died.
    """
    alone = not hands.dask and (hands.workers == 1 or (os.cpu_count() or 1) == 1 or len(items) < 2)
    if alone:
        for item in items:
            yield item, work(item)
        return
    with _several(hands) as (executor, count):
        waiting: deque[tuple[T, Any]] = deque()
        rest = deque(items)
        while waiting or rest:
            while rest and len(waiting) < 2 * count + 2:
                item = rest.popleft()
                waiting.append((item, executor().submit(work, item)))
            item, promise = waiting.popleft()
            try:
                yield item, promise.result()
            except BrokenProcessPool as bad:
                raise DataError(f"a process died at work on {item}; is there memory for it? Try --workers 1") from bad


def _pays(hands: Hands, rest: Sequence[Place], spent: float, done: int) -> bool:
    """Whether to let others read the rest: asked for, or at the rate so far it takes long."""
    if str(rest[0]).endswith("/") or (isinstance(rest[0], Path) and stores.recognises(b"", rest[0])):
        return False  # a store is read a stretch at a time, which does not come through a pipe
    if hands.dask or hands.workers > 1:
        return True
    cores = os.cpu_count() or 1
    return hands.workers == 0 and cores > 1 and done > 0 and spent / done * len(rest) > _WORTH_S


@contextmanager
def _several(hands: Hands) -> Iterator[tuple[Any, int]]:
    """A function that starts the executor when first asked, and how many it is."""
    count = hands.workers or os.cpu_count() or 1
    made: list[Any] = []

    def start() -> Executor:
        if not made:
            if hands.dask:
                made.extend(_cluster(hands.dask))
            else:
                made.append(_processes(count))
        executor: Executor = made[0]
        return executor

    try:
        yield start, count
    finally:
        if hands.dask and made:
            made[1].close()  # what was asked for and is no longer wanted is dropped with the client
        elif made:
            made[0].shutdown(wait=True, cancel_futures=True)


def _processes(count: int) -> Executor:
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_the_parent)


def _end_with_the_parent() -> None:
    """A worker whose parent was killed ends too, where it would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _cluster(address: str) -> list[Any]:
    try:
        from distributed import Client
    except ImportError as bad:
        raise MissingDependency("distributed", "dask") from bad
    try:
        client = Client(address, timeout=5)
    except (OSError, ValueError, TimeoutError) as bad:
        raise DataError(f"--dask {address}: no scheduler answers there ({bad}); start one, or leave it away") from bad
    return [client.get_executor(pure=False), client]


def _ahead(
    ask: Callable[[Place], Any], paths: Sequence[Place], start: int, most: int
) -> Iterator[tuple[int, Place, Packed]]:
    """Ask for a few files ahead of the one that is due."""
    waiting: deque[tuple[int, Any]] = deque()
    following = start
    while waiting or following < len(paths):
        while following < len(paths) and len(waiting) < most:
            waiting.append((following, ask(paths[following])))
            following += 1
        number, promise = waiting.popleft()
        try:
            found = promise.result()
        except BrokenProcessPool as bad:
            near = ", ".join(str(paths[n]) for n in [number, *(n for n, _ in waiting)])
            raise UnreadableFile(
                f"{paths[number]}: a process died while reading it or one of the next ({near}); look at them, or try"
                " --workers 1 to find it"
            ) from bad
        for field in found:
            yield number, paths[number], field
