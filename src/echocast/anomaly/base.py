"""Autoencoders of sequences: a network that gives back what it gets, and does so badly where that is unusual.

``reconstruct(values) -> values`` takes and gives ``(batch, time, channel, y, x)`` in the unit of the quantity. Inside,
``forward`` works on grey levels in [0, 1]; `save` and `load` carry the scaling with the weights, as for forecasters.

    >>> import torch
    >>> from echocast.anomaly.spatiotemporal import SpatioTemporal
    >>> network = SpatioTemporal(spatial_channels=(4, 4), temporal_channels=(4, 2, 4))
    >>> tuple(network.reconstruct(torch.zeros(1, 3, 1, 20, 30)).shape)
    (1, 3, 1, 20, 30)
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from echocast.anomaly import NOT_NETWORKS
from echocast.models.registry import Registry
from echocast.models.scaling import Scaling

TASK = "autoencoder"
"""What a checkpoint of an autoencoder says it is for."""


class Autoencoder(nn.Module, ABC):
    """Sequences in, the same sequences out, through something narrower.

    A subclass keeps every constructor argument as an attribute of the same name, so that a checkpoint can tell how to
    construct it again.
    """

    scaling: Scaling

    frames: int
    """How many frames the sequences have that it learns from; it takes any number."""

    @property
    def quantity(self) -> str:
        """The quantity of `echocast.fields` that it reconstructs."""
        return self.scaling.quantity

    @abstractmethod
    def forward(self, levels: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch time channel y x"]:
        """The reconstruction of grey levels in [0, 1], on the same grid; what is NaN counts as level 0."""

    def reconstruct(self, values: Float[Tensor, "batch time channel y x"]) -> Float[Tensor, "batch time channel y x"]:
        """The reconstruction of values in the unit of the quantity, NaN where they are.

        Raises:
            ValueError: another rank, no frame, or no floats.
        """
        if values.ndim != 5 or not values.is_floating_point() or not values.shape[1]:
            raise ValueError(
                f"{type(self).__name__} takes (batch, time, channel, y, x) of floats, with a frame at least; got"
                f" {values.dtype} of {tuple(values.shape)}"
            )
        with torch.no_grad():
            levels = self(self.scaling.to_network(values))
        return self.scaling.to_values(levels).masked_fill(values.isnan(), torch.nan)


REGISTRY = Registry(TASK, "echocast.anomaly", Autoencoder, NOT_NETWORKS)  # type: ignore[type-abstract]
"""All autoencoders."""
