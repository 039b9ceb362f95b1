"""What a user has chosen for the fused path: for the running thread or task alone.

>>> import threading
>>> seen = []
>>> with plain():
...     thread = threading.Thread(target=lambda: seen.append(is_plain()))
...     thread.start()
...     thread.join()
...     seen.append(is_plain())
>>> seen
[False, True]
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

MIN_PRODUCTS = 10_000_000
"""Products per time step under which Python's share of it costs more than the fused path saves."""

_plain = ContextVar("plain", default=False)
_direct = ContextVar("direct", default=False)
_min_products = ContextVar("min_products", default=MIN_PRODUCTS)


def is_plain() -> bool:
    """Whether the running thread is inside `plain`."""
    return _plain.get()


def is_direct() -> bool:
    """Whether the running thread is inside `direct`."""
    return _direct.get()


def min_products() -> int:
    """`MIN_PRODUCTS`, or what the running thread has set in its place."""
    return _min_products.get()


@contextmanager
def plain() -> Iterator[None]:
    """Inside this context, layers of the running thread take the plain path."""
    with _set(_plain, True):
        yield


@contextmanager
def direct() -> Iterator[None]:
    """Inside this context, no convolution of the running thread uses Winograd's filtering: slower, a few bits more
    exact. The backward pass of what was computed inside does as the forward pass did."""
    with _set(_direct, True):
        yield


@contextmanager
def always() -> Iterator[None]:
    """Inside this context, layers of the running thread that are too small to gain by the fused path take it too."""
    with _set(_min_products, 0):
        yield


@contextmanager
def _set(variable: ContextVar[T], value: T) -> Iterator[None]:
    before = variable.get()
    variable.set(value)
    try:
        yield
    finally:
        variable.set(before)
