"""What all converters share: taking tensors by name, reordering gates, and making the layer."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from echocast import plugins
from echocast.checkpoint import without_wrappers
from echocast.errors import CheckpointMismatch
from echocast.nn.convlstm import ConvLSTM
from echocast.nn.lstm import LSTM
from echocast.nn.sequence import RecurrentLayers

PACKAGE = "echocast.nn.compat"
_NO_CONVERTERS = ("base", "files")
"""Modules of the package that convert nothing."""


@dataclass(frozen=True)
class CellWeights:
    """The weights of one layer (and direction) as echocast's layers have them.

    Args:
        x: (4 F, C, *kernel), gates in the order input, forget, candidate, output.
        h: (4 F, F, *kernel).
        bias: (4 F,) or None.
        peephole: (3, F, *ones) or (3, F, *space), of input, forget and output gate, or None.
    """

    x: Tensor
    h: Tensor
    bias: Tensor | None = None
    peephole: Tensor | None = None


@dataclass(frozen=True)
class Imported:
    """Converted weights, from the first layer to the last.

    Args:
        cells: the weights of each layer; with ``bidirectional``, forwards and backwards in turn.
        options: arguments of `ConvLSTM` or `LSTM` that these weights need.
    """

    cells: Sequence[CellWeights]
    options: Mapping[str, Any] = field(default_factory=dict)

    def layer(self, **options: Any) -> RecurrentLayers[Any]:
        """The `ConvLSTM` (`LSTM` without spatial dimensions) with these weights; `options` such as ``batch_first``."""
        directions = 2 if self.options.get("bidirectional") else 1
        first, forward = self.cells[0], self.cells[::directions]
        dims = first.x.dim() - 2
        settings: dict[str, Any] = {
            "bias": first.bias is not None,
            "peephole": _peephole(first),
            "dtype": first.x.dtype,
            **self.options,
            **options,
        }
        if dims:
            settings["dims"] = dims
            settings["input_kernel"] = [tuple(cell.x.shape[2:]) for cell in forward]
            settings["state_kernel"] = [tuple(cell.h.shape[2:]) for cell in forward]
        if settings["peephole"] == "pixel" and first.peephole is not None:
            settings["spatial_size"] = tuple(first.peephole.shape[2:])
        _refuse_even(settings.get("input_kernel", []), settings.get("state_kernel", []))
        hidden = [cell.h.shape[1] for cell in forward]
        build = ConvLSTM if dims else LSTM
        # One number for all layers where they are alike, so that their states come stacked as in nn.LSTM.
        alike = len(set(hidden)) == 1 and settings.get("padding", "same") == "same"
        settings["num_layers"] = len(hidden) if alike else None
        try:
            layer = build(first.x.shape[1], hidden[0] if alike else hidden, **settings)
        except ValueError as bad:
            raise CheckpointMismatch(f"echocast has no layer for these weights: {bad}") from bad
        with torch.no_grad():
            for cell, weights in zip(layer.cells, self.cells, strict=True):
                for name in ("weight_x", "weight_h", "bias", "peephole"):
                    value = getattr(weights, name.removeprefix("weight_"))
                    if value is not None:
                        getattr(cell, name).copy_(value)
        return layer


class Weights:
    """Named tensors, each of which a converter must take or ignore, so that an unknown one is noticed.

    Args:
        tensors: by name, as PyTorch or NumPy have them.
        source: the implementation, for messages.
        prefix: what every name begins with, such as ``encoder.``; other names are left alone. The ``module.`` and
            ``_orig_mod.`` of PyTorch's wrappers are seen through.
    """

    def __init__(self, tensors: Mapping[str, Any], source: str, prefix: str = "") -> None:
        self.source = source
        plain = without_wrappers(tensors)
        if prefix and not any(name.startswith(prefix) for name in plain):
            prefix = next(iter(without_wrappers({prefix: None})))
        chosen = {k.removeprefix(prefix): v for k, v in plain.items() if k.startswith(prefix)}
        if not chosen:
            raise CheckpointMismatch(f"no weight's name begins with prefix={prefix!r}; the names are: {_few(tensors)}")
        self._left = {name: _tensor(value) for name, value in chosen.items()}
        self._all = list(self._left)

    def numbers(self, pattern: str) -> list[int]:
        """The numbers in names that match `pattern`, sorted; its first group is the number.

        Raises:
            CheckpointMismatch: no name matches.
        """
        found = sorted({int(match[1]) for name in self._all if (match := re.fullmatch(pattern, name))})
        if not found:
            raise CheckpointMismatch(
                f"weights of {self.source} have names like {pattern}; these are named {_few(self._all)}; "
                "is it another implementation, or is a prefix missing?"
            )
        return found

    def has(self, name: str) -> bool:
        """Whether there is such a tensor."""
        return name in self._left

    def all_names(self) -> list[str]:
        """The names of all tensors, taken or not."""
        return list(self._all)

    def take(self, name: str, shape: Sequence[int | None] | None = None) -> Tensor:
        """The tensor of that name.

        Args:
            name: in the implementation.
            shape: what it must be; None for any length.

        Raises:
            CheckpointMismatch: there is none, or it has another shape.
        """
        if name not in self._left:
            raise CheckpointMismatch(
                f"weights of {self.source} must contain {name!r}; these are named {_few(self._all)}"
            )
        value = self._left.pop(name)
        if shape is not None:
            fits = value.dim() == len(shape) and all(
                want in (None, have) for want, have in zip(shape, value.shape, strict=True)
            )
            if not fits:
                wanted = ", ".join("any" if size is None else str(size) for size in shape)
                raise CheckpointMismatch(f"{name!r} must have the shape ({wanted}); got {tuple(value.shape)}")
        return value

    def maybe(self, name: str, shape: Sequence[int | None] | None = None) -> Tensor | None:
        """`take`, or None if there is none."""
        return self.take(name, shape) if name in self._left else None

    def ignore(self, pattern: str) -> None:
        """Leave out weights that the implementation itself never uses."""
        self._left = {name: value for name, value in self._left.items() if not re.fullmatch(pattern, name)}

    def finish(self) -> None:
        """
        Raises:
            CheckpointMismatch: a tensor was not taken.
        """
        if self._left:
            raise CheckpointMismatch(
                f"{self.source} has no weights named {_few(self._left)}; "
                "if the layer is part of a larger model, give the prefix of its names"
            )


def _refuse_even(*kernels: Sequence[Sequence[int]]) -> None:
    """Implementations pad even kernels each in its own way, so that such a layer would give other outputs."""
    even = [size for sizes in kernels for size in sizes if any(number % 2 == 0 for number in size)]
    if even:
        raise CheckpointMismatch(
            f"echocast has no layer for these weights: kernels must be odd, and one is {tuple(even[0])}"
        )


def taken_from(weights: Weights, prefix: str) -> list[str]:
    """The names, prefix and all, of the tensors that a converter took."""
    return [prefix + name for name in weights.all_names() if not weights.has(name)]


def names() -> list[str]:
    """The implementations whose weights can be read."""
    return plugins.names(PACKAGE, skip=_NO_CONVERTERS)


def summary(name: str) -> str:
    """One line about an implementation."""
    return plugins.summary(PACKAGE, name)


def convert(name: str, weights: Mapping[str, Any], *, prefix: str = "", **hints: Any) -> Imported:
    """Weights of the implementation `name` as echocast's layers have them.

    Args:
        name: one of `names`.
        weights: tensors by name, as that implementation saves them.
        prefix: what the names of this layer begin with, inside a larger model.
        hints: what the weights alone do not tell, such as ``forget_bias``; see the implementation's module.

    Raises:
        CheckpointMismatch: no such implementation, an unknown or missing name, or a wrong shape.
    """
    if name in _NO_CONVERTERS:
        raise CheckpointMismatch(f"{name!r} is no implementation; there are: {', '.join(names())}")
    module = plugins.load(PACKAGE, name, error=CheckpointMismatch)
    tensors = Weights(weights, name, prefix)
    made: Imported = plugins.construct(module.convert, hints, where=name, error=CheckpointMismatch, given=(tensors,))
    tensors.finish()
    return made


def in_order(weight: Tensor, order: str, dim: int = 0) -> Tensor:
    """Gates along `dim` reordered from `order`, such as ``ifog``, to ``ifgo``.

    >>> in_order(torch.tensor([0, 1, 3, 2]), "ifog").tolist()
    [0, 1, 2, 3]
    """
    blocks = dict(zip(order, weight.chunk(4, dim=dim), strict=True))
    return torch.cat([blocks[gate] for gate in "ifgo"], dim=dim).contiguous()


def split(weight: Tensor, *, order: str, name: str) -> tuple[Tensor, Tensor]:
    """A kernel (4 F, C + F, *k) over input and state as two, of input and of state, with the gates reordered."""
    hidden = weight.shape[0] // 4
    inputs = weight.shape[1] - hidden
    if weight.shape[0] % 4 or inputs < 1:
        raise CheckpointMismatch(f"{name!r} must be (4 F, C + F, ...) for some F and C; got {tuple(weight.shape)}")
    weight = in_order(weight, order)
    return weight[:, :inputs].contiguous(), weight[:, inputs:].contiguous()


def channels_first(kernel: Tensor) -> Tensor:
    """TensorFlow's (*k, in, out) as PyTorch's (out, in, *k)."""
    return kernel.movedim((-1, -2), (0, 1)).contiguous()


def with_forget_bias(bias: Tensor | None, forget_bias: float, like: Tensor) -> Tensor | None:
    """A bias (4 F) with `forget_bias` added to its forget gate; zeros to begin with if there is none."""
    if bias is None and not forget_bias:
        return None
    bias = like.new_zeros(like.shape[0]) if bias is None else bias.clone()
    hidden = bias.shape[0] // 4
    bias[hidden : 2 * hidden] += forget_bias
    return bias


def _peephole(cell: CellWeights) -> str | None:
    if cell.peephole is None:
        return None
    return "channel" if all(size == 1 for size in cell.peephole.shape[2:]) else "pixel"


def _tensor(value: Any) -> Tensor:
    return value.detach() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))


def _few(names: Mapping[str, Any] | Sequence[str]) -> str:
    shown = sorted(names)
    return ", ".join(map(repr, shown[:8])) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
