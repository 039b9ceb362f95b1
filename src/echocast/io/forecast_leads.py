"""Values of a forecast that come lead by lead while it is written, so that a large grid is in memory only a few times.

>>> frames = ({"rain": np.full((2, 3), float(lead))} for lead in range(2))
>>> rain = xr.Variable(("lead", "y", "x"), without_values((2, 2, 3)))
>>> [(number, found["rain"].mean()) for number, found in Leads(("rain",), frames).counted({"rain": rain})]
[(0, np.float64(0.0)), (1, np.float64(1.0))]
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr


@dataclass(frozen=True)
class Leads:
    """Values that come lead by lead.

    Args:
        names: of the variables.
        frames: for each lead time the values of each of them, on its dims without ``lead``; can be gone through once.
    """

    names: tuple[str, ...]
    frames: Iterable[Mapping[str, np.ndarray]]

    def counted(self, variables: Mapping[str, xr.Variable]) -> Iterator[tuple[int, Mapping[str, np.ndarray]]]:
        """The frames with their numbers; raises `ValueError` unless they are of the shapes of the variables."""
        wanted, found = variables[self.names[0]].sizes["lead"], 0
        for number, frames in enumerate(self.frames):
            if number == wanted:
                raise ValueError(f"more lead times came than the {wanted} of the forecast")
            for name in self.names:
                shape = tuple(size for dim, size in variables[name].sizes.items() if dim != "lead")
                if frames[name].shape != shape:
                    raise ValueError(f"lead {number} of {name} has the shape {frames[name].shape}; it must be {shape}")
            yield number, frames
            found += 1
        if found < wanted:
            raise ValueError(f"only {found} lead times came of the {wanted} of the forecast")


def without_values(shape: tuple[int, ...]) -> np.ndarray:
    """An array of a shape, float32, that takes no memory: all of it is one NaN, and it cannot be written to."""
    return np.broadcast_to(np.float32(np.nan), shape)
