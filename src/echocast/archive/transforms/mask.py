"""Remove the cells that a mask marks."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import DataError
from echocast.io import reading


def mask(field: xr.DataArray, *, file: str, becomes: str = "missing") -> xr.DataArray:
    """The cells marked in a mask file (`echocast archive clutter`) made missing, or dry with ``becomes=dry``."""
    if becomes not in ("missing", "dry"):
        raise DataError(f"mask becomes={becomes!r}: masked cells become 'missing' or 'dry'")
    marked = _read(file, _version(file))
    fields.check_same_grid(field, marked, file)
    data = np.where(marked.values[0] > 0, np.float32(np.nan if becomes == "missing" else 0.0), field.values)
    return field.copy(data=data if becomes == "missing" else np.where(np.isnan(field.values), np.nan, data))


def _version(file: str) -> tuple[int, int]:
    """What changes when a file is written anew."""
    try:
        status = Path(file).stat()
    except OSError as bad:
        raise DataError(
            f"mask file={file}: no such file; make one with `echocast archive clutter STORE --out {file}`"
        ) from bad
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _read(file: str, version: tuple[int, int]) -> xr.DataArray:  # noqa: ARG001 (a new version is read again)
    return reading.read(file)
