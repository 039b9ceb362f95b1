"""xarray without Dask until someone uses it: half a second of each command.

Whenever xarray wraps an array it asks whether it is one of Dask's, and imports `dask.array`, or `dask` alone, to know,
where Dask is installed. As long as nobody has imported that module no array can be of it, so the answer is no.
`ask_later` puts this answer in place of the imports; once the module is there, the answer is xarray's own.

The places are private ones of xarray. Where a version has no such place nothing is changed, and the import is made.
"""

import sys
from typing import Any


def ask_later() -> None:
    """Let xarray ask whether an array is of Dask without importing it; does nothing where it knows already."""
    _ask_for_arrays_later()
    _ask_for_collections_later()


def _ask_for_collections_later() -> None:
    try:
        from xarray.namedarray import utils

        asked = utils.is_dask_collection
    except (ImportError, AttributeError):
        return

    def is_dask_collection(x: object) -> bool:
        """Stands for xarray's function, which imports `dask`, until that is imported."""
        return "dask" in sys.modules and bool(asked(x))

    if "dask" not in sys.modules:
        utils.is_dask_collection = is_dask_collection  # type: ignore[assignment]


def _ask_for_arrays_later() -> None:
    try:
        from xarray.namedarray import pycompat

        known: dict[str, Any] = pycompat._cached_duck_array_modules  # type: ignore[assignment]
        kind = pycompat.DuckArrayModule
    except (ImportError, AttributeError):
        return
    if "dask.array" in sys.modules or "dask" in known:
        return

    class Later:
        """Stands for Dask until `dask.array` is imported, and then for what xarray makes of it."""

        def __getattr__(self, name: str) -> Any:
            if name == "type" and "dask.array" not in sys.modules:
                return ()
            known["dask"] = kind("dask")
            return getattr(known["dask"], name)

    known["dask"] = Later()
