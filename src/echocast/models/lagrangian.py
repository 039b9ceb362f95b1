"""Advection, and a ConvLSTM in the moving frame that forecasts what advection cannot: growth, decay, lost detail.

::

    past frames -> motion -> each frame carried to the moment of issue -> patches -> ConvLSTM encoder
                                                                                        | states
    newest frame = mean + two bands of detail                                     ConvLSTM forecaster
          |                                                                             |
          +--- each band damped, and a growth added, lead by lead <--- 1x1 convolution -+
          |
    carried along the motion to each lead -> future

The output convolution starts at zero, so an untrained network is advection and nothing else; it can only add.

    >>> import torch
    >>> model = Lagrangian(hidden_channels=[8, 8])
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad

from echocast.models import resolution
from echocast.models.base import LearnedForecaster, Spacing
from echocast.models.scaling import Scaling
from echocast.motion.advection import origins, sample, take
from echocast.motion.flow import dense_flow
from echocast.nn.convlstm import ConvLSTM
from echocast.nn.patches import from_patches, to_patches

BANDS = 2
_LEAST, _MOST = 0.01, 0.99
"""Grey levels whose logits are still finite enough to learn from."""
_WIDTHS = (3, 9)
"""Sides in cells of the means that part the bands of detail: up to 3 cells, 3 to 9 cells, the rest."""


class Lagrangian(LearnedForecaster):
    """Encoding-forecasting ConvLSTM in the frame that moves with the rain.

    With the newest frame's grey levels L split into a smooth part and two bands of detail B_1 and B_2, lead k is

        sigmoid(logit(carried_k(L + d_k1 B_1 + d_k2 B_2)) + carried_k(r_k))

    where the network gives the dampings d (0: kept, -1: gone) and the growth r, per cell and lead, in the moving frame.
    A grid finer than the one learned is forecast by the network on means over blocks of cells; motion, bands and
    advection keep the grid as it is. Where the air comes from outside the radar's view the forecast is NaN.

    Args:
        hidden_channels: hidden channels of each layer, the same in encoder and forecaster.
        input_kernel: odd size of the input-to-state convolutions.
        state_kernels: odd size, or sizes by layer, of the state-to-state convolutions.
        patch: side of the patches that the grid is cut into; a grid it does not divide is padded.
        pairs: how many of the newest pairs of frames the motion is averaged over.
        forget_bias: where the biases of the forget gates start.
        scaling: between mm/h and grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        step_minutes: their time step.

    Source: the network of Shi et al. 2015 (arXiv:1506.04214); Germann and Zawadzki 2002 for the moving frame; Seed
    2003, doi:10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2, for damping scale by scale; put together here.
    """

    frames = 2
    coarsens = False

    def __init__(
        self,
        *,
        hidden_channels: Sequence[int] = (64, 64),
        input_kernel: int = 3,
        state_kernels: int | Sequence[int] = 3,
        patch: int = 4,
        pairs: int = 3,
        forget_bias: float = 1.0,
        scaling: Scaling | None = None,
        grid_km: float | None = None,
        step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        self.hidden_channels, self.input_kernel, self.state_kernels = hidden_channels, input_kernel, state_kernels
        self.patch, self.pairs, self.forget_bias = patch, pairs, forget_bias
        self.scaling, self.grid_km, self.step_minutes = scaling or Scaling(), grid_km, step_minutes
        layers = partial(
            ConvLSTM,
            hidden_channels=list(hidden_channels),
            batch_first=True,
            input_kernel=input_kernel,
            state_kernel=state_kernels if isinstance(state_kernels, int) else list(state_kernels),
            forget_bias=forget_bias,
        )
        self.encoder, self.forecaster = layers(patch * patch), layers(0)
        self.output = nn.Conv2d(sum(hidden_channels), (1 + BANDS) * patch * patch, kernel_size=1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]  # it has a bias

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits, to be squashed by a sigmoid, on the grid that the weights know.

        Args:
            past: grey levels in [0, 1].
            steps: frames to forecast.
        """
        motion = self.motion(self.scaling.to_rate(past))
        return self._carried(past[:, -1], self._changes(past, motion, steps), motion, 1, dry_outside=True)

    def motion(self, rain_mm_h: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch 2 y x"]:
        """The motion of the newest frames in pixels per step."""
        cases = rain_mm_h[:, -self.pairs - 1 :, 0].detach().cpu().to(torch.float32).numpy()
        with ThreadPoolExecutor() as pool:  # OpenCV lets other threads run while it works
            flows = list(pool.map(partial(dense_flow, pairs=self.pairs), cases))
        return torch.from_numpy(np.stack(flows)).to(rain_mm_h)

    def _changes(self, past: Tensor, motion: Tensor, steps: int) -> Float[Tensor, "batch steps changes y x"]:
        """What to add to the logit, and the damping of each band, in the moving frame."""
        height, width = past.shape[-2:]
        frames = pad(self._at_issue(past, motion), (0, -width % self.patch, 0, -height % self.patch))
        state = self.encoder.last_state(to_patches(frames, self.patch))
        hidden = torch.cat(list(state[0]), dim=1).unsqueeze(1)
        if steps > 1:
            more, _ = self.forecaster.layers(None, state, steps=steps - 1)
            hidden = torch.cat([hidden, torch.cat(more, dim=2)], dim=1)
        out = self.output(hidden.flatten(0, 1))
        fine = from_patches(out.reshape(len(past), steps * (1 + BANDS), self.patch**2, *out.shape[-2:]), self.patch)
        return fine[..., :height, :width].reshape(len(past), steps, 1 + BANDS, height, width)

    def _at_issue(self, past: Tensor, motion: Tensor) -> Tensor:
        """Each frame carried forward to the time of the newest."""
        count = past.shape[1]
        if count == 1:
            return past
        back = origins(motion, count - 1)
        carried = [sample(past[:, -1 - age], back[age - 1], "zeros") for age in range(count - 1, 0, -1)]
        return torch.stack([*carried, past[:, -1]], dim=1)

    def _carried(self, newest: Tensor, changes: Tensor, motion: Tensor, by: int, *, dry_outside: bool) -> Tensor:
        """Logits of each lead; what comes from outside, or from where `newest` is NaN, is dry or else NaN."""
        bands = _bands(newest.nan_to_num(0.0), by)
        size = (newest.shape[-2], newest.shape[-1])
        frames = []
        for lead, place in enumerate(origins(motion, changes.shape[1])):
            change = changes[:, lead]
            if by > 1:
                change = interpolate(change, scale_factor=by, mode="bilinear", align_corners=False)
                change = change[..., : size[0], : size[1]]
            growth, damping = change[:, :1], change[:, 1:]
            field = newest + (damping * bands).sum(dim=1, keepdim=True)
            level = sample(field, place, "zeros") if dry_outside else take(field, place)
            frames.append(torch.logit(level.clamp(_LEAST, _MOST)) + sample(growth, place, "border"))
        return torch.stack(frames, dim=1)

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, at: Spacing
    ) -> Float[Tensor, "batch steps channel y x"]:
        by = resolution.factor(at.grid_km, self.grid_km)
        motion = self.motion(past)
        coarse, slow = past, motion
        if by > 1:
            coarse = resolution.coarsen(past, by)
            slow = resolution.coarsen(motion.unsqueeze(1), by)[:, 0] / by
        changes = self._changes(self.scaling.to_network(coarse), slow, steps)
        newest = self.scaling.to_network(past[:, -1]).masked_fill(past[:, -1].isnan(), torch.nan)
        logits = self._carried(newest, changes, motion, by, dry_outside=False)
        return self.scaling.to_rate(torch.sigmoid(logits)).masked_fill(logits.isnan(), torch.nan)


def _bands(level: Float[Tensor, "batch 1 y x"], by: int) -> Float[Tensor, "batch bands y x"]:
    """Detail of up to 3 cells, and of 3 to 9, on a grid `by` times finer than the cells."""
    smoother = [level]
    for width in _WIDTHS:
        side = width * by
        side += 1 - side % 2
        reach = side // 2
        if min(level.shape[-2:]) <= reach:
            smoother.append(smoother[-1])
            continue
        smoother.append(avg_pool2d(pad(level, (reach, reach, reach, reach), mode="reflect"), side, stride=1))
    return torch.cat([a - b for a, b in pairwise(smoother)], dim=1)
