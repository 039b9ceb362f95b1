"""Radar files in, a forecast file out: lead by lead, so that a continent at full resolution fits into memory.

A frame is written, and reduced for pictures, before the next one is made, where the forecaster makes them one after the
other (`echocast.models.base.LeadByLead`). Members of an ensemble are made together.

>>> made = write(["radar/"], "lagrangian", Path("forecast.nc"), minutes=90)  # doctest: +SKIP
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from echocast import nowcast as nowcasts
from echocast.fields import amounts
from echocast.io import forecast_formats, reading
from echocast.io.forecast_leads import Leads, without_values
from echocast.io.location import Location
from echocast.models._expected import ExpectedRain
from echocast.models.base import Forecaster
from echocast.nowcast.blending import blended
from echocast.nowcast.blending.choosing import Nwp
from echocast.nowcast.past import Selection
from echocast.plotting import reducing
from echocast.samples import segments, tensors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Beside:
    """What a forecast is made from beside the frames.

    Args:
        nwp: the weather model that it is blended into.
        covariates: by name, the files of what the model is given.
    """

    nwp: Nwp | None = None
    covariates: nowcasts.Files = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """A forecast that was written: on the grid of pictures, and how large it is in the file."""

    shown: "nowcasts.Nowcast"
    """Forecast and past; where the grid is large they are means over blocks of cells (`echocast.plotting.reducing`)."""

    shape: tuple[int, int]
    """Rows and columns of the file."""


def write(
    inputs: Iterable[Location],
    model: str | Path,
    out: Path,
    *,
    minutes: float = 90,
    members: int | None = None,
    select: Selection = Selection(),  # noqa: B008  # it is frozen
    options: reading.ReadOptions | str | None = None,
    beside: Beside = Beside(),  # it is frozen
    command: str = "echocast.nowcast.writing.write",
) -> Written:
    """Forecast from the newest frames, and write the forecast as `echocast.nowcast.to_file` does.

    The file is that of `echocast.nowcast.nowcast` and `to_file`, bit for bit; arguments and errors are theirs. With
    `beside.nwp` it is that of `echocast.nowcast.blending.blended.forecast_from`.
    """
    forecaster, found = nowcasts.begun(inputs, model, select, options)
    began = time.monotonic()
    by, past = reducing.factor(found.field), found.field
    seen = reducing.reduced_frames(past.assign_coords(observed=("time", segments.observed(past))), by)
    notes = nowcasts.notes(model, found)
    given = beside.covariates
    if members is None and beside.nwp is None:
        forecast = streamed(
            past, forecaster, out, minutes=minutes, notes=notes, command=command, by=by, covariates=given
        )
    else:
        if beside.nwp is None:
            made = nowcasts.forecast_from(past, forecaster, minutes=minutes, members=members, covariates=given)
        else:
            made = blended.forecast_from(
                past, forecaster, beside.nwp, minutes=minutes, members=members, covariates=given
            )
        made.attrs |= notes
        nowcasts.to_file(made, out, command=command)
        forecast = reducing.reduced_frames(made, by)
    log.info(
        "%d lead times written, %.1f s since the frames were read", forecast.sizes["lead"], time.monotonic() - began
    )
    shown = nowcasts.Nowcast(forecast, seen, found.files, found.passed_over, found.missing)
    return Written(shown, (past.sizes["y"], past.sizes["x"]))


def streamed(
    past: xr.DataArray,
    forecaster: Forecaster,
    out: Path,
    *,
    minutes: float,
    notes: dict[str, str],
    command: str,
    by: int,
    covariates: nowcasts.Files | None = None,
) -> xr.DataArray:
    """Write the forecast that follows a field's frames as it is made.

    Args:
        past: the frames.
        forecaster: of forecasts without members.
        out: the file, whose suffix says what is written.
        minutes: how far to forecast, rounded up to whole time steps.
        notes: attributes that say where it comes from.
        command: what the history says made it.
        by: cells along the side of a block of the result.
        covariates: by name, the files of what the forecaster is given.

    Returns:
        The forecast as means over blocks, for pictures. Errors are those of `echocast.nowcast.forecast_from` and
        `to_file`.
    """
    steps = nowcasts.steps_of(past, forecaster, minutes)
    forecast = tensors.of_values(without_values((steps, past.sizes.get("channel", 1), *past.shape[-2:])), past)
    forecast.attrs |= nowcasts.origin(forecaster) | notes
    context, kept, name = nowcasts.told(past, forecaster, steps, covariates), [], str(past.name)
    summed = nowcasts.wants_expected(forecaster, past)
    # Pictures of a large grid have a past of their own; of others it is copied: the forecaster may write into it.
    tensor = tensors.to_tensor(past) if by == 1 else tensors.taken(past)

    def frames() -> Iterator[Mapping[str, np.ndarray]]:
        rule = ExpectedRain(tensor, steps, context) if summed else None
        for lead, frame in enumerate(forecaster.leads(tensor, steps, context)):
            values = frame[0].cpu().to(torch.float32).numpy()
            values = values if "channel" in past.dims else values[0]
            kept.append(reducing.means(values, by))
            yield {name: values} | ({} if rule is None else {amounts.MEAN: rule.of(frame, lead)[0, 0].numpy()})

    products = amounts.beside(without_values(forecast.shape)) if summed else None
    leads = Leads((name, amounts.MEAN) if summed else (name,), frames())
    forecast_formats.to_file(forecast, out, products=products, command=command, leads=leads)
    return reducing.reduced(forecast, np.stack(kept), by)
