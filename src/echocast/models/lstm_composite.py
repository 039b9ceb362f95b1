"""The LSTM autoencoder, future predictor and composite of both: the first networks that forecast Moving MNIST.

::

    past, frame by frame -> LSTM encoder -> state -> LSTM decoder -> the past, last frame first (reconstruction)
                                              |
                                              +----> LSTM decoder -> the future

A frame is one long vector. Each decoder starts from a copy of the encoder's state; its first frame is read from that
state itself. A conditional decoder sees the frame before: the true one in training, its own in use.

    >>> import torch
    >>> model = LstmComposite(hidden_sizes=[16], grid=(12, 16))
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from echocast.context import UNKNOWN, Context
from echocast.errors import ModelError
from echocast.models.base import DRY_LOGIT, LearnedForecaster
from echocast.models.frames import resampled
from echocast.models.scaling import AnyScaling, RainScaling
from echocast.nn.lstm import LSTM

Decoders = Literal["composite", "future", "reconstruction"]
State = tuple[Sequence[Tensor], Sequence[Tensor]]


class Decoder(nn.Module):
    """Frames from a state.

    Args:
        values: how many numbers a frame has.
        hidden_sizes: hidden features of each layer.
        conditional: whether it sees the frame before.
        forget_bias: initial bias of the forget gates.
    """

    def __init__(self, values: int, hidden_sizes: Sequence[int], *, conditional: bool, forget_bias: float) -> None:
        super().__init__()
        self.conditional = conditional
        inputs = values if conditional else 0
        self.lstm = LSTM(inputs, list(hidden_sizes), batch_first=True, peephole="channel", forget_bias=forget_bias)
        self.output = nn.Linear(hidden_sizes[-1], values)
        nn.init.constant_(self.output.bias, DRY_LOGIT)

    def forward(self, state: State, steps: int, truth: Tensor | None = None) -> Float[Tensor, "batch steps value"]:
        """Logits of the frames.

        Args:
            state: of the encoder, which is copied.
            steps: how many frames.
            truth: grey levels of all frames, for a conditional decoder to see each before the next; if None, it sees
                its own.
        """
        hidden = [state[0][-1].unsqueeze(1)]
        if steps > 1 and not self.conditional:
            hidden.append(self.lstm(None, state, steps=steps - 1)[0])
        elif steps > 1 and truth is not None:
            hidden.append(self.lstm(truth[:, : steps - 1], state)[0])
        elif steps > 1:
            for _ in range(steps - 1):
                frame = torch.sigmoid(self.output(hidden[-1].squeeze(1)))
                top, state = self.lstm.step(frame, state)
                hidden.append(top.unsqueeze(1))
        logits: Tensor = self.output(torch.cat(hidden, dim=1))
        return logits


class LstmComposite(LearnedForecaster):
    """LSTM encoder with a decoder of the past, of the future, or of both.

    With one layer of 2048 on frames of 64x64, composite and conditional, it has 167,823,360 parameters, with two
    268,529,664. Without condition the decoders have no input weights, 67,108,864 fewer; the published code holds them
    all the same.

    Args:
        hidden_sizes: hidden features of each layer, the same in encoder and decoders.
        grid: rows and columns of its frames; any other is resampled to it and back.
        channels: of each frame: 1 of rain, 3 of a colour image.
        decoders: "composite" learns to reconstruct the past and to forecast, "future" only to forecast,
            "reconstruction" only to reconstruct (and refuses to forecast).
        conditional: whether the decoders see the frame before.
        forget_bias: initial bias of the forget gates.
        scaling: between the values of the field (mm/h of rain) and the network's grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: Srivastava et al. 2015 (arXiv:1502.04681), sections 2.1 to 2.3; peepholes are diagonal, and the output reads
    the top layer. Weights start by Glorot's rule and not uniformly within 0.01.
    """

    min_frames = 2

    def __init__(
        self,
        *,
        hidden_sizes: Sequence[int] = (2048,),
        grid: tuple[int, int] = (64, 64),
        channels: int = 1,
        decoders: Decoders = "composite",
        conditional: bool = False,
        forget_bias: float = 0.0,
        scaling: AnyScaling = RainScaling(),  # noqa: B008 (it is frozen)
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        if decoders not in ("composite", "future", "reconstruction"):
            raise ModelError(f"decoders = {decoders!r}: there are 'composite', 'future' and 'reconstruction'")
        self.hidden_sizes, self.grid, self.channels, self.forget_bias = hidden_sizes, grid, channels, forget_bias
        self.decoders, self.conditional, self.scaling = decoders, conditional, scaling
        self.grid_km, self.time_step_minutes = grid_km, time_step_minutes
        values = channels * grid[0] * grid[1]
        self.encoder = LSTM(values, list(hidden_sizes), batch_first=True, peephole="channel", forget_bias=forget_bias)

        def decoder(kind: Decoders) -> Decoder | None:
            if decoders not in ("composite", kind):
                return None
            return Decoder(values, hidden_sizes, conditional=conditional, forget_bias=forget_bias)

        self.reconstruction, self.future = decoder("reconstruction"), decoder("future")

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits, to be squashed by a sigmoid.

        Args:
            past: grey levels in [0, 1], on its grid; what is NaN counts as 0.
            steps: frames to forecast.
            context: not used.

        Raises:
            ModelError: it was made to reconstruct only.
            ValueError: another grid or number of channels than its own.
        """
        if self.future is None:
            raise ModelError(
                "this LstmComposite has decoders = 'reconstruction' and cannot forecast; train one with"
                " decoders = 'composite' or 'future'"
            )
        return self._framed(self.future(self.encode(past), steps))

    def encode(self, past: Float[Tensor, "batch time channel y x"]) -> State:
        """The encoder's last state, (h, c) with all layers in each: the features of a sequence of grey levels.

        Raises:
            ValueError: another grid or number of channels than its own.
        """
        known = (self.channels, *self.grid)
        if tuple(past.shape[2:]) != known:
            raise ValueError(f"this LstmComposite has frames (channel, y, x) of {known}; got {tuple(past.shape[2:])}")
        state: State = self.encoder.last_state(past.nan_to_num(0.0).flatten(2))
        return state

    def reconstruct(self, past: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch time channel y x"]:
        """Grey levels of the past in its own order, as they are decoded from the encoder's state.

        Raises:
            ModelError: it was made to forecast only.
        """
        if self.reconstruction is None:
            raise ModelError("this LstmComposite has decoders = 'future' and cannot reconstruct; make a 'composite'")
        return torch.sigmoid(self._framed(self.reconstruction(self.encode(past), past.shape[1]))).flip(1)

    def training_loss(
        self, windows: Float[Tensor, "batch time channel y x"], past: int, context: Context = UNKNOWN
    ) -> Float[Tensor, ""]:
        """Cross-entropy of the reconstruction plus that of the forecast, each in nats a frame.

        Args:
            windows: past and future in the unit of the quantity, NaN where nothing is observed.
            past: how many frames are past.
            context: not used.
        """
        levels = self.scaling.to_level(windows)
        state = self.encode(levels[:, :past])
        total = levels.new_zeros(())
        for decoder, part in ((self.reconstruction, levels[:, :past].flip(1)), (self.future, levels[:, past:])):
            if decoder is not None:
                target = part.flatten(2)
                shown = target.nan_to_num(0.0)
                logits = decoder(state, target.shape[1], shown if self.training else None)
                nats = binary_cross_entropy_with_logits(logits, shown, reduction="none")
                total = total + (nats * target.isfinite()).sum() / (target.shape[0] * target.shape[1])
        return total

    def _framed(self, logits: Tensor) -> Tensor:
        return logits.reshape(*logits.shape[:2], self.channels, *self.grid)

    def fitted(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """`forward` on a grid of any size: frames are resampled to its grid, and logits back."""
        logits: Tensor = self(resampled(past.nan_to_num(0.0), self.grid), steps, context)
        return resampled(logits, (past.shape[-2], past.shape[-1]))

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        levels = resampled(self.scaling.to_network(past), self.grid)
        size = (past.shape[-2], past.shape[-1])
        return self.scaling.to_values(resampled(torch.sigmoid(self(levels, steps)), size))
