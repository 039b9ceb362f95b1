"""PredNet: every layer predicts what comes from below, and passes on only how wrong it was.

::

    top down, at each time step                    bottom up
      R_l = ConvLSTM(R_l, E_l, twice as large R_l+1)   A_l+1 = pool(relu(conv(E_l)))
              | conv, relu                               |
            Â_l  ------------ E_l = [relu(Â - A), relu(A - Â)]

A_0 is the frame and Â_0 its prediction, made before it is seen. What is not observed gives no error.

    >>> import torch
    >>> model = PredNet(channels=1, hidden_channels=[4, 6])
    >>> tuple(model.forecast(torch.zeros(1, 4, 1, 21, 34), steps=3).shape)
    (1, 3, 1, 21, 34)
    >>> tuple(model.layer_errors(torch.zeros(1, 4, 1, 21, 34)).shape)
    (1, 4, 3)
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from echocast.context import UNKNOWN, Context
from echocast.models._prednet_layers import Layers
from echocast.models.base import LearnedForecaster
from echocast.models.scaling import AnyScaling, ImageScaling

Loss = Literal["L_0", "L_all", "extrapolation"]


class Step(NamedTuple):
    """One time step.

    Args:
        prediction: of the frame, made before it was seen, (batch, channel, y, x).
        errors: of each layer, (batch, 2 x channels, y, x), where it was too high and where too low; the sides halve
            from layer to layer.
    """

    prediction: Tensor
    errors: list[Tensor]


class PredNet(LearnedForecaster):
    """Predictive coding network of ConvLSTMs, 6,915,948 weights on colour frames.

    Of frames that no longer come, the prediction of the step before stands for the frame of the step, as in the
    authors' code.

    Args:
        channels: of each frame: 3 of a colour image, 1 of rain.
        hidden_channels: of the layers above the frames; a grid that they cannot halve as often is padded with cells
            that are not observed.
        loss: what `training_loss` is: ``L_0``, the error of the lowest layer; ``L_all``, those of the others with a
            weight of 0.1 each beside it; ``extrapolation``, half the mean absolute error of predictions of which those
            after the past see no frames any more, for fine-tuning.
        scaling: between the values of the field and the network's grey levels.
        grid_km: the cell size of the data that the weights learned from, in km.
        time_step_minutes: their time step.

    Source: Lotter, Kreiman and Cox 2017 (arXiv:1605.08104), with the details of the authors' own code: all kernels are
    3x3, gates have the hard sigmoid clip(0.2 x + 0.5, 0, 1), and the ConvLSTM has no peepholes.
    """

    takes_blank_frames: ClassVar[bool] = True

    def __init__(
        self,
        *,
        channels: int = 3,
        hidden_channels: Sequence[int] = (48, 96, 192),
        loss: Loss = "L_0",
        scaling: AnyScaling = ImageScaling(),  # noqa: B008 (it is frozen)
        grid_km: float | None = None,
        time_step_minutes: float | None = None,
    ) -> None:
        super().__init__()
        if loss not in get_args(Loss):
            raise ValueError(f"loss must be one of {', '.join(get_args(Loss))}; got {loss!r}")
        self.channels, self.hidden_channels, self.loss, self.scaling = channels, hidden_channels, loss, scaling
        self.grid_km, self.time_step_minutes = grid_km, time_step_minutes
        self.layers = Layers([channels, *hidden_channels])

    @classmethod
    def from_keras(cls, path: Path | str) -> "PredNet":
        """The network of a file of weights (HDF5) of the authors' code, for images.

        Raises:
            UnreadableFile: it is no such file.
            CheckpointMismatch: it holds no PredNet, or one that is built in another way.
        """
        from echocast.models import _prednet_keras  # HDF5: needed by nothing else here

        weights, sizes = _prednet_keras.read(Path(path))
        made = cls(channels=sizes[0], hidden_channels=sizes[1:])
        made.layers.load_state_dict(weights)
        return made.eval()

    def unroll(
        self, frames: Float[Tensor, "batch time channel y x"], steps: int = 0, *, depth: int | None = None
    ) -> Iterator[Step]:
        """All time steps, of the frames and of `steps` more.

        Args:
            frames: grey levels in [0, 1], NaN where nothing is observed.
            steps: how many more to extrapolate.
            depth: layers whose errors are wanted of the last step, from the lowest on; all if None.

        Raises:
            ValueError: another number of channels than its own.
        """
        self.check_channels(frames)
        rows, columns = frames.shape[-2:]
        block = 2 ** len(self.hidden_channels)
        frames = pad(frames, (0, -columns % block, 0, -rows % block), value=torch.nan)
        for prediction, errors in self._unrolled(frames, steps, len(self.layers.sizes) if depth is None else depth):
            cut = [e[..., : -(-rows >> layer), : -(-columns >> layer)] for layer, e in enumerate(errors)]
            yield Step(prediction[..., :rows, :columns], cut)

    def _unrolled(self, frames: Tensor, steps: int, depth: int) -> Iterator[Step]:
        """`unroll` of frames whose sides all layers can halve."""
        sizes, seen = self.layers.sizes, frames.shape[1]
        do = self.layers.operations(frames)
        start = [
            frames.new_zeros(len(frames), n, *(side >> k for side in frames.shape[-2:])) for k, n in enumerate(sizes)
        ]
        r, c, e = list(start), list(start), [torch.cat([zero, zero], dim=1) for zero in start]
        prediction = start[0]
        for t in range(seen + steps):
            above = None
            for layer in reversed(range(len(sizes))):
                r[layer], c[layer] = do.cell(layer, r[layer], c[layer], e[layer], above)
                above = r[layer]
            raw, before = do.prediction(0, r[0]), prediction
            prediction = torch.relu(raw).clamp(max=1.0)
            frame = frames[:, t] if t < seen else before
            target, last = torch.where(frame.isnan(), prediction, frame), t == seen + steps - 1
            e = list(e)
            for layer in range(depth if last else len(sizes)):
                e[layer] = do.errors(prediction if layer == 0 else do.prediction(layer, r[layer]), target)
                if layer + 1 < (depth if last else len(sizes)):
                    target = do.target(layer, e[layer])
            yield Step(prediction, e[:depth] if last else e)

    def predictions(
        self, frames: Float[Tensor, "batch time channel y x"], steps: int = 0
    ) -> Float[Tensor, "batch frame channel y x"]:
        """The prediction of each frame before it was seen, and of `steps` more; the first is made from nothing."""
        return torch.stack([step.prediction for step in self.unroll(frames, steps, depth=0)], dim=1)

    def error_maps(self, frames: Float[Tensor, "batch time channel y x"]) -> list[Tensor]:
        """The errors of each layer, (batch, time, 2 x channels, y, x): too high first, then too low; for pictures."""
        by_step = [step.errors for step in self.unroll(frames)]
        return [torch.stack(maps, dim=1) for maps in zip(*by_step, strict=True)]

    def layer_errors(
        self, frames: Float[Tensor, "batch time channel y x"], depth: int | None = None
    ) -> Float[Tensor, "batch time layer"]:
        """The mean error of each of the `depth` lowest layers; of the lowest over what is observed."""
        depth = len(self.layers.sizes) if depth is None else depth
        rows = []
        for t, step in enumerate(self.unroll(frames, depth=depth)):
            observed = 2 * frames[:, t].isfinite().sum((1, 2, 3)).clamp(min=1)
            means = [e.mean((1, 2, 3)) for e in step.errors[1:depth]]
            rows.append(torch.stack([step.errors[0].sum((1, 2, 3)) / observed, *means], dim=1))
        return torch.stack(rows, dim=1)

    def training_loss(
        self, windows: Float[Tensor, "batch time channel y x"], past: int, context: Context = UNKNOWN
    ) -> Float[Tensor, ""]:
        """The loss that it was published with; the first frame, which nothing announces, does not count.

        Args:
            windows: past and future in the unit of the field, NaN where nothing is observed.
            past: frames that ``extrapolation`` sees; the other losses see all.
            context: not used.

        Raises:
            ValueError: fewer than 2 frames.
        """
        if windows.shape[1] < 2:
            raise ValueError(f"PredNet learns from at least 2 frames; got {windows.shape[1]}")
        levels = self.scaling.to_level(windows)
        if self.loss == "extrapolation":
            made = self.predictions(levels[:, :past], windows.shape[1] - past)
            observed = levels[:, 1:].isfinite()
            short = (made - levels.nan_to_num(0.0))[:, 1:].abs() * observed
            return 0.5 * short.sum() / observed.sum().clamp(min=1)
        errors = self.layer_errors(levels, depth=1 if self.loss == "L_0" else None)[:, 1:]
        weights = errors.new_full(errors.shape[2:], 0.1)
        weights[0] = 1.0
        return (errors * weights).sum(dim=2).mean()

    def forward(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context = UNKNOWN
    ) -> Float[Tensor, "batch steps channel y x"]:
        """The future's logits, of grey levels that end at 0 and 1; `past` may have any size."""
        levels = self.predictions(past, steps)[:, past.shape[1] :]
        return torch.logit(levels.clamp(1e-6, 1 - 1e-6))

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        levels = self.scaling.to_level(past)
        return self.scaling.to_values(self.predictions(levels, steps)[:, past.shape[1] :])
