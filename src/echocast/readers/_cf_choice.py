"""Which variable of a CF dataset is the rain: by its standard name, else by unit and name together.

Errors, qualities, counts, flags and what else only goes with rain is never taken unasked, wherever it stands in the
file, and of two variables that could equally be meant none is.
"""

import re
from collections.abc import Hashable

import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile, WrongUnits

_STANDARD_NAMES = (
    "rainfall_rate",
    "lwe_precipitation_rate",
    "precipitation_rate",
    "rainfall_flux",
    "precipitation_flux",
    "equivalent_reflectivity_factor",
    "rainfall_amount",
    "precipitation_amount",
    "lwe_thickness_of_precipitation_amount",
    "thickness_of_rainfall_amount",
    "thickness_of_precipitation_amount",
)
_KINDS = ("rate", "reflectivity", "amount")
_CORRECTED = re.compile(
    r"\w+[ _-]?(controlled|control|corrected|correction applied|adjusted|checked|weighted|masked|filtered|removed)\b"
)
_RAIN = re.compile(
    r"rain|precip|prcp|\bprec\b|\bpcp|qpe|\brr\b|\brr?\d+[hm]|\bpr\b|\btp\b|\bsri\b|\bacrr\b|\brate$|^crr\b|niederschlag"
    r"|neerslag|pluie|lluvia|pioggia"
)
_NOT_RAIN = re.compile(
    r"\berr|uncertain|quality|\bqi(nd)?\b|probab|\bprob\b|\bpop\b|count|number|\bnum\b|\bnobs\b|flag|mask|status|std|"
    r"deviation|varian|sigma|spread|\bbias|ratio|fraction|percent|quantile|frequen|duration|confiden|index|\bclass|"
    r"\btypes?\b|weight|precipitable|anomal|difference|climatolog|noise|threshold|detect|evapo|runoff|forecast|nowcast|"
    r"predicted|convective|stratiform|large.?scale|\bage\b|\bid\b|scaling|coefficient|residual|interval"
)
_NOT_RAIN_BY_NAME = re.compile(r"snow|graupel|hail|solid|\bice|phase|velocity|wind|\bcml\b")
_NOT_AN_AMOUNT = re.compile(r"content|\bpath\b|column|vertically|height|altitude|\btop\b|storage")


def variable(data: xr.Dataset, wanted: str | None = None, units: str | None = None) -> str:
    """The name of the variable that holds rain.

    Args:
        data: as xarray opens it, not decoded.
        wanted: the variable that the caller names.
        units: the unit that the caller names, for variables without one.

    Raises:
        UnreadableFile: there is none, or several that could be meant; the message lists them.
    """
    if wanted:
        if wanted not in data.variables:
            raise UnreadableFile(f"has no variable {wanted!r}; it holds {listed(data)}")
        return wanted
    ranks = {name: rank for name in data.data_vars if (rank := _rank(data, name, units)) is not None}
    best = [str(name) for name, rank in ranks.items() if rank == min(ranks.values())]
    if not best:
        raise UnreadableFile(
            "has no variable in mm/h, dBZ or mm on a grid that is named like rain; it holds"
            f" {listed(data)}: name one with --variable and --units"
        )
    if len(best) > 1:
        raise UnreadableFile(f"holds {' and '.join(best)}, which may both be meant: name one with --variable")
    return best[0]


def text(attrs: dict[str, object], key: str) -> str:
    """An attribute as text, whatever the file made of it; empty if there is none."""
    found = attrs.get(key, "")
    if getattr(found, "ndim", 0) or isinstance(found, list | tuple):
        found = found[0] if len(found) else ""  # type: ignore[index,arg-type]
    return (found.decode("latin-1") if isinstance(found, bytes) else str(found)).strip("\x00 ")


def kind(units: str) -> str | None:
    """What a unit measures (`echocast.fields.kind_of_unit`), None if it is not known."""
    try:
        return fields.kind_of_unit(units)
    except WrongUnits:
        return None


def _rank(data: xr.Dataset, name: Hashable, units: str | None) -> tuple[int, int] | None:
    """How well a variable fits, the lower the better; None if it cannot be the rain."""
    found = data.variables[name]
    attrs = found.attrs
    standard, measured = text(attrs, "standard_name"), kind(text(attrs, "units") or units or "")
    if found.ndim < 2 or found.dtype.kind not in "iuf" or "flag_values" in attrs or "flag_meanings" in attrs:
        return None
    if " " in standard or name in _companions(data) or _is_no_rain(str(name), attrs, measured):
        return None
    for place, wanted in enumerate(_STANDARD_NAMES):
        if wanted in (standard, name):
            return (0, place)
    if measured is None or not (measured == "reflectivity" or _RAIN.search(_words(str(name), attrs))):
        return None
    return (1, _KINDS.index(measured))


def _is_no_rain(name: str, attrs: dict[str, object], measured: str | None) -> bool:
    words, own = _words(name, attrs), _plain(name) + " " + _plain(text(attrs, "standard_name"))
    methods = text(attrs, "cell_methods")
    return bool(
        _NOT_RAIN.search(_CORRECTED.sub(" ", words))
        or _NOT_RAIN_BY_NAME.search(own)
        or (measured == "amount" and _NOT_AN_AMOUNT.search(words))
        or re.search(r"standard_deviation|variance|range", methods)
    )


def _companions(data: xr.Dataset) -> set[str]:
    """The variables that others name as going with them."""
    keys = ("ancillary_variables", "bounds", "coordinates", "cell_measures")
    return {word for v in data.variables.values() for key in keys for word in text(v.attrs, key).split()}


def _words(name: str, attrs: dict[str, object]) -> str:
    return " ".join(_plain(part) for part in (text(attrs, "long_name"), text(attrs, "standard_name"), name) if part)


def _plain(words: str) -> str:
    """Words in lower case with spaces between them: ``RainRate_error`` is ``rain rate error``."""
    return re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words)).strip().lower()


def listed(data: xr.Dataset) -> str:
    """The variables of a dataset with their units, for messages."""
    return ", ".join(f"{n} [{text(v.attrs, 'units') or 'no unit'}]" for n, v in data.data_vars.items()) or "nothing"
