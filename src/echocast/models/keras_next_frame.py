"""Keras' example of next-frame prediction: ConvLSTMs with batch normalisation, a convolution in space and time.

::

    frames -> 4 x (ConvLSTM, batch normalisation) -> features (batch, time, hidden, y, x)
                                                        | 3-D convolution, sigmoid
                                                     the next frame, at every time step

`Backbone` is what comes before the last arrow: another head on it, of labels instead of the next frame, learns with
supervision.

    >>> import torch
    >>> model = KerasNextFrame(hidden_channels=[4, 4])
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from echocast.context import UNKNOWN, Context
from echocast.models._next_frame import check_two_frames, cross_entropy
from echocast.models.base import LearnedForecaster
from echocast.models.scaling import AnyScaling, ImageScaling
from echocast.nn import ConvLSTM

State = list[tuple[Tensor, Tensor]]
"""``(h, c)`` of each layer."""

_SEEN = 3
"""Frames of features that one output is made of."""


class Backbone(nn.Module):
    """ConvLSTM layers with a batch normalisation after each, for frames of any size.

    Args:
        channels: of each frame.
        hidden_channels: of each layer; those of the last are the features.
        kernel: odd size of all convolutions.
        gate_activation: of the gates: ``hard_sigmoid_keras2`` is that of Keras 1 and 2, ``sigmoid`` that of Keras 3,
            and faster here.
        norm_momentum: how much of the running statistics of the batch normalisation each batch replaces. Keras' 0.01 is
            for thousands of batches: after hundreds the statistics lag behind the weights, and what was learned is not
            what is used; take 0.1 then.

    Source: the example ``conv_lstm`` of Keras: no peepholes, a forget bias of 1, orthogonal state kernels.
    """

    def __init__(
        self,
        channels: int = 1,
        hidden_channels: Sequence[int] = (40, 40, 40, 40),
        *,
        kernel: int = 3,
        gate_activation: str = "hard_sigmoid_keras2",
        norm_momentum: float = 0.01,
    ) -> None:
        super().__init__()
        self.channels, self.features = channels, hidden_channels[-1]
        self.recurrent = nn.ModuleList(
            ConvLSTM(
                before, hidden, batch_first=True, input_kernel=kernel, state_kernel=kernel, peephole=None,
                forget_bias=1.0, init="orthogonal", gate_activation=gate_activation,
            )
            for before, hidden in zip([channels, *hidden_channels], hidden_channels, strict=False)
        )  # fmt: skip
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(hidden, eps=1e-3, momentum=norm_momentum) for hidden in hidden_channels
        )

    def forward(
        self, frames: Float[Tensor, "batch time channel y x"], state: State | None = None
    ) -> tuple[Float[Tensor, "batch time feature y x"], State]:
        """The features of every frame, and the state from which more frames can follow.

        Raises:
            ValueError: another number of channels than its own.
        """
        if frames.shape[2] != self.channels:
            raise ValueError(f"this network has channels={self.channels}; got frames of {frames.shape[2]} channels")
        last: State = []
        for n, (layer, norm) in enumerate(zip(self.recurrent, self.norms, strict=True)):
            hidden, (h, c) = layer(frames, None if state is None else state[n])
            last.append((h, c))
            frames = norm(hidden.flatten(0, 1)).reshape(hidden.shape)
        return frames, last


class KerasNextFrame(LearnedForecaster):
    """ConvLSTMs that forecast the next frame at every time step; more frames by being fed their own.

    With the example's four layers of 40 it has 407,001 weights as Keras counts them, the running means and variances of
    the batch normalisations included.

    Args:
        hidden_channels: of each layer.
        channels: of each frame: 1 of a grey image or rain, 3 of a colour image.
        causal: whether the last convolution looks at the newest three frames. The example's is centred (False): while
            it learns, every output but the last sees the very frame that it is to forecast, and after the last frame
            it sees zeros.
        gate_activation, norm_momentum: see `Backbone`.
        scaling: between the values of the field and the network's grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: the example ``conv_lstm`` of Keras ("next-frame video prediction"), see `Backbone`; its centred convolution
    is a choice here, and not the default.
    """

    def __init__(
        self,
        *,
        hidden_channels: Sequence[int] = (40, 40, 40, 40),
        channels: int = 1,
        causal: bool = True,
        gate_activation: str = "hard_sigmoid_keras2",
        norm_momentum: float = 0.01,
        scaling: AnyScaling = ImageScaling(),  # noqa: B008 (it is frozen)
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        self.hidden_channels, self.channels, self.causal = hidden_channels, channels, causal
        self.gate_activation, self.norm_momentum, self.scaling = gate_activation, norm_momentum, scaling
        self.grid_km, self.time_step_minutes = grid_km, time_step_minutes
        self.backbone = Backbone(
            channels, hidden_channels, gate_activation=gate_activation, norm_momentum=norm_momentum
        )
        self.output = nn.Conv3d(self.backbone.features, channels, kernel_size=_SEEN, padding=(0, 1, 1))

    def next_frames(self, frames: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch time channel y x"]:
        """Logits of the frame after each frame; grey levels in, NaN counts as 0."""
        return self._logits(self.backbone(frames.nan_to_num(0.0))[0])

    def training_loss(
        self, windows: Float[Tensor, "batch time channel y x"], past: int, context: Context = UNKNOWN
    ) -> Float[Tensor, ""]:
        """The binary cross-entropy of every next frame, a mean over what is observed.

        Args:
            windows: past and future in the unit of the field, NaN where nothing is observed.
            past: not used: every frame but the first is forecast.
            context: not used.

        Raises:
            ValueError: fewer than 2 frames.
        """
        check_two_frames(windows)
        truth = self.scaling.to_level(windows)
        return cross_entropy(self.next_frames(truth[:, :-1]), truth[:, 1:])

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits, each frame from its own forecast of the one before; grey levels in, NaN counts as 0."""
        features, state = self.backbone(past.nan_to_num(0.0))
        made = []
        for step in range(steps):
            logits = self._logits(features[:, -_SEEN:])[:, -1:]
            made.append(logits)
            if step + 1 < steps:
                more, state = self.backbone(torch.sigmoid(logits), state)
                features = torch.cat([features[:, 1 - _SEEN :], more], dim=1)
        return torch.cat(made, dim=1)

    def _logits(self, features: Tensor) -> Tensor:
        """Of every time step; features before the first and after the last count as 0."""
        first, last = (_SEEN - 1, 0) if self.causal else (_SEEN // 2, _SEEN // 2)
        along_time = pad(features.movedim(1, 2), (0, 0, 0, 0, first, last))
        logits: Tensor = self.output(along_time)
        return logits.movedim(1, 2)
