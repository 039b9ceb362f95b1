"""Weights by the names that `torch.nn.LSTM` and `torch.nn.GRU` give theirs, for code that goes by these.

===============  ==========================  ===========================================================
of cell k        of layer l (``_reverse``)
===============  ==========================  ===========================================================
weight_x         weight_ih_l{l}
weight_h         weight_hh_l{l}
bias             bias_ih_l{l}                ``bias_hh_l{l}`` is 0, or in a ConvGRU holds ``bias_h``
peephole         weight_peephole_l{l}        not in `torch.nn`
gain             weight_norm_l{l}            not in `torch.nn`
learned_padding  learned_padding_l{l}        not in `torch.nn`
===============  ==========================  ===========================================================

Gates come in the order of `torch.nn`: input, forget, candidate, output; of a ConvGRU reset, update, candidate.

>>> from echocast.nn import LSTM
>>> layer, theirs = LSTM(3, 5, peephole=None), torch.nn.LSTM(3, 5)
>>> theirs.load_state_dict(state_dict(layer))
<All keys matched successfully>
>>> load_state_dict(layer, theirs.state_dict())
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from echocast.errors import CheckpointMismatch
from echocast.nn.sequence import RecurrentLayers

_NAMES = {
    "weight_x": "weight_ih",
    "weight_h": "weight_hh",
    "bias": "bias_ih",
    "peephole": "weight_peephole",
    "gain": "weight_norm",
    "learned_padding": "learned_padding",
}


def state_dict(layer: RecurrentLayers[Any]) -> dict[str, Tensor]:
    """Copies of the weights of a layer by PyTorch's names."""
    found = {}
    for suffix, weights in _by_cell(layer):
        for ours, theirs in _NAMES.items():
            if ours in weights:
                found[f"{theirs}_{suffix}"] = weights[ours].detach().clone()
        if "bias" in weights:
            second = torch.zeros_like(weights["bias"])
            if "bias_h" in weights:
                second[-len(weights["bias_h"]) :] = weights["bias_h"].detach()
            found[f"bias_hh_{suffix}"] = second
    return found


@torch.no_grad()
def load_state_dict(layer: RecurrentLayers[Any], weights: Mapping[str, Tensor]) -> None:
    """Give a layer weights by PyTorch's names; where it has one bias for two of theirs, it gets their sum.

    Raises:
        CheckpointMismatch: a name is missing, or too many, or a shape does not fit; the layer is left as it was.
    """
    left, pairs = dict(weights), list[tuple[Tensor, Tensor]]()
    for suffix, own in _by_cell(layer):
        for ours, theirs in _NAMES.items():
            if ours not in own:
                continue
            value = _taken(left, f"{theirs}_{suffix}", own[ours])
            if ours == "bias":
                second = _taken(left, f"bias_hh_{suffix}", own[ours]).clone()
                if "bias_h" in own:
                    begin = len(second) - len(own["bias_h"])
                    pairs.append((own["bias_h"], second[begin:].clone()))
                    second[begin:] = 0
                value = value + second
            pairs.append((own[ours], value))
    if left:
        raise CheckpointMismatch(f"this layer has no weights named {', '.join(sorted(left))}; is it of another kind?")
    for parameter, value in pairs:
        parameter.copy_(value)


def _by_cell(layer: RecurrentLayers[Any]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """What PyTorch's names of a cell's weights end in, and the weights by our names."""
    for k, cell in enumerate(layer.cells):
        number, reverse = divmod(k, layer.directions)
        yield f"l{number}{'_reverse' * reverse}", dict(cell.named_parameters())


def _taken(left: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    if name not in left:
        raise CheckpointMismatch(
            f"a weight named {name!r} is missing; there are {', '.join(sorted(left)) or 'no more'}"
        )
    value = left.pop(name)
    if value.shape != like.shape:
        raise CheckpointMismatch(f"{name!r} must have the shape {tuple(like.shape)}; got {tuple(value.shape)}")
    return value
