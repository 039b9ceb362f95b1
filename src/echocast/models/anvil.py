"""ANVIL of pysteps: advection with growth and decay, each scale by its own integrated autoregression.

>>> Anvil().forecast(past, steps=18)  # doctest: +SKIP
"""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from echocast.context import Context
from echocast.models import _pysteps
from echocast.models.base import Forecaster


class Anvil(Forecaster):
    """Autoregressive nowcasting of rain rates (its VIL is the rain itself, as a radar composite has it).

    Needs the extra ``pysteps``. Where there is too little rain to tell, the newest frame is extrapolated.

    Args:
        levels: of the cascade; by the size of the grid if None.
        window_km: radius of the window that autoregression is estimated in; in pixels where their size is not known.

    Source: Pulkkinen et al. 2021, doi:10.1175/JTECH-D-20-0181.1, as pysteps has it.

    Raises:
        ValueError: a window without extent.
    """

    min_frames = 4

    def __init__(self, *, levels: int | None = None, window_km: float = 25.0) -> None:
        super().__init__()
        if window_km <= 0:
            raise ValueError(f"window_km={window_km} must be above 0")
        self.levels, self.window_km = levels, window_km

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        def run(_: int, rain: np.ndarray, motion: np.ndarray) -> np.ndarray:
            method = _pysteps.quietly_imported().nowcasts.get_method("anvil")
            count = self.levels or _pysteps.levels(rain)
            radius = max(2, round(self.window_km / (context.grid_km or 1.0)))
            return np.asarray(method(rain[-4:], motion, steps, n_cascade_levels=count, ar_window_radius=radius))

        return _pysteps.each(past, steps, run)
