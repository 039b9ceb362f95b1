"""viorik's convolutional autoencoder for video: a ConvLSTM between a coder and a decoder forecasts the next frame.

::

    frame -> conv 7x7, tanh, max pooling -> ConvLSTM 7x7 -> repeated to 2x2 cells, conv 7x7, sigmoid -> next frame
                                             | its first time step has weights of its own

    >>> import torch
    >>> model = ConvAutoencoder(features=4, hidden_channels=6)
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pad

from echocast.context import UNKNOWN, Context
from echocast.models._next_frame import check_two_frames, cross_entropy
from echocast.models.base import LearnedForecaster
from echocast.models.scaling import AnyScaling, ImageScaling
from echocast.nn import ConvLSTM

State = tuple[Tensor, Tensor]


class ConvAutoencoder(LearnedForecaster):
    """Coder, ConvLSTM with an untied first time step, decoder; more frames than one by being fed its own.

    Args:
        features: channels of the coder.
        hidden_channels: of the ConvLSTM.
        channels: of each frame: 1 of a grey image or rain, 3 of a colour image.
        kernel: odd size of all convolutions.
        untied: whether the first time step, which has neither a state nor anything to forget, has weights of its own.
        scaling: between the values of the field and the network's grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: the demonstration of github.com/viorik/ConvLSTM (Patraucean et al. 2016, arXiv:1511.06309, without the
    optical flow): 7x7 kernels, no peepholes, first weights uniform within 0.08, a forget bias of 1, binary
    cross-entropy of the next frame.
    """

    def __init__(
        self,
        *,
        features: int = 32,
        hidden_channels: int = 45,
        channels: int = 1,
        kernel: int = 7,
        untied: bool = True,
        scaling: AnyScaling = ImageScaling(),  # noqa: B008 (it is frozen)
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        self.features, self.hidden_channels, self.channels = features, hidden_channels, channels
        self.kernel, self.untied, self.scaling = kernel, untied, scaling
        self.grid_km, self.time_step_minutes = grid_km, time_step_minutes
        self.coder = nn.Conv2d(channels, features, kernel, padding=kernel // 2)
        self.recurrent = ConvLSTM(
            features, hidden_channels, batch_first=True, input_kernel=kernel, state_kernel=kernel, peephole=None
        )
        # Input, candidate and output gate; a forget gate would multiply zeros.
        self.first = nn.Conv2d(features, 3 * hidden_channels, kernel, padding=kernel // 2) if untied else None
        self.decoder = nn.Conv2d(hidden_channels, channels, kernel, padding=kernel // 2)
        with torch.no_grad():
            for weight in self.parameters():
                weight.uniform_(-0.08, 0.08)
            self.recurrent.cells[0].get_parameter("bias")[hidden_channels : 2 * hidden_channels] = 1.0

    def next_frames(
        self, frames: Float[Tensor, "batch time channel y x"], state: State | None = None
    ) -> tuple[Float[Tensor, "batch time channel y x"], State]:
        """Logits of the frame after each frame, and the state; grey levels in, NaN counts as 0.

        Raises:
            ValueError: another number of channels than its own.
        """
        self.check_channels(frames)
        rows, columns = frames.shape[-2:]
        even = pad(frames.nan_to_num(0.0), (0, columns % 2, 0, rows % 2))
        coded = max_pool2d(torch.tanh(self.coder(even.flatten(0, 1))), 2)
        hidden, state = self._recur(coded.reshape(*even.shape[:2], *coded.shape[1:]), state)
        made = self.decoder(interpolate(hidden.flatten(0, 1), scale_factor=2.0, mode="nearest"))
        return made.reshape(*even.shape[:2], *made.shape[1:])[..., :rows, :columns], state

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
        logits, _ = self.next_frames(truth[:, :-1])
        return cross_entropy(logits, truth[:, 1:])

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits, each frame from its own forecast of the one before; grey levels in, NaN counts as 0."""
        logits, state = self.next_frames(past)
        made = [logits[:, -1:]]
        for _ in range(steps - 1):
            logits, state = self.next_frames(torch.sigmoid(made[-1]), state)
            made.append(logits)
        return torch.cat(made, dim=1)

    def _recur(self, coded: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Hidden states and the last state; without a state, the first time step by its own weights."""
        if state is not None or self.first is None:
            hidden, (h, c) = self.recurrent(coded, state)
            return hidden, (h, c)
        i, g, o = self.first(coded[:, 0]).chunk(3, dim=1)
        c = torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        begun = h.unsqueeze(1)
        if coded.shape[1] == 1:
            return begun, (h.unsqueeze(0), c.unsqueeze(0))
        hidden, (h, c) = self.recurrent(coded[:, 1:], (h.unsqueeze(0), c.unsqueeze(0)))
        return torch.cat([begun, hidden], dim=1), (h, c)
