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
        window_px: radius in pixels of the window that autoregression is estimated in.

    Source: Pulkkinen et al. 2021, doi:10.1175/JTECH-D-20-0181.1, as pysteps has it.
    """

    min_frames = 4

    def __init__(self, *, levels: int | None = None, window_px: int = 50) -> None:
        super().__init__()
        self.levels, self.window_px = levels, window_px

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        def run(_: int, rain: np.ndarray, motion: np.ndarray) -> np.ndarray:
            method = _pysteps.quietly_imported().nowcasts.get_method("anvil")
            count = self.levels or _pysteps.levels(rain)
            return np.asarray(method(rain[-4:], motion, steps, n_cascade_levels=count, ar_window_radius=self.window_px))

        return _pysteps.each(past, steps, run)
