"""Arrays of xarray that are read when needed.

xarray documents what this takes ("How to add a new backend") in ``xarray.core.indexing``, a module that it may change;
it is used here and nowhere else.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from echocast.errors import EchocastError

SUPPORTED = "xarray>=2025.9.1"
"""The versions that this was written for, as in ``pyproject.toml``."""


def lazy_variable(
    dims: tuple[Any, ...], shape: tuple[int, ...], read: Callable[[tuple[Any, ...]], np.ndarray], attrs: dict[str, Any]
) -> xr.Variable:
    """A float32 variable whose values `read` gives for a key of integers, slices and arrays of integers, one an axis.

    Raises:
        EchocastError: the installed xarray has not what this needs.
    """
    indexing = _indexing()

    class Lazy(xr.backends.BackendArray):
        def __init__(self) -> None:
            self.shape, self.dtype = shape, np.dtype(np.float32)

        def __getitem__(self, key: Any) -> Any:
            return indexing.explicit_indexing_adapter(key, shape, indexing.IndexingSupport.OUTER, read)

    return xr.Variable(dims, indexing.LazilyIndexedArray(Lazy()), attrs)


def _indexing() -> Any:
    try:
        from xarray.core import indexing

        indexing.explicit_indexing_adapter, indexing.IndexingSupport.OUTER, indexing.LazilyIndexedArray  # noqa: B018
    except (ImportError, AttributeError) as bad:
        raise EchocastError(
            f"xarray {xr.__version__} has changed how an archive is read part by part ({bad}); echocast was written for"
            f" {SUPPORTED}: install an older version of it"
        ) from bad
    return indexing
