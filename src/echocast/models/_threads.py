"""How many threads a process that shares the machine with others may use."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from echocast import parallel


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """At most `count` threads in PyTorch, and as `parallel.thread_count` says, within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, count))
    try:
        with parallel.thread_limit(count):
            yield
    finally:
        torch.set_num_threads(before)
