"""The private parts of PyTorch that the layers use, each with what happens in a version that lacks it.

Nothing else in echocast imports a name of PyTorch that begins with an underscore. The plain path of the layers needs
none of them: where one is missing, layers are slower or an export is less general, and a warning says so once.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from typing import Any

import torch

_log = logging.getLogger(__name__)


def is_exporting() -> bool:
    """Whether `torch.export` is at work; False in PyTorch 2.6, which cannot tell."""
    return _is_exporting()


_is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", lambda: False)
_is_tracing: Callable[[], bool] = torch.jit.is_tracing  # type: ignore[attr-defined]  # public, though not declared so


def is_recorded() -> bool:
    """Whether a compiler, an exporter or a tracer records what is computed here."""
    return torch.compiler.is_compiling() or is_exporting() or _is_tracing()


def is_compiled() -> bool:
    """Whether `torch.compile` is at work, and no exporter or tracer."""
    return torch.compiler.is_compiling() and not is_exporting() and not _is_tracing()


def varies(number: int) -> bool:
    """Whether a compiler leaves a number open; True in a version that cannot tell."""
    try:
        from torch.fx.experimental.symbolic_shapes import statically_known_true as known
    except ImportError:
        return True
    return not (known(number % 2 == 0) or known(number % 2 == 1))


def is_transformed() -> bool:
    """Whether `torch.func` or a dispatch mode acts on single operations here; True in a version that cannot tell."""
    probes = _probes()
    return probes is None or any(probe() is not None for probe in probes)


def has_hooks(module: torch.nn.Module) -> bool:
    """Whether a call of this module does more than its ``forward``; True in a version that cannot tell."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind, True) for kind in kinds)


def recording() -> AbstractContextManager[Any]:
    """A context in which autograd sees what the body of an operation computes; only where `can_record`."""
    excluded, key = torch._C._dispatch_tls_local_exclude_set(), torch._C.DispatchKey
    recorders = torch._C.DispatchKeySet(key.AutogradFunctionality) | torch._C.DispatchKeySet(key.ADInplaceOrView)
    return torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), excluded - recorders)


def _can_record() -> bool:
    try:
        with recording():
            return True
    except (AttributeError, TypeError):
        _log.warning(
            "PyTorch %s has changed: torch.compile writes recurrent layers out step by step", torch.__version__
        )
        return False


can_record = _can_record()
"""Whether autograd can be made to see what the body of an operation computes."""


def scan() -> Callable[..., Any] | None:
    """A recurrence as one operation, which exporters keep for any number of time steps; None without."""
    try:
        from torch._higher_order_ops.scan import scan as found
    except ImportError:
        _log.warning(
            "this PyTorch (%s) has no scan: the exported layer takes one number of time steps", torch.__version__
        )
        return None
    return found


@cache
def _probes() -> tuple[Callable[[], Any], ...] | None:
    names = (
        ("torch._C._functorch", "peek_interpreter_stack"),
        ("torch.utils._python_dispatch", "_get_current_dispatch_mode"),
    )
    try:
        return tuple(getattr(import_module(module), name) for module, name in names)
    except (ImportError, AttributeError) as missing:
        _log.warning(
            "ConvLSTM layers run without their fused kernels, more slowly: PyTorch %s has changed (%s)",
            torch.__version__,
            missing,
        )
        return None
