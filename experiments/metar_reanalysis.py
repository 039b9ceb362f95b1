"""METAR + reanalysis: the temperature of the next hours from ERA5 that comes late and airports that report at once.

    python experiments/metar_reanalysis.py --out runs/metar_reanalysis

Takes ERA5's two-metre temperature over the British Isles, hourly for March 2019, from the data kit (--kit, or the
variable ECHOCAST_DATA). The kit has no METAR reports of that place and time, so the stations are simulated from ERA5
itself at real airports, with an error of their own for each (1 K), one for each report (0.5 K), and rounded to whole
degrees as METAR does. So this is a test of the method with a truth that is known, and says nothing of real reports.

The newest field is 6 hours old; stations have reported until now. Leads of 7 to 12 hours after that field are the next
1 to 6 hours. Scored on 23 to 31 March against ERA5: at eight places that no network was given, and on the whole grid.
The days before are for training (1 to 18) and validation (19 to 22). Forecasts are made every three hours. Writes
results.json, table.md and errors.png.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from echocast import archive, stations
from echocast.evaluation.intervals import BOOTSTRAP_SAMPLES, Days, Estimate
from echocast.io.reading import ReadOptions
from echocast.models import base
from echocast.samples import tensors
from echocast.samples.covariates import Given, context_of
from echocast.samples.covariates.given import stacked
from echocast.stations import sampling
from echocast.training import experiment as experiments
from echocast.training import fit

LATE, PAST, LEADS, DAY, EVERY = 6, 8, 12, 24, 3
PARTS = {"train": (0, 18 * DAY), "validation": (18 * DAY, 22 * DAY), "test": (21 * DAY, 31 * DAY)}
"""Hours of March; the test has the day before it as past, in which no forecast is issued."""
AIRPORTS = {
    "EGLL": (51.48, -0.46), "EGCC": (53.35, -2.27), "EGPH": (55.95, -3.37), "EGPF": (55.87, -4.43),
    "EGAA": (54.66, -6.22), "EIDW": (53.42, -6.27), "EGPD": (57.20, -2.20), "EGPE": (57.54, -4.05),
    "EGNT": (55.04, -1.69), "EGBB": (52.45, -1.75), "EGGD": (51.38, -2.72), "EGSS": (51.88, 0.24),
    "EGTE": (50.73, -3.41), "EINN": (52.70, -8.92), "EICK": (51.84, -8.49), "EIKN": (53.91, -8.82),
    "EGNM": (53.87, -1.66), "EGSH": (52.68, 1.28), "EGNS": (54.08, -4.62), "EGOV": (53.25, -4.54),
}  # fmt: skip
"""Latitude and longitude of the airports that report."""
HELD_OUT = {
    "Carlisle": (54.90, -2.94), "Aberystwyth": (52.41, -4.00), "Lincoln": (53.23, -0.54), "Cambridge": (52.20, 0.13),
    "Athlone": (53.42, -7.94), "Perth": (56.40, -3.45), "Salisbury": (51.07, -1.80), "Oban": (56.41, -5.20),
}  # fmt: skip
"""Places that no network was given."""
STATION_SD_K, REPORT_SD_K = 1.0, 0.5
NAMES = {
    "persistence": "persistence of the newest field",
    "yesterday": "the same hour of the day before",
    "corrected": "newest field, corrected by stations",
    "alone": "ConvLSTM, reanalysis alone",
    "stations": "ConvLSTM, reanalysis and stations",
    "hidden": "the same network, stations silent",
}


def places(known: dict[str, tuple[float, float]], field: xr.DataArray) -> sampling.Cells:
    """The cells of some places."""
    at = np.array(list(known.values()))
    one = stations.make(
        np.zeros((len(known), 1), np.float32), time=field.time.values[:1], station=list(known), longitude=at[:, 1],
        latitude=at[:, 0], quantity="air_temperature",
    )  # fmt: skip
    return sampling.cells(field, one)


def simulated(field: xr.DataArray, path: Path) -> None:
    """Reports of the airports, hourly, of the field and errors."""
    rng, where = np.random.default_rng(2019), places(AIRPORTS, field)
    true = field.values[:, where.rows, where.columns].T
    wrong = rng.normal(0.0, STATION_SD_K, (len(true), 1)) + rng.normal(0.0, REPORT_SD_K, true.shape)
    at = np.array([AIRPORTS[name] for name in where.stations])
    reported = np.round(true + wrong - 273.15) + 273.15
    series = stations.make(
        reported.astype(np.float32), time=field.time.values, station=where.stations, longitude=at[:, 1],
        latitude=at[:, 0], quantity="air_temperature", attrs={"source": "simulated from ERA5"},
    )  # fmt: skip
    stations.to_netcdf(series, path, command="experiments/metar_reanalysis.py")


def archives(kit: Path, folder: Path) -> None:
    """ERA5 in three archives, and the stations."""
    folder.mkdir(parents=True, exist_ok=True)
    content = (kit / "reanalysis" / "era5-2mt-2019-03-uk.grib").read_bytes()
    size = len(content) // (31 * DAY)  # a message for each hour, all of one length
    for name, (first, last) in PARTS.items():
        if not (folder / f"{name}.zarr").exists():
            (folder / f"{name}.grib").write_bytes(content[first * size : last * size])
            archive.write([folder / f"{name}.grib"], folder / f"{name}.zarr", options=ReadOptions(variable="2t"))
    whole = xr.concat([archive.open(folder / f"{name}.zarr").load() for name in PARTS], dim="time")
    simulated(whole.drop_duplicates("time").sortby("time"), folder / "stations.nc")


def train(folder: Path, out: Path, name: str, seed: int, quick: bool) -> base.Forecaster:
    """A network with or without stations."""
    sets = [f"data.{part}={str(folder / f'{part}.zarr')!r}" for part in ("train", "validation")]
    sets += [f"training.seed={seed}", f"data.covariates.stations.airports.path={str(folder / 'stations.nc')!r}"]
    sets += ["data.covariates.stations={}"] if name == "alone" else []
    sets += ["training.max_steps=2", "training.validations=1", "model.hidden_channels=[4]"] if quick else []
    plan = experiments.load(Path(__file__).with_suffix(".toml"), sets)
    fit.fit_or_resume(plan, out / f"{name}_{seed}")
    return base.load(out / f"{name}_{seed}" / "weights.safetensors")


def corrected(
    past: xr.DataArray, reports: dict[str, np.ndarray], where: sampling.Cells, reach_cells: float
) -> np.ndarray:
    """The newest field plus what stations differ from it now, spread with distance; the same for all leads.

    The weights are those of optimal interpolation with a correlation exp(-d^2 / 2 r^2) and the errors of stations.
    """
    newest = past.values[-1]
    differ = reports["airports"][PAST + LATE - 1, 0, where.rows, where.columns] - newest[where.rows, where.columns]
    known = np.isfinite(differ)
    at = np.stack([where.rows, where.columns], axis=1)[known].astype(float)
    cells = np.stack(np.indices(newest.shape), axis=-1).reshape(-1, 2).astype(float)

    def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=-1) / (2 * reach_cells**2))

    error = (STATION_SD_K**2 + REPORT_SD_K**2) / max(float(np.var(differ[known])), 0.1)
    weights = np.linalg.solve(correlation(at, at) + error * np.eye(len(at)), differ[known])
    return np.asarray(newest + (correlation(cells, at) @ weights).reshape(newest.shape))


def given_of(folder: Path, forecaster: base.Forecaster, field: xr.DataArray) -> Given:
    """What a network is given of stations."""
    from echocast.archive import covariates

    files = {one.name: [folder / "stations.nc"] for one in forecaster.covariates if one.kind == "stations"}
    return covariates.opened(forecaster.covariates, files, field)


def forecasts(
    folder: Path, networks: dict[str, list[base.Forecaster]], field: xr.DataArray, starts: np.ndarray
) -> dict[str, np.ndarray]:
    """The squared errors (window, lead, y, x) of all forecasts, the mean over seeds of networks."""
    values, where = field.values, places(AIRPORTS, field)
    given = {name: given_of(folder, several[0], field) for name, several in networks.items()}
    newest = starts + PAST - 1
    truth = np.stack([values[one + 1 : one + 1 + LEADS] for one in newest])
    at = [
        given["stations"].at(field.time.values[s : s + PAST + LEADS], field.time.values[s + PAST - 1]) for s in starts
    ]
    of_stations = [corrected(field[s : s + PAST], one, where, 6.0) for s, one in zip(starts, at, strict=True)]
    made = {
        "persistence": values[newest][:, None],
        "yesterday": np.stack([values[one + 1 - DAY : one + 1 - DAY + LEADS] for one in newest]),
        "corrected": np.stack(of_stations)[:, None],
    }
    squares = {name: (one - truth) ** 2 for name, one in made.items()}
    squares |= {name: _of_networks(several, field, starts, truth, given[name]) for name, several in networks.items()}
    return squares | {"hidden": _of_networks(networks["stations"], field, starts, truth, None)}


def _of_networks(
    several: list[base.Forecaster], field: xr.DataArray, starts: np.ndarray, truth: np.ndarray, given: Given | None
) -> np.ndarray:
    """The mean over networks of the squared errors."""
    pasts = [field[start : start + PAST] for start in starts]
    contexts = [context_of(past, several[0].covariates, steps=LEADS, given=given) for past in pasts]
    known = stacked([{name: one[0] for name, one in context.covariates.items()} for context in contexts])
    total = np.zeros(truth.shape)
    for network in several:
        for part in np.array_split(np.arange(len(starts)), -(-len(starts) // 12)):
            past = torch.cat([tensors.to_tensor(pasts[n]) for n in part])
            context = replace(contexts[0], valid_times=None, covariates={n: v[part] for n, v in known.items()})
            total[part] += (network.forecast(past, LEADS, context)[:, :, 0].numpy() - truth[part]) ** 2
    return total / len(several)


def scores(squares: dict[str, np.ndarray], issued: np.ndarray, mask: np.ndarray, leads: slice) -> dict[str, Estimate]:
    """The RMSE of each forecast, and its difference to the network without stations, by days that are drawn."""
    days, which = np.unique(issued.astype("datetime64[D]"), return_inverse=True)
    sums = {
        name: np.array([one[which == d][:, leads][..., mask].sum() for d in range(len(days))])
        for name, one in squares.items()
    }
    counts = np.bincount(which) * mask.sum() * len(range(*leads.indices(LEADS)))
    drawn = np.random.default_rng(0).integers(len(days), size=(BOOTSTRAP_SAMPLES, len(days)))

    def rmse(name: str, chosen: np.ndarray) -> np.ndarray:
        return np.sqrt(sums[name][chosen].sum(axis=-1) / counts[chosen].sum(axis=-1))

    every, of_days = np.arange(len(days)), Days.of(counts.astype(float))
    found = {name: Estimate.of(float(rmse(name, every)), rmse(name, drawn), of_days) for name in squares}
    for name in squares:
        if name != "alone":
            change = float(rmse(name, every) - rmse("alone", every))
            found[f"{name} - alone"] = Estimate.of(change, rmse(name, drawn) - rmse("alone", drawn), of_days)
    return found


def written(one: Estimate) -> str:
    low, high = one.interval
    return f"{one.value:.2f} ({low:.2f} to {high:.2f})"


def table(found: dict[str, dict[str, Estimate]]) -> str:
    """RMSE in K of the next six hours and of the six hours until now; differences to the network alone."""
    lines = [f"| RMSE in K | {' | '.join(found)} |", f"|---|{'---:|' * len(found)}"]
    for name, title in NAMES.items():
        lines.append(f"| {title} | {' | '.join(written(one[name]) for one in found.values())} |")
    lines += ["", f"| difference to the ConvLSTM of reanalysis alone | {' | '.join(found)} |", lines[1]]
    for name, title in NAMES.items():
        if name != "alone":
            lines.append(f"| {title} | {' | '.join(written(one[f'{name} - alone']) for one in found.values())} |")
    return "\n".join([*lines, ""])


def picture(squares: dict[str, np.ndarray], held: np.ndarray, field: xr.DataArray, path: Path) -> None:
    """The RMSE by lead at held-out places, and where stations make it smaller."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.2, 1))
    hours = np.arange(1, LEADS + 1) - LATE
    styles = {
        "alone": "#0072b2",
        "stations": "#d55e00",
        "hidden": "#cc79a7",
        "corrected": "#009e73",
        "persistence": "#000000",
        "yesterday": "#999999",
    }
    for name, colour in styles.items():
        left.plot(hours, np.sqrt(squares[name][..., held].mean(axis=(0, 2))), color=colour, label=NAMES[name])
    left.axvline(0, color="#bbbbbb", linewidth=0.8)
    left.text(0, 0.02, " now", transform=left.get_xaxis_transform(), color="#666666")
    left.set_xlabel("hours from now; the newest field is of -6 h")
    left.set_ylabel("RMSE at eight held-out places (K)")
    left.set_ylim(bottom=0)
    left.legend(fontsize=7, loc="upper left")
    gain = np.sqrt(squares["stations"][:, LATE:].mean(axis=(0, 1))) - np.sqrt(
        squares["alone"][:, LATE:].mean(axis=(0, 1))
    )
    most = float(np.abs(gain).max())
    drawn = right.pcolormesh(field.x.values, field.y.values, gain, cmap="RdBu_r", vmin=-most, vmax=most)
    figure.colorbar(drawn, ax=right, label="change of the RMSE of the next six hours (K)")
    for known, marker in ((AIRPORTS, "^"), (HELD_OUT, "o")):
        at = np.array(list(known.values()))
        right.scatter(at[:, 1], at[:, 0], marker=marker, s=18, facecolors="none", edgecolors="black", linewidths=0.8)
    right.set_aspect(1 / np.cos(np.radians(54)))
    right.set_title("with stations minus without; ^ airports, o held out", fontsize=8)
    right.set_xlabel("degrees east")
    right.set_ylabel("degrees north")
    figure.savefig(path, dpi=110)


def main(arguments: list[str] | None = None) -> int:
    """Archives, training, scores of the test days."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write")
    parser.add_argument("--kit", type=Path, default=Path(os.environ.get("ECHOCAST_DATA", ".")), help="the data kit")
    parser.add_argument("--seeds", type=int, default=1, help="networks of each kind")
    parser.add_argument("--quick", action="store_true", help="two steps of tiny networks, to see that it runs")
    given = parser.parse_args(arguments)
    folder = given.out / "archives"
    archives(given.kit, folder)
    seeds = range(1 if given.quick else given.seeds)
    networks = {
        name: [train(folder, given.out, name, seed, given.quick) for seed in seeds] for name in ("alone", "stations")
    }
    field = archive.open(folder / "test.zarr").drop_vars("observed").load()
    torch.set_grad_enabled(False)
    # "Now", when the newest field is six hours old, is on the test days.
    starts = np.arange(DAY - PAST + 1 - LATE, field.sizes["time"] - PAST - LEADS + 1, EVERY)
    starts = starts[starts + PAST - DAY >= 0]  # the same hour of the day before is there
    squares = forecasts(folder, networks, field, starts)
    issued = field.time.values[starts + PAST - 1 + LATE]
    mask = np.zeros(field.shape[1:], bool)
    where = places(HELD_OUT, field)
    mask[where.rows, where.columns] = True
    whole, (until_now, ahead) = np.ones_like(mask), (slice(0, LATE), slice(LATE, LEADS))
    found = {
        "held-out places, next 6 h": scores(squares, issued, mask, ahead),
        "held-out places, last 6 h": scores(squares, issued, mask, until_now),
        "whole grid, next 6 h": scores(squares, issued, whole, ahead),
        "whole grid, last 6 h": scores(squares, issued, whole, until_now),
    }
    plain = {title: {n: [e.value, *e.interval] for n, e in one.items()} for title, one in found.items()}
    (given.out / "results.json").write_text(json.dumps(plain, indent=1), encoding="utf-8")
    (given.out / "table.md").write_text(table(found), encoding="utf-8")
    picture(squares, mask, field, given.out / "errors.png")
    print((given.out / "table.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
