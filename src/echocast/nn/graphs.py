"""A layer over sequences of one shape as CUDA graphs: one launch for all time steps forwards, and one backwards.

A GPU is done with a time step of a small grid before Python has asked for the next one; a graph asks for all at once::

    layer = ConvLSTM(1, 64, device="cuda")
    run = capture(layer, x)                  # x: (time, batch, channel, y, x), as all that will come
    output, (h_n, c_n) = run(x)              # good until the next call
    output.pow(2).mean().backward()

Capture where gradients are on to train, inside `torch.no_grad` for inference.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from echocast.nn.sequence import RecurrentLayers


def capture(layer: RecurrentLayers[Any], x: Tensor, state: Any = None) -> "Captured":
    """The layer for sequences like `x`, and initial states like `state`; zeros if None.

    It uses the layer's own parameters, and what an optimiser does to them counts. Under autocast give it
    ``cache_enabled=False``, here and in no other place.

    Raises:
        ValueError: `x` is on no CUDA device, or the layer has gradient checkpointing, which a graph cannot hold.
    """
    if x.device.type != "cuda":
        raise ValueError(f"x is on the device {x.device}; CUDA graphs need one of CUDA: call the layer itself here")
    if layer.gradient_checkpointing:
        raise ValueError("gradient_checkpointing=True cannot be captured in a graph; make the layer without it")
    return Captured(layer, (x,) if state is None else (x, state))


class Captured:
    """See `capture`."""

    def __init__(self, layer: RecurrentLayers[Any], given: tuple[Any, ...]) -> None:
        self._layer, self._wanted = layer, _forms(given)
        self._learns, self._trains = torch.is_grad_enabled(), layer.training
        # Of its own: the graph reads what lies there, and replaces the forward method of the module.
        self._run: Callable[..., Any] = torch.cuda.make_graphed_callables(
            _Called(layer), _copied(given, learns=self._learns), allow_unused_input=True
        )

    def __call__(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The layer's output and last state, which the next call overwrites: clone what is to stay.

        Raises:
            ValueError: other shapes, dtypes or devices than those captured, the layer is in the other mode, or
                gradients are on and were off then.
        """
        given = (x,) if state is None else (x, state)
        found = _forms(given)
        if found != self._wanted:
            raise ValueError(f"captured for {'; '.join(self._wanted)}; got {'; '.join(found)}: capture anew for those")
        if self._layer.training != self._trains:
            raise ValueError(f"captured with training={self._trains}, and the layer has {self._layer.training} now")
        if torch.is_grad_enabled() and not self._learns:
            raise ValueError("captured without gradients: call it inside torch.no_grad(), or capture with them")
        output, last = self._run(*given)
        return output, last


class _Called(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, state: Any = None) -> Any:
        return self.layer(x, state)


def _forms(given: Any) -> list[str]:
    """Shape, dtype and device of each tensor, in their order."""
    if isinstance(given, Tensor):
        return [f"{tuple(given.shape)} {given.dtype} on {given.device}"]
    return [form for part in given for form in _forms(part)]


def _copied(given: Any, *, learns: bool) -> Any:
    if isinstance(given, Tensor):
        return given.detach().clone().requires_grad_(given.requires_grad and learns)
    return tuple(_copied(part, learns=learns) for part in given)
