"""Rain rates, grey levels and logits: the three forms of rain that `lagrangian` computes with."""

import torch
from jaxtyping import Float
from torch import Tensor

from echocast.models.scaling import Scaling


def to_level(scaling: Scaling, rate_mm_h: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The grey level of a rain rate, with a finite gradient also where there is no rain."""
    return scaling.to_network(rate_mm_h.maximum(scaling.to_smooth_values(rate_mm_h.new_zeros(()))))


def to_logit(level: Float[Tensor, "*shape"], limits: tuple[float, float]) -> Float[Tensor, "*shape"]:
    """The logit of a grey level kept within `limits`."""
    return torch.logit(level.clamp(*limits))
