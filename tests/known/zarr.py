"""Zarr 2 (its metadata written by hand, as other programs do) and 3: chunks, compression, fill values of any kind."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Zlib
from tests.known import Known, _cf


def write(folder: Path, drawn: np.random.Generator) -> Known:
    made = _cf.dataset(drawn)
    path = folder / f"rain{drawn.integers(100)}.zarr"
    path.mkdir()
    (_version_2 if drawn.integers(2) else _version_3)(path, made, drawn)
    return Known(path, made.times, made.cells, made.shape, _cf.options(made), made.refused, made.tolerance)


def _version_2(path: Path, made: _cf.Drawn, drawn: np.random.Generator) -> None:
    """Without consolidated metadata or with; the fill value stands as 0 unless it is one of the data."""
    by_itself, packed = bool(drawn.integers(2)), bool(drawn.integers(2))
    every: dict[str, Any] = {".zgroup": {"zarr_format": 2}, ".zattrs": _plain(made.attrs)}
    for name, (dims, array, attrs) in made.variables.items():
        attrs = dict(attrs)
        fill = attrs.pop("_FillValue", 0 if by_itself else None)
        own = {"zarr_format": 2, "shape": array.shape, "chunks": array.shape, "dtype": array.dtype.str, "order": "C"}
        own |= {
            "fill_value": _json(fill),
            "filters": None,
            "compressor": {"id": "zlib", "level": 1} if packed else None,
        }
        (path / name).mkdir()
        content = np.ascontiguousarray(array).tobytes()
        chunk = ".".join("0" * array.ndim) or "0"
        (path / name / chunk).write_bytes(Zlib(1).encode(content) if packed else content)
        every[f"{name}/.zarray"], every[f"{name}/.zattrs"] = own, _plain(attrs) | {"_ARRAY_DIMENSIONS": dims}
    for file, content in every.items():
        (path / file).write_text(json.dumps(content))
    if drawn.integers(2):
        (path / ".zmetadata").write_text(json.dumps({"zarr_consolidated_format": 1, "metadata": every}))


def _version_3(path: Path, made: _cf.Drawn, drawn: np.random.Generator) -> None:
    fill: float = float(drawn.choice([0.0, 7.0]))
    root: dict[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": _plain(made.attrs)}
    (path / "zarr.json").write_text(json.dumps(root))
    for name, (dims, array, attrs) in made.variables.items():
        kind = f"{ {'f': 'float', 'i': 'int', 'u': 'uint'}[array.dtype.kind] }{8 * array.dtype.itemsize}".strip()
        own: dict[str, Any] = {"zarr_format": 3, "node_type": "array", "shape": array.shape, "data_type": kind}
        own["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": array.shape}}
        own["chunk_key_encoding"] = {"name": "default", "configuration": {"separator": "/"}}
        own["codecs"] = [{"name": "bytes"} if array.dtype.itemsize == 1 else _LITTLE]
        own |= {"fill_value": fill if array.dtype.kind == "f" else int(fill), "dimension_names": dims}
        own["attributes"] = _plain(attrs)
        if "_FillValue" in attrs and array.dtype.kind == "f":  # as xarray spells it
            own["attributes"]["_FillValue"] = base64.b64encode(np.float64(attrs["_FillValue"]).tobytes()).decode()
        chunk = path / name / "/".join(["c", *"0" * array.ndim])
        chunk.parent.mkdir(parents=True)
        chunk.write_bytes(np.ascontiguousarray(array).tobytes())
        (path / name / "zarr.json").write_text(json.dumps(own))


_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


def _plain(attrs: dict[str, Any]) -> dict[str, Any]:
    return {key: _json(value) for key, value in attrs.items()}


def _json(value: Any) -> Any:
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return "NaN" if isinstance(plain, float) and np.isnan(plain) else plain
