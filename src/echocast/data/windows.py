"""The door: the only place where a field becomes a tensor and a tensor becomes a field.

A run is a stretch of frames without a missing one; a window is `past` and `future` frames inside one run. Splits go by
run, so train, validation and test never share one.

    >>> import numpy as np
    >>> from echocast import field
    >>> times = np.datetime64("2016-07-01", "ns") + np.arange(6) * np.timedelta64(5, "m")
    >>> frames = field.make(np.zeros((6, 4, 4)), time=times, y=range(4), x=range(4), crs="EPSG:3857")
    >>> starts(runs(frames), past=2, future=3, stride=1).tolist()
    [0, 1]
"""

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from echocast import field as fields
from echocast.errors import DataError, MissingFrames

PARTS = ("all", "train", "validation", "test")
FRACTIONS = (0.7, 0.15, 0.15)
"""How a field's frames go to train, validation and test, in the order of time."""


def runs(field: xr.DataArray) -> list[slice]:
    """The longest stretches of frames on a regular clock with none missing, in the order of time."""
    if field.sizes["time"] == 0:
        return []
    observed = _observed(field)
    follows = np.zeros(len(observed), bool)
    if len(observed) > 1:
        follows[1:] = (np.diff(field.time.values) == fields.step(field.time.values)) & observed[:-1] & observed[1:]
    first = np.flatnonzero(observed & ~follows)
    last = np.flatnonzero(observed & ~np.append(follows[1:], False))
    return [slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True)]


def split(field: xr.DataArray, part: str, *, fractions: tuple[float, float, float] = FRACTIONS) -> list[slice]:
    """The runs of one part of a field; each run belongs to one part only.

    Raises:
        DataError: an unknown part, or fewer than three runs to share out.
    """
    if part not in PARTS:
        raise DataError(f"there is no split {part!r}; there are {', '.join(PARTS)}")
    found = runs(field)
    if part == "all":
        return found
    if len(found) < 3:
        raise DataError(
            f"{len(found)} unbroken runs of frames cannot be split into train, validation and test;"
            " archive these parts as stores of their own, or use --split all"
        )
    frames = np.cumsum([run.stop - run.start for run in found]) / sum(run.stop - run.start for run in found)
    first = int(np.clip(np.abs(frames - fractions[0]).argmin() + 1, 1, len(found) - 2))
    second = int(np.clip(np.abs(frames - fractions[0] - fractions[1]).argmin() + 1, first + 1, len(found) - 1))
    bounds = {"train": (0, first), "validation": (first, second), "test": (second, len(found))}
    return found[slice(*bounds[part])]


def starts(runs: Sequence[slice], past: int, future: int, stride: int) -> Int[np.ndarray, "windows"]:
    """The first frame of every window of `past` and `future` frames inside the runs, `stride` frames apart."""
    if min(past, future, stride) < 1:
        raise ValueError(f"past={past}, future={future} and stride={stride} must be at least 1")
    found = [np.arange(run.start, run.stop - past - future + 1, stride) for run in runs]
    return np.concatenate([np.empty(0, int), *found]).astype(int)


class Windows(Dataset[Tensor]):
    """Windows of a field as float32 tensors (past + future, 1, y, x) in mm/h, NaN where nothing is observed.

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
        self._frames: np.ndarray | None = None
        if in_memory and len(starts):
            self._offset = int(starts.min())
            self._frames = field[self._offset : int(starts.max()) + self.length].values

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, number: int) -> Float[Tensor, "time 1 y x"]:
        first = int(self.starts[number])
        window = slice(first - self._offset, first - self._offset + self.length)
        values = self.field[window].values if self._frames is None else self._frames[window]
        return torch.from_numpy(np.array(values, np.float32)).unsqueeze(1)


def stack(windows: Windows) -> Float[Tensor, "batch time 1 y x"]:
    """All windows of a set as one batch."""
    return torch.stack([windows[number] for number in range(len(windows))])


def to_tensor(field: xr.DataArray) -> Float[Tensor, "1 time 1 y x"]:
    """A field (time, y, x) as a batch of one."""
    return torch.from_numpy(np.array(field.values, np.float32))[None, :, None]


def to_forecast(future: Float[Tensor, "1 *member_lead 1 y x"], past: xr.DataArray) -> xr.DataArray:
    """A forecast issued at the last time of `past`, at its time step and on its grid.

    Args:
        future: (1, lead, 1, y, x), or (1, member, lead, 1, y, x) of an ensemble.
        past: the frames that it follows.

    Returns:
        (lead, y, x) or (member, lead, y, x).
    """
    step, issued = fields.step(past.time.values), past.time.values[-1]
    members = future.shape[1] if future.ndim == 6 else 0
    lead = np.arange(1, future.shape[-4] + 1) * step
    realization = {
        "standard_name": "realization",
        "long_name": "number of the member",
        "units": "1",
    }
    forecast = xr.DataArray(
        future[0, ..., 0, :, :].detach().cpu().to(torch.float32).numpy(),
        dims=("member", "lead", "y", "x") if members else ("lead", "y", "x"),
        coords=({"member": ("member", np.arange(1, members + 1, dtype=np.int32), realization)} if members else {})
        | {
            "lead": (
                "lead",
                lead,
                {"standard_name": "forecast_period", "long_name": "time since the forecast was issued"},
            ),
            "forecast_reference_time": ((), issued, {"standard_name": "forecast_reference_time"}),
            "time": ("lead", issued + lead, {"standard_name": "time", "long_name": "time the forecast is valid for"}),
            "y": past.coords["y"],
            "x": past.coords["x"],
            "crs": past.coords["crs"],
        },
        name=fields.NAME,
        attrs=dict(past.attrs),
    )
    return fields.check(forecast)


def newest_run(field: xr.DataArray, frames: int) -> xr.DataArray:
    """The newest `frames` frames, or all if there are fewer; raises `MissingFrames` if one among them is missing."""
    newest = field[-frames:]
    gaps = np.diff(newest.time.values)
    step = gaps.min() if len(gaps) else np.timedelta64(0)
    for late in np.flatnonzero(gaps != step):
        before, after = newest.time.values[late], newest.time.values[late + 1]
        raise MissingFrames(
            f"no frame between {fields.clock(before)} and {fields.clock(after)}, though one comes every"
            f" {step / _MINUTE:g} min;"
            f" add the missing file, or use only what follows with --frames {len(newest) - late - 1}"
        )
    return newest


_MINUTE = np.timedelta64(1, "m")


def _observed(field: xr.DataArray) -> np.ndarray:
    if "observed" in field.coords:
        return np.asarray(field.coords["observed"].values, bool)
    return np.asarray(np.isfinite(field.values).any(axis=(1, 2)), bool)
