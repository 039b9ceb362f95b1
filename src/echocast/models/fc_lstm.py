"""The fully connected LSTM that the paper compares with: a frame is one long vector, without neighbourhood.

The encoder reads the frames, the forecaster starts from its states and has no input, and one linear layer turns the top
layer's hidden state into a frame. It has one grid only; any other is resampled to it and back.

    >>> import torch
    >>> model = FcLstm(hidden_sizes=[32, 32], grid=(12, 16))
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from echocast.context import UNKNOWN, Context
from echocast.models.base import DRY_LOGIT, LearnedForecaster
from echocast.models.frames import resampled
from echocast.models.scaling import AnyScaling, RainScaling
from echocast.nn.lstm import LSTM


class FcLstm(LearnedForecaster):
    """Fully connected LSTM, the unconditional future predictor.

    With the paper's two layers of 2048 on frames of 64x64 it has 142,667,776 parameters.

    Args:
        hidden_sizes: hidden features of each layer, the same in encoder and forecaster.
        grid: rows and columns of its frames.
        channels: of each frame: 1 of rain, 3 of a colour image.
        forget_bias: initial bias of the forget gates.
        scaling: between the values of the field (mm/h of rain) and the network's grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: Srivastava et al. 2015 (arXiv:1502.04681), as Shi et al. 2015 (arXiv:1506.04214) compare with it: peepholes
    are diagonal, and the output reads the top layer only, which the published number of parameters proves.
    """

    min_frames = 2

    def __init__(
        self,
        *,
        hidden_sizes: Sequence[int] = (2048, 2048),
        grid: tuple[int, int] = (64, 64),
        channels: int = 1,
        forget_bias: float = 0.0,
        scaling: AnyScaling = RainScaling(),  # noqa: B008 (it is frozen)
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        self.hidden_sizes, self.grid, self.channels, self.forget_bias = hidden_sizes, grid, channels, forget_bias
        self.scaling, self.grid_km, self.time_step_minutes = scaling, grid_km, time_step_minutes
        values = channels * grid[0] * grid[1]
        sizes = list(hidden_sizes)
        self.encoder = LSTM(values, sizes, batch_first=True, peephole="channel", forget_bias=forget_bias)
        self.forecaster = LSTM(0, sizes, batch_first=True, peephole="channel", forget_bias=forget_bias)
        self.output = nn.Linear(sizes[-1], values)
        nn.init.constant_(self.output.bias, DRY_LOGIT)

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits, to be squashed by a sigmoid.

        Args:
            past: grey levels in [0, 1], on its grid; what is NaN counts as dry.
            steps: frames to forecast.
            context: not used: the network knows only the grid spacing and time step that it learned from.

        Raises:
            ValueError: another grid or number of channels than its own.
        """
        known = (self.channels, *self.grid)
        if tuple(past.shape[2:]) != known:
            raise ValueError(f"this FcLstm has frames (channel, y, x) of {known}; got {tuple(past.shape[2:])}")
        state = self.encoder.last_state(past.nan_to_num(0.0).flatten(2))
        hidden = state[0][-1].unsqueeze(1)
        if steps > 1:
            more, _ = self.forecaster(None, state, steps=steps - 1)
            hidden = torch.cat([hidden, more], dim=1)
        levels: Tensor = self.output(hidden)
        return levels.reshape(*hidden.shape[:2], self.channels, *self.grid)

    def fitted(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """`forward` on a grid of any size: frames are resampled to its grid, and logits back."""
        logits: Tensor = self(resampled(past.nan_to_num(0.0), self.grid), steps, context)
        return resampled(logits, (past.shape[-2], past.shape[-1]))

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        size = (past.shape[-2], past.shape[-1])
        levels = resampled(self.scaling.to_network(past), self.grid)
        return self.scaling.to_values(resampled(torch.sigmoid(self(levels, steps)), size))
