"""A ConvLSTM that forecasts the change from one frame to the next, and begins as persistence.

::

    frame, its change from the one before -> patches -> ConvLSTM layers -> 1x1 convolution -> patches
                                                                                   | change
                                                        newest frame --------------(+)--> next frame --> fed back

    >>> import torch
    >>> model = ResidualForecaster(hidden_channels=[8])
    >>> past = torch.rand(1, 3, 1, 10, 15)
    >>> bool(torch.allclose(model.forecast(past, steps=1)[:, 0], past[:, -1], atol=1e-5))
    True
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from echocast.context import UNKNOWN, Context
from echocast.models.base import LearnedForecaster
from echocast.models.frames import replicated
from echocast.models.scaling import AnyScaling, ImageScaling
from echocast.nn.convlstm import ConvLSTM
from echocast.nn.patches import from_patches, to_patches

_GAIN = 10.0
"""Changes between frames are about a tenth of the frames; the network sees and gives them in this unit."""
_EDGE = 1e-6
"""Levels are held this far from 0 and 1, where a logit is infinite."""


class ResidualForecaster(LearnedForecaster):
    """A next-frame forecaster for a still camera: most of a frame is as it was, and only the change is learned.

    Args:
        hidden_channels: hidden channels of each ConvLSTM layer.
        input_kernel: odd size of the input-to-state convolutions.
        state_kernel: odd size of the state-to-state convolutions.
        patch: side of the patches that the grid is cut into; a grid it does not divide is padded by its last row and
            column, and cut back.
        channels: of each frame: 1 of grey, 3 of colour.
        forget_bias: initial bias of the forget gates.
        scaling: between the values of the field and the network's grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: the ConvLSTM of Shi et al. 2015 (arXiv:1506.04214); that a network gives the residual of its input is He et
    al. 2016 (arXiv:1512.03385). The output convolution starts at 0, so the untrained network is persistence.
    """

    min_frames = 2

    def __init__(
        self,
        *,
        hidden_channels: Sequence[int] = (32,),
        input_kernel: int = 3,
        state_kernel: int = 3,
        patch: int = 4,
        channels: int = 1,
        forget_bias: float = 1.0,
        scaling: AnyScaling = ImageScaling(),  # noqa: B008 (it is frozen)
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        self.hidden_channels, self.input_kernel, self.state_kernel = hidden_channels, input_kernel, state_kernel
        self.patch, self.channels, self.forget_bias, self.scaling = patch, channels, forget_bias, scaling
        self.grid_km, self.time_step_minutes = grid_km, time_step_minutes
        cells = channels * patch * patch
        self.recurrent = ConvLSTM(
            2 * cells,
            list(hidden_channels),
            input_kernel=input_kernel,
            state_kernel=state_kernel,
            forget_bias=forget_bias,
            batch_first=True,
        )
        self.output = nn.Conv2d(hidden_channels[-1], cells, kernel_size=1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]  # it has a bias

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits; each forecast frame is fed back as the next input.

        Args:
            past: grey levels in [0, 1]; what is NaN counts as 0.
            steps: frames to forecast.
            context: not used.

        Raises:
            ValueError: another number of channels than its own.
        """
        self.check_channels(past)
        height, width = past.shape[-2:]
        frames = replicated(past.nan_to_num(0.0), self.patch)
        before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
        hidden, state = self.recurrent(self._input(frames, before))
        newest, previous, made = frames[:, -1:], frames[:, -1:], []
        for step in range(steps):
            if step:
                hidden, state = self.recurrent(self._input(newest, previous), state)
            previous, newest = newest, newest + self._change(hidden[:, -1:])
            made.append(newest)
        levels = torch.cat(made, dim=1)[..., :height, :width]
        return torch.logit(levels.clamp(_EDGE, 1 - _EDGE))

    def _input(self, frames: Tensor, before: Tensor) -> Tensor:
        """Patches of frames and of their changes, as channels."""
        return torch.cat([to_patches(frames, self.patch), to_patches(_GAIN * (frames - before), self.patch)], dim=2)

    def _change(self, hidden: Tensor) -> Tensor:
        change = self.output(hidden[:, 0]) / _GAIN
        return from_patches(change[:, None], self.patch)
