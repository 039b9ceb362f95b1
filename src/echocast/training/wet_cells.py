"""The wet cells of an archive, counted once and kept beside its frames; those of a bucket in the user's cache.

>>> of_archive(Path("radar.zarr"), archive.open("radar.zarr")).counts.shape  # doctest: +SKIP
(105120, 24, 39)
"""

import hashlib
import logging
import os
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import xarray as xr

from echocast.atomic import atomic_write
from echocast.errors import DataError
from echocast.io import location as locations
from echocast.io import store as stores
from echocast.io.location import Location
from echocast.samples import wet
from echocast.samples.wet import WetCells

log = logging.getLogger(__name__)

FILE = "wet_cells.npz"


def of_archive(path: Location, field: xr.DataArray) -> WetCells:
    """The wet cells of an archive's field, from the file that keeps them where that is of the same frames.

    Where the archive has changed they are counted anew; where nothing can be written they are not kept.
    """
    version, kept = stores.version(path), _kept(path)
    with suppress(OSError, KeyError, ValueError, zipfile.BadZipFile), np.load(kept, allow_pickle=False) as file:
        if str(file["version"]) == version and len(file["counts"]) == field.sizes["time"]:
            return WetCells(file["counts"], int(file["cells"]))
    log.info("%s: counting the wet cells of %d frames, once", path, field.sizes["time"])
    made = wet.counted(field)
    try:
        if not isinstance(locations.normalise(path), Path):
            kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(kept) as partial:
            np.savez_compressed(partial, counts=made.counts, cells=made.cells, version=version)
    except (DataError, OSError) as bad:
        log.info("the wet cells are not kept: %s", bad)
    return made


def _kept(path: Location) -> Path:
    """Where the wet cells of an archive are kept."""
    place = locations.normalise(path)
    if isinstance(place, Path):
        return place / FILE
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echocast" / "wet_cells"
    return cache / f"{hashlib.sha256(place.encode()).hexdigest()[:16]}.npz"
