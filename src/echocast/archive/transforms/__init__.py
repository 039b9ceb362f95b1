"""Transforms of fields on their way into the archive: crop, coarsen, regrid, smooth, clip, mask.

Each module holds one transform: a function of the module's name from a field to a field, whose keyword-only arguments
are its settings. The archive keeps its transforms as text and applies them to every later frame. Rain is a mean over a
cell, so transforms that change the cells keep the rain that falls on an area (`coarsen`, `resize`: exactly; `regrid`:
as finely as it samples), and a new cell is missing where less than half of it was observed.

    >>> transforms = parse(["crop left=0 right=200000 bottom=0 top=200000", "coarsen factor=2"])
    >>> [str(transform) for transform in transforms]
    ['crop left=0.0 right=200000.0 bottom=0.0 top=200000.0', 'coarsen factor=2']
"""

import inspect
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr

from echocast import fields, plugins
from echocast.errors import DataError

_PACKAGE = "echocast.archive.transforms"
_MEANS = ("coarsen", "regrid")
"""Transforms that cannot be applied to class numbers."""


@dataclass(frozen=True)
class Transform:
    """One named transform with its settings."""

    name: str
    settings: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return " ".join([self.name, *(f"{key}={shlex.quote(str(value))}" for key, value in self.settings)])

    def __call__(self, field: xr.DataArray) -> xr.DataArray:
        if "channel" in field.dims:
            each = [self(field.isel(channel=number, drop=True)) for number in range(field.sizes["channel"])]
            joined = xr.concat(each, field.channel).transpose("time", "channel", "y", "x")
            return fields.check(joined.assign_coords(channel=field.channel))
        if fields.is_whole(field) and self.name in _MEANS:
            raise DataError(
                f"{self.name} takes means of cells, and a mean of class numbers is no class; use resize, crop or centre"
            )
        return fields.check(_function(self.name)(field, **dict(self.settings)))


def names() -> list[str]:
    """The names of all transforms."""
    return plugins.names(_PACKAGE)


def parse(texts: Iterable[str]) -> tuple[Transform, ...]:
    """The transforms that texts describe, ``name key=value ...``; raises `DataError` for a wrong name, key or value."""
    return tuple(_parsed(text) for text in texts)


def apply(field: xr.DataArray, transforms: Sequence[Transform]) -> xr.DataArray:
    """The field after all transforms, in their order; raises `DataError` if one cannot be applied to it."""
    for transform in transforms:
        field = transform(field)
    return field


def _function(name: str) -> Callable[..., xr.DataArray]:
    made: Callable[..., xr.DataArray] = getattr(plugins.load(_PACKAGE, name, error=DataError), name)
    return made


def _parsed(text: str) -> Transform:
    name, settings = _split(text)
    keywords = [p for p in inspect.signature(_function(name)).parameters.values() if p.kind is p.KEYWORD_ONLY]
    lacking = [p.name for p in keywords if p.default is p.empty and p.name not in settings]
    if lacking:
        raise DataError(f"transform {text!r} lacks {', '.join(lacking)}")

    def transform(**known: Any) -> Transform:
        return Transform(name, tuple(known.items()))

    # `construct` checks the settings by the signature of the transform itself.
    transform.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    transform.__annotations__ = {p.name: p.annotation for p in keywords}
    return plugins.construct(transform, settings, where=f"transform {name}", error=DataError)


def _split(text: str) -> tuple[str, dict[str, str]]:
    """The name and the settings of a text."""
    try:
        name, *words = shlex.split(text) or [""]
    except ValueError as bad:
        raise DataError(f"transform {text!r} cannot be read ({bad})") from bad
    if name not in names():
        raise DataError(f"{name!r} is no transform; there are: {', '.join(names())}")
    settings = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise DataError(f"transform {text!r}: {word!r} is not of the form key=value")
        settings[key] = value
    return name, settings
