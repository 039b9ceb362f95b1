"""The network of `lagrangian`: frames carried to the time of issue in, growth and damping by lead time out.

::

    frames at the time of issue -> patches -> encoder
        cell size, time step, motion --^         | states
                                            forecaster (a step for each second lead time)
                                                 | hidden states of all layers
                              output | uncertainty head   (1x1 convolutions)
                                                 |
        growth and damping, cell by cell; of the uncertainty head also the noise's standard deviation, patch by patch
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, dropout, pad

from echocast.context import Context
from echocast.models import _coder
from echocast.models._lagrangian.advection import frames_at_issue
from echocast.models._lagrangian.changes import Changes
from echocast.models._lagrangian.settings import NetworkSettings
from echocast.nn.patches import from_patches, to_patches

_EXTRA_CHANNELS = 5
"""Of each patch and frame beside the grey levels: observed fraction, motion (2), cell size, time step."""
_MIRRORED_AXES: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


class Network(nn.Module):
    """ConvLSTM encoder and forecaster in the moving frame, with an output and an uncertainty head.

    Both heads start at zero: no growth and no damping.

    Args:
        hidden_channels: of each layer, the same in encoder and forecaster.
        settings: its sizes.
        bands: how many bands of detail it damps.
        octaves: how many octaves of noise the uncertainty head gives the standard deviation of.
        initial_log_scale: the logarithm of that of an untrained head.
    """

    grid_km: float | None
    time_step_minutes: float | None

    def __init__(
        self,
        hidden_channels: Sequence[int],
        settings: NetworkSettings,
        *,
        bands: int,
        octaves: int,
        initial_log_scale: float,
    ) -> None:
        super().__init__()
        self.hidden_channels, self.network_settings = hidden_channels, settings
        self._initial_log_scale = initial_log_scale
        self.encoder, self.forecaster = _coder.pair(
            settings.patch**2 + _EXTRA_CHANNELS,
            hidden_channels,
            input_kernel=settings.input_kernel,
            state_kernels=settings.state_kernels,
            forget_bias=settings.forget_bias,
        )
        top, self._cell_outputs = sum(hidden_channels), (1 + bands) * settings.patch**2
        width = settings.uncertainty_channels
        self.output = _zero_convolution(top, self._cell_outputs)
        last = _zero_convolution(width, self._cell_outputs + octaves)
        self.uncertainty_head = nn.Sequential(nn.Conv2d(top, width, kernel_size=1), nn.ReLU(), last)

    def hidden_states(
        self,
        past: Float[Tensor, "batch time channel y x"],
        motion: Float[Tensor, "batch 2 y x"],
        steps: int,
        context: Context,
    ) -> Float[Tensor, "batch node hidden rows columns"]:
        """The hidden states of all layers, at lead times 1, 1 + `lead_stride`, ..., until none of `steps` is missing.

        Args:
            past: grey levels in [0, 1], NaN where nothing is observed.
            motion: displacement in pixels per time step.
            steps: lead times.
            context: the cell size and the time step of `past`.
        """
        layers = _coder.unrolled(self.encoder, self.forecaster, self._inputs(past, motion, context), self._more(steps))
        return dropout(torch.cat(layers, dim=2), self.encoder.dropout, self.training)

    def _more(self, steps: int) -> int:
        """How many steps the forecaster makes after the encoder's last."""
        return -(-(steps - 1) // self.network_settings.lead_stride)

    def _inputs(
        self, past: Tensor, motion: Tensor, context: Context
    ) -> Float[Tensor, "batch time channel rows columns"]:
        side, past = self.network_settings.patch, past[:, -self.network_settings.max_input_frames :]
        margin = (0, -past.shape[-1] % side, 0, -past.shape[-2] % side)
        frames, observed = (pad(part, margin) for part in frames_at_issue(past, motion))
        speed = avg_pool2d(pad(motion, margin, mode="replicate"), side)
        patches = to_patches(frames, side)
        spacing = patches.new_tensor(
            [_log2_ratio(context.grid_km, self.grid_km), _log2_ratio(context.time_step_minutes, self.time_step_minutes)]
        )
        constant = torch.cat([speed, spacing.view(1, 2, 1, 1).expand(len(past), 2, *speed.shape[-2:])], dim=1)
        fraction = avg_pool2d(observed.flatten(0, 1), side)
        fraction = fraction.reshape(*observed.shape[:2], *fraction.shape[1:])
        return torch.cat([patches, fraction, constant.unsqueeze(1).expand(-1, patches.shape[1], -1, -1, -1)], dim=2)

    def changes(
        self,
        head: Callable[[Tensor], Tensor],
        hidden: Float[Tensor, "batch node hidden rows columns"],
        steps: int,
        like: Float[Tensor, "batch time channel y x"],
    ) -> Changes:
        """What `head` makes of the hidden states for each lead time, on the grid and in the dtype of `like`."""
        nodes = self._nodes(head, hidden, like)
        out = torch.stack([self._at_lead(nodes, lead) for lead in range(steps)], dim=1)
        return self._changes(out, (like.shape[-2], like.shape[-1]))

    def mean_changes(
        self,
        head: Callable[[Tensor], Tensor],
        past: Float[Tensor, "batch time channel y x"],
        motion: Float[Tensor, "batch 2 y x"],
        steps: int,
        context: Context,
    ) -> Changes:
        """The mean of what `head` makes of the past and of its mirror images, mirrored back."""
        height, width = past.shape[-2:]
        patch = self.network_settings.patch
        margin = (0, -width % patch, 0, -height % patch)
        past, motion = pad(past, margin, value=torch.nan), pad(motion, margin, mode="replicate")
        images = _MIRRORED_AXES if self.network_settings.mirror_images else _MIRRORED_AXES[:1]
        total: list[Tensor] = []
        for axes in images:
            sign = motion.new_tensor([-1.0 if axis in axes else 1.0 for axis in (-2, -1)]).view(1, 2, 1, 1)
            mirrored = past.flip(axes)
            nodes = self._node_by_node(head, mirrored, motion.flip(axes) * sign, steps, context)
            for lead in range(steps):  # one at a time, for memory
                made = self._changes(self._at_lead(nodes, lead).unsqueeze(1), (past.shape[-2], past.shape[-1]))
                parts = [part.flip(axes) for part in made if part is not None]
                total = total or [part.new_zeros(len(part), steps, *part.shape[2:]) for part in parts]
                for sums, part in zip(total, parts, strict=True):
                    sums[:, lead : lead + 1] += part
        growth, damping, *deviation = (sums.div_(len(images)) for sums in total)
        return Changes(growth[..., :height, :width], damping[..., :height, :width], *deviation)

    def _node_by_node(
        self, head: Callable[[Tensor], Tensor], past: Tensor, motion: Tensor, steps: int, context: Context
    ) -> Float[Tensor, "batch node outputs rows columns"]:
        """The same of some frames, with the hidden states of one node at a time in memory: not to learn from."""
        more = self._more(steps)
        each = _coder.one_by_one(self.encoder, self.forecaster, self._inputs(past, motion, context), more)
        nodes = past.new_empty(0)
        for number, layers in enumerate(each):
            made = head(torch.cat(layers, dim=1)).to(past.dtype)
            nodes = nodes if number else made.new_empty(len(made), 1 + more, *made.shape[1:])
            nodes[:, number] = made
        return nodes

    def _nodes(
        self,
        head: Callable[[Tensor], Tensor],
        hidden: Float[Tensor, "batch node hidden rows columns"],
        like: Tensor,
    ) -> Float[Tensor, "batch node outputs rows columns"]:
        """What `head` makes of the hidden states, in the dtype of `like`."""
        nodes = head(hidden.flatten(0, 1)).to(like.dtype)
        return nodes.reshape(*hidden.shape[:2], *nodes.shape[1:])

    def _changes(self, out: Float[Tensor, "batch steps outputs rows columns"], size: tuple[int, int]) -> Changes:
        """Growth and damping on the grid of the cells, from those of patches; and the noise's standard deviation."""
        patch = self.network_settings.patch
        parts = out[:, :, : self._cell_outputs].reshape(len(out), -1, patch**2, *out.shape[-2:])
        cells = from_patches(parts, patch)[..., : size[0], : size[1]].reshape(*out.shape[:2], -1, *size)
        rest = out[:, :, self._cell_outputs :]
        deviation = (rest + self._initial_log_scale).exp() if rest.shape[2] else None
        return Changes(cells[:, :, :1], cells[:, :, 1:], deviation)

    def _at_lead(self, nodes: Tensor, lead: int) -> Tensor:
        """The forecaster's step at a lead time, or between the two beside it."""
        stride = self.network_settings.lead_stride
        node, rest = divmod(lead, stride)
        return torch.lerp(nodes[:, node], nodes[:, node + 1], rest / stride) if rest else nodes[:, node]


def _log2_ratio(value: float | None, learned: float | None) -> float:
    """The logarithm to base 2 of a ratio; 0 where either is unknown."""
    return math.log2(value / learned) if value and learned else 0.0


def _zero_convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size=1)
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]  # it has a bias
    return convolution
