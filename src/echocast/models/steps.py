"""STEPS of pysteps: an ensemble of advected fields in which noise replaces the scales that are not predictable.

>>> Steps(members=20).ensemble(past, steps=18, context=Context(grid_km=1.0, time_step_minutes=5.0))  # doctest: +SKIP
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from echocast.context import Context
from echocast.models import _pysteps
from echocast.models.base import EnsembleForecaster


class Steps(EnsembleForecaster):
    """Short-term ensemble prediction system: a cascade of scales with noise shaped like the rain.

    Needs the extra ``pysteps``. Motion is perturbed too where the cell size and the time step are known. Where there is
    too little rain to tell, all members are the newest frame extrapolated.

    Args:
        members: how many members `forecast` averages, and `ensemble` gives by default.
        levels: of the cascade; by the size of the grid if None.

    Source: Bowler et al. 2006, doi:10.1256/qj.04.100, as pysteps has it (Pulkkinen et al. 2019,
    doi:10.5194/gmd-12-4185-2019): non-parametric noise, incremental mask, probability matching.
    """

    min_frames = 3

    def __init__(self, *, members: int = 20, levels: int | None = None) -> None:
        super().__init__()
        if members < 1:
            raise ValueError(f"members={members} must be at least 1")
        self.members, self.levels = members, levels

    def _ensemble(
        self,
        past: Float[Tensor, "batch time channel y x"],
        steps: int,
        members: int,
        seeds: Sequence[int],
        context: Context,
    ) -> Float[Tensor, "batch member steps channel y x"]:
        def run(number: int, rain: np.ndarray, motion: np.ndarray) -> np.ndarray:
            known = bool(context.grid_km and context.time_step_minutes)
            made = _pysteps.quietly_imported().nowcasts.get_method("steps")(
                _pysteps.to_dbr(rain[-3:]),
                motion,
                steps,
                n_ens_members=members,
                n_cascade_levels=self.levels or _pysteps.levels(rain),
                precip_thr=_pysteps.WET_DBR,
                kmperpixel=context.grid_km or 1.0,
                timestep=context.time_step_minutes or 5.0,
                vel_pert_method="bps" if known else None,
                seed=seeds[number],
            )
            return _pysteps.to_rain(np.asarray(made))

        made = _pysteps.each(past, steps, run)
        return made if made.ndim == 6 else made.unsqueeze(1).expand(-1, members, -1, -1, -1, -1)
