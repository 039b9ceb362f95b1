"""The door: the only place where a field becomes a tensor and a tensor becomes a field.

A tensor is (batch, time, channel, y, x), float32, in the unit of the field's quantity, NaN where nothing is observed.
Label maps are the exception: whole numbers (int64), `IGNORED` where there is no label, as PyTorch's losses want them.

    >>> import numpy as np
    >>> from echocast import fields
    >>> times = np.datetime64("2016-07-01", "ns") + np.arange(2) * np.timedelta64(5, "m")
    >>> past = fields.make(np.ones((2, 4, 5)), time=times, y=range(4), x=range(5), crs="EPSG:3857")
    >>> tuple(to_tensor(past).shape), to_forecast(to_tensor(past), past).dims
    ((1, 2, 1, 4, 5), ('lead', 'y', 'x'))
"""

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Shaped
from torch import Tensor

from echocast import fields
from echocast.context import Context

IGNORED = -100
"""The class number of cells without a label: what `torch.nn.functional.cross_entropy` ignores by itself."""


def frames_to_tensor(frames: xr.DataArray) -> Shaped[Tensor, "time channel y x"]:
    """Some frames of a field, (time, y, x) or (time, channel, y, x), as a tensor with a channel axis."""
    tensor = torch.from_numpy(np.array(frames.values, np.float32))
    known = fields.QUANTITIES.get(str(frames.name))
    if known is not None and known.whole:
        tensor = tensor.nan_to_num(IGNORED).to(torch.int64)
    return tensor if "channel" in frames.dims else tensor.unsqueeze(1)


def to_tensor(field: xr.DataArray) -> Shaped[Tensor, "1 time channel y x"]:
    """A field as a batch of one."""
    return frames_to_tensor(field)[None]


def taken(field: xr.DataArray) -> Shaped[Tensor, "1 time channel y x"]:
    """The same in the memory of the field, if it can be: the field is not to be used any more."""
    values = field.values
    if fields.is_whole(field) or values.dtype != np.float32 or not values.flags.writeable:
        return to_tensor(field)
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return (tensor if "channel" in field.dims else tensor.unsqueeze(1))[None]


def context_of(field: xr.DataArray, *, steps: int = 0) -> Context:
    """What a forecaster is told of a field: its cell size, time step, and the valid times of `steps` more frames."""
    step = fields.time_step(field.time.values) if field.sizes["time"] > 1 else None
    return Context(
        grid_km=fields.grid_km(field) if "crs" in field.coords else None,
        time_step_minutes=None if step is None else float(step / np.timedelta64(1, "m")),
        valid_times=None if step is None else field.time.values[-1] + step * np.arange(1, steps + 1),
    )


def to_forecast(future: Float[Tensor, "1 *member_lead channel y x"], past: xr.DataArray) -> xr.DataArray:
    """A forecast issued at the last time of `past`, at its time step and on its grid, of its quantity.

    Args:
        future: (1, lead, channel, y, x), or (1, member, lead, channel, y, x) of an ensemble.
        past: the frames that it follows.

    Returns:
        (lead, y, x), with ``member`` before it and ``channel`` behind it where there are some.
    """
    return of_values(future[0].detach().cpu().to(torch.float32).numpy(), past)


def of_values(values: Float[np.ndarray, "*member_lead channel y x"], past: xr.DataArray) -> xr.DataArray:
    """The same of an array (lead, channel, y, x) or (member, lead, channel, y, x), float32."""
    step, issued = fields.time_step(past.time.values), past.time.values[-1]
    members = len(values) if values.ndim == 5 else 0
    lead = np.arange(1, values.shape[-4] + 1) * step
    channels = "channel" in past.dims
    member = ("member", np.arange(1, members + 1, dtype=np.int32), _REALIZATION)
    forecast = xr.DataArray(
        values if channels else values[..., 0, :, :],
        dims=(*(["member"] if members else []), "lead", *(["channel"] if channels else []), "y", "x"),
        coords=({"member": member} if members else {})
        | {
            "lead": (
                "lead",
                lead,
                {"standard_name": "forecast_period", "long_name": "time since the forecast was issued"},
            ),
            "forecast_reference_time": ((), issued, {"standard_name": "forecast_reference_time"}),
            "time": ("lead", issued + lead, {"standard_name": "time", "long_name": "time the forecast is valid for"}),
        }
        | {name: past.coords[name] for name in ("y", "x", "crs", "channel") if name in past.coords},
        name=past.name,
        attrs=dict(past.attrs),
    )
    return fields.check(forecast)


_REALIZATION = {"standard_name": "realization", "long_name": "number of the member", "units": "1"}
