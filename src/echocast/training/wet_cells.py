"""The wet cells of an archive, counted once and kept beside its frames.

>>> of_archive(Path("radar.zarr"), archive.open("radar.zarr")).counts.shape  # doctest: +SKIP
(105120, 24, 39)
"""

import logging
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import xarray as xr

from echocast.atomic import atomic_write
from echocast.errors import DataError
from echocast.io import store as stores
from echocast.samples import wet
from echocast.samples.wet import WetCells

log = logging.getLogger(__name__)

FILE = "wet_cells.npz"


def of_archive(path: Path, field: xr.DataArray) -> WetCells:
    """The wet cells of an archive's field, from the file beside its frames where that is of the same frames.

    Where the archive has changed they are counted anew; where nothing can be written beside it they are not kept.
    """
    version, kept = stores.version(path), path / FILE
    with suppress(OSError, KeyError, ValueError, zipfile.BadZipFile), np.load(kept, allow_pickle=False) as file:
        if str(file["version"]) == version and len(file["counts"]) == field.sizes["time"]:
            return WetCells(file["counts"], int(file["cells"]))
    log.info("%s: counting the wet cells of %d frames, once", path, field.sizes["time"])
    made = wet.counted(field)
    try:
        with atomic_write(kept) as partial:
            np.savez_compressed(partial, counts=made.counts, cells=made.cells, version=version)
    except DataError as bad:
        log.info("the wet cells are not kept: %s", bad)
    return made
