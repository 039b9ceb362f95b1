"""KNMI's HDF5: projections and pixels in metres or kilometres, amounts, rates and reflectivity, other images."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tests.known import Cell, Known, _draw

_PROJ4 = "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378137 +b=6356752 +x_0=0 +y_0=0"
_IN_KM = _PROJ4.replace("6378137", "6378.137").replace("6356752", "6356.752")
_WRITTEN = (_PROJ4, f"{_PROJ4} +units=m", f"{_PROJ4} +units=km", _IN_KM, f"{_IN_KM} +units=km")
_KINDS = {
    "ACCUMULATED_PRECIPITATION_[MM]": ("mm", "u2"),
    "PRECIP_[MM]": ("mm", "u2"),
    "ACCUMULATION_[MM]": ("mm", "u2"),
    "RAINFALL_RATE_[MM/H]": ("mm/h", "u2"),
    "REFLECTIVITY_[DBZ]": ("dBZ", "u1"),
}
_FORMULAS = {
    "mm": ("GEO=0.01*PV+0.0", "GEO=0.010000*PV+0.000000", "GEO = 0.01 * PV", "GEO=PV*0.01"),
    "dBZ": ("GEO=0.5*PV-32", "GEO = 0.500000 * PV + -32.000000", "GEO=0.5*PV-32.0"),
}


def write(folder: Path, drawn: np.random.Generator) -> Known:
    spots, end, minutes = _draw.spots(drawn), _draw.time(drawn), int(drawn.choice([5, 60, 1440]))
    parameter = str(drawn.choice(list(_KINDS)))
    units, kind = _KINDS[parameter]
    missing, outside = [(0, 255), (255, 255)][drawn.integers(2)] if units == "dBZ" else (65534, 65535)
    raw = np.zeros(spots.shape, kind)
    bright = (
        int(drawn.integers(110, 160))
        if units == "dBZ"
        else int(drawn.integers(15, 24) * (minutes if units == "mm" else 40))
    )
    raw[spots.bright] = bright
    raw[spots.missing] = outside if units == "dBZ" or drawn.integers(2) else missing
    grid, place = _grid(drawn, spots.shape)
    is_forecast = drawn.random() < 0.05
    is_off = not is_forecast and "geo_product_corners" in grid and drawn.random() < 0.05
    if is_off:
        grid["geo_row_offset"] += 2.0
    path = folder / f"RAD_NL25_{drawn.integers(100)}.h5"
    with h5py.File(path, "w") as file:
        for name, at in (("start", end - np.timedelta64(minutes, "m")), ("end", end)):
            _write(drawn, file.require_group("overview"), f"product_datetime_{name}", _spelled(at))
        _write(drawn, file["overview"], "product_group_name", "RAD_NL25_XYZ")
        projection = grid.pop("projection")
        for name, value in grid.items():
            _write(drawn, file.require_group("geographic"), name, value)
        _write(drawn, file.create_group("geographic/map_projection"), "projection_proj4_params", projection)
        names = ["image1", "image2"] if drawn.integers(2) or is_forecast else ["image1"]
        images = [parameter, parameter if is_forecast else "QUALITY_[-]"][: len(names)]
        for name, of in zip(names, images if is_forecast else drawn.permutation(images), strict=True):
            image = file.create_group(name)
            _write(drawn, image, "image_geo_parameter", str(of))
            image.create_dataset("image_data", data=raw[_turned(grid)], compression="gzip", chunks=True)
            calibration = image.create_group("calibration")
            formulas = _FORMULAS["dBZ" if units == "dBZ" else "mm"]
            _write(drawn, calibration, "calibration_formulas", formulas[drawn.integers(len(formulas))])
            calibration.attrs["calibration_missing_data"] = np.array([missing])
            calibration.attrs["calibration_out_of_image"] = np.array([outside])
    value = 0.5 * bright - 32 if units == "dBZ" else 0.01 * bright
    rate = {"mm": value * 60 / minutes, "mm/h": value, "dBZ": (10 ** (value / 10) / 200) ** 0.625}[units]
    cells = [Cell(*place(spots.bright), rate), Cell(*place(spots.dry), 0.0), Cell(*place(spots.missing), np.nan)]
    refused = "forecast" if is_forecast else "contradict each other" if is_off else None
    return Known(path, [end], cells, spots.shape, refused=refused)


def _turned(grid: dict[str, Any]) -> tuple[slice, ...]:
    """Rows of a file go north where its cells have a positive height."""
    return (slice(None, None, -1 if grid["geo_pixel_size_y"] > 0 else 1),)


def _grid(drawn: np.random.Generator, shape: tuple[int, int]) -> tuple[dict[str, Any], Any]:
    rows, columns = shape
    cell, unit = float(drawn.choice([1.0, 2.4])), str(drawn.choice(["KM", "M"]))
    left, top = cell * int(drawn.integers(-50, 300)), -cell * int(drawn.integers(1500, 1700))
    metres, is_up = (1.0 if unit == "KM" else 1000.0), bool(drawn.random() < 0.1)
    x, y = (1000 * left, 1000 * (left + columns * cell)), (1000 * top, 1000 * (top - rows * cell))
    grid: dict[str, Any] = {
        "geo_number_columns": columns,
        "geo_number_rows": rows,
        "geo_pixel_size_x": cell * metres,
        "geo_pixel_size_y": cell * metres * (1 if is_up else -1),
        "geo_column_offset": left / cell,
        "geo_row_offset": (top / cell - rows) if is_up else -top / cell,
        "geo_dim_pixel": f"{unit},{unit}",
        "geo_pixel_def": "LU",
        "projection": str(drawn.choice(_WRITTEN)),
    }
    if drawn.integers(4):
        corners = [_draw.degrees(_PROJ4, *at) for at in ((x[0], y[1]), (x[0], y[0]), (x[1], y[0]), (x[1], y[1]))]
        grid["geo_product_corners"] = np.round(np.array(corners, np.float32).ravel(), int(drawn.choice([3, 6])))

    def place(spot: tuple[int, int]) -> tuple[float, float]:
        return _draw.degrees(_PROJ4, x[0] + (spot[1] + 0.5) * cell * 1000, y[0] - (spot[0] + 0.5) * cell * 1000)

    return grid, place


def _spelled(time: np.datetime64) -> str:
    return f"{time.astype('datetime64[s]').item():%d-%b-%Y;%H:%M:%S.000}".upper()


def _write(drawn: np.random.Generator, group: h5py.Group, name: str, value: Any) -> None:
    written = np.bytes_(value) if isinstance(value, str) and drawn.integers(2) else value
    group.attrs[name] = np.array([written]) if np.ndim(written) == 0 and not isinstance(written, str) else written
