"""The spatiotemporal LSTM of PredRNN: beside the cell state of each layer, one memory that zigzags through all layers.

::

    layer 2   h, c --> [cell] --> h, c --> [cell] -->          c goes right, from frame to frame
                         ^ |                 ^
                       m | +--------+        | m               m goes up through the layers, and from the top
    layer 1   h, c --> [cell] --> h,|c --> [cell] -->          layer down to the first one of the next frame
                         ^          +--------^

>>> import torch
>>> layer = STLSTM(1, 8, num_layers=2, batch_first=True)
>>> output, (h_n, c_n, m_n) = layer(torch.zeros(2, 4, 1, 16, 16))
>>> tuple(output.shape), tuple(h_n.shape), tuple(m_n.shape)
((2, 4, 8, 16, 16), (2, 2, 8, 16, 16), (2, 8, 16, 16))
"""

from collections.abc import Callable
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor, nn

from echocast.nn import fused
from echocast.nn.convolution import by_dimension
from echocast.nn.layout import opened, restored, valid_steps
from echocast.shapes import Float, Int

Memories = tuple[Tensor, Tensor, Tensor]
"""Hidden state, cell state and spatiotemporal memory: of a cell each (batch, hidden, y, x)."""


class STLSTMOptions(TypedDict, total=False):
    """What every `STLSTMCell` takes."""

    kernel: int
    bias: bool
    forget_bias: float
    layer_norm: bool
    device: torch.device | str | None
    dtype: torch.dtype | None


class STLSTMCell(nn.Module):
    """One layer, one time step.

    ::

        i, f, g = of (x, h)       c' = sigmoid(f + b) c + sigmoid(i) tanh(g)
        i', f', g' = of (x, m)    m' = sigmoid(f' + b) m + sigmoid(i') tanh(g')
        o = of (x, h) + Wo * [c', m']      h' = sigmoid(o) tanh(W1 [c', m'])     W1 one pixel wide

    Args:
        in_channels: channels of the input.
        hidden_channels: channels of hidden state, cell state and memory.
        kernel: odd size of all convolutions but the last.
        bias: whether the gates have a bias, which the published code leaves out.
        forget_bias: b, added to both forget gates as they run; no weight.
        layer_norm: normalise what each convolution but the last gives over channels and pixels, each channel with its
            own gain and shift. (The published code has a gain for each pixel, which fixes the size of the frames.)
        device, dtype: of the weights.

    Raises:
        ValueError: a value that is not allowed.

    Source: Wang et al. 2017 (PredRNN, NIPS), equation 3; Wang et al. 2022 (arXiv:2103.09504).
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        *,
        kernel: int = 5,
        bias: bool = False,
        forget_bias: float = 1.0,
        layer_norm: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if min(in_channels, hidden_channels) < 1:
            raise ValueError(
                f"in_channels and hidden_channels must be at least 1; got {in_channels} and {hidden_channels}"
            )
        by_dimension("kernel", kernel, 1)
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd; got {kernel}")
        self.in_channels, self.hidden_channels = in_channels, hidden_channels
        self.forget_bias, self.kernel = forget_bias, kernel
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        f = hidden_channels
        same: dict[str, Any] = {"kernel_size": kernel, "padding": kernel // 2, "bias": False, **kind}
        self.x = nn.Conv2d(in_channels, 7 * f, **(same | {"bias": bias}))
        self.h, self.m, self.o = nn.Conv2d(f, 4 * f, **same), nn.Conv2d(f, 3 * f, **same), nn.Conv2d(2 * f, f, **same)
        self.last = nn.Conv2d(2 * f, f, 1, bias=False, **kind)
        sizes = {"x": 7 * f, "h": 4 * f, "m": 3 * f, "o": f} if layer_norm else {}
        self.norms = nn.ModuleDict({name: nn.GroupNorm(1, size, **kind) for name, size in sizes.items()})

    def forward(self, x: Float[Tensor, "batch channel y x"], state: Memories) -> Memories:
        """The next ``(h, c, m)``.

        Args:
            x: the input.
            state: this layer's h and c of the frame before, and m from the layer below (for the first layer, from the
                top layer of the frame before).
        """
        h, c, m = state
        x_all, h_all, m_all = self._of("x", x), self._of("h", h), self._of("m", m)
        f = self.hidden_channels
        x_c, x_m, x_o = torch.split(x_all, [3 * f, 3 * f, f], dim=1)
        h_c, h_o = torch.split(h_all, [3 * f, f], dim=1)
        c = self.kept(x_c + h_c, c)
        m = self.kept(x_m + m_all, m)
        both = torch.cat([c, m], dim=1)
        o = torch.sigmoid(x_o + h_o + self._of("o", both))
        return o * torch.tanh(self.last(both)), c, m

    def _of(self, name: str, value: Tensor) -> Tensor:
        result: Tensor = self.get_submodule(name)(value)
        return self.norms[name](result) if name in self.norms else result

    def kept(self, gates: Tensor, old: Tensor) -> Tensor:
        """The gates i, f, g act on a memory."""
        i, f, g = gates.chunk(3, dim=1)
        return torch.sigmoid(f + self.forget_bias) * old + torch.sigmoid(i) * torch.tanh(g)


class STLSTM(nn.Module):
    """Layers of `STLSTMCell` over a sequence: ``output, (h_n, c_n, m_n) = layer(x, (h_0, c_0, m_0))``.

    The memory passes through all layers, so all have as many hidden channels.

    Args:
        in_channels: channels of the input.
        hidden_channels: hidden channels of every layer.
        num_layers: number of layers.
        batch_first: whether sequences are (batch, time, ...) and not (time, batch, ...).
        options: see `STLSTMCell`.

    Raises:
        ValueError: a value that is not allowed.
    """

    dims = 2

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        *,
        num_layers: int = 1,
        batch_first: bool = False,
        **options: Unpack[STLSTMOptions],
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1; got {num_layers}")
        self.in_channels, self.hidden_channels, self.batch_first = in_channels, hidden_channels, batch_first
        self.arguments: dict[str, Any] = {
            "in_channels": in_channels,
            "hidden_channels": hidden_channels,
            "num_layers": num_layers,
            "batch_first": batch_first,
            **{name: value for name, value in options.items() if name not in ("device", "dtype")},
        }
        """What this layer was made with, but for device and dtype."""
        self.cells = nn.ModuleList(
            STLSTMCell(hidden_channels if layer else in_channels, hidden_channels, **options)
            for layer in range(num_layers)
        )

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return len(self.cells)

    def forward(
        self,
        x: Float[Tensor, "..."],
        state: Memories | None = None,
        *,
        lengths: Int[Tensor, "batch"] | None = None,
    ) -> tuple[Tensor, Memories]:
        """The top layer's hidden states and the last state of every layer.

        Args:
            x: (time, batch, channel, y, x), batch and time the other way round with ``batch_first``, or without batch.
            state: the initial h and c, each (layers, batch, hidden, y, x), and the memory, (batch, hidden, y, x);
                zeros if None. Without batch as the input.
            lengths: number of time steps of each sequence of a ragged batch; after its last it keeps its state.

        Returns:
            The output, (time, batch, hidden, y, x) or as `x`, and the state as `state`.

        Raises:
            ValueError: a wrong number of dimensions or channels, a wrong state or length; no time steps.
        """
        frames, layout, counted = opened(x, self.dims, batch_first=self.batch_first, lengths=lengths)
        assert frames is not None  # it is None only for an input of None
        batched = layout.batched
        if not batched and state is not None:
            state = (state[0].unsqueeze(1), state[1].unsqueeze(1), state[2].unsqueeze(0))
        steps, batch = frames.shape[:2]
        if not steps:
            raise ValueError("the input has 0 time steps; at least one is needed")
        valid = valid_steps(
            counted, None, steps=steps, batch=batch, device=frames.device, batch_first=self.batch_first
        )  # fmt: skip
        outputs = []
        for t in range(steps):
            _, new = self.step(frames[t], state)
            state = new if valid is None or state is None else _where(valid[t], new, state)
            outputs.append(state[0][-1])
        assert state is not None  # there was a time step
        if not batched:
            state = (state[0].squeeze(1), state[1].squeeze(1), state[2].squeeze(0))
        output = restored(layout, torch.stack(outputs))
        assert isinstance(output, Tensor)  # as the input is one
        return output, state

    def stepper(self, x: Float[Tensor, "batch channel y x"]) -> Callable[[Tensor, Any], tuple[Tensor, Any]]:
        """`step` for many time steps of frames like `x`: on the CPU prepared once, several times as fast.

        The state that it gives is to be given to its next call, and nothing else can be done with it. It can be
        differentiated once. The weights must not change between its calls.
        """
        if not self._fuses(x):
            return self.step
        from echocast.nn.fused.spatiotemporal import Stepper  # it needs llvmlite

        return Stepper(self, (x.shape[-2], x.shape[-1]))

    def _fuses(self, x: Tensor) -> bool:
        weights = list(self.parameters())
        wide = all(t.dtype == torch.float32 for t in (x, *weights)) and not torch.is_autocast_enabled("cpu")
        first: Any = self.cells[0]
        if not wide or first.norms or first.kernel not in (3, 5) or x.dim() != 4 or x.shape[1] != self.in_channels:
            return False
        products = len(x) * x.shape[-2] * x.shape[-1] * sum(weight.numel() for weight in weights)
        return fused.takes(x, *weights, products=products)

    def step(
        self, x: Float[Tensor, "batch channel y x"], state: Memories | None = None
    ) -> tuple[Float[Tensor, "batch hidden y x"], Memories]:
        """One time step: the top layer's hidden state, and the state, to be given to the next call.

        Raises:
            ValueError: a wrong number of dimensions or channels, or a wrong state.
        """
        self._check_input(x)
        h, c, m = self.zero_state(x) if state is None else state
        if state is not None:
            self._check_state(x, state)
        frame, new = x, []
        for cell, *own in zip(self.cells, h, c, strict=True):
            frame, cell_state, m = cell(frame, (*own, m))
            new.append((frame, cell_state))
        hidden, cells = zip(*new, strict=True)
        return frame, (torch.stack(hidden), torch.stack(cells), m)

    def extra_repr(self) -> str:
        """What it was made with."""
        return ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())

    def zero_state(self, x: Float[Tensor, "batch channel y x"]) -> Memories:
        """The state before the first input, for inputs like `x`."""
        weight = next(self.parameters())
        zero = weight.new_zeros(self.num_layers, x.shape[0], self.hidden_channels, *x.shape[2:])
        return zero, zero, zero[0]

    def _check_input(self, x: Tensor) -> None:
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"this layer takes {self.in_channels} channels in 2 spatial dimensions,"
                f" (batch, {self.in_channels}, y, x); got a tensor of shape {tuple(x.shape)}"
            )

    def _check_state(self, x: Tensor, state: Memories) -> None:
        one = (x.shape[0], self.hidden_channels, *x.shape[2:])
        wanted = [(self.num_layers, *one), (self.num_layers, *one), one]
        given = [tuple(part.shape) for part in state]
        if given != wanted:
            raise ValueError(f"the state (h, c, m) must have the shapes {wanted}; got {given}")


def _where(valid: Tensor, new: Memories, old: Memories) -> Memories:
    """The new state where a sequence still runs."""
    keep = valid.reshape(-1, 1, 1, 1)
    h, c, m = (torch.where(keep, a, b) for a, b in zip(new, old, strict=True))
    return h, c, m
