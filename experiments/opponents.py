"""Which settings of S-PROG, ANVIL, LINDA and STEPS are the best on each grid: ``python -m experiments.opponents``.

The first setting is what the forecasters had before this experiment; every other one differs from it in what its name
says. All settings of a method forecast the same windows and are scored on the pixels that all of them have: CSI at
0.5, 1, 2 and 5 mm/h, and of STEPS the CRPS of its members, means over leads of 15, 30, ... 90 minutes. Windows are
chosen by the rain in their newest past frame, evenly over the archive, so the future has no part in it. Differences
have intervals by bootstrap of the days, where there are enough; a star marks those that leave out 0.

    python -m experiments.opponents sprog validation.zarr --windows 40
    python -m experiments.opponents sprog bom.zarr --windows 2 --coarsen 2
"""

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from echocast import archive, evaluation, fields
from echocast.archive.transforms.coarsen import coarsen
from echocast.context import Context
from echocast.models import _pysteps
from echocast.models.base import EnsembleForecaster, Forecaster
from echocast.samples import segments

THRESHOLDS = (0.5, 1.0, 2.0, 5.0)
LEADS_MIN = tuple(15.0 * n for n in range(1, 7))
MINUTES, PAST = 90.0, 4
SQUARE = 384
"""Cells along the sides of the square that is cut from a larger grid, where the most rain is."""

Run = Callable[[np.ndarray, np.ndarray, int, Context, int], np.ndarray]
"""From frames (mm/h), motion, number of steps, context and seed to (..., steps, y, x) in mm/h."""


class Tried(Forecaster):
    """A method of pysteps with some settings."""

    min_frames = PAST

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def _forecast(self, past: Tensor, steps: int, context: Context) -> Tensor:
        def one(_: int, rain: np.ndarray, motion: np.ndarray) -> np.ndarray:
            return self.run(rain, motion, steps, context, 0)

        return _pysteps.each(past, steps, one)


class TriedMembers(EnsembleForecaster):
    """The same with members."""

    min_frames = PAST

    def __init__(self, run: Run, members: int) -> None:
        super().__init__()
        self.run, self.members = run, members

    def _ensemble(self, past: Tensor, steps: int, members: int, seeds: Sequence[int], context: Context) -> Tensor:
        def one(number: int, rain: np.ndarray, motion: np.ndarray) -> np.ndarray:
            return self.run(rain, motion, steps, context, seeds[number])

        made = _pysteps.each(past, steps, one)
        return made if made.ndim == 6 else made.unsqueeze(1).expand(-1, members, -1, -1, -1, -1)


_POWERS = {"none": 1.0, "square root": 1 / 2, "cube root": 1 / 3}


def transformed(rain: np.ndarray, kind: str, wet_mm_h: float) -> tuple[np.ndarray, float, Callable[..., np.ndarray]]:
    """Frames as a method wants them, the value of its threshold, and the way back.

    `kind` is ``dB``, ``NQT``, the normal quantile transformation (Bogner et al. 2012, doi:10.5194/hess-16-1085-2012) of
    pysteps, or one of `_POWERS`.
    """
    if kind == "dB":
        least = 10.0 * np.log10(wet_mm_h)
        raw = 10.0 * np.log10(np.maximum(rain, 1e-3))
        back = lambda made: np.where(made < least, 0.0, 10.0 ** (made / 10.0))  # noqa: E731
        return np.where(raw < least, least - 5.0, raw), least, back
    dry = np.where(rain < wet_mm_h, 0.0, rain)
    if kind in _POWERS:
        power = _POWERS[kind]
        least = wet_mm_h**power
        return dry**power, least, lambda made: np.where(made < least, 0.0, np.maximum(made, 0.0) ** (1 / power))
    change = _pysteps.quietly_imported().utils.transformation.NQ_transform
    made, about = change(dry, {"transform": None, "zerovalue": 0.0, "threshold": wet_mm_h})
    rank, rate = about["inqt"].x, about["inqt"].y
    least = float(rank[np.searchsorted(rate, wet_mm_h)])
    wet = dry > 0
    made = np.where(np.isfinite(dry), np.where(wet, made, least - 1.0), np.nan)
    return made, least, lambda new: np.where(new < least, 0.0, np.interp(new, rank, rate))


def sprog(
    rain: np.ndarray, motion: np.ndarray, steps: int, _context: Context, _seed: int,
    *, levels: int = 0, kind: str = "dB", wet_mm_h: float = 0.1, ar_order: int = 2, **more: Any,
) -> np.ndarray:  # fmt: skip
    """`levels` are more, or fewer, than `_pysteps.levels` has."""
    given, least, back = transformed(rain[-ar_order - 1 :], kind, wet_mm_h)
    method = _pysteps.quietly_imported().nowcasts.get_method("sprog")
    more |= {"n_cascade_levels": _pysteps.levels(rain) + levels, "precip_thr": least, "ar_order": ar_order}
    return back(method(given, motion, steps, **more))


def anvil(
    rain: np.ndarray, motion: np.ndarray, steps: int, context: Context, _seed: int,
    *, levels: int = 0, window_km: float | None = None, ar_order: int = 2, **more: Any,
) -> np.ndarray:  # fmt: skip
    """A window of 50 pixels if none is given in km."""
    window = 50 if window_km is None else max(2, round(window_km / (context.grid_km or 1.0)))
    method = _pysteps.quietly_imported().nowcasts.get_method("anvil")
    more |= {"n_cascade_levels": _pysteps.levels(rain) + levels, "ar_window_radius": window, "ar_order": ar_order}
    return np.asarray(method(rain[-ar_order - 2 :], motion, steps, **more))


def linda(
    rain: np.ndarray, motion: np.ndarray, steps: int, _context: Context, _seed: int, *, ari_order: int = 1, **more: Any
) -> np.ndarray:
    """As `echocast.models.linda`."""
    method = _pysteps.quietly_imported().nowcasts.get_method("linda")
    frames = np.nan_to_num(rain[-ari_order - 2 :])
    made = method(frames, motion, steps, ari_order=ari_order, add_perturbations=False, **more)
    return np.asarray(np.where(np.isfinite(rain[-1]), made, np.nan))


def steps_members(
    rain: np.ndarray, motion: np.ndarray, steps: int, context: Context, seed: int,
    *, members: int, levels: int = 0, kind: str = "dB", wet_mm_h: float = 0.1, **more: Any,
) -> np.ndarray:  # fmt: skip
    """As `echocast.models.steps`."""
    given, least, back = transformed(rain[-3:], kind, wet_mm_h)
    method = _pysteps.quietly_imported().nowcasts.get_method("steps")
    more |= {"n_cascade_levels": _pysteps.levels(rain) + levels, "precip_thr": least, "n_ens_members": members}
    more |= {"kmperpixel": context.grid_km, "timestep": context.time_step_minutes, "seed": seed}
    return back(np.asarray(method(given, motion, steps, **more)))


SETTINGS: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "sprog": {
        "before": {},
        "1 level fewer": {"levels": -1},
        "1 level more": {"levels": 1},
        "2 levels more": {"levels": 2},
        "0.05 mm/h": {"wet_mm_h": 0.05},
        "0.2 mm/h": {"wet_mm_h": 0.2},
        "spectral": {"domain": "spectral"},
        "order 1": {"ar_order": 1},
        "mean matched": {"probmatching_method": "mean"},
        "not matched": {"probmatching_method": None},
        "wet pixels' statistics": {"conditional": True},
        "NQT": {"kind": "NQT"},
        "no transform": {"kind": "none"},
        "square root": {"kind": "square root"},
        "square root; 1 level more": {"kind": "square root", "levels": 1},
        "square root; 0.2 mm/h": {"kind": "square root", "wet_mm_h": 0.2},
        "cube root": {"kind": "cube root"},
    },
    "anvil": {
        "before": {},
        "1 level fewer": {"levels": -1},
        "1 level more": {"levels": 1},
        "2 levels more": {"levels": 2},
        "window 25 km": {"window_km": 25.0},
        "window 50 km": {"window_km": 50.0},
        "window 100 km": {"window_km": 100.0},
        "order 1": {"ar_order": 1},
        "rain may begin where it was dry": {"apply_rainrate_mask": False},
    },
    "linda": {
        "before": {},
        "whole grid": {"feature_method": "domain"},
        "corners": {"feature_method": "shitomasi"},
        "50 features": {"max_num_features": 50},
        "order 2": {"ari_order": 2},
        "isotropic": {"kernel_type": "isotropic"},
    },
    "steps": {
        "before": {},
        "1 level fewer": {"levels": -1},
        "1 level more": {"levels": 1},
        "2 levels more": {"levels": 2},
        "0.2 mm/h": {"wet_mm_h": 0.2},
        "square root": {"kind": "square root"},
        "cube root": {"kind": "cube root"},
        "spectral": {"domain": "spectral"},
        "mean matched": {"probmatching_method": "mean"},
        "parametric noise": {"noise_method": "parametric"},
        "noise adjusted": {"noise_stddev_adj": "auto"},
        "mask of S-PROG": {"mask_method": "sprog"},
        "no perturbed motion": {"vel_pert_method": None},
    },
}  # fmt: skip
_METHODS: Mapping[str, Callable[..., np.ndarray]] = {
    "sprog": sprog, "anvil": anvil, "linda": linda, "steps": steps_members,
}  # fmt: skip


def forecasters(method: str, chosen: Sequence[str], members: int) -> dict[str, Forecaster]:
    """By name, the settings of a method that are compared; ``before`` is always the first."""
    names = [name for name in SETTINGS[method] if not chosen or name in chosen or name == "before"]
    if method == "steps":
        return {
            name: TriedMembers(partial(steps_members, members=members, **SETTINGS[method][name]), members)
            for name in names
        }
    return {name: Tried(partial(_METHODS[method], **SETTINGS[method][name])) for name in names}


def cut(rain: xr.DataArray, factor: int) -> xr.DataArray:
    """Coarser cells, and of a large grid the square with the most rain in its first frame."""
    if factor > 1:
        rain = coarsen(rain, factor=factor)
    if max(rain.shape[-2:]) <= SQUARE:
        return rain
    sides = [min(SQUARE, size) for size in rain.shape[-2:]]
    wet = (np.nan_to_num(rain[0].values) >= THRESHOLDS[0]).astype(float).cumsum(0).cumsum(1)
    total = np.pad(wet, ((1, 0), (1, 0)))
    rows, columns = sides
    inside = total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns] + total[:-rows, :-columns]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return rain[:, y : y + rows, x : x + columns]


def wet_windows(rain: xr.DataArray, windows: int, steps: int, least_wet: float) -> list[slice]:
    """Windows whose newest past frame has rain on so much of the grid, evenly over the archive."""
    starts = segments.window_starts(segments.segments(rain), PAST, steps, max(1, steps // 3))
    newest = rain[starts + PAST - 1].values >= THRESHOLDS[0]  # never where it is NaN
    wet = starts[newest.mean(axis=(1, 2)) >= least_wet]
    taken = np.unique(np.linspace(0, len(wet) - 1, min(windows, len(wet))).round().astype(int))
    return [slice(int(wet[n]), int(wet[n]) + PAST + steps) for n in taken]


def table(result: evaluation.VerificationResult, *, crps: bool) -> str:
    """A row for each setting: CSI and its change against ``before``, starred where the interval leaves out 0."""
    first, *_ = result.forecasters
    heads = [f"CSI {t:g}" for t in THRESHOLDS] + ["mean change", "bias 0.5, 5"] + (["CRPS", "change"] if crps else [])
    lines = [f"| setting | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for name in result.forecasters:
        csi = [result.mean("csi", name, t) for t in THRESHOLDS]
        then = [result.mean("csi", first, t) for t in THRESHOLDS]
        stars = ["*" if _differs(result, "csi", name, t) else "" for t in THRESHOLDS]
        change = float(np.mean([a / b - 1 for a, b in zip(csi, then, strict=True)]))
        biases = ", ".join(f"{result.mean('bias', name, t):.2f}" for t in (THRESHOLDS[0], THRESHOLDS[-1]))
        cells = [f"{score:.3f}{star}" for score, star in zip(csi, stars, strict=True)]
        cells += ["" if name == first else f"{change:+.1%}", biases]
        if crps:
            now, own = result.mean("crps", first), result.mean("crps", name)
            star = "*" if _differs(result, "crps", name) else ""
            cells += [f"{own:.4f}", "" if name == first else f"{own / now - 1:+.1%}{star}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _differs(result: evaluation.VerificationResult, score: str, name: str, threshold: float | None = None) -> bool:
    first, *_ = result.forecasters
    return name != first and result.difference(score, name, first, threshold).significant


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Settings of pysteps' methods on one archive.")
    parser.add_argument("method", choices=SETTINGS)
    parser.add_argument("store", help="an archive that nothing is tested on")
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--least-wet", type=float, default=0.03, help="fraction of the grid with 0.5 mm/h")
    parser.add_argument("--coarsen", type=int, default=1, metavar="FACTOR")
    parser.add_argument("--members", type=int, default=10, help="of STEPS")
    parser.add_argument("--settings", default="", help="some of the settings, separated by commas")
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(format="%(message)s")
    logging.getLogger(_pysteps.__name__).setLevel(logging.INFO)  # it says where a method could not start
    rain = archive.open(given.store)
    minutes = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    steps = int(MINUTES // minutes)
    parts = wet_windows(rain, given.windows, steps, given.least_wet)
    rain = cut(rain, given.coarsen)
    leads = tuple(m for m in LEADS_MIN if m % minutes == 0) or tuple(minutes * n for n in range(3, steps + 1, 3))
    how = evaluation.VerificationConfig(
        past=PAST, leads=steps, stride=steps, lead_minutes=leads, thresholds=THRESHOLDS,
        scores=("crps",) if given.method == "steps" else ("contingency",),
    )  # fmt: skip
    named = forecasters(given.method, [word for word in given.settings.split(",") if word], given.members)
    result = evaluation.evaluate(rain, named, how, segments=parts)
    print(f"\n{given.method}, {result.cases} windows on {len(result.days)} days, {rain.shape[-2]} x {rain.shape[-1]}")
    print(f"cells of {fields.grid_km(rain):.3g} km, leads {', '.join(f'{m:g}' for m in leads)} min\n")
    print(table(result, crps=given.method == "steps"))


if __name__ == "__main__":
    main()
