"""Scores of the same forecasts, ours and pysteps' frame by frame, by turns.

The scores: all contingency scores at five thresholds, the FSS at five thresholds and two scales, RMSE, MAE, mean error,
NMSE and correlation. pysteps gives each frame's; ours also pools them over cases. Both are given the same arrays.
"""

import platform
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.timing import by_turns
from echocast._version import __version__
from echocast.errors import MissingDependency
from echocast.synthetic import storms
from echocast.verification.base import THRESHOLDS_MM_H
from echocast.verification.scores import contingency, continuous, fractions

_CONTINUOUS = ["RMSE", "MAE", "ME", "NMSE", "corr_p"]


def run(*, quick: bool, rounds: int, device: str) -> str:  # noqa: ARG001 (scores are computed by NumPy)
    """Measure, and give the table as Markdown.

    Raises:
        MissingDependency: pysteps is not installed.
    """
    theirs = _pysteps()
    shapes = [(2, 3, 48, 48)] if quick else [(40, 18, 64, 64), (4, 18, 256, 256), (1, 18, 760, 1226)]
    lines = [
        "# Verification: ours against pysteps frame by frame",
        "",
        f"echocast {__version__}, NumPy {np.__version__}, Python {platform.python_version()}, {platform.machine()},"
        f" {rounds} rounds by turns; milliseconds, median (quartiles). All scores of the contingency table and the FSS"
        " over 5 and 17 pixels at 0.5, 1, 2, 5 and 10 mm/h, and RMSE, MAE, mean error, NMSE and correlation. A quarter"
        " of the pixels is not observed. `python -m benchmarks verify` makes this table.",
        "",
        "| cases x leads x grid | pysteps ms | echocast ms | pysteps / echocast |",
        "|---|---:|---:|---:|",
    ]
    for shape in shapes:
        forecast, observed = _rain(shape)
        spent = by_turns(
            {
                "pysteps": partial(theirs, forecast, observed),
                "ours": partial(_ours, forecast, observed),
            },
            rounds,
        )
        ratio = spent["pysteps"].median / spent["ours"].median
        cases, leads, rows, columns = shape
        lines.append(f"| {cases} x {leads} x {rows} x {columns} | {spent['pysteps']} | {spent['ours']} | {ratio:.1f} |")
    return "\n".join([*lines, ""])


def _rain(shape: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A storm, and it a few frames earlier as its forecast; a quarter is not observed."""
    _, leads, rows, columns = shape
    storm = np.nan_to_num(storms.generate(frames=leads + 4, size=64, seed=1).values).astype(np.float32)
    storm = np.tile(storm, (1, -(-rows // 64), -(-columns // 64)))[:, :rows, :columns]
    observed = np.broadcast_to(storm[4:], shape).copy()
    forecast = np.broadcast_to(storm[:-4], shape).copy()
    observed[..., : rows // 2, : columns // 2] = np.nan
    return forecast, observed


def _ours(forecast: np.ndarray, observed: np.ndarray) -> None:
    for family in (contingency, continuous, fractions):
        family.values(family.statistics(forecast, observed))


def _pysteps() -> Callable[[np.ndarray, np.ndarray], None]:
    try:
        from pysteps.verification.detcatscores import det_cat_fct
        from pysteps.verification.detcontscores import det_cont_fct
        from pysteps.verification.spatialscores import fss
    except ImportError as bad:
        raise MissingDependency("pysteps", "pysteps") from bad

    def work(forecast: np.ndarray, observed: np.ndarray) -> None:
        with np.errstate(all="ignore"):
            for case, lead in np.ndindex(*forecast.shape[:2]):
                f, o = forecast[case, lead], observed[case, lead]
                for threshold in THRESHOLDS_MM_H:
                    det_cat_fct(f, o, threshold)
                    for scale in fractions.SCALES:
                        fss(f, o, threshold, scale)
                det_cont_fct(f, o, _CONTINUOUS)

    return work
