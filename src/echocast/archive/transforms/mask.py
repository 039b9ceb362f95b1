"""Take out the cells that a mask marks."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError
from echocast.io import reading


def mask(field: xr.DataArray, *, file: str, becomes: str = "missing") -> xr.DataArray:
    """Cells that a mask (`echocast archive clutter`) marks, made missing, or dry with ``becomes=dry``."""
    if becomes not in ("missing", "dry"):
        raise DataError(f"becomes={becomes!r}; masked cells become missing or dry")
    marked = _read(file)
    fields.check_same_grid(field, marked, file)
    data = np.where(marked.values[0] > 0, np.float32(np.nan if becomes == "missing" else 0.0), field.values)
    return field.copy(data=data if becomes == "missing" else np.where(np.isnan(field.values), np.nan, data))


@lru_cache(maxsize=4)
def _read(file: str) -> xr.DataArray:
    if not Path(file).is_file():
        raise DataError(f"mask file={file}: no such file; make one with `echocast archive clutter STORE --out {file}`")
    return reading.read(file)
