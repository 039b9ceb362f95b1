"""The STEPS blending of pysteps: extrapolation, NWP and noise, blended by scale. The reference of the other methods."""

import tempfile
from datetime import UTC, datetime

import numpy as np

from echocast.errors import ModelError
from echocast.models import _pysteps
from echocast.nowcast.blending.base import Blended, Sources

_LEAST_ACROSS = 16


def blend(sources: Sources) -> Blended:
    """Members, or one of them, by pysteps; the nowcast that is given is not used, but its own one.

    Needs the extra ``pysteps``. Cells that the NWP does not cover count as dry. The usual skill is that of pysteps; no
    skill of earlier forecasts is kept.

    Source: Bowler et al. 2006, doi:10.1256/qj.04.100; Imhoff et al. 2023, doi:10.1002/qj.4461.

    Raises:
        ModelError: the frames are too few or too dry, the grid is too small, or the run lacks leads.
        MissingDependency: pysteps is not installed.
    """
    rain, times = np.nan_to_num(sources.past.values.astype(np.float64)), sources.model.times
    _check(sources, rain)
    pysteps = _pysteps.quietly_imported()
    before = sources.past.time.values[-1:]
    frames = [np.nan_to_num(sources.model.at_time(time)) for time in np.concatenate([before, times])]
    model = _pysteps.to_dbr(np.stack(frames))
    step = float(sources.minutes[0])
    with _pysteps.quiet(), tempfile.TemporaryDirectory() as folder:
        from pysteps import blending

        flow = pysteps.motion.get_method("LK")
        motion = np.asarray(flow(_pysteps.to_dbr(rain[-3:])), np.float64)
        hours = max(1, round(60.0 / step))
        of_model = np.asarray(flow(model[::hours][:3]), np.float64) / hours
        made = blending.get_method("steps")(
            precip=_pysteps.to_dbr(rain[-3:]),
            precip_models=model[None],
            velocity=motion,
            velocity_models=np.broadcast_to(of_model, (1, len(model), *of_model.shape)).copy(),
            timesteps=len(times),
            timestep=step,
            issuetime=datetime.fromtimestamp(int(before[0].astype("datetime64[s]").astype(int)), UTC).replace(
                tzinfo=None
            ),
            n_ens_members=len(sources.nowcast),
            n_cascade_levels=_pysteps.levels(rain),
            precip_thr=_pysteps.WET_DBR,
            norain_thr=0.0,
            kmperpixel=sources.grid_km,
            noise_method="nonparametric",
            vel_pert_method="bps",
            outdir_path_skill=folder,
            seed=0,
        )
    values = _pysteps.to_rain(np.asarray(made)).astype(np.float32)
    values[..., ~sources.seen] = np.nan
    told = "steps: the STEPS blending of pysteps, which does not tell its weights"
    told += "" if sources.has_members else "; one member, with its noise"
    return Blended(values, np.full(len(times), np.nan), told)


def _check(sources: Sources, rain: np.ndarray) -> None:
    wet = (rain[-3:] >= 0.1).sum(axis=(1, 2)).min()
    if len(rain) < 3 or wet < 30 or min(rain.shape[-2:]) < _LEAST_ACROSS:
        raise ModelError(
            f"--blend steps needs three frames with 30 wet cells each on a grid of {_LEAST_ACROSS} cells or more; these"
            f" are {len(rain)} of {rain.shape[-2]} x {rain.shape[-1]}, the driest with {wet}: use --blend linear"
        )
    if not sources.model.known().all():
        raise ModelError("--blend steps needs the NWP at all leads, and its run lacks some; use --blend linear")
