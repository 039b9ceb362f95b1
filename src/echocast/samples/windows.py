"""Windows of a field as a PyTorch data set."""

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
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

    def __getitem__(self, number: int) -> Float[Tensor, "time channel y x"]:
        first = int(self.starts[number])
        window = slice(first - self._offset, first - self._offset + self.length)
        return frames_to_tensor((self.field if self._frames is None else self._frames)[window])


def stack(windows: Windows) -> Float[Tensor, "batch time channel y x"]:
    """All windows of a set as one batch."""
    return torch.stack([windows[number] for number in range(len(windows))])
