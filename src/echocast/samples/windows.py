"""Windows of a field as a PyTorch data set."""

import numpy as np
import torch
import xarray as xr
from jaxtyping import Int, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from echocast.samples.tensors import frames_to_tensor


class Windows(Dataset[Tensor]):
    """Windows of a field as tensors (past + future, channel, y, x), see `echocast.samples.tensors`.

    Args:
        field: an archive's field, read when needed.
        starts: the first frame of each window.
        past: frames before the forecast.
        future: frames to be forecast.
        in_memory: read all of the field that the windows touch now, once.
    """

    def __init__(
        self,
        field: xr.DataArray,
        starts: Int[np.ndarray, "windows"],
        *,
        past: int,
        future: int,
        in_memory: bool = False,
    ) -> None:
        self.field, self.starts, self.past, self.length = field, starts, past, past + future
        self._offset = 0
        self._frames: xr.DataArray | None = None
        if in_memory and len(starts):
            self._offset = int(starts.min())
            self._frames = field[self._offset : int(starts.max()) + self.length].load()

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, number: int) -> Shaped[Tensor, "time channel y x"]:
        return frames_to_tensor(self.frames(int(self.starts[number]), self.length))

    def frames(self, first: int, count: int, *, stride: int = 1) -> xr.DataArray:
        """`count` frames from the field's frame `first` on, each `stride` frames after the one before; no copy."""
        begin = first - self._offset
        held = self.field if self._frames is None else self._frames
        return held[begin : begin + count * stride : stride]


def stack(windows: Windows) -> Shaped[Tensor, "batch time channel y x"]:
    """All windows of a set as one batch."""
    return torch.stack([windows[number] for number in range(len(windows))])
