"""The numbers of a place as JSON, fast.

The JSON of an issue differs from place to place in its numbers alone, of which half precision has few: so the text
around them is made once for an issue, and that of each number once.

>>> texts(np.array([2.5, 0.12345, np.nan, np.inf], np.float16).view(np.uint16))
['2.5', '0.1234', 'null', 'null']
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from echocast.operations.point_file import PointFile
from echocast.operations.stamps import iso

NOTHING = '"series": [], "amounts": [], "arrival": null'
"""Where there are no numbers."""
_RATES = {"rate": "rate", "rate.mean": "mean"} | {f"rate.p{share}": f"p{share}" for share in (10, 25, 50, 75, 90)}
_CHANCE, _CHANCE_OF_AMOUNT, _AMOUNT, _ARRIVAL = "prob.rate.", "prob.amount.", "amount.", "arrival"
_WET = "0.1"
_HERE = "@"


@dataclass(frozen=True)
class Form:
    """The JSON of an issue at any place, with ``%s`` where numbers go.

    Args:
        text: of `series` and `amounts`.
        planes: of points.bin, whose numbers go there.
        arrival: of `arrival`.
        arrival_planes: likewise.
        times: of the leads of the rate, in seconds since 1970.
        rate: the planes of the rate.
        chance: of the probability of rain; None if there are no such.
    """

    text: str
    planes: np.ndarray
    arrival: str
    arrival_planes: np.ndarray
    times: tuple[float, ...]
    rate: slice
    chance: slice | None

    def filled(self, bits: np.ndarray) -> str:
        """`series`, `amounts` and `arrival` at a place, from the numbers of all planes there."""
        arrivals = bits[self.arrival_planes]  # infinite where it does not rain; not known is not that
        is_known = not np.isnan(arrivals.view(np.float16)).any()
        arrival = self.arrival % tuple(texts(arrivals)) if is_known else "null"
        return f'{self.text % tuple(texts(bits[self.planes]))}, "arrival": {arrival}'


def form_of(file: PointFile, issued: float) -> Form:
    """The form of an issue.

    Args:
        file: its series.
        issued: its time, in seconds since 1970.
    """
    found = _FORMS.get(file)
    if found is None:
        found = _FORMS[file] = _made(file, issued)
    return found


def prepare(file: PointFile, issued: float) -> None:
    """Make what the first answers of an issue would have to wait for."""
    form_of(file, issued)
    _texts()


_FORMS: WeakKeyDictionary[PointFile, Form] = WeakKeyDictionary()


def _made(file: PointFile, issued: float) -> Form:
    names, planes, arrivals = file.variables, list[int](), list[int]()
    leads = file.leads("rate") if "rate" in names else ()
    series = [_row(file, number, lead, issued, planes) for number, lead in enumerate(leads)]
    amounts = [_amount(file, name, planes) for name in names if name.startswith(_AMOUNT)]
    arrival = {
        name.removeprefix(_ARRIVAL).lstrip(".") or "rate": _hole(file, name, 0, arrivals)
        for name in names
        if name.startswith(_ARRIVAL)
    }
    return Form(
        _with_holes({"series": series, "amounts": amounts})[1:-1],
        np.array(planes, np.intp),
        _with_holes(arrival or None),
        np.array(arrivals, np.intp),
        tuple(issued + 60 * lead for lead in leads),
        file.planes("rate") if leads else slice(0),
        file.planes(_CHANCE + _WET) if _CHANCE + _WET in names else None,
    )


def _row(file: PointFile, number: int, lead: float, issued: float, planes: list[int]) -> dict[str, Any]:
    """A lead."""
    row: dict[str, Any] = {"time": iso(issued + 60 * lead), "lead": lead}
    row |= {label: _hole(file, name, number, planes) for name, label in _RATES.items() if name in file.variables}
    chances = _chances(file, _CHANCE, number, planes)
    return row | ({"probability": chances} if chances else {})


def _amount(file: PointFile, name: str, planes: list[int]) -> dict[str, Any]:
    """A span from the issue on."""
    span = name.removeprefix(_AMOUNT)
    row = {"minutes": float(span), "amount": _hole(file, name, 0, planes)}
    chances = _chances(file, f"{_CHANCE_OF_AMOUNT}{span}.", 0, planes)
    return row | ({"probability": chances} if chances else {})


def _chances(file: PointFile, begin: str, number: int, planes: list[int]) -> dict[str, str]:
    return {
        name.removeprefix(begin): _hole(file, name, number, planes) for name in file.variables if name.startswith(begin)
    }


def _hole(file: PointFile, name: str, number: int, planes: list[int]) -> str:
    """Where the number of a plane goes; the plane is added."""
    planes.append(range(file.count)[file.planes(name)][number])
    return _HERE


def _with_holes(content: Mapping[str, Any] | None) -> str:
    return json.dumps(content).replace("%", "%%").replace(f'"{_HERE}"', "%s")


def texts(bits: np.ndarray) -> list[str]:
    """Numbers of half precision, by their bits, as JSON with four digits; null for what is not known or infinite."""
    table = _texts()
    return [table[one] for one in bits.tolist()]


def numbers(bits: np.ndarray) -> list[float | None]:
    """The same numbers."""
    return [None if one == "null" else float(one) for one in texts(bits)]


@lru_cache(maxsize=1)
def _texts() -> tuple[str, ...]:
    """The text of every number of half precision."""
    values = np.arange(2**16, dtype=np.uint16).view(np.float16).tolist()
    return tuple(repr(float(f"{one:.4g}")) if math.isfinite(one) else "null" for one in values)
