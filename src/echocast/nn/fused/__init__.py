"""The fast path of the ConvLSTM on the CPU: per time step one convolution and one pointwise kernel.

Layers choose it by themselves where it applies: 32-bit and bfloat16 tensors on the CPU, the paper's gates, and nothing
that needs to see single operations (compilers, exporters, function transforms). Everything else takes the plain path,
which defines what a layer computes; `plain` forces it, for second derivatives for instance.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

from echocast.nn import torch_internals
from echocast.nn.fused.convolutions import direct
from echocast.nn.fused.layer import Layer

__all__ = ["Layer", "always", "direct", "plain", "takes"]

_log = logging.getLogger(__name__)
_plain = False
_min_products = 10_000_000
"""Products per time step under which Python's share of it costs more than the fused path saves."""


@contextmanager
def plain() -> Iterator[None]:
    """Inside this context, layers take the plain path.

    >>> with plain():
    ...     takes(torch.zeros(1), products=1 << 30)
    False
    """
    global _plain
    before, _plain = _plain, True
    try:
        yield
    finally:
        _plain = before


@contextmanager
def always() -> Iterator[None]:
    """Inside this context, layers too small to gain by the fused path take it too."""
    global _min_products
    before, _min_products = _min_products, 0
    try:
        yield
    finally:
        _min_products = before


def takes(*tensors: Tensor, products: int) -> bool:
    """Whether the fused path can take these tensors here and now, and is the faster one.

    Args:
        tensors: all that the layer computes with.
        products: multiplications per time step.
    """
    kinds = (torch.float32, torch.bfloat16)
    if torch_internals.is_recorded():
        return False
    if _plain or products < _min_products:
        return False
    if any(t.device.type != "cpu" or t.dtype not in kinds or type(t) not in _TENSORS for t in tensors):
        return False
    if torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") not in kinds:
        return False
    return not torch_internals.is_transformed() and _kernels_compile()


_TENSORS = (Tensor, torch.nn.Parameter)


@cache
def _kernels_compile() -> bool:
    try:
        from echocast.nn.fused import compiler, kernels

        compiler.check_processor()
        kernels.step(bf16=False, peephole=None, x_gates=False, keep=False)
    except Exception as error:  # whatever keeps LLVM from working here, the plain path does the same, slower
        _log.warning("ConvLSTM layers run without their fused kernels, more slowly: %s", error)
        return False
    return True
