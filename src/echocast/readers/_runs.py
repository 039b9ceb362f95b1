"""The run of a model as a forecast: what the readers of model files share.

A run has the dims ``(lead, y, x)``, with ``member`` before them where there are several, ``forecast_reference_time``
(when the run began), and for each lead ``lead_start``: from when on its value holds. It is the lead itself for what is
known at a moment; rain is the mean rate from there to the lead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from echocast import fields
from echocast.errors import UnreadableFile


@dataclass(frozen=True)
class Step:
    """The values (y, x) of one step, which hold from `start` to `end`."""

    start: np.datetime64
    end: np.datetime64
    values: np.ndarray


def run(
    members: Sequence[Sequence[Step]],
    *,
    began: np.datetime64,
    grid: tuple[np.ndarray, np.ndarray, Any],
    quantity: str,
    attrs: dict[str, str],
    numbers: Sequence[int] = (),
) -> xr.DataArray:
    """The checked forecast of a run.

    Args:
        members: the steps of each member, in the order of time; of one without members a row of one.
        began: the time of the analysis that it started from.
        grid: coordinates of y and x, and the projection.
        quantity: what the values are, in its unit.
        attrs: what the file says of it, such as ``level``.
        numbers: of the members; none if it has no members.

    Raises:
        UnreadableFile: the members have different steps, or there is no step.
    """
    first, (y, x, crs) = members[0], grid
    ends = [step.end for step in first]
    for number, other in zip(numbers, members, strict=False):
        if [step.end for step in other] != ends:
            raise UnreadableFile(
                f"member {number} has {len(other)} steps, and member {numbers[0]} has {len(ends)} or others; give the"
                " missing steps, or one member with --variable"
            )
    if not ends:
        raise UnreadableFile(f"holds no step of the run of {fields.format_time(began)} UTC; fetch the file again")
    frames = fields.make(
        np.stack([step.values for step in first]), time=ends, y=y, x=x, crs=crs, quantity=quantity, attrs=attrs
    )
    values = frames.values if not numbers else np.stack([[step.values for step in one] for one in members])
    starts = np.array([step.start for step in first], "datetime64[ns]")
    return _forecast(frames, np.asarray(values, np.float32), began.astype("datetime64[ns]"), starts, numbers)


def _forecast(
    frames: xr.DataArray, values: np.ndarray, began: np.datetime64, starts: np.ndarray, numbers: Sequence[int]
) -> xr.DataArray:
    ends, period = frames.time.values, {"standard_name": "forecast_period"}
    coords: dict[str, Any] = {
        "lead": ("lead", ends - began, period | {"long_name": "time since the run began"}),
        "lead_start": ("lead", starts - began, {"long_name": "from when on the value of a lead holds"}),
        "forecast_reference_time": ((), began, {"standard_name": "forecast_reference_time"}),
        "time": ("lead", ends, {"standard_name": "time", "long_name": "time the forecast is valid for"}),
    } | {name: frames.coords[name] for name in ("y", "x", "crs")}
    if numbers:
        coords["member"] = ("member", np.asarray(numbers, np.int32), {"standard_name": "realization", "units": "1"})
    dims = (*(["member"] if numbers else []), "lead", "y", "x")
    return fields.check(xr.DataArray(values, dims=dims, coords=coords, name=frames.name, attrs=dict(frames.attrs)))
