"""What blending into a weather model gains on simulated storms: ``python -m experiments.blending``.

Radar and model are a simulated pair (`echocast.synthetic.model_pair`), since no real pair of one day is at hand: the
figures say that the methods do what they should, and nothing of any real model. Two models: a good one, 12 km north and
8 km west of the truth and 10 minutes late, and a bad one, 60 km and 50 km and 60 minutes.

All are scored on the same cells: those that the nowcast alone knows, and that the radar observes. With --members N the
Brier score of 1 mm/h, of the share of members that reach it.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from echocast import nowcast
from echocast.nowcast.blending import bands, blended, rain
from echocast.nowcast.blending.base import BETWEEN
from echocast.nowcast.blending.choosing import Nwp
from echocast.synthetic import model_pair

MODELS = {"good": ((12.0, -8.0), 10.0), "bad": ((60.0, -50.0), 60.0)}
WITHIN = ((0, 60), (60, 120), (120, 180), (180, 240), (240, 360))
METHODS = ("linear", "salient", "scales", f"scales, {BETWEEN[0]:g} to {BETWEEN[1]:g} min")
_STEP_MIN, _LEADS, _WET_MM_H = 10, 36, 1.0


def correlation(made: np.ndarray, truth: np.ndarray) -> float:
    """Of 10 log10(1 + R / 0.1 mm/h)."""
    return float(np.corrcoef(bands.to_db(made), bands.to_db(truth))[0, 1])


def csi(made: np.ndarray, truth: np.ndarray) -> float:
    """The critical success index of 1 mm/h."""
    both, either = (made >= _WET_MM_H) & (truth >= _WET_MM_H), (made >= _WET_MM_H) | (truth >= _WET_MM_H)
    return float(both.sum() / either.sum()) if either.any() else float("nan")


def brier(made: np.ndarray, truth: np.ndarray) -> float:
    """The Brier score of probabilities of 1 mm/h."""
    return float(np.mean((made - (truth >= _WET_MM_H)) ** 2))


def probability(members: np.ndarray) -> np.ndarray:
    """The share of members (member, lead, y, x) that reach 1 mm/h, of those that are known; NaN where none is."""
    known = np.isfinite(members).sum(axis=0)
    return np.where(known > 0, (members >= _WET_MM_H).sum(axis=0) / np.maximum(known, 1), np.nan)


def forecasts(
    seed: int, model: str, forecaster: str, *, steps: bool, members: int | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The forecasts of one storm (lead, y, x) by method, and the truth; NaN in cells that do not count.

    With members the forecasts are the probabilities of 1 mm/h.
    """
    place, late = MODELS[model]
    pair = model_pair.generate(
        past=8, leads=_LEADS, size=64, margin=20, grid_km=4.0, time_step_minutes=float(_STEP_MIN), seed=seed,
        displaced_km=place, late_minutes=late,
    )  # fmt: skip
    minutes = float(_STEP_MIN * _LEADS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.nc"
        model_pair.to_netcdf(pair.run, path)
        alone = nowcast.forecast_from(pair.radar, forecaster, minutes=minutes, members=members)
        of_run = rain.on_grid(pair.run, pair.radar, alone.time.values)
        told = probability if members else np.asarray
        of_model = np.stack([of_run.at(n) for n in range(_LEADS)])
        made = {"nowcast alone": told(alone.values), "NWP alone": told(of_model[None] if members else of_model)}
        for name in (*METHODS, *(["steps"] if steps else [])):
            method, _, between = name.partition(", ")
            nwp = Nwp((str(path),), method, BETWEEN if between else None, strict=True)
            made[name] = told(
                blended.forecast_from(pair.radar, forecaster, nwp, minutes=minutes, members=members).values
            )
    counts = np.isfinite(made["nowcast alone"]) & np.isfinite(pair.radar.values).any(axis=0)
    return made, np.where(counts, pair.truth.values, np.nan)


def interval(found: np.ndarray) -> str:
    """The mean over storms, and its 95 % interval by bootstrap of the storms."""
    drawn = np.random.default_rng(0).choice(found, (2000, found.size)).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    digits = 2 if found.mean() >= 0.1 or low < 0 else 3
    return f"{found.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def table(storms: list[tuple[dict[str, np.ndarray], np.ndarray]], score: Callable[..., float]) -> str:
    """A row for each method, a column for each range of leads."""
    lines = [f"| | {' | '.join(f'{a} to {b} min' for a, b in WITHIN)} |", f"|---|{'---:|' * len(WITHIN)}"]
    for method in storms[0][0]:
        cells = []
        for start, end in WITHIN:
            leads = slice(start // _STEP_MIN, end // _STEP_MIN)
            found = []
            for made, truth in storms:
                known = np.isfinite(truth[leads])
                found.append(score(made[method][leads][known], truth[leads][known]))
            cells.append(interval(np.array(found)[np.isfinite(found)]))
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Scores of blending on simulated storms.")
    parser.add_argument("--storms", type=int, default=20)
    parser.add_argument("--model", default="optical_flow", help="the forecaster")
    parser.add_argument("--members", type=int, help="the Brier score of so many members of each forecast")
    parser.add_argument("--steps", action="store_true", help="also the STEPS blending of pysteps, which takes minutes")
    given = parser.parse_args()
    for model in MODELS:
        storms = [
            forecasts(seed, model, given.model, steps=given.steps, members=given.members)
            for seed in range(given.storms)
        ]
        tables = {"Correlation": correlation, "CSI of 1 mm/h": csi}
        if given.members:
            tables = {f"Brier score of 1 mm/h, {given.members} members": brier}
        for name, score in tables.items():
            print(f"\n{name}, {given.model}, {given.storms} storms, {model} model\n\n{table(storms, score)}")


if __name__ == "__main__":
    main()
