"""A NetCDF file, 3 or 4, as an xarray dataset of which nothing is decoded.

NetCDF 4 is read through h5py: the same dataset as by ``xarray.open_dataset(..., engine="h5netcdf")``, which reads each
attribute, size and reference many times over and takes seven times as long for a small file. What is rare (shapes that
differ from their dimensions, types that are neither numbers nor text, dimensions without a scale) is left to it.

    >>> with opened(Path("rain.nc")) as data:  # doctest: +SKIP
    ...     data.attrs["title"]

Source: NetCDF 4 file format specification; NetCDF User's Guide, appendix B.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from echocast.io import damage

_SMALL_BYTES = 2**20
"""Variables up to this size are read at once; others when they are wanted, and as much of them as is."""
_OF_DIMENSIONS = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Coordinates", "_Netcdf4Dimid"}
_HIDDEN = frozenset(_OF_DIMENSIONS | {"_NCProperties", "_nc3_strict"})
"""Attributes with which NetCDF 4 keeps its own books."""
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable."
_BESIDE_A_DIMENSION = "_nc4_non_coord_"


class _RareError(Exception):
    """Something in a file that is left to h5netcdf."""


@contextmanager
def opened(path: Path) -> Iterator[xr.Dataset]:
    """The dataset of a file as it is: numbers neither scaled nor masked, times as numbers.

    Raises:
        OSError, ValueError, LookupError, RuntimeError: it is damaged; see `echocast.io.damage`.
    """
    if _is_classic(path):
        with _by_xarray(path, "scipy") as data:
            yield data
        return
    with h5py.File(path) as file:  # fails cleanly where h5netcdf would leave a half-made object behind
        found = _dataset(file)
        if found is not None:
            yield found
            return
    with _by_xarray(path, "h5netcdf") as data:
        yield data


def _is_classic(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"CDF"


def _by_xarray(path: Path, engine: str) -> xr.Dataset:
    options: dict[str, Any] = {"cache": False, "decode_cf": False, "create_default_indexes": False}
    # h5netcdf raises these about types that are damaged.
    with damage.as_value_error(AttributeError, TypeError):
        return xr.open_dataset(path, engine=engine, **options)


def _dataset(file: h5py.File) -> xr.Dataset | None:
    """The dataset of the root group; None if something in it is rare."""
    try:
        variables = _variables(file)
        attrs = _attributes(file)
    except _RareError:
        return None
    along = {name: v for name, v in variables.items() if v.dims == (name,)}
    others = {name: v for name, v in variables.items() if name not in along}
    return xr.Dataset(others, coords=xr.Coordinates(along, indexes={}), attrs=attrs)


def _variables(file: h5py.File) -> dict[str, xr.Variable]:
    members = {str(name): item for name, item in file.items()}
    items = {name: item for name, item in members.items() if isinstance(item, h5py.Dataset)}
    groups = any(isinstance(item, h5py.Group) for item in members.values())
    if any(name.startswith(_BESIDE_A_DIMENSION) or not isinstance(item, h5py.Dataset | h5py.Group)
           for name, item in members.items()):  # fmt: skip
        raise _RareError
    sizes = {name: _size(item, groups) for name, item in items.items() if _is_scale(item)}
    return {name: _variable(file, name, item, sizes) for name, item in items.items() if _holds_values(item)}


def _is_scale(item: h5py.Dataset) -> bool:
    return bool(item.attrs.get("CLASS") == b"DIMENSION_SCALE")


def _holds_values(item: h5py.Dataset) -> bool:
    name = item.attrs.get("NAME", b"")
    return _NO_VARIABLE not in (name.encode() if isinstance(name, str) else name)


def _size(scale: h5py.Dataset, groups: bool) -> int:
    """How long a dimension is; in groups may lie what makes an unlimited one longer."""
    if scale.ndim != 1 or (groups and scale.maxshape == (None,)):
        raise _RareError
    return int(scale.shape[0])


def _variable(file: h5py.File, name: str, item: h5py.Dataset, sizes: dict[str, int]) -> xr.Variable:
    dims = _dims(file, name, item, sizes)
    if item.shape != tuple(sizes.get(d) for d in dims) or not _is_plain(item.dtype):
        raise _RareError
    attrs = _attributes(item)
    if "dtype" in attrs:  # xarray's mark of true and false
        raise _RareError
    return xr.Variable(dims, _values(item), attrs)


def _dims(file: h5py.File, name: str, item: h5py.Dataset, sizes: dict[str, int]) -> tuple[str, ...]:
    """The names of a variable's dims: those that it refers to, else its own if it is a dimension."""
    if item.ndim == 0:
        return ()
    if name in sizes:
        if "_Netcdf4Coordinates" in item.attrs and not _is_its_own(item):
            raise _RareError
        return (name,)
    scales = item.attrs.get("DIMENSION_LIST", ())
    if len(scales) != item.ndim or not all(len(of_axis) for of_axis in scales):
        raise _RareError
    return tuple(file[of_axis[-1]].name.rpartition("/")[2] for of_axis in scales)


def _is_its_own(scale: h5py.Dataset) -> bool:
    return bool(scale.attrs["_Netcdf4Coordinates"].tolist() == [scale.attrs.get("_Netcdf4Dimid")])


def _is_plain(kind: np.dtype) -> bool:
    if kind.kind == "O":
        return h5py.check_string_dtype(kind) is not None
    return kind.kind in "iufS" and kind.isnative and h5py.check_enum_dtype(kind) is None


def _values(item: h5py.Dataset) -> Any:
    if item.nbytes <= _SMALL_BYTES:
        try:
            return _small(item)
        except (OSError, RuntimeError):  # it is damaged: whoever wants it shall know
            pass
    if item.dtype.kind == "O":
        raise _RareError
    return indexing.LazilyIndexedArray(_InFile(item))


def _small(item: h5py.Dataset) -> np.ndarray:
    return np.asarray(item.asstr()[()]).astype(str) if item.dtype.kind == "O" else np.asarray(item[()])


class _InFile(BackendArray):
    """A variable that is read when it is wanted."""

    def __init__(self, item: h5py.Dataset) -> None:
        self.shape, self.dtype = item.shape, item.dtype
        self._item = item

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.OUTER_1VECTOR
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._item.__getitem__)


def _attributes(of: h5py.File | h5py.Dataset) -> dict[str, Any]:
    """The attributes as text, numbers, arrays of numbers and lists of text."""
    return {key: _attribute(of, key, value) for key, value in of.attrs.items() if key not in _HIDDEN}


def _attribute(of: h5py.File | h5py.Dataset, key: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return _text(value, _text_type(of, key), is_number=key in ("_FillValue", "missing_value"))
    if isinstance(value, np.ndarray) and value.dtype.kind in "SO":
        kind = _text_type(of, key)
        value = [text if isinstance(text, str) else _text(text, kind, is_number=True) for text in value.ravel()]
    elif not isinstance(value, str) and getattr(value, "dtype", np.dtype(object)).kind not in "iuf":
        raise _RareError  # empty, true or false, of several parts
    is_row = isinstance(value, list | np.ndarray) and np.ndim(value) > 0
    return value[0] if is_row and len(value) == 1 else value


def _text_type(of: h5py.File | h5py.Dataset, key: str) -> h5py.h5t.string_info:
    found = h5py.check_string_dtype(of.attrs.get_id(key).dtype)
    if found is None:
        raise _RareError
    return found


def _text(value: bytes, kind: h5py.h5t.string_info, *, is_number: bool) -> str:
    """Text of a fixed length; a single byte may be meant as a number."""
    if kind.length is not None and kind.length > 1:
        return value.decode(kind.encoding, "surrogateescape")
    if is_number or not value.isascii():
        raise _RareError
    return value.decode()
