"""Weights of the authors' PredNet for Keras: one list of arrays, kernels (y, x, in, out) and biases in turn."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from echocast.errors import CheckpointMismatch, UnreadableFile

_UNITS = ("a", "ahat", "c", "f", "i", "o")
"""Their order in the list, each from the lowest layer up; "a" has one layer less."""


def read(path: Path) -> tuple[dict[str, Tensor], list[int]]:
    """The weights of `Layers` by name, and the channels of each layer.

    Files of Keras 1 and 2 (HDF5) say the order of a layer's arrays in the attribute ``weight_names``; the names
    themselves differ. Kernels that Theano's order (out, in, y, x) are refused.

    Raises:
        UnreadableFile: no HDF5 file.
        CheckpointMismatch: it holds no PredNet, or one whose kernels are not 3x3 or not in Keras' order.
    """
    try:
        with h5py.File(path, "r") as file:
            arrays = next(_lists(file), None)
    except OSError as bad:
        raise UnreadableFile(f"{path}: is no HDF5 file of Keras ({bad}); give the .hdf5 of the authors' code") from bad
    if arrays is None:
        raise CheckpointMismatch(
            f"{path}: holds no PredNet of Keras, whose layer has 12 arrays for each layer of the network but 2"
        )
    return _by_layer(arrays, path)


def _lists(file: h5py.File) -> Iterator[list[np.ndarray]]:
    """The arrays of every layer of Keras that could be a PredNet."""
    groups: list[h5py.Group] = [file]
    file.visititems(lambda _, item: groups.append(item) if isinstance(item, h5py.Group) else None)
    for group in groups:
        names = [n.decode() if isinstance(n, bytes) else str(n) for n in group.attrs.get("weight_names", ())]
        if names and len(names) % 12 == 10:
            yield [np.asarray(group[name]) for name in names]


def _by_layer(arrays: list[np.ndarray], path: Path) -> tuple[dict[str, Tensor], list[int]]:
    layers = (len(arrays) + 2) // 12
    pairs = iter(zip(arrays[::2], arrays[1::2], strict=True))
    units = {u: [next(pairs) for _ in range(layers - 1 if u == "a" else layers)] for u in _UNITS}
    sizes = [len(bias) for _, bias in units["ahat"]]
    above = [*sizes[1:], 0]
    weights: dict[str, Tensor] = {}
    for layer, (size, up) in enumerate(zip(sizes, above, strict=True)):
        of = f"{path}: layer {layer}"
        gates = [_checked(units[u][layer], 3 * size + up, size, f"{of}, {u}") for u in ("i", "f", "o", "c")]
        parts = {"cells": [torch.cat(same) for same in zip(*gates, strict=True)]}
        parts["predictions"] = [*_checked(units["ahat"][layer], size, size, f"{of}, ahat")]
        if up:
            parts["targets"] = [*_checked(units["a"][layer], 2 * size, up, f"{of}, a")]
        for name, (kernel, bias) in parts.items():
            weights |= {f"{name}.{layer}.weight": kernel, f"{name}.{layer}.bias": bias}
    return weights, sizes


def _checked(pair: tuple[np.ndarray, np.ndarray], inputs: int, outputs: int, what: str) -> tuple[Tensor, Tensor]:
    kernel, bias = pair
    if kernel.shape != (3, 3, inputs, outputs) or bias.shape != (outputs,):
        raise CheckpointMismatch(
            f"{what}: must be a kernel (3, 3, {inputs}, {outputs}) with a bias ({outputs},); got {kernel.shape} and"
            f" {bias.shape}; weights of Keras 1 in Theano's order are to be converted by the authors' script first"
        )
    return torch.from_numpy(kernel.transpose(3, 2, 0, 1).astype(np.float32)), torch.from_numpy(bias.astype(np.float32))
