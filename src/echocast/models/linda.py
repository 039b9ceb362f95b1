"""LINDA of pysteps: a local integro-difference model, made for intense cells; slow.

>>> Linda().forecast(past, steps=18)  # doctest: +SKIP
"""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from echocast.context import Context
from echocast.models import _pysteps
from echocast.models.base import Forecaster


class Linda(Forecaster):
    """Lagrangian integro-difference equation model with autoregression, deterministic (LINDA-D).

    Needs the extra ``pysteps``. Where there is too little rain to tell, the newest frame is extrapolated.

    Args:
        features: how many rain cells, at most, the model is localised around.

    Source: Pulkkinen et al. 2021, doi:10.1109/TGRS.2021.3114731, as pysteps has it.
    """

    min_frames = 3

    def __init__(self, *, features: int = 25) -> None:
        super().__init__()
        self.features = features

    def _forecast(
        self, past: Float[Tensor, "batch time channel y x"], steps: int, context: Context
    ) -> Float[Tensor, "batch steps channel y x"]:
        def run(_: int, rain: np.ndarray, motion: np.ndarray) -> np.ndarray:
            method = _pysteps.quietly_imported().nowcasts.get_method("linda")
            seen = np.isfinite(rain[-1])
            made = method(
                np.nan_to_num(rain[-3:]), motion, steps, max_num_features=self.features, add_perturbations=False
            )
            return np.asarray(np.where(seen, made, np.nan))

        return _pysteps.each(past, steps, run)
