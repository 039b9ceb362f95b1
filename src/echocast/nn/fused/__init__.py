"""The fast path of ConvLSTM and ConvGRU on the CPU: convolutions by tiles, and the rest of a time step in one kernel.

Layers choose it by themselves where it applies: 32-bit tensors on the CPU (a ConvLSTM's may be bfloat16), the papers'
gates, and nothing that needs to see single operations (compilers, exporters, function transforms, forward-mode
differentiation). Everything else takes the plain path, which defines what a layer computes; `plain` forces it.

>>> import torch
>>> with plain():
...     takes(torch.zeros(1), products=1 << 30)
False
"""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from echocast.errors import MissingDependency
from echocast.nn import torch_internals
from echocast.nn.fused import geometry, switches
from echocast.nn.fused.switches import MIN_PRODUCTS, always, direct, plain

if TYPE_CHECKING:
    from echocast.nn.fused.gru_layer import GruLayer
    from echocast.nn.fused.layer import Layer

__all__ = [
    "MIN_PRODUCTS",
    "always",
    "careful",
    "copy",
    "direct",
    "gained",
    "gains",
    "make_gru_layer",
    "make_layer",
    "plain",
    "takes",
]

_log = logging.getLogger(__name__)

_LARGEST = 1024.0
"""The largest value that Winograd's filtering is given. Its rounding errors, some 1e-8 of the largest value of a tile
of 8 x 8 pixels, reach pixels that a direct convolution keeps apart."""

_TENSORS = (Tensor, torch.nn.Parameter)


def takes(*tensors: Tensor | None, products: int) -> bool:
    """Whether the fused path can take these tensors here and now, and is the faster one.

    Args:
        tensors: all that the layer computes with, weights too; None where it has none.
        products: multiplications per time step, or so many as gain as much; see `gained`.
    """
    if torch_internals.is_recorded():
        return False
    if switches.is_plain() or products < switches.min_products():
        return False
    given = [t for t in tensors if t is not None]
    kinds = (torch.float32, torch.bfloat16)
    if any(t.device.type != "cpu" or t.dtype not in kinds or type(t) not in _TENSORS or not t.numel() for t in given):
        return False
    if torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") not in kinds:
        return False
    if torch_internals.is_transformed() or any(has_tangent(t) for t in given):
        return False
    return _kernels_compile()


def gains(kernel: Sequence[int], space: Sequence[int], *, learns: bool, tiles_only: bool = False) -> bool:
    """`geometry.gains`, and always inside `always`; never where a compiler or an exporter records."""
    if torch_internals.is_recorded():  # it cannot read the switches
        return False
    return switches.min_products() == 0 or geometry.gains(kernel, space, learns=learns, tiles_only=tiles_only)


def gained(products: int, kernel: Sequence[int], space: Sequence[int], steps: int, *, learns: bool) -> int:
    """So many products of a time step as `takes` is to be told: `MIN_PRODUCTS` where the fused path begins to gain."""
    return products * MIN_PRODUCTS // geometry.least(kernel, space, steps, learns=learns)


def careful(*tensors: Tensor | None) -> AbstractContextManager[None]:
    """`direct` where a tensor, which `takes` has taken, holds NaN, infinity or a value above 1024; else nothing.

    Winograd's filtering mixes the pixels of a tile: one bad value would spoil more pixels than the kernel reaches.
    """
    for tensor in tensors:
        if tensor is not None:
            least, most = tensor.detach().aminmax()
            if not (least.item() >= -_LARGEST and most.item() <= _LARGEST):
                return direct()
    return nullcontext()


def make_layer(state: tuple[Tensor, ...], **weights: Any) -> "Layer":
    """See `echocast.nn.fused.layer.Layer`; to be called only where `takes` says so."""
    from echocast.nn.fused.layer import Layer  # it needs llvmlite

    return Layer(state, **weights)


def make_gru_layer(state: tuple[Tensor, ...], **weights: Any) -> "GruLayer":
    """See `echocast.nn.fused.gru_layer.GruLayer`; to be called only where `takes` says so."""
    from echocast.nn.fused.gru_layer import GruLayer  # it needs llvmlite

    return GruLayer(state, **weights)


def copy(target: Tensor, frame: Tensor) -> None:
    """Copy a frame of a layer that the fused path runs, (batch, channel, *space) and channels-last, to `target`."""
    from echocast.nn.fused.turned import to_first  # it needs llvmlite

    to_first(target, frame.movedim(1, -1))


@cache
def _kernels_compile() -> bool:
    try:
        import llvmlite  # noqa: F401
    except ImportError:
        _log.warning(
            "ConvLSTM layers run without their fused kernels, more slowly on the CPU: %s",
            MissingDependency("llvmlite", "fused"),
        )
        return False
    try:
        from echocast.nn.fused import compiler, kernels

        compiler.check_processor()
        compiler.check_threads()
        kernels.step(bf16=False, peephole=None, x_gates=False, keep=False).address(16)
    except Exception as error:  # whatever keeps LLVM from working here, the plain path does the same, slower
        _log.warning("ConvLSTM layers run without their fused kernels, more slowly: %s", error)
        return False
    return True


def has_tangent(tensor: Tensor) -> bool:
    """Whether forward-mode differentiation follows this tensor."""
    return forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore[no-untyped-call]
