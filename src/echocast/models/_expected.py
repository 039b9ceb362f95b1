"""The expected rain beside a forecast of where rain exceeds thresholds.

A network that is trained to hit thresholds forecasts rain where it is likely enough, at the rate that is then likely.
Sums of such a field are wrong: too high where rain decays, too low where it grows. The expected rain is for sums. With
u from 0 to 1 over the first 90 minutes, and S_w a Gaussian of standard deviation w km over what is known,

    shape = (1 - u) forecast + u / 2 S_8(forecast) + u / 2 S_24(newest frame, carried)
    expected = shape * S_60(newest frame, carried) / S_60(shape)

so detail fades as it becomes unpredictable, and within some 60 km there is as much rain as advection brings there: the
best single guess of amounts, since growth and decay of an area's rain are hardly predictable.

    >>> import torch
    >>> rain = torch.ones(1, 3, 1, 20, 30)
    >>> ExpectedRain(rain, 2, Context(grid_km=1.0, time_step_minutes=5.0)).of(rain[:, -1], 0).mean().round(decimals=3)
    tensor(1.)
"""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from echocast.context import Context
from echocast.models import resolution
from echocast.motion.advection import advected
from echocast.motion.estimate import rain_motion
from echocast.motion.flow import dense_flow

_CELL_KM = 4.0
"""All but the forecast's own detail is computed on cells of about this size."""
_NARROW_KM, _MIDDLE_KM, _WIDE_KM = 8.0, 24.0, 60.0
_FADED_MINUTES = 90.0
"""After so long none of the forecast's own detail is left."""
_USUAL_GRID_KM, _USUAL_STEP_MINUTES = 1.0, 5.0
"""Where the context does not say."""
_MOST_CHANGE = 3.0
"""An amount is at most so many times that of the shape, and at least a part of it as small."""
_LEAST = 1e-4
"""Rain in mm/h that is none: where the shape has less, it is not brought to an amount."""


class ExpectedRain:
    """Makes frames of expected rain of a forecast's frames, one lead after the other.

    Args:
        past: what the forecast was made from: rain rate in mm/h, oldest first, NaN where nothing is observed.
        steps: lead times of the forecast.
        context: the cell size and time step of `past`.

    Chosen on TAASRAD19's validation runs and FMI's event; MeteoSwiss, KNMI, openMRG and Melbourne were looked at with
    them (docs/results/amounts.md). Source: own; conservation of rain along the motion is Germann and Zawadzki's 2002
    (doi:10.1175/1520-0493(2002)130<2859:SDOTPO>2.0.CO;2), fading of what cannot be predicted Seed's 2003.
    """

    def __init__(self, past: Float[Tensor, "batch time 1 y x"], steps: int, context: Context) -> None:
        grid_km = context.grid_km or _USUAL_GRID_KM
        self._factor = max(1, round(_CELL_KM / grid_km))
        self._cell_km = grid_km * self._factor
        self._step_minutes = context.time_step_minutes or _USUAL_STEP_MINUTES
        coarse = torch.cat([resolution.coarsen(one, self._factor) for one in past.chunk(past.shape[1], dim=1)], dim=1)
        self._carried = self._advected(coarse, steps)
        self._device, self._next = past.device, 0

    def of(self, frame: Float[Tensor, "batch 1 y x"], lead: int) -> Float[Tensor, "batch 1 y x"]:
        """The expected rain of a forecast's frame, mm/h, on the device of the past; NaN where the frame is.

        Args:
            frame: rain rate in mm/h.
            lead: its number, from 0; each frame must be the one after the frame before.
        """
        if lead != self._next:
            raise ValueError(f"lead {lead} came where {self._next} was expected")
        self._next += 1
        frame = frame.to(self._device)
        carried, faded = next(self._carried), min(1.0, (lead + 1) * self._step_minutes / _FADED_MINUTES)
        coarse = resolution.coarsen(frame.unsqueeze(1), self._factor)[:, 0]
        # Where advection knows nothing, the forecast itself says how much falls.
        carried = torch.where(carried.isfinite(), carried, coarse)
        smooth = 0.5 * faded * (self._smooth(coarse, _NARROW_KM) + self._smooth(carried, _MIDDLE_KM))
        wide = self._smooth((1 - faded) * coarse + smooth, _WIDE_KM)
        change = (self._smooth(carried, _WIDE_KM) / wide.clamp(min=_LEAST)).clamp(1 / _MOST_CHANGE, _MOST_CHANGE)
        change = torch.where(wide > _LEAST, change, 1.0)
        made = (1 - faded) * frame  # NaN stays; in place from here on, for memory
        made += self._fine(smooth, frame)
        made *= self._fine(change, frame)
        return made

    def _advected(self, past: Tensor, steps: int) -> Iterator[Float[Tensor, "batch 1 y x"]]:
        """The newest frame on the coarse cells, carried to each lead."""
        cases = past[:, :, 0].detach().cpu().to(torch.float32).numpy()
        motion = torch.from_numpy(np.stack([self._motion(case) for case in cases])).to(past)
        return advected(past[:, -1], motion, steps)

    def _motion(self, frames: Float[np.ndarray, "time rows columns"]) -> Float[np.ndarray, "2 rows columns"]:
        """As `lagrangian` does: the flow as it is on a grid as coarse as these cells, else refined."""
        if self._factor == 1:
            return dense_flow(frames)
        return rain_motion(frames, pixel_km=self._cell_km, step_minutes=self._step_minutes)

    def _smooth(self, field: Float[Tensor, "batch 1 y x"], width_km: float) -> Float[Tensor, "batch 1 y x"]:
        """The mean under a Gaussian over what is known; 0 where nothing is."""
        both = torch.cat([field.nan_to_num(0.0), field.isfinite().to(field.dtype)], dim=1)
        values, weight = _gaussian(both, width_km / self._cell_km).chunk(2, dim=1)
        return values / weight.clamp(min=1e-6)

    def _fine(
        self, coarse: Float[Tensor, "batch 1 rows columns"], like: Float[Tensor, "batch 1 y x"]
    ) -> Float[Tensor, "batch 1 y x"]:
        """Known everywhere, on the grid of `like`."""
        if self._factor == 1:
            return coarse
        fine = interpolate(coarse, scale_factor=self._factor, mode="bilinear", align_corners=False)
        return fine[..., : like.shape[-2], : like.shape[-1]]


def _gaussian(fields: Float[Tensor, "batch channel y x"], sigma: float) -> Float[Tensor, "batch channel y x"]:
    """A Gaussian of `sigma` cells, cut at three of them; beyond the edge there is nothing."""
    reach = max(1, round(3 * sigma))
    line = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=fields.device, dtype=fields.dtype) / sigma) ** 2)
    line = line / line.sum()
    flat = fields.flatten(0, 1)
    if flat.device.type == "cpu" and flat.dtype in (torch.float32, torch.float64):  # in a tenth of the time
        taps = line.numpy()
        made = [cv2.sepFilter2D(one.numpy(), -1, taps, taps, borderType=cv2.BORDER_CONSTANT) for one in flat]
        return torch.from_numpy(np.stack(made)).reshape(fields.shape)
    line = line.view(1, 1, 1, -1)
    spread = conv2d(conv2d(flat.unsqueeze(1), line, padding=(0, reach)), line.mT, padding=(reach, 0))
    return spread.reshape(fields.shape)
