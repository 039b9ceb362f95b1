"""The weather model that forecasts are blended into: what is asked for, and what became of it in a forecast.

The newest usable run is looked for anew for each forecast; files that stay the same are read once. Where no run can be
used the forecast is the nowcast alone: meta.json says so with the reason, the forecast counts as degraded, and the log
has a warning.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from echocast.operations.settings import Settings

if TYPE_CHECKING:
    import xarray as xr

    from echocast.io.model_runs import Kept
    from echocast.models.base import Forecaster

_HOUR_S = 3600.0
_MOST_WARNINGS = 8


@dataclass(frozen=True)
class NwpWish:
    """What is asked for; the names and units are those of `echocast.nowcast.blending.choosing.Nwp`."""

    inputs: tuple[str, ...]
    method: str
    between: tuple[float, float] | None
    variable: str | None
    units: str | None
    max_age_hours: float


def wish_of(chosen: Settings) -> NwpWish | None:
    """What the settings ask for; None without a weather model."""
    if not chosen.nwp:
        return None
    return NwpWish(
        tuple(chosen.nwp),
        chosen.blend,
        chosen.blend_between,
        chosen.nwp_variable,
        chosen.nwp_units,
        chosen.nwp_max_age / _HOUR_S,
    )


def forecast(
    past: "xr.DataArray", forecaster: "Forecaster", wish: NwpWish, minutes: float, members: int | None
) -> tuple["xr.DataArray", dict[str, Any]]:
    """The blended forecast, and what meta.json says of the weather model.

    Raises:
        ModelError, DataError: as `echocast.nowcast.blending.blended.forecast_from`.
    """
    from echocast.nowcast.blending import blended
    from echocast.nowcast.blending.choosing import Nwp

    with _warnings() as warnings:
        made = blended.forecast_from(
            past, forecaster, Nwp(**vars(wish)), minutes=minutes, members=members, kept=_kept()
        )
    return made, _about(made) | {"warnings": list(dict.fromkeys(warnings))[:_MOST_WARNINGS]}


def _about(made: "xr.DataArray") -> dict[str, Any]:
    told = str(made.attrs["nwp"])
    if "nwp_weight" not in made.coords:
        return {"used": False, "run": None, "reason": told.removeprefix("not used: "), "weights": []}
    weights = [round(float(one), 3) if np.isfinite(one) else None for one in made.nwp_weight.values]
    run = str(made.attrs["nwp_reference_time"]).removesuffix("Z")
    return {"used": True, "run": f"{run}:00Z", "reason": told, "weights": weights}


@lru_cache(maxsize=1)
def _kept() -> "Kept":
    from echocast.io.model_runs import Kept

    return Kept()


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The warnings of the package within the block, which nobody else is told."""
    package, found = logging.getLogger("echocast"), _Found()
    before, propagated = package.handlers[:], package.propagate
    package.handlers[:], package.propagate = [found], False
    try:
        yield found.messages
    finally:
        package.handlers[:], package.propagate = before, propagated


class _Found(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.messages.append(record.getMessage())
