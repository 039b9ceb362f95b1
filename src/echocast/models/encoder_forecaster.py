"""The paper's network: a ConvLSTM encoder whose states a ConvLSTM forecaster unrolls.

::

    past (time, channel, y, x) -> patches -> encoder layer 1 -> ... -> encoder layer L
                                             | state                  | state
                                       forecaster layer 1 -> ... -> forecaster layer L      (no input at all)
                                             \\________ concatenated _______/
                                                   1x1 convolution, sigmoid -> patches -> future (lead, channel, y, x)

The first frame comes straight from the encoder's last hidden states; the forecaster makes the others.

    >>> import torch
    >>> model = EncoderForecaster(hidden_channels=[8, 8])
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d

from echocast.context import UNKNOWN, Context
from echocast.models import _coder
from echocast.models.base import DRY_LOGIT, LearnedForecaster
from echocast.models.scaling import AnyScaling, RainScaling
from echocast.nn.patches import from_patches, to_patches


class EncoderForecaster(LearnedForecaster):
    """Encoding-forecasting ConvLSTM.

    Args:
        hidden_channels: hidden channels of each layer, the same in encoder and forecaster.
        input_kernel: odd size of the input-to-state convolutions.
        state_kernels: odd size, or sizes by layer, of the state-to-state convolutions.
        patch: side of the patches that the grid is cut into; a grid it does not divide is padded with dry cells.
        channels: of each frame: 1 of rain, 3 of a colour image.
        forget_bias: initial bias of the forget gates; with the paper's 0 most of a state is forgotten in a few steps.
        scaling: between the values of the field (mm/h of rain) and the network's grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: Shi et al. 2015 (arXiv:1506.04214), section 3.2 and Figure 3, with the details of the authors' own code:
    states are copied level by level, the first forecaster layer has no input weights, the forecaster runs one step less
    than there are frames, and one 1x1 convolution reads the hidden states of all layers.
    """

    min_frames = 2

    def __init__(
        self,
        *,
        hidden_channels: Sequence[int] = (64, 64),
        input_kernel: int = 3,
        state_kernels: int | Sequence[int] = 3,
        patch: int = 2,
        channels: int = 1,
        forget_bias: float = 0.0,
        scaling: AnyScaling = RainScaling(),  # noqa: B008 (it is frozen)
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        self.hidden_channels, self.input_kernel, self.state_kernels = hidden_channels, input_kernel, state_kernels
        self.patch, self.channels, self.scaling = patch, channels, scaling
        self.grid_km, self.time_step_minutes = grid_km, time_step_minutes
        self.forget_bias = forget_bias
        cells = channels * patch * patch
        self.encoder, self.forecaster = _coder.pair(
            cells,
            hidden_channels,
            input_kernel=input_kernel,
            state_kernels=state_kernels,
            forget_bias=forget_bias,
        )
        self.output = nn.Conv2d(sum(hidden_channels), cells, kernel_size=1)
        nn.init.constant_(self.output.bias, DRY_LOGIT)  # type: ignore[arg-type]  # it has a bias

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits, to be squashed by a sigmoid; both grid sides divisible by the patch.

        Args:
            past: grey levels in [0, 1]; what is NaN counts as dry.
            steps: frames to forecast.
            context: not used: the network knows only the grid spacing and time step that it learned from.

        Raises:
            ValueError: another number of channels than its own.
        """
        self.check_channels(past)
        frames = to_patches(past.nan_to_num(0.0), self.patch)
        return from_patches(self._logits(_coder.unrolled(self.encoder, self.forecaster, frames, steps - 1)), self.patch)

    def _logits(self, hidden: Sequence[Tensor]) -> Tensor:
        """The output convolution of all layers' hidden states, as a sum so that nothing large is concatenated."""
        shares = torch.split(self.output.weight, list(self.hidden_channels), dim=1)
        total: Tensor | None = None
        for h, weight in zip(hidden, shares, strict=True):
            share = conv2d(h.flatten(0, 1), weight, self.output.bias if total is None else None)
            total = share if total is None else total + share
        assert total is not None  # there is at least one layer
        return total.reshape(*hidden[0].shape[:2], *total.shape[1:])

    def fitted(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """`forward` on a grid of any size: rows and columns of dry cells are added, and cut off again."""
        height, width = past.shape[-2:]
        padded = nn.functional.pad(past, (0, -width % self.patch, 0, -height % self.patch))
        logits: Tensor = self(padded, steps, context)
        return logits[..., :height, :width]
