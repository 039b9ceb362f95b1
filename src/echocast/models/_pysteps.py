"""What the forecasters of pysteps share: units, motion, no printed lines, and extrapolation where it cannot start.

pysteps is the reference of the field and is adapted here, not rewritten; it is an extra of its own since it needs a C
compiler. It works on NumPy arrays of one case at a time: of rain rates in mm/h, their square root, or dBR (10 lg of
them). Which of these a method has, and its other settings, were compared by `experiments/opponents.py`.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from echocast.errors import MissingDependency
from echocast.motion.advection import advect

log = logging.getLogger(__name__)

DRY_DBR = -15.0
WET_DBR = -10.0
"""0.1 mm/h; what is weaker is dry."""
WET_MM_H = 0.1
_WET_ROOT = float(np.sqrt(WET_MM_H))
_MIN_WET_PIXELS = 30
"""Pixels of rain that each of the newest frames must have for its statistics."""
_SMALLEST = 16
"""Pixels along the shorter side below which frames are extrapolated."""

Run = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From the frames that a method wants and the motion (x, y) to (..., steps, y, x)."""


def each(
    past: Float[Tensor, "batch time channel y x"], steps: int, run: Callable[[int, np.ndarray, np.ndarray], np.ndarray]
) -> Float[Tensor, "batch *member steps channel y x"]:
    """Each case by `run` (its number, its frames in mm/h and the motion), or by plain extrapolation where it cannot.

    Raises:
        MissingDependency: pysteps is not installed.
    """
    quietly_imported()
    made = [_one(case[:, 0], steps, partial(run, n)) for n, case in enumerate(past)]
    most = max(m.ndim for m in made)
    shape = next(m.shape for m in made if m.ndim == most)
    full = [np.broadcast_to(m, shape) if m.ndim < most else m for m in made]
    return torch.from_numpy(np.stack(full)).to(past).unsqueeze(-3)


def to_dbr(rain_mm_h: np.ndarray) -> np.ndarray:
    """10 lg of rain rates; what is below 0.1 mm/h is -15, NaN stays NaN."""
    dbr = 10.0 * np.log10(np.maximum(rain_mm_h, 1e-3))
    return np.asarray(np.where(dbr < WET_DBR, DRY_DBR, dbr))


def to_rain(dbr: np.ndarray) -> np.ndarray:
    """Rain rates of 10 lg of them; what is below 0.1 mm/h is dry, NaN stays NaN."""
    return np.asarray(np.where(dbr < WET_DBR, 0.0, 10.0 ** (dbr / 10.0)))


@dataclass(frozen=True)
class Transform:
    """What a cascade is made of: the way there, the way back, and 0.1 mm/h there."""

    of: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]
    wet: float


def _to_root(rain_mm_h: np.ndarray) -> np.ndarray:
    return np.sqrt(np.where(rain_mm_h < WET_MM_H, 0.0, rain_mm_h))


def _from_root(root: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(root < _WET_ROOT, 0.0, np.square(root)))


TRANSFORMS = {
    "square_root": Transform(_to_root, _from_root, _WET_ROOT),
    "db": Transform(to_dbr, to_rain, WET_DBR),
}


def check_transform(name: str) -> str:
    """The name of a transform; raises `ValueError` for another."""
    if name not in TRANSFORMS:
        raise ValueError(f"transform={name!r} must be one of {', '.join(TRANSFORMS)}")
    return name


def levels(rain: np.ndarray) -> int:
    """Levels of a cascade: 6 on a national grid, fewer on one of 64 pixels."""
    return int(np.clip(np.log2(min(rain.shape[-2:])) - 2, 2, 6))


def quietly_imported() -> Any:
    """pysteps without the lines that it prints; raises `MissingDependency` where it is not installed."""
    try:
        with quiet():
            import pysteps
            import pysteps.motion
            import pysteps.nowcasts
    except ImportError as bad:
        raise MissingDependency("pysteps", "pysteps") from bad
    return pysteps


@contextlib.contextmanager
def quiet() -> Any:
    """Without what pysteps prints and warns of: dry frames and small samples, which are handled here."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _one(case: Tensor, steps: int, run: Run) -> np.ndarray:
    rain = case.detach().cpu().to(torch.float64).numpy()
    wet = (np.nan_to_num(rain[-3:]) >= 0.1).sum(axis=(1, 2)).min()
    if wet < _MIN_WET_PIXELS or min(rain.shape[-2:]) < _SMALLEST:
        return _extrapolated(case, np.zeros((2, *rain.shape[1:])), steps)
    pysteps = quietly_imported()
    with quiet():
        motion = pysteps.motion.get_method("LK")(np.ma.masked_invalid(to_dbr(rain[-3:])))
        motion = np.asarray(motion, np.float64)
    try:
        with quiet():
            made = np.asarray(run(rain, motion))
        return np.asarray(np.maximum(made, 0.0))
    except (ValueError, IndexError, RuntimeError, np.linalg.LinAlgError, ZeroDivisionError) as bad:
        log.info("pysteps cannot start from these frames (%s); they are extrapolated", bad)
        return _extrapolated(case, motion, steps)


def _extrapolated(case: Tensor, motion_xy: np.ndarray, steps: int) -> np.ndarray:
    motion = torch.from_numpy(motion_xy[::-1].copy()).to(case)[None]
    return np.asarray(advect(case[-1][None, None], motion, steps)[0, :, 0].cpu().numpy())
