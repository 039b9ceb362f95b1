"""The forecast of a radar's frames, blended into the run of a weather model."""

import logging
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields
from echocast import nowcast as nowcasts
from echocast.errors import DataError, ModelError
from echocast.fields import amounts
from echocast.io import model_runs
from echocast.models import base as models
from echocast.nowcast.blending import linear, rain, salient, scales, steps
from echocast.nowcast.blending.base import BETWEEN, Sources
from echocast.nowcast.blending.choosing import Nwp, chosen
from echocast.nowcast.blending.skill import Skill, recent
from echocast.samples import tensors

log = logging.getLogger(__name__)

METHODS: dict[str, ModuleType] = {"scales": scales, "linear": linear, "salient": salient, "steps": steps}
_PLACE_KM = 20.0
"""The displacement of the NWP's members where the skill that would tell it is not known."""
_MOST_PLACES = 2.5
"""A displacement is at most so many standard deviations."""
_SEED = 2018


def forecast_from(
    past: xr.DataArray,
    forecaster: models.Forecaster | str | Path,
    nwp: Nwp,
    *,
    minutes: float = 360,
    members: int | None = None,
    kept: model_runs.Kept | None = None,
    covariates: nowcasts.Files | None = None,
) -> xr.DataArray:
    """The forecast (lead, y, x), or (member, lead, y, x), blended into a weather model.

    The members of a run are taken in turn. Of a run without members each member of the forecast takes the rain
    displaced, the first not: by so much as the run's skill on the newest frames says that rain is out of place. A
    forecast without members takes the first member of a run.

    Where no run can be used the forecast is that of `echocast.nowcast.forecast_from`; the log and the attribute ``nwp``
    tell why. A blended one has the coordinate ``nwp_weight`` (lead) and the attributes ``nwp``, ``nwp_files`` and
    ``nwp_reference_time``.

    Args:
        past: a field of rain rates, oldest frame first.
        forecaster: itself, its name, or the path of a checkpoint.
        nwp: the files of the weather model, and the method.
        minutes: how far to forecast, rounded up to whole time steps.
        members: how many futures an ensemble forecaster makes; None for one forecast.
        kept: the runs that were read before, of a service.
        covariates: by name, the files of what the forecaster is given beside the frames.

    Raises:
        DataError: `nwp.strict`, and no run can be used.
        ModelError: no such method, or one that these frames do not suffice for.
    """
    if nwp.method not in METHODS:
        raise ModelError(f"there is no blending {nwp.method!r}; there are: {', '.join(METHODS)}")
    fields.check(past, quantity=fields.NAME)
    if "channel" in past.dims:
        raise DataError("frames with channels are not blended; give frames of one rain rate")
    forecaster = forecaster if isinstance(forecaster, models.Forecaster) else models.resolve(forecaster)
    count = nowcasts.steps_of(past, forecaster, minutes)
    run, why = chosen(nwp, past, minutes, kept)
    if run is None:
        log.warning("no NWP: %s; the forecast is the nowcast alone", why)
        made = nowcasts.forecast_from(past, forecaster, minutes=minutes, members=members, covariates=covariates)
        made.attrs["nwp"] = f"not used: {why}"
        return made
    return _blended(past, forecaster, nwp, run, count, members, covariates)


def _blended(
    past: xr.DataArray,
    forecaster: models.Forecaster,
    nwp: Nwp,
    run: xr.DataArray,
    count: int,
    members: int | None,
    covariates: nowcasts.Files | None,
) -> xr.DataArray:
    step = fields.time_step(past.time.values)
    minutes = np.arange(1, count + 1) * float(step / np.timedelta64(1, "m"))
    times = past.time.values[-1] + np.arange(1, count + 1) * step
    method, grid_km = METHODS[nwp.method], fields.grid_km(past)
    between = nwp.between or BETWEEN
    model = rain.on_grid(run, past, times)
    skill = recent(past, forecaster, model, grid_km) if method is scales or members else None
    if members and "member" not in run.dims:
        model = rain.on_grid(run, past, times, _displacements(members, skill, grid_km))
    hands_over = model.is_whole() and (method is not scales or skill is None or nwp.between is not None)
    alone = int(np.count_nonzero(minutes < between[1])) or 1 if hands_over else count
    until = float(minutes[min(alone, count) - 1])
    first = nowcasts.forecast_from(past, forecaster, minutes=until, members=members, covariates=covariates)
    values = first.values if members else first.values[None]
    sources = Sources(
        past,
        values,
        model,
        minutes,
        between,
        grid_km,
        skill=skill,
        has_members=members is not None,
        is_asked=nwp.between is not None,
    )
    made = method.blend(sources)
    forecast = tensors.of_values((made.values if members else made.values[0])[..., None, :, :], past)
    began = fields.format_time(run.forecast_reference_time.values)
    log.info("blended into %s by %s", model_runs.name(run), made.told)
    forecast.attrs |= nowcasts.origin(forecaster) | made.attrs
    forecast.attrs |= {
        "nwp": f"blended into the run of {began} UTC; {made.told}",
        "nwp_reference_time": f"{str(run.forecast_reference_time.values)[:16]}Z",
        "nwp_files": " ".join(nwp.inputs),
    }
    if amounts.MEAN in first.coords and method is not steps:
        expected = method.blend(replace(sources, nowcast=first[amounts.MEAN].values[None])).values[0]
        forecast = amounts.with_expected(forecast, expected)
    return forecast.assign_coords(nwp_weight=("lead", made.weight.astype(np.float32), _about_weight(made.told)))


def _about_weight(told: str) -> dict[str, Any]:
    about = "mean over the cells; where the nowcast knows nothing the NWP has all the weight"
    return {
        "long_name": "weight of the NWP: 0 is the nowcast alone, 1 the NWP alone",
        "units": "1",
        "comment": f"{told}; {about}",
    }


def _displacements(members: int, skill: Skill | None, grid_km: float) -> tuple[tuple[int, int], ...]:
    """Rows and columns by which each member takes the NWP's rain displaced; the first not."""
    known = skill is not None and np.isfinite(skill.model).any()
    spread = skill.place_error_km() if skill is not None and known else _PLACE_KM
    drawn = np.random.default_rng(_SEED).standard_normal((members, 2)).clip(-_MOST_PLACES, _MOST_PLACES)
    drawn[0] = 0.0
    cells = np.round(drawn * spread / grid_km).astype(int)
    log.info("members take the NWP's rain displaced by %.0f km (standard deviation along each axis)", spread)
    return tuple((int(down), int(right)) for down, right in cells)
