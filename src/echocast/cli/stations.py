"""echocast stations: files of rain gauges and other instruments, described, checked and converted."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echocast.cli import arguments, options, output

if TYPE_CHECKING:
    import xarray as xr


def command(
    inputs: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Station files: METAR text, CSV with a TOML file, NetCDF.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.nc", help="Write all stations as CF-NetCDF (timeSeries).")
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Flag suspicious values: range, stuck, spike, unlike neighbours. None is removed."
        ),
    ] = False,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            metavar="MINUTES",
            min=0.1,
            callback=arguments.finite,
            help="Sum amounts to intervals of so many minutes, where none of their parts is missing.",
        ),
    ] = None,
    format: Annotated[  # noqa: A002 (the option's name)
        str | None,
        typer.Option("--format", metavar="NAME", help="metar, netcdf, opensense or table; found if left out."),
    ] = None,
    variable: options.Variable = None,
    units: options.Units = None,
    interval: options.Interval = None,
    places: Annotated[
        Path | None,
        typer.Option(
            "--places",
            metavar="FILE.csv",
            help="Places for METAR reports: columns station, longitude, latitude, height (m).",
        ),
    ] = None,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="Of METAR reports, which say only the day.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Describe, check and join files of stations.

    Prints a line for each station: its place, how much it measured, what is missing and what was flagged. Times are UTC
    and the end of an amount's interval. With --out the stations of all files become one CF-NetCDF file, which `echocast
    verify --stations` and the transform adjust read.

    Example: echocast stations city.nc smhi.nc --every 15 --check --out gauges.nc
    """
    arguments.check_inputs(inputs)
    if out is not None:
        arguments.check_output(out, "--out", (".nc",), inputs)
    from echocast import plugins, stations
    from echocast.stations import files

    if format is not None:
        arguments.check_name(format, plugins.names(files.READERS), "format of stations")
    how = files.Options(format=format, variable=variable, units=units, interval=interval, places=places, month=month)
    read = [stations.read(path if "://" in path else Path(path), how) for path in inputs]
    series = stations.joined([stations.every(one, every) if every else one for one in read])
    if check:
        series = stations.flagged(series)
    if out is not None:
        stations.to_netcdf(series, out, command=shlex.join(["echocast", *sys.argv[1:]]))
    rows = rows_of(series)
    if as_json:
        output.say_json({"quantity": series.name, "units": series.attrs["units"], "stations": rows})
        return
    _say(series, rows)
    if out is not None:
        output.say(f"{out}: {len(rows)} stations, {series.sizes['time']} times")


def rows_of(series: "xr.DataArray") -> list[dict[str, Any]]:
    """What is to be said of each station."""
    import numpy as np

    from echocast.stations import FLAGS

    found: list[dict[str, Any]] = []
    for one in series:
        known = np.isfinite(one.values)
        flags = {name: int(((one.quality.values & bit) != 0).sum()) for name, bit in FLAGS.items()}
        found.append(
            {
                "station": str(one.station.values),
                "longitude": float(one.longitude),
                "latitude": float(one.latitude),
                "height_m": float(one.height),
                "values": int(known.sum()),
                "missing": int((~known).sum()),
                "first": one.time.values[known][0] if known.any() else np.datetime64("NaT"),
                "last": one.time.values[known][-1] if known.any() else np.datetime64("NaT"),
                "sum": float(np.where(known, one.values, 0.0).sum(dtype=np.float64)),
                "highest": float(np.nanmax(one.values)) if known.any() else float("nan"),
                "flagged": {name: count for name, count in flags.items() if count},
            }
        )
    return found


def _say(series: "xr.DataArray", rows: list[dict[str, Any]]) -> None:
    from echocast import fields, stations

    amount = series.name == "rainfall_amount"
    what = f"in {stations.interval_minutes(series):g} min, times are the ends" if amount else "at moments"
    output.say(f"{series.attrs['long_name']} in {series.attrs['units']} {what}")
    total = ("sum", "highest") if amount else ("highest",)
    titles = ("station", "longitude", "latitude", "height", "values", "missing", *total, "from (UTC)", "to", "flagged")
    lines = []
    for row in rows:
        flags = ", ".join(f"{name} {count}" for name, count in row["flagged"].items()) or "-"
        numbers = [f"{row[name]:.6g}" for name in total]
        height = "-" if row["height_m"] != row["height_m"] else f"{row['height_m']:g}"
        place = [f"{row['longitude']:.4f}", f"{row['latitude']:.4f}", height]
        times = [fields.format_time(row["first"]), fields.format_time(row["last"])]
        lines.append([row["station"], *place, str(row["values"]), str(row["missing"]), *numbers, *times, flags])
    output.say_table(titles, lines, right=("longitude", "latitude", "height", "values", "missing", *total))
