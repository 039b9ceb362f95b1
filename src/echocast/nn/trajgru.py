"""The trajectory gated recurrent unit: a ConvGRU that looks for the old hidden state where it came from.

A small convolutional network sees the input and the old hidden state and gives, for each pixel, the places of `links`
pixels of the old state; what lies there enters the gates in place of a fixed neighbourhood.

>>> import torch
>>> layer = TrajGRU(1, 8, links=5, batch_first=True)
>>> output, h_n = layer(torch.zeros(2, 4, 1, 16, 16))
>>> tuple(output.shape), tuple(h_n.shape)
((2, 4, 8, 16, 16), (1, 2, 8, 16, 16))
"""

from collections.abc import Sequence
from typing import Any, ClassVar, TypedDict, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from echocast.nn.carried import CellState, CellWeights, Dropout
from echocast.nn.cell import Cell
from echocast.nn.convolution import Size
from echocast.nn.initialisers import Initialiser
from echocast.nn.options import PerLayer
from echocast.nn.sequence import RecurrentLayers
from echocast.nn.settings import LayerSettings
from echocast.shapes import Float

FLOW_CHANNELS, FLOW_KERNEL = 32, 5
"""The hidden channels of the network that gives the places, and the size of its kernels."""


class TrajGRUOptions(TypedDict, total=False):
    """What every `TrajGRUCell` takes beside `links`; see `CellSettings`."""

    input_kernel: PerLayer[Size]
    bias: PerLayer[bool]
    gate_activation: PerLayer[str]
    activation: PerLayer[str]
    zoneout: PerLayer[float]
    init: PerLayer[Initialiser]
    device: torch.device | str | None
    dtype: torch.dtype | None


class TrajGRUCell(Cell):
    """One layer, one time step: the new hidden state from an input and the old one.

    ::

        U, V = flows(leaky_relu(flow_x * x + flow_h * h))           W h = sum over links of W_l warp(h, U_l, V_l)
        r = sigmoid(Wxr * x + br + Whr h)                           u = sigmoid(Wxu * x + bu + Whu h)
        n = leaky_relu(Wxn * x + bn + r (Whn h + bhn))              h' = u h + (1 - u) n

    Every W_l is one pixel wide; ``warp(h, U, V)`` at (y, x) is h at (y + V, x + U), bilinear, 0 outside.

    Args:
        in_channels: channels of the input; 0 for a layer without input.
        hidden_channels: channels of the hidden state.
        links: how many pixels of the old hidden state each pixel sees.
        options: see `TrajGRUOptions`; the activation is ``leaky_relu`` if none is named.

    Raises:
        ValueError: options that do not go together, named with their values.
        TypeError: an option of other cells that this one does not have.

    Source: Shi et al. 2017 (arXiv:1706.03458), equations 3 and 4, and the reset after the product as its published
    code has it. All displacements start at 0.
    """

    gates: int = 3
    num_states: ClassVar[int] = 1

    def __init__(
        self, in_channels: int, hidden_channels: int, *, links: int = 13, **options: Unpack[TrajGRUOptions]
    ) -> None:
        if links < 1:
            raise ValueError(f"links must be at least 1; got {links}")
        strange = [name for name in options if name not in TrajGRUOptions.__annotations__]
        if strange:
            known = ", ".join(("links", *TrajGRUOptions.__annotations__))
            raise TypeError(f"a TrajGRU has no option {strange[0]!r}; it takes {known}")
        chosen: dict[str, Any] = {"activation": "leaky_relu", **options, "state_kernel": 1}
        super().__init__(in_channels, hidden_channels, **chosen)
        self.links = links
        kind: dict[str, Any] = {"device": self.weight_h.device, "dtype": self.weight_h.dtype}
        self.weight_h = nn.Parameter(torch.empty(3 * hidden_channels, links * hidden_channels, 1, 1, **kind))
        self.bias_h = None if self.bias is None else nn.Parameter(torch.empty(hidden_channels, **kind))
        layer, edge = nn.Conv2d, FLOW_KERNEL // 2
        self.flow_x = layer(in_channels, FLOW_CHANNELS, FLOW_KERNEL, padding=edge, **kind) if in_channels else None
        self.flow_h = layer(hidden_channels, FLOW_CHANNELS, FLOW_KERNEL, padding=edge, **kind)
        self.flows = layer(FLOW_CHANNELS, 2 * links, FLOW_KERNEL, padding=edge, **kind)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise the weights anew."""
        super().reset_parameters()
        for convolution in (self.flow_x, self.flow_h):
            if convolution is not None:
                convolution.reset_parameters()
        for parameter in self.flows.parameters():
            nn.init.zeros_(parameter)

    def _own(self) -> Tensor | None:
        return self.bias_h

    def input_gates(self, x: Tensor, weights: CellWeights | None = None) -> Tensor:
        """What the input adds to the gates, and after them to the network that gives the places; see `Cell`."""
        gates = super().input_gates(x, weights)
        assert self.flow_x is not None  # `Cell.input_gates` has refused an input to a layer without one
        return torch.cat([gates, self.flow_x(x)], dim=1)

    def update(
        self, x_gates: Tensor | None, state: CellState, weights: CellWeights, dropout: Dropout | None = None
    ) -> tuple[Tensor]:
        """The next ``(h,)``; see `Cell.update`."""
        (h,) = state
        if x_gates is None:
            x_part = h.new_zeros(()) if weights.bias is None else self._over_space(weights.bias).expand(1, -1, 1, 1)
            places = self.displacements(h)
        else:
            x_part, flow = torch.split(x_gates, [self.gates * self.hidden_channels, FLOW_CHANNELS], dim=1)
            places = self.displacements(h, flow)
        from_state = F.conv2d(warped(h, places), weights.h)
        return (self._zoneout(self._gated(x_part, from_state, h, weights.own), h),)

    def _gated(self, x_part: Tensor, from_state: Tensor, h: Tensor, bias_h: Tensor | None) -> Tensor:
        x_part = x_part.expand_as(from_state)
        split = [2 * self.hidden_channels, self.hidden_channels]
        (x_gates, x_new), (h_gates, h_new) = torch.split(x_part, split, dim=1), torch.split(from_state, split, dim=1)
        r, u = self._gate_function(x_gates + h_gates).chunk(2, dim=1)
        if bias_h is not None:
            h_new = h_new + self._over_space(bias_h)
        return (u * h + (1 - u) * self._activation_function(x_new + r * h_new)).to(h.dtype)

    def displacements(
        self, h: Float[Tensor, "batch hidden y x"], flow_x: Float[Tensor, "batch flow y x"] | None = None
    ) -> Float[Tensor, "batch links 2 y x"]:
        """Where each link looks, in pixels from its own pixel: to the right (U), then down (V).

        Args:
            h: the old hidden state.
            flow_x: what the input adds, the last channels of `input_gates`; None without input.
        """
        seen = self.flow_h(h) if flow_x is None else self.flow_h(h) + flow_x
        flows: Tensor = self.flows(F.leaky_relu(seen, 0.2))
        return flows.reshape(len(flows), self.links, 2, *flows.shape[2:])


def warped(
    h: Float[Tensor, "batch hidden y x"], places: Float[Tensor, "batch links 2 y x"]
) -> Float[Tensor, "batch links*hidden y x"]:
    """``h`` at the displaced pixels, link by link; bilinear, 0 outside.

    Args:
        h: any image.
        places: displacements in pixels, to the right and down.
    """
    batch, links, _, rows, columns = places.shape
    y = torch.arange(rows, device=h.device, dtype=places.dtype)[:, None] + places[:, :, 1]
    x = torch.arange(columns, device=h.device, dtype=places.dtype) + places[:, :, 0]
    grid = torch.stack([(2 * x + 1) / columns - 1, (2 * y + 1) / rows - 1], dim=-1).flatten(0, 1)
    images = h.to(grid.dtype).repeat_interleave(links, dim=0)
    found = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.reshape(batch, links * h.shape[1], rows, columns)


class TrajGRU(RecurrentLayers[TrajGRUCell]):
    """Layers of `TrajGRUCell` over a sequence, in the manner of `torch.nn.GRU`: ``output, h_n = layer(x, h_0)``.

    Args:
        in_channels: channels of the input; 0 for a first layer without input.
        hidden_channels: hidden channels; a sequence has one number for each layer.
        links: places that each pixel sees; a list has one number for each layer.
        num_layers, batch_first, bidirectional, dropout: see `ConvLSTM`.
        options: see `TrajGRUOptions`; a **list** has one value for each layer.

    Raises:
        ValueError: options that do not go together, named with their values.
        TypeError: an option that a TrajGRU does not have.
    """

    cell_type = TrajGRUCell

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int | Sequence[int],
        *,
        links: PerLayer[int] = 13,
        num_layers: int | None = None,
        batch_first: bool = False,
        bidirectional: bool = False,
        dropout: float = 0.0,
        **options: Unpack[TrajGRUOptions],
    ) -> None:
        settings = LayerSettings(num_layers, batch_first, bidirectional, dropout)
        super().__init__(in_channels, hidden_channels, settings, {"links": links, **options})
        del self.arguments["gradient_checkpointing"]  # which it does not take
