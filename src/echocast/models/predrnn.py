"""PredRNN: layers of spatiotemporal LSTMs that forecast frame by frame, each from the frame before.

::

    frame -> patches -> ST-LSTM 1 -> ... -> ST-LSTM L -> 1x1 convolution -> patches -> the next frame
                            ^                  |  memory
                            +------------------+  to the first layer of the next time step

While there are true frames they are its input, then its own forecasts are. In training, reverse scheduled sampling
mixes the two.

    >>> import torch
    >>> model = PredRNN(hidden_channels=8, num_layers=2)
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from echocast.context import UNKNOWN, Context
from echocast.models.base import DRY_LOGIT, LearnedForecaster
from echocast.models.frames import observed_mean, padded
from echocast.models.scaling import AnyScaling, RainScaling
from echocast.nn.patches import from_patches, to_patches
from echocast.nn.stlstm import STLSTM


class PredRNN(LearnedForecaster):
    """Spatiotemporal LSTMs with a zigzag memory, autoregressive.

    Args:
        hidden_channels: hidden channels of every layer.
        num_layers: how many layers.
        kernel: odd size of the cells' convolutions.
        patch: side of the patches that the grid is cut into; a grid it does not divide is padded with 0.
        channels: of each frame: 1 of rain, 3 of a colour image.
        sampling_batches: over how many training batches reverse scheduled sampling runs (see `shown_share`); 0 for
            none: the whole past is shown and none of the future, as in use.
        scaling: between the values of the field (mm/h of rain) and the network's grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: Wang et al. 2017 (PredRNN, NIPS) and Wang et al. 2022 (arXiv:2103.09504) for reverse scheduled sampling. The
    output goes through a sigmoid, and has a bias; the decoupling loss of 2022 is not here.
    """

    min_frames = 2

    def __init__(
        self,
        *,
        hidden_channels: int = 64,
        num_layers: int = 4,
        kernel: int = 5,
        patch: int = 4,
        channels: int = 1,
        sampling_batches: int = 50_000,
        scaling: AnyScaling = RainScaling(),  # noqa: B008 (it is frozen)
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        self.hidden_channels, self.num_layers, self.kernel = hidden_channels, num_layers, kernel
        self.patch, self.channels, self.sampling_batches = patch, channels, sampling_batches
        self.scaling, self.grid_km, self.time_step_minutes = scaling, grid_km, time_step_minutes
        cells = channels * patch * patch
        self.layers = STLSTM(cells, hidden_channels, num_layers=num_layers, kernel=kernel)
        self.output = nn.Conv2d(hidden_channels, cells, kernel_size=1)
        nn.init.constant_(self.output.bias, DRY_LOGIT)  # type: ignore[arg-type]  # it has a bias
        self.batches_seen = nn.Buffer(torch.zeros((), dtype=torch.int64))

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits, to be squashed by a sigmoid.

        Args:
            past: grey levels in [0, 1]; what is NaN counts as 0.
            steps: frames to forecast.
            context: not used.

        Raises:
            ValueError: another number of channels than its own.
        """
        count = past.shape[1]
        shown = torch.ones(past.shape[0], count, dtype=torch.bool, device=past.device)
        return self._unrolled(past, count + steps, shown)[:, count - 1 :]

    def training_loss(
        self, windows: Float[Tensor, "batch time channel y x"], past: int, context: Context = UNKNOWN
    ) -> Float[Tensor, ""]:
        """Mean squared error of grey levels of every frame but the first, each forecast from the one before.

        In training mode each call is a batch that scheduled sampling counts.

        Args:
            windows: past and future in the unit of the quantity, NaN where nothing is observed.
            past: how many frames are past.
            context: not used.
        """
        levels = self.scaling.to_level(windows)
        batch, frames = levels.shape[:2]
        if self.training and self.sampling_batches:
            given, ahead = shown_share(int(self.batches_seen), self.sampling_batches)
            self.batches_seen.add_(1)
        else:
            given, ahead = 1.0, 0.0
        share = torch.tensor([1.0] + [given] * (past - 1) + [ahead] * (frames - 1 - past), device=levels.device)
        shown = torch.rand(batch, frames - 1, device=levels.device) < share
        forecast = torch.sigmoid(self._unrolled(levels, frames, shown))
        return observed_mean((forecast - levels[:, 1:]).square(), levels[:, 1:])

    def _unrolled(self, levels: Tensor, frames: int, shown: Bool[Tensor, "batch time"]) -> Tensor:
        """Logits of frames 1 to `frames` - 1, each from the frame before: the true one where shown, else its own."""
        self.check_channels(levels)
        height, width = levels.shape[-2:]
        truth = to_patches(padded(levels, self.patch), self.patch)
        state, step = None, self.layers.stepper(truth[:, 0])
        own, logits = truth[:, 0], []
        for t in range(frames - 1):
            frame = own
            if t < shown.shape[1]:
                frame = torch.where(shown[:, t, None, None, None], truth[:, t], own)
            hidden, state = step(frame, state)
            logits.append(self.output(hidden))
            own = torch.sigmoid(logits[-1])
        return from_patches(torch.stack(logits, dim=1), self.patch)[..., :height, :width]


def shown_share(batch: int, batches: int) -> tuple[float, float]:
    """With which probability a true frame is shown in training: of the past, and of the future.

    For the first half both are 1/2. Then the past's rises to 1 by an exponential, and the future's falls to 0 in a
    straight line; after all `batches` they are 1 and 0, as in use.

    Args:
        batch: how many batches were seen.
        batches: how many the schedule takes.

    Source: the exponential schedule of Wang et al. 2022 (arXiv:2103.09504), with the published ratios of 25,000, 50,000
    and 5,000 batches.

    >>> shown_share(0, 100), shown_share(75, 100)[1], shown_share(100, 100)
    ((0.5, 0.5), 0.25, (1.0, 0.0))
    """
    half = batches / 2
    if batch >= batches:
        return 1.0, 0.0
    if batch < half:
        return 0.5, 0.5
    return 1.0 - 0.5 * math.exp(-(batch - half) / (batches / 10)), 0.5 * (1.0 - (batch - half) / (batches - half))
