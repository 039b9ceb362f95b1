"""S-PROG of pysteps: advection in which each scale is smoothed as it stops being predictable.

>>> SProg(levels=4).forecast(past, steps=18)  # doctest: +SKIP
"""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from echocast.context import Context
from echocast.models import _pysteps
from echocast.models.base import Forecaster


class SProg(Forecaster):
    """Spectral prognosis: a cascade of scales, each with its own second-order autoregression in the moving frame.

    Needs the extra ``pysteps``. Where there is too little rain to tell, the newest frame is extrapolated.

    Args:
        levels: of the cascade; by the size of the grid if None, 7 on a national grid and 5 on 64x64.
        transform: what the cascade is made of: ``square_root`` of rain rates, or ``db``, 10 lg of them, as Seed has it.

    Raises:
        ValueError: another transform.

    Source: Seed 2003, doi:10.1175/1520-0450(2003)042<0381:ADASSA>2.0.CO;2, as pysteps has it (Pulkkinen et al. 2019,
    doi:10.5194/gmd-12-4185-2019).
    """

    min_frames = 3

    def __init__(self, *, levels: int | None = None, transform: str = "square_root") -> None:
        super().__init__()
        self.levels, self.transform = levels, _pysteps.check_transform(transform)

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        def run(_: int, rain: np.ndarray, motion: np.ndarray) -> np.ndarray:
            method = _pysteps.quietly_imported().nowcasts.get_method("sprog")
            change, count = _pysteps.TRANSFORMS[self.transform], self.levels or _pysteps.levels(rain) + 1
            made = method(change.of(rain[-3:]), motion, steps, precip_thr=change.wet, n_cascade_levels=count)
            return change.back(np.asarray(made))

        return _pysteps.each(past, steps, run)
