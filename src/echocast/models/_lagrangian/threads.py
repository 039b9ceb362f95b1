"""Rows of a forecast made in several threads: PyTorch itself samples the fields of one case in a single one.

>>> made = torch.zeros(5, 3)
>>> with in_threads(made.device) as begin:
...     for rows in pieces(slice(0, 5), width=3):
...         begin(lambda rows: made[rows].fill_(1.0), rows)
>>> float(made.sum())
15.0
>>> list(in_order(made.device, abs, [-1, 2]))
[1, 2]
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from echocast.motion import advection

T = TypeVar("T")
R = TypeVar("R")

_PIXELS = 1 << 18
"""Pixels of a piece: few enough for all threads to have some, and for memory; many enough for Python to keep up."""
_AHEAD = 16
"""Most pieces that wait, for memory."""


@contextmanager
def in_threads(device: torch.device) -> Iterator[Callable[..., None]]:
    """A function that begins a piece of work, with its arguments; at the end of the block all are done.

    What a piece raises is raised by a later beginning or by the end. There are as many threads as PyTorch has; none
    where it has one, or on a GPU. Within a piece PyTorch uses one thread.
    """
    count = torch.get_num_threads() if device.type == "cpu" else 1
    if count == 1:
        yield _done_here
        return
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            waiting: deque[Future[Any]] = deque()

            def begin(work: Callable[..., Any], *arguments: Any) -> None:
                waiting.append(pool.submit(work, *arguments))
                if len(waiting) > _AHEAD:
                    waiting.popleft().result()

            yield begin
            while waiting:
                waiting.popleft().result()
    finally:
        torch.set_num_threads(count)  # PyTorch tells it to threads that begin later


def in_order(device: torch.device, work: Callable[[T], R], items: Iterable[T], ahead: int = 4) -> Iterator[R]:
    """What `work` makes of each item, in order, at most `ahead` of them before they are taken.

    The threads are those of `in_threads`; none where no more than one item may be ahead.
    """
    count = torch.get_num_threads() if device.type == "cpu" else 1
    if count == 1 or ahead < 2:
        yield from map(work, items)
        return
    rest = iter(items)
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            waiting = deque(pool.submit(work, item) for item in islice(rest, ahead))
            while waiting:
                made = waiting.popleft().result()
                waiting.extend(pool.submit(work, item) for item in islice(rest, 1))
                yield made
    finally:
        torch.set_num_threads(count)  # PyTorch tells it to threads that begin later


def strips(motion: Float[Tensor, "batch 2 y x"]) -> list[slice]:
    """The rows of a grid in strips that are carried at a time: small ones for threads, large ones for a GPU."""
    return advection.strips(motion, _PIXELS if motion.device.type == "cpu" else None)


def pieces(rows: slice, width: int) -> Iterator[slice]:
    """Some rows of a grid, cut into pieces of a few."""
    height = max(1, _PIXELS // width)
    return (slice(first, min(first + height, rows.stop)) for first in range(rows.start, rows.stop, height))


def _done_here(work: Callable[..., Any], *arguments: Any) -> None:
    work(*arguments)
