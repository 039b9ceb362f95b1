"""Météo-France's npz: numbers of several types, frames in any order, coordinates beside it or one folder above."""

from pathlib import Path

import numpy as np
from tests.known import Cell, Known, _draw

from echocast.io.reading import ReadOptions

REFUSED = {"coordinates": "must lie beside it", "dates": "dates for data", "undeclared": "--missing-value"}


def write(folder: Path, drawn: np.random.Generator) -> Known:
    refused = str(drawn.choice(list(REFUSED))) if drawn.random() < 0.15 else ""
    spots, first = _draw.spots(drawn), _draw.time(drawn)
    steps = np.cumsum(drawn.integers(1, 4, int(drawn.integers(1, 5))))
    times = first + (steps - steps[0]) * np.timedelta64(5, "m")
    kind = str(drawn.choice(["int16", "int32", "uint16", "float32"]))
    kind = "int16" if refused == "undeclared" else kind
    amount = np.zeros((len(times), *spots.shape), kind)
    bright = int(drawn.integers(100, 2000))
    amount[-1][spots.bright] = bright
    amount[-1][spots.missing] = 65535 if kind == "uint16" else -1
    options = None
    if refused == "undeclared" or (kind != "uint16" and drawn.integers(3) == 0):
        amount[-1][spots.missing] = -9999
        options = None if refused == "undeclared" else ReadOptions(missing_value=(-9999.0,))
    order = drawn.permutation(len(times))
    dates = np.array([times[n].astype("datetime64[s]").item() for n in order], object)
    if refused == "dates":
        dates = dates[:-1]
    top, left, cell = 40.0 + float(drawn.integers(10)), float(drawn.integers(-5, 5)), 0.01
    rows = np.arange(spots.shape[0]) * (-cell) + top
    columns = np.arange(spots.shape[1]) * cell + left
    south_up = bool(drawn.integers(2))
    rows_there, there = (rows[::-1], amount[:, ::-1]) if south_up else (rows, amount)
    lons, lats = np.meshgrid(columns, rows_there)
    zone = str(drawn.choice(["NW", "SE"]))
    inner = folder / "month" if drawn.integers(2) else folder
    inner.mkdir(exist_ok=True)
    if refused != "coordinates":
        np.savez(folder / f"radar_coords_{zone}.npz", lats=lats, lons=lons)
    path = inner / f"rainfall_{zone}_2016_08.{drawn.integers(1, 4)}.npz"
    save = np.savez_compressed if drawn.integers(2) else np.savez
    save(path, data=there[order], dates=dates, miss_dates=dates[:0])
    cells = [
        Cell(float(columns[spot[1]]), float(rows[spot[0]]), rate)
        for spot, rate in ((spots.bright, bright * 0.12), (spots.dry, 0.0), (spots.missing, np.nan))
    ]
    return Known(path, list(times), cells, spots.shape, options, refused=REFUSED.get(refused))
