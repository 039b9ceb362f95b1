"""What `corrected` knows before it has seen a frame: how forecasts of an archive came true.

    echocast archive add validation.zarr FILES
    python -m experiments.correction validation.zarr --out corrected.npz

Each forecast from a window in which it rains 0.5 mm/h on a tenth of the cells or more, at any time, is compared with
what was observed. The file holds the areas by lead time (`echocast.models._amounts`), for 1 km² of rain of 2 mm/h or
more.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from echocast import archive, fields
from echocast.atomic import atomic_write
from echocast.context import Context
from echocast.models import base
from echocast.models._amounts import RATES_MM_H, Areas
from echocast.samples import segments

_PAST, _WET_MM_H, _WET_FRACTION = 10, 0.5, 0.1


def areas_of(store: str, model: str, *, minutes: float, stride: int, most: int | None = None) -> tuple[Areas, int]:
    """The areas of a forecaster's forecasts on an archive, and how many forecasts they are of."""
    rain, forecaster = archive.open(store), base.resolve(model)
    step = float(fields.time_step(rain.time.values) / np.timedelta64(1, "m"))
    context = Context(grid_km=fields.grid_km(rain), time_step_minutes=step)
    leads = round(minutes / step)
    areas, cases = Areas.none(leads), 0
    for start in segments.window_starts(segments.segments(rain), _PAST, leads, stride)[:most]:
        frames = rain[start : start + _PAST + leads].values.astype(np.float32)
        if (frames >= _WET_MM_H).mean(axis=(1, 2)).max() < _WET_FRACTION:
            continue
        past = torch.from_numpy(frames[:_PAST])[None, :, None]
        for lead, made in enumerate(forecaster.forecast(past, leads, context)[0, :, 0].numpy()):
            areas.add(lead, made, frames[_PAST + lead], cell_km2=1.0)
        cases += 1
    return areas, cases


def main() -> None:
    """Make the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", metavar="ARCHIVE", help="the archive: none that the forecaster was trained on")
    parser.add_argument("--model", default="lagrangian", help="the forecaster (default: lagrangian)")
    parser.add_argument("--minutes", type=float, default=90.0, help="the last lead time (default: 90)")
    parser.add_argument("--stride", type=int, default=6, help="frames between two forecasts (default: 6)")
    parser.add_argument("--most", type=int, help="only so many windows, to see that it runs")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz", help="the file to write")
    options = parser.parse_args()
    areas, cases = areas_of(
        options.store, options.model, minutes=options.minutes, stride=options.stride, most=options.most
    )
    if not cases:
        raise SystemExit(f"{options.store}: no window is wet enough; give an archive with more rain")
    heavy = areas.km2[:, 1 + RATES_MM_H.index(2.0), 0].mean()
    minutes = options.minutes / len(areas.km2) * np.arange(1, len(areas.km2) + 1)
    with atomic_write(options.out) as part, part.open("wb") as file:
        np.savez_compressed(file, km2=(areas.km2 / heavy).astype(np.float32), minutes=minutes.astype(np.float32))
    print(f"{options.out}: {cases} forecasts of {options.store}, lead times to {minutes[-1]:g} min")


if __name__ == "__main__":
    main()
