"""Fields in, fields of classes out, stretch by stretch.

>>> import torch
>>> from echocast import fields
>>> from echocast.segmentation.unet import UNet
>>> times = np.datetime64("2000-01-01", "ns") + np.arange(3) * np.timedelta64(1, "s")
>>> frames = fields.make(np.zeros((3, 6, 8)), time=times, y=range(6), x=range(8), quantity="image")
>>> found = segment(UNet(classes=2, upscale=2), frames)
>>> found.name, found.sizes["y"], found.x.values[:3].tolist()
('label', 12, [-0.25, 0.25, 0.75])
"""

from collections.abc import Iterable, Iterator

import numpy as np
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from echocast import fields
from echocast.errors import DataError
from echocast.samples.tensors import IGNORED, to_tensor
from echocast.segmentation.base import Segmenter

LENGTH = 32
"""Frames that are worked on at a time."""


def segment(network: Segmenter, field: xr.DataArray, *, memory: int | None = None) -> xr.DataArray:
    """The class of every cell of a field, NaN where nothing is observed.

    Args:
        network: with weights.
        field: of the quantity that the network was trained on, on an unbroken clock.
        memory: after so many frames the network starts afresh; None: never.

    Returns:
        A field of the quantity ``label``, on the grid of the field or on one `network.upscale` times as fine.

    Raises:
        DataError: another quantity or number of channels, or an infinite value.
        MissingFrames: no frame, or one in which nothing is observed.
    """
    parts = (field[n : n + LENGTH] for n in range(0, max(field.sizes["time"], 1), LENGTH))
    return xr.concat(
        list(stretches(network, parts, memory=memory)), "time", coords="minimal", compat="override", join="override"
    )


def stretches(
    network: Segmenter, parts: Iterable[xr.DataArray], *, memory: int | None = None
) -> Iterator[xr.DataArray]:
    """`segment` for a sequence that comes in parts, each following on the one before."""
    waiting: list[xr.DataArray] = []

    def tensors() -> Iterator[Tensor]:
        for part in parts:
            network.check_quantity(str(part.name))
            channels = part.sizes.get("channel", 1)
            if channels != network.channels:
                raise DataError(
                    f"the frames have {channels} channels, and the model was trained on {network.channels};"
                    " give such frames, or another model"
                )
            waiting.append(part)
            yield to_tensor(part)

    for segmented in network.stretches(tensors(), memory=memory):
        found = segmented.classes[0, :, 0].numpy()
        yield _field(np.where(found == IGNORED, np.nan, found), waiting.pop(), network.upscale)


def _field(values: Float[np.ndarray, "time y x"], like: xr.DataArray, upscale: int) -> xr.DataArray:
    return fields.make(
        values.astype(np.float32),
        time=like.time.values,
        y=_finer(like.y.values, upscale),
        x=_finer(like.x.values, upscale),
        crs=like.crs.attrs["crs_wkt"] if "crs" in like.coords else None,
        quantity="label",
        attrs={"source": str(like.attrs.get("source", ""))},
    )


def _finer(centres: np.ndarray, factor: int) -> np.ndarray:
    """The centres of `factor` cells in place of each."""
    size = float(centres[1] - centres[0]) if len(centres) > 1 else 1.0
    within = (np.arange(factor) - (factor - 1) / 2) * size / factor
    return np.asarray((centres[:, None] + within).ravel())
