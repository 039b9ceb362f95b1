"""NWC SAF's CRR: number types, scale and offset as scalars or rows, fill and range, axes packed or not."""

from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pyproj
from tests.known import Cell, Known, _draw

_PROJ4 = "+proj=geos +a=6378137.000000 +b=6356752.300000 +lon_0={:.6f} +h=35785863.000000"


@cache
def _to_degrees(lon_0: float) -> pyproj.Transformer:
    crs = pyproj.CRS.from_user_input(_PROJ4.format(lon_0))
    return pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)


def write(folder: Path, drawn: np.random.Generator) -> Known:
    spots, time, lon_0 = _draw.spots(drawn), _draw.time(drawn), float(drawn.choice([0.0, 9.5, 41.5]))
    dtype = np.dtype(str(drawn.choice(["u2", "i2", "u1", "i4"])))
    scale, bright = float(drawn.choice([0.1, 0.2])), int(drawn.integers(60, 120))
    fill, highest = np.iinfo(dtype).max, min(500, np.iinfo(dtype).max - 5)
    raw = np.zeros(spots.shape, dtype)
    raw[spots.bright] = bright
    raw[spots.missing] = int(drawn.choice([fill, min(highest + 1, fill)]))
    x = 1000.0 * drawn.integers(-2000, 1500) + 3000.0 * np.arange(spots.shape[1])
    y = 1000.0 * drawn.integers(2500, 4500) - 3000.0 * np.arange(spots.shape[0])
    path, row = folder / f"S_NWC_CRR_{drawn.integers(100)}.nc", bool(drawn.integers(2))
    refused = _refused(drawn)
    with h5py.File(path, "w") as file:
        file.attrs["project"], file.attrs["satellite_identifier"] = np.bytes_("NWC/GEO"), "MSG4"
        file.attrs["nominal_product_time"] = f"{str(time)[:19]}Z"
        file.attrs["gdal_projection"] = np.bytes_(_PROJ4.format(lon_0))
        for name, axis in (("nx", x), ("ny", y)):
            file[name] = np.round(axis / 1000.0).astype("i2") if row else axis.astype("f4")
            file[name].attrs["units"] = "rad" if refused and "nx" in refused else np.bytes_("m")
            file.attrs[f"gdal_{name[1]}geo_up_left"] = axis[0] + (9e5 if refused and "begins" in refused else 0.0)
            if row:
                file[name].attrs["scale_factor"] = np.array([1000.0])
        data = file.create_dataset("crr_intensity", data=raw, compression="gzip" if row else None)
        attrs = {"scale_factor": scale, "add_offset": 0.0, "_FillValue": dtype.type(fill)}
        for name, value in attrs.items():
            data.attrs[name] = np.array([value]) if row else value
        data.attrs["valid_range"] = np.array([0, highest], dtype)
        data.attrs["units"] = "mm" if refused and "mm/h" in refused else "mm/h"

    def place(spot: tuple[int, int]) -> tuple[float, float]:
        lon, lat = _to_degrees(lon_0).transform(x[spot[1]], y[spot[0]])
        return float(lon), float(lat)

    cells = [Cell(*place(s), r) for s, r in ((spots.bright, bright * scale), (spots.dry, 0.0), (spots.missing, np.nan))]
    return Known(path, [time], cells, spots.shape, refused=refused)


def _refused(drawn: np.random.Generator) -> str | None:
    return (
        None
        if drawn.random() > 0.1
        else str(drawn.choice(["that of NWC SAF is in mm/h", "nx is in 'rad'", "begins at"]))
    )
