"""Between the values of a field and the range [0, 1] that a network works in.

A scaling is saved with the weights it belongs to, so that their network always gets values on the scale it learned
from; it names the quantity that it is for. `RainScaling` is for rain rates, `ImageScaling` for images, `LinearScaling`
for temperatures and other quantities without a hard end.

    >>> import torch
    >>> scaling = RainScaling()
    >>> round(float(scaling.to_network(torch.tensor([1.0]))), 4)
    0.3835
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import threshold

from echocast.zr import MARSHALL_PALMER as _ZR


@runtime_checkable
class Scaling(Protocol):
    """What a forecaster with weights needs of a scaling. Every one is a frozen dataclass, so that it can be saved."""

    @property
    def quantity(self) -> str:
        """The quantity of `echocast.fields` that it scales."""

    def to_network(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Grey levels in [0, 1] of values in the unit of the quantity; NaN becomes 0, for a network cannot take it."""

    def to_level(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The same, NaN where the value is."""

    def to_values(self, level: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Values of grey levels, as a forecast gives them."""

    def to_smooth_values(self, level: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The same with a gradient everywhere, for losses."""

    def level(self, value: float) -> float:
        """The grey level of one value."""


@dataclass(frozen=True, kw_only=True)
class RainScaling:
    """Rain rate <-> a grey level in [0, 1] that is linear in the logarithm of the rate.

    Args:
        kind: tells the scalings apart in files.
        floor_dbz: the reflectivity (by Marshall and Palmer's Z = 200 R^1.6) at grey level 0; what is weaker is dry.
        ceiling_dbz: the reflectivity at grey level 1.
        dry_mm_h: rates below this one become 0 in a forecast, for a network's grey level never quite reaches 0.

    Source: the linear grey level of Shi et al. 2015, section 4.2, with our own ends of the range. The relation here
    only shapes the range; what a radar's own reflectivity means in mm/h was settled when its file was read.
    """

    quantity: ClassVar[str] = "rainfall_rate"
    kind: Literal["rain"] = "rain"
    floor_dbz: float = 0.0
    ceiling_dbz: float = 60.0
    dry_mm_h: float = 0.1

    def __post_init__(self) -> None:
        if not self.floor_dbz < self.ceiling_dbz:
            raise ValueError(f"floor_dbz={self.floor_dbz:g} must be below ceiling_dbz={self.ceiling_dbz:g}")

    def to_network(self, rate_mm_h: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Grey level of a rain rate (mm/h), clipped to [0, 1]; NaN becomes 0, for a network cannot take it."""
        dbz: Tensor = _ZR.dbz(torch.log10(rate_mm_h))
        level = (dbz - self.floor_dbz) / (self.ceiling_dbz - self.floor_dbz)
        return level.clamp(0.0, 1.0).nan_to_num(0.0)

    def to_level(self, rate_mm_h: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The same, NaN where the rate is."""
        return self.to_network(rate_mm_h).masked_fill(rate_mm_h.isnan(), torch.nan)

    def to_values(self, level: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Rain rate (mm/h) of a grey level; rates below `dry_mm_h` are 0, and NaN stays NaN."""
        below = float(np.nextafter(np.float32(self.dry_mm_h), np.float32(0.0)))
        return threshold(self.to_smooth_values(level), below, 0.0)  # in a tenth of the time of `torch.where`

    def to_smooth_values(self, level: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The same but never 0, so that it has a gradient everywhere."""
        dbz = self.floor_dbz + level * (self.ceiling_dbz - self.floor_dbz)
        return _ZR.log_rate(dbz).exp_()  # type: ignore[no-any-return]

    def level(self, rate_mm_h: float) -> float:
        """The grey level of one rain rate (mm/h)."""
        return float(self.to_network(torch.tensor(rate_mm_h, dtype=torch.float64)))


@dataclass(frozen=True, kw_only=True)
class ImageScaling:
    """Images as they are: their grey levels lie in [0, 1] already.

    Args:
        kind: tells the scalings apart in files.
    """

    quantity: ClassVar[str] = "image"
    kind: Literal["image"] = "image"

    def to_network(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The values, clipped to [0, 1]; NaN becomes 0."""
        return values.clamp(0.0, 1.0).nan_to_num(0.0)

    def to_level(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The values, clipped to [0, 1]; NaN stays."""
        return values.clamp(0.0, 1.0)

    def to_values(self, level: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The grey levels themselves."""
        return level

    def to_smooth_values(self, level: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The grey levels themselves."""
        return level

    def level(self, value: float) -> float:
        """The grey level of one value."""
        return min(1.0, max(0.0, value))


@dataclass(frozen=True, kw_only=True)
class LinearScaling:
    """Values <-> a grey level in [0, 1] that is linear between two values.

    Args:
        low: the value at grey level 0; lower ones are cut off.
        high: the value at grey level 1.
        quantity: what is scaled, in the unit of `echocast.fields`.
        kind: tells the scalings apart in files.
    """

    low: float
    high: float
    quantity: str = "air_temperature"
    kind: Literal["linear"] = "linear"

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low={self.low:g} must be below high={self.high:g}")

    def to_network(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Grey levels of values, clipped to [0, 1]; NaN becomes 0."""
        return self.to_level(values).nan_to_num(0.0)

    def to_level(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The same; NaN stays."""
        return ((values - self.low) / (self.high - self.low)).clamp(0.0, 1.0)

    def to_values(self, level: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Values of grey levels."""
        return self.low + level * (self.high - self.low)

    def to_smooth_values(self, level: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The same, for it is smooth."""
        return self.to_values(level)

    def level(self, value: float) -> float:
        """The grey level of one value."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


AnyScaling = RainScaling | ImageScaling | LinearScaling
"""The scalings that a constructor takes, from Python or from a file; `kind` tells them apart there."""
