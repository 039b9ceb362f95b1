"""ODIM_H5 composites: any corners, number types, spellings of times and attributes, one or several times a file."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tests.known import Cell, Known, _draw

_PROJECTIONS = (
    "+proj=laea +lat_0=55 +lon_0=10 +x_0=1950000 +y_0=-2100000 +ellps=WGS84",
    "+proj=stere +lat_0=90 +lat_ts=60 +lon_0=14 +a=6371000 +b=6371000",
    "+proj=lcc +lat_1=45 +lat_2=55 +lon_0=12 +lat_0=50 +ellps=WGS84",
)
_MIDDLES = ((2.0e6, -2.0e6), (0.0, -3.3e6), (1.0e5, 2.0e5))
_SCALINGS = {  # gain, offset, nodata, undetect
    "dBZ": {"u1": (0.5, -32.0, 255, 0), "u2": (0.01, -32.0, 65535, 0), "i2": (0.01, 0.0, -32768, -32767)},
    "mm": {"u1": (0.5, 0.0, 255, 0), "u2": (0.01, -1.0, 65535, 65534), "i2": (0.01, 0.0, -1, -2)},
}
_FLOAT = ((1.0, 0.0, -9999000.0, -8888000.0), (1.0, 0.0, np.nan, -8888000.0), (0.1, 0.0, -9999000.0, np.nan))


def write(folder: Path, drawn: np.random.Generator) -> Known:
    spots, minutes = _draw.spots(drawn), int(drawn.choice([5, 15, 60]))
    last, count = _draw.time(drawn), int(drawn.choice([1, 1, 1, 3]))
    times = [last - np.timedelta64(minutes * n, "m") for n in reversed(range(count))]
    quantity = str(drawn.choice(["DBZH", "TH", "RATE", "ACRR"]))
    which = int(drawn.integers(len(_PROJECTIONS)))
    where, place = _where(drawn, which, spots.shape)
    turned = where.pop("turned")
    kind = str(drawn.choice(["u1", "u2", "i2", "f4", "f8"]))
    scaling = _FLOAT[drawn.integers(3)] if kind[0] == "f" else _SCALINGS["dBZ" if "H" in quantity else "mm"][kind]
    value = float(drawn.choice([20.0, 30.0, 40.5])) / (1 if quantity != "ACRR" else 10)
    raw = np.full(spots.shape, scaling[3], kind)
    raw[spots.bright] = level = np.round((value - scaling[1]) / scaling[0]) if kind[0] != "f" else value / scaling[0]
    value = float(level) * scaling[0] + scaling[1]
    raw[spots.missing] = scaling[2]
    refused = _refused(drawn, where, scaling)
    path = folder / f"T_{quantity}_{drawn.integers(100)}.{drawn.choice(['h5', 'hdf'])}"
    with h5py.File(path, "w") as file:
        _root(drawn, file, times[-1])
        where_at_root = bool(drawn.integers(2))
        for number, end in enumerate(times, 1):
            group = file.create_group(f"dataset{number}")
            _attributes(drawn, file if where_at_root else group, "where", where)
            about = dict(zip(("gain", "offset", "nodata", "undetect"), refused[1], strict=True)) | {
                "quantity": quantity
            }
            start = end - np.timedelta64(minutes, "m")
            data = group.create_group("data1")
            packing = {"compression": "gzip", "chunks": True} if drawn.integers(2) else {}
            data.create_dataset("data", data=raw[turned], **packing)
            _attributes(drawn, data if drawn.integers(2) else group, "what", about)
            _attributes(drawn, group, "what", _stamp(drawn, "start", start) | _stamp(drawn, "end", end))
    rate = (
        value
        if quantity == "RATE"
        else value * 60 / minutes
        if quantity == "ACRR"
        else (10 ** (value / 10) / 200) ** 0.625
    )
    cells = [Cell(*place(spots.bright), rate), Cell(*place(spots.dry), 0.0), Cell(*place(spots.missing), np.nan)]
    return Known(path, times, cells, spots.shape, refused=refused[0], tolerance=2e-3)


def _where(drawn: np.random.Generator, which: int, shape: tuple[int, int]) -> tuple[dict[str, Any], Any]:
    """The attributes of ``where``, and what makes degrees of a cell."""
    rows, columns = shape
    cell = float(drawn.choice([500, 1000, 2000]))
    left, top = (middle + cell * int(drawn.integers(-100, 100)) for middle in _MIDDLES[which])
    proj4 = _PROJECTIONS[which]
    turned = (slice(None, None, int(drawn.choice([1, 1, 1, -1]))), slice(None, None, int(drawn.choice([1, 1, 1, -1]))))
    x, y = (left, left + columns * cell)[:: turned[1].step], (top, top - rows * cell)[:: turned[0].step]
    at = {"UL": (x[0], y[0]), "UR": (x[1], y[0]), "LL": (x[0], y[1]), "LR": (x[1], y[1])}
    is_turned = turned != (slice(None, None, 1), slice(None, None, 1))
    sets = [("LL", "UR"), ("UL", "LR"), tuple(at)]
    names = sets[drawn.integers(3)] if is_turned or drawn.integers(2) else (str(drawn.choice(list(at))),)
    where: dict[str, Any] = {"xsize": columns, "ysize": rows, "turned": turned}
    if len(names) == 1 or drawn.integers(2):
        where |= {"xscale": cell, "yscale": cell}
    for name in names:
        where[f"{name}_lon"], where[f"{name}_lat"] = _draw.degrees(proj4, *at[name])
    radius_in_km = proj4.replace("6371000", "6371")
    where["projdef"] = str(
        drawn.choice([proj4, f"{proj4} +units=m", f"{proj4} +units=km", f"{radius_in_km} +units=km"])
    )

    def place(spot: tuple[int, int]) -> tuple[float, float]:
        return _draw.degrees(proj4, left + (spot[1] + 0.5) * cell, top - (spot[0] + 0.5) * cell)

    return where, place


def _refused(
    drawn: np.random.Generator, where: dict[str, Any], scaling: tuple[float, ...]
) -> tuple[str | None, tuple[float, ...]]:
    """Sometimes make it a file that contradicts itself; the text of its refusal, and its scaling."""
    if drawn.random() < 0.03:
        return "gain 0", (0.0, *scaling[1:])
    if drawn.random() < 0.03 and {"xscale", "UR_lon", "LL_lon"} <= set(where):
        where["xscale"] *= 1.5
        return "contradict each other", scaling
    return None, scaling


def _root(drawn: np.random.Generator, file: h5py.File, time: np.datetime64) -> None:
    file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_3")
    what = {"object": str(drawn.choice(["COMP", "IMAGE"])), "source": "ORG:1"} | _stamp(drawn, "", time)
    _attributes(drawn, file, "what", what)


def _stamp(drawn: np.random.Generator, prefix: str, time: np.datetime64) -> dict[str, Any]:
    day, clock = str(time)[:10], str(time)[11:19]
    forms: list[Any] = [clock.replace(":", ""), clock, f"{clock.replace(':', '')}Z", clock.replace(":", "")[:4]]
    forms.append(clock.replace(":", "").removeprefix("0"))
    if clock >= "01:00:00":
        forms.append(np.int64(clock.replace(":", "")))
    date: Any = (day, day.replace("-", ""), np.int32(day.replace("-", "")))[drawn.integers(3)]
    return {f"{prefix}date": date, f"{prefix}time": forms[drawn.integers(len(forms))]}


def _attributes(drawn: np.random.Generator, of: h5py.Group, name: str, values: dict[str, Any]) -> None:
    """Attributes as scalars or rows of one, text as bytes or as text."""
    group = of.require_group(name)
    for key, value in values.items():
        written = np.bytes_(value) if isinstance(value, str) and drawn.integers(2) else value
        if not isinstance(written, str) and drawn.integers(2):
            written = np.array([written])
        group.attrs[key] = written
