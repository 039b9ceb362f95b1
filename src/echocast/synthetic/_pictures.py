"""Sequences of pictures as a field: what all makers of pictures share."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import UInt8

from echocast import fields
from echocast.io import palette


def as_field(
    stored: UInt8[np.ndarray, "sequence frame *channel y x"], *, source: str, channels: Sequence[str] = ()
) -> xr.DataArray:
    """Sequences one after the other as a field of pictures, grey levels from 0 to 1.

    Its values are made of the 8 bits when they are read, so a field takes a quarter of the memory of its numbers.

    Args:
        stored: grey levels from 0 to 255.
        source: what the pictures are, for the attribute of that name.
        channels: the names of the channels, if there is an axis of them.

    Returns:
        (time, y, x) or (time, channel, y, x): a frame a minute, with a gap in time between sequences, so that each is
        a segment of its own.
    """
    count, frames, *shape = stored.shape
    minutes = (2 * frames * np.arange(count)[:, None] + np.arange(frames)).ravel()
    times = np.datetime64("2000-01-01", "ns") + minutes * np.timedelta64(1, "m")
    one = fields.make(
        np.zeros((1, *shape)), time=times[:1], y=range(shape[-2]), x=range(shape[-1]), quantity="image",
        channels=channels, attrs={"source": source},
    )  # fmt: skip
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    dataset = xr.Dataset(
        {
            palette.INDEX: (one.dims, stored.reshape(-1, *shape)),
            palette.PALETTE: ("value", levels, one.attrs | {"quantity": str(one.name)}),
        },
        coords={
            "time": ("time", times, one.time.attrs),
            "y": one.y,
            "x": one.x,
            "observed": ("time", np.ones(len(times), bool)),
        },
        attrs={palette.CHANNELS: list(channels)} if channels else {},
    )
    return fields.check(palette.decoded(dataset))
