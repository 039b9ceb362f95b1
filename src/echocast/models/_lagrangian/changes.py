"""What the network of `lagrangian` forecasts: growth, damping of detail, and the noise's standard deviation."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Changes(NamedTuple):
    """What the network forecasts for each lead time, in the moving frame, on the grid of its cells."""

    growth: Float[Tensor, "batch steps 1 y x"]
    """Added to the logit."""

    damping: Float[Tensor, "batch steps bands y x"]
    """Of each band of detail: 0 keeps it, -1 removes it."""

    noise_deviation: Float[Tensor, "batch steps octaves rows columns"] | None = None
    """Standard deviation of each octave of noise in logits, patch by patch; None of the deterministic output."""
