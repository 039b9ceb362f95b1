"""The numbers of a CF variable: how they are packed, and which of them mean "not observed".

Declared are ``_FillValue``, ``missing_value``, the valid range and, where there is no ``_FillValue``, NetCDF's default
one. Other numbers that can be no rain are "not observed" if they are the usual codes for it (-9999, -32768, 1e20, ...),
and refused otherwise. Where the caller names the missing numbers, nothing is guessed.

Source: CF conventions 1.11, section 2.5; NetCDF User's Guide, appendix A (_Unsigned, valid_range).
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from echocast.errors import UnreadableFile
from echocast.readers._lookup import levels_of

ZARR_FILL = "zarr_fill_value"
"""An attribute for the fill value 0 of Zarr 2, which stands there unless its writer chose another."""

_DEFAULT_FILLS: dict[str, float] = {"i2": -32767, "u2": 65535, "i4": -(2**31) + 1, "u4": 2**32 - 1}
_DEFAULT_FILLS |= {"i8": -(2**63) + 2, "u8": 2**64 - 2, "f4": 9.969209968386869e36, "f8": 9.969209968386869e36}
_CODE = re.compile(r"-?9{3,}(\.9*)?|-?9{3,}0+")
_LIMITS = [float(sign * 2**bits + one) for bits in (15, 16, 31, 32) for sign in (-1, 1) for one in (-1, 0, 1)]
_SURELY = 1e9
_TOP = 8
_MOST_NAMED = 5


@dataclass(frozen=True)
class Packing:
    """How the numbers of a file become values in their unit.

    Args:
        kind: the number type as it is meant, such as ``u1``.
        scale: the values are numbers times this,
        offset: plus this.
        missing: numbers (not values) that mean "not observed".
        valid: the lowest and highest number.
        valid_values: the lowest and highest value.
        dry: numbers that mean "no echo".
        told: whether the caller named the missing numbers, so that none is guessed.
    """

    kind: str
    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[Any, ...] = ()
    valid: tuple[float, float] = (-np.inf, np.inf)
    valid_values: tuple[float, float] = (-np.inf, np.inf)
    dry: tuple[Any, ...] = ()
    told: bool = False

    def scaled(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers as values; single precision where nothing is to be computed."""
        if self.scale == 1.0 and self.offset == 0.0:
            return np.array(numbers, np.float32 if numbers.dtype == np.float32 else np.float64)
        return np.asarray(numbers * self.scale + self.offset)

    def values(self, numbers: np.ndarray, no_echo: float) -> np.ndarray:
        """Numbers as values, NaN where they mean "not observed", `no_echo` where they mean that."""
        values = self.scaled(numbers)
        for number in self.dry:
            values[numbers == number] = no_echo
        for number in self.missing:
            values[numbers == number] = np.nan
        if self.valid != (-np.inf, np.inf):
            values[(numbers < self.valid[0]) | (numbers > self.valid[1])] = np.nan
        if self.valid_values != (-np.inf, np.inf):
            values[(values < self.valid_values[0]) | (values > self.valid_values[1])] = np.nan
        if numbers.dtype.kind == "f":
            values[np.isposinf(values) | (np.isneginf(values) & (no_echo == 0.0))] = np.nan
        return values


def packing(variable: xr.Variable, told: tuple[float, ...] = ()) -> Packing:
    """How a variable, opened without decoding, is packed; `told` are its missing numbers where the file is silent."""
    if variable.dtype.kind not in "iuf":
        raise UnreadableFile(f"holds {variable.dtype} where numbers are expected")
    attrs, kind = variable.attrs, f"{variable.dtype.kind}{variable.dtype.itemsize}"
    if str(attrs.get("_Unsigned", "")).lower() in ("true", "false") and kind[0] in "iu":
        kind = f"{'u' if str(attrs['_Unsigned']).lower() == 'true' else 'i'}{kind[1:]}"
    turned = kind[0] != variable.dtype.kind
    declared = [number for key in ("_FillValue", "missing_value", "nodata", "_Nodata") for number in _row(attrs, key)]
    if "_FillValue" not in attrs and kind in _DEFAULT_FILLS:
        declared.append(_DEFAULT_FILLS[kind])
    valid, valid_values = _valid(attrs, kind, turned)
    return Packing(
        kind,
        scale=float(_row(attrs, "scale_factor", 1.0)[0]),
        offset=float(_row(attrs, "add_offset", 0.0)[0]),
        missing=_as_numbers([*declared, *told], kind, turned),
        valid=valid,
        valid_values=valid_values,
        dry=_as_numbers([n for key in ("_Undetect", "undetect") for n in _row(attrs, key)], kind, turned),
        told=bool(told),
    )


def as_meant(raw: np.ndarray, kind: str) -> np.ndarray:
    """The numbers of a file with the sign that ``_Unsigned`` gives them."""
    own = raw.astype(raw.dtype.newbyteorder("="), copy=False)
    return own.view(kind) if own.dtype.kind in "iu" else own


@dataclass(frozen=True)
class Possible:
    """What values of rain can be, in the unit of a file.

    Args:
        lowest: below it no value is rain.
        highest: codes for "not observed" are known above it.
        impossible: above it no value is rain.
        no_echo: the value of "no echo".
        units: the unit, for messages.
    """

    lowest: float
    highest: float
    impossible: float
    no_echo: float
    units: str


def decoded(raw: np.ndarray, how: Packing, possible: Possible, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The values of a table of numbers and the place of each cell in it; or the values of all cells, and None."""
    numbers, index = levels_of(as_meant(raw, how.kind))
    values = how.values(numbers, possible.no_echo)
    with np.errstate(invalid="ignore"):
        odd = (values < possible.lowest) & (values != possible.no_echo) | (values > possible.highest)
    if index is not None and odd.any():
        present = np.zeros(len(numbers), bool)
        present[index.ravel()] = True
        odd &= present
    if odd.any() and not how.told:
        _judge(numbers, values, odd, possible, name)
    return values, index


def _judge(numbers: np.ndarray, values: np.ndarray, odd: np.ndarray, possible: Possible, name: str) -> None:
    """Set the usual codes for "not observed" to NaN; refuse other values that are no rain."""
    found, first = np.unique(numbers[odd], return_index=True)
    of_found = values[odd][first]
    code = np.array([_is_code(n, v, possible) for n, v in zip(found, of_found, strict=True)])
    top = np.iinfo(numbers.dtype).max - _TOP if numbers.dtype.kind in "iu" else np.inf
    bad = ~code & ((of_found < possible.lowest) | (of_found > possible.impossible) | (found > top))
    if bad.any():
        named = ", ".join(f"{n:g} ({v:g} {possible.units})" for n, v in zip(found[bad], of_found[bad], strict=True)
                          if (found[bad] < n).sum() < _MOST_NAMED)  # fmt: skip
        first_bad = f"{found[bad][0]:g}"
        raise UnreadableFile(
            f"{name!r} holds {int(bad.sum())} numbers that can be no rain and that it does not declare missing:"
            f" {named}; if they mean 'not observed', say so with --missing-value {first_bad}"
        )
    values[odd & np.isin(numbers, found[code])] = np.nan


def _is_code(number: Any, value: Any, possible: Possible) -> bool:
    """Whether a number, or its value, is a usual code for "not observed"."""
    kind = np.asarray(number).dtype
    whole = kind.kind in "iu"
    if whole and (number == np.iinfo(kind).max or number <= min(np.iinfo(kind).min + 1, -1)):
        return True
    texts = (f"{number:.7g}" if not whole else str(int(number)), f"{value:.7g}")
    below = possible.no_echo == 0.0 and any(re.fullmatch(r"-99(\.9*)?", text) for text in texts)
    return bool(below or abs(value) >= _SURELY or float(number) in _LIMITS or any(map(_CODE.fullmatch, texts)))


def _valid(attrs: dict[str, Any], kind: str, turned: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """The valid range in numbers and in values: in values where its type is wider than that of packed numbers."""
    limits = [_limit(attrs, "valid_min", 0), _limit(attrs, "valid_max", 1)]
    packed = "scale_factor" in attrs or "add_offset" in attrs
    numbers, values = [-np.inf, np.inf], [-np.inf, np.inf]
    for side, limit in enumerate(limits):
        if limit is None or not np.isfinite(limit):
            continue
        if packed and kind[0] in "iu" and np.asarray(limit).dtype.kind == "f":
            values[side] = float(limit)
        else:
            numbers[side] = float(_signed(limit, kind, turned))
    return (numbers[0], numbers[1]), (values[0], values[1])


def _limit(attrs: dict[str, Any], key: str, side: int) -> Any:
    row = _row(attrs, key) or _row(attrs, "valid_range")[side : side + 1]
    return row[0] if row else None


def _signed(number: Any, kind: str, turned: bool) -> Any:
    """A whole number with the sign of the data, where ``_Unsigned`` turns that."""
    bits = 8 * int(kind[1:])
    if not turned or not np.isfinite(number) or number != int(number) or not -(2 ** (bits - 1)) <= number < 2**bits:
        return number
    whole = int(number) % 2**bits
    return whole - 2**bits if kind[0] == "i" and whole >= 2 ** (bits - 1) else whole


def _as_numbers(declared: list[Any], kind: str, turned: bool) -> tuple[Any, ...]:
    """Declared numbers in the type of the data; those that it cannot hold occur nowhere."""
    found = []
    for number in declared:
        meant = _signed(number, kind, turned)
        if kind[0] == "f":
            with np.errstate(over="ignore"):
                found.append(np.dtype(kind).type(meant))
        elif np.isfinite(meant) and meant == int(meant) and _fits(int(meant), kind):
            found.append(np.dtype(kind).type(int(meant)))
    return tuple(found)


def _fits(number: int, kind: str) -> bool:
    limits = np.iinfo(kind)
    return bool(limits.min <= number <= limits.max)


def _row(attrs: dict[str, Any], key: str, default: float | None = None) -> list[Any]:
    """The numbers of an attribute, be it one, several or a text; empty if there is none."""
    found = np.atleast_1d(np.asarray(attrs.get(key, [] if default is None else default))).ravel()
    if found.dtype.kind in "SUO":
        texts = [t.decode("latin-1") if isinstance(t, bytes) else str(t) for t in found.tolist()]
        words = [word for text in texts for word in re.split(r"[\s,]+", text) if word]
        return [float(w) for w in words if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|nan", w, re.IGNORECASE)]
    return list(found) if found.dtype.kind in "iuf" else []
