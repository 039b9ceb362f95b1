"""Odd radar frames, injected and found: a dead sector, a spoke of interference, speckle, each in some frames.

    python experiments/anomaly_radar.py archives/taasrad19.zarr --model persistence

Takes an unbroken stretch of an archive, puts one fault at a time into every 12th of its frames, and prints the ROC area
and the equal error rate of the scores of `echocast detect` for each. The dead sector holds no rain, as if it were dry;
the spoke is 3 degrees wide with 10 mm/h; the speckle is 20 mm/h in one cell of 500.
"""

import argparse

import numpy as np
import xarray as xr

from echocast import archive
from echocast.anomaly import detection
from echocast.anomaly.ranking import roc
from echocast.anomaly.scores import Settings

EVERY = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--model", default="persistence")
    parser.add_argument("--frames", type=int, default=288)
    arguments = parser.parse_args()
    stored = archive.open(arguments.store)
    frames = _rainiest(stored, arguments.frames).load()
    finder = detection.errors_of(arguments.model, past=2, both=True)
    print("| fault | frames | ROC area | equal error rate |\n|---|---|---|---|")
    for name, fault in FAULTS.items():
        spoilt, labels = _with(frames, fault)
        (found,) = detection.detect(spoilt, finder, Settings(block=24, smooth=1)).sequences
        curve = roc(found.scores, labels)
        print(f"| {name} | {int(labels.sum())} of {len(labels)} | {curve.area:.3f} | {curve.equal_error_rate:.3f} |")


def _rainiest(stored: xr.DataArray, count: int) -> xr.DataArray:
    """The first frames of the longest unbroken stretch with rain."""
    parts = [part for _, part in detection.sequences_of(stored)]
    longest = max(parts, key=lambda part: part.stop - part.start)
    return stored[longest.start : min(longest.stop, longest.start + count)]


def _with(frames: xr.DataArray, fault) -> tuple[xr.DataArray, np.ndarray]:  # type: ignore[no-untyped-def]
    rng, values = np.random.default_rng(0), frames.values.copy()
    labels = np.zeros(len(values), bool)
    labels[EVERY // 2 :: EVERY] = True
    for number in np.flatnonzero(labels):
        seen = np.isfinite(values[number])
        values[number] = np.where(seen, fault(values[number], rng), np.nan)
    return frames.copy(data=values), labels


def _angles(shape: tuple[int, int]) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.degrees(np.arctan2(rows - shape[0] / 2, columns - shape[1] / 2)) % 360


def dead_sector(rain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """No rain in a sector of 60 degrees."""
    return np.where((_angles(rain.shape) - rng.uniform(0, 360)) % 360 < 60, 0.0, rain)


def spoke(rain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """10 mm/h in a sector of 3 degrees."""
    return np.where((_angles(rain.shape) - rng.uniform(0, 360)) % 360 < 3, np.fmax(rain, 10.0), rain)


def speckle(rain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """20 mm/h in one cell of 500."""
    return np.where(rng.random(rain.shape) < 1 / 500, np.fmax(rain, 20.0), rain)


FAULTS = {"dead sector": dead_sector, "spoke": spoke, "speckle": speckle}

if __name__ == "__main__":
    main()
