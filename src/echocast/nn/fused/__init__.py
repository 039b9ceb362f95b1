"""The recurrence on the CPU as few passes over memory as it takes: a convolution and one pointwise kernel per step.

It is taken by itself where it can be: 32-bit and bfloat16 tensors on the CPU, the paper's gates, and nothing that wants
to see single operations (compilers, exporters, function transforms). Everything else takes the plain path, which is the
definition; `plain` forces it, for second derivatives for instance.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from echocast.nn.fused.convolutions import direct
from echocast.nn.fused.layer import Layer

__all__ = ["Layer", "always", "direct", "plain", "takes"]

_log = logging.getLogger(__name__)
_plain = False
_least = 10_000_000
"""Products per step under which Python's share of a step costs more than the fused path saves."""


@contextmanager
def plain() -> Iterator[None]:
    """Inside, layers take the plain path.

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
    """Inside, layers too small to gain by it take the fused path too."""
    global _least
    before, _least = _least, 0
    try:
        yield
    finally:
        _least = before


def takes(*tensors: Tensor, products: int) -> bool:
    """Whether the fused path can take these tensors here and now, and is the faster one.

    Args:
        tensors: all that the layer computes with.
        products: multiplications per step.
    """
    kinds = (torch.float32, torch.bfloat16)
    if torch.compiler.is_compiling() or torch.compiler.is_exporting() or torch._C._get_tracing_state() is not None:
        return False
    if _plain or products < _least:
        return False
    if any(t.device.type != "cpu" or t.dtype not in kinds or type(t) not in _TENSORS for t in tensors):
        return False
    if torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") not in kinds:
        return False
    transformed = torch._C._functorch.peek_interpreter_stack() is not None or _get_current_dispatch_mode() is not None
    return not transformed and _kernels_compile()


_TENSORS = (Tensor, torch.nn.Parameter)


@cache
def _kernels_compile() -> bool:
    try:
        from echocast.nn.fused import kernels, lanes

        lanes.check_processor()
        kernels.step(bf16=False, peephole=None, driven=False, keep=False)
    except Exception as error:  # whatever keeps LLVM from working here, the plain path does the same, slower
        _log.warning("ConvLSTM layers run without their fused kernels, more slowly: %s", error)
        return False
    return True
