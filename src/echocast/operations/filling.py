"""A missing frame made from its two neighbours, each carried half-way along the motion between them."""

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Shaped

from echocast import fields
from echocast.motion.advection import advect
from echocast.motion.flow import dense_flow


def filled(field: xr.DataArray, times: Shaped[np.ndarray, "missing"]) -> xr.DataArray:
    """The field with a frame added at each of some times, which lie between two of its frames.

    Raises:
        ValueError: there is no frame on both sides.
    """
    for time in times:
        after = int(np.searchsorted(field.time.values, time))
        if not 0 < after < field.sizes["time"]:
            raise ValueError(f"{time}: a frame can only be made between two others")
        made = field[after : after + 1].assign_coords(time=("time", [time], field.time.attrs))
        made = made.copy(data=halfway(field.values[after - 1], field.values[after])[None])
        field = xr.concat([field[:after], made, field[after:]], dim="time", join="override", combine_attrs="override")
    return fields.check(field)


def halfway(before: Float[np.ndarray, "y x"], after: Float[np.ndarray, "y x"]) -> Float[np.ndarray, "y x"]:
    """The frame in the middle of two: the mean of both, carried half-way; where one is not known, the other.

    What neither tells is NaN.
    """
    motion = torch.from_numpy(np.asarray(dense_flow(np.stack([before, after]), pairs=1), np.float32))[None] / 2
    ahead, back = (
        advect(torch.from_numpy(frame.copy())[None, None], way, 1)[0, 0, 0].numpy()
        for frame, way in ((before, motion), (after, -motion))
    )
    both = np.where(np.isnan(ahead), back, np.where(np.isnan(back), ahead, (ahead + back) / 2))
    return np.asarray(both, np.float32)
