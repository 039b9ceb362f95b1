"""echocast point: a forecast at places, as a series of lead times."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echocast.cli import arguments, options, output
from echocast.errors import DataError, GridMismatch

if TYPE_CHECKING:
    import xarray as xr

    from echocast.stations.sampling import Cells

SUFFIXES = (".csv", ".json", ".nc")


def command(
    forecast: Annotated[Path, typer.Argument(metavar="FORECAST", help="A NetCDF forecast of `echocast nowcast`.")],
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="[NAME=]LON,LAT", help="A place in degrees; may be repeated."),
    ] = None,
    stations: Annotated[
        Path | None,
        typer.Option(
            "--stations",
            metavar="FILE",
            help="Places: a station file, or a CSV file with the columns station, longitude and latitude.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write .csv, .json or .nc; by default CSV is printed.")
    ] = None,
    quantiles: options.Quantiles = "0.1,0.5,0.9",
    thresholds: options.Rates = "0.1,1,5,10",
    amounts: options.Amounts = "1,5,10,20",
) -> None:
    """Write what a forecast says at places: rain rate and amount by lead time, with quantiles and probabilities.

    A place has the cell that it lies in. The amount is what falls from the issue to the end of the lead time. Quantiles
    and probabilities are those of the members; a single forecast has none. What the forecast does not know is empty.

    Example: echocast point forecast.nc --at Zurich=8.55,47.37 --out zurich.csv
    """
    if not at and stations is None:
        raise typer.BadParameter("give at least one place, or --stations FILE", param_hint="--at")
    shares, rates, depths = (
        options.shares(quantiles),
        options.limits(thresholds, "--thresholds"),
        options.limits(amounts, "--amounts"),
    )
    inputs = [str(forecast), *([] if stations is None else [str(stations)])]
    arguments.check_inputs(inputs)
    if out is not None:
        arguments.check_output(out, "--out", SUFFIXES, inputs)
    from echocast.io import forecast_file, series_file
    from echocast.products import series

    field = forecast_file.from_netcdf(forecast)
    where = _cells(field, at or [], stations)
    found = series.at_cells(field, where.stations, where.rows, where.columns)
    summary = series.summary(found, quantiles=shares, rates=rates, amounts=depths)
    if out is None:
        sys.stdout.write(series_file.to_csv(summary))
        return
    from echocast.atomic import write_bytes

    text = shlex.join(["echocast", *sys.argv[1:]])
    content = {
        ".csv": lambda: series_file.to_csv(summary).encode(),
        ".json": lambda: series_file.to_json(summary).encode(),
        ".nc": lambda: series_file.to_netcdf(found, summary, text),
    }[out.suffix.lower()]()
    write_bytes(out, content)
    output.say(f"{out}: {len(where.stations)} places, {field.sizes['lead']} lead times")


def _cells(field: "xr.DataArray", at: list[str], path: Path | None) -> "Cells":
    """The cells of all places; one outside the grid is an error if it was named, and left out if it is in a file."""
    import numpy as np

    from echocast import stations as station_files
    from echocast.stations import sampling

    places = dict(_place(text) for text in at)
    if len(places) < len(at):
        raise DataError("--at: two places have one name; give each another, as NAME=LON,LAT")
    from_file = _of_file(path) if path is not None else {}
    everywhere = places | from_file
    if len(everywhere) < len(places) + len(from_file):
        raise DataError(f"--at and --stations {path}: have a place of the same name; rename it")
    spot = np.array(list(everywhere.values()))
    series = station_files.make(
        np.zeros((len(spot), 1)),
        time=[np.datetime64("2000-01-01", "ns")],
        station=list(everywhere),
        longitude=spot[:, 0],
        latitude=spot[:, 1],
        interval=1.0,
    )
    where = sampling.cells(field, series)
    named = [name for name in where.outside if name in places]
    if named:
        raise GridMismatch(f"--at {named[0]}: lies outside the grid of the forecast")
    return where


def _place(text: str) -> tuple[str, tuple[float, float]]:
    """The name and the longitude and latitude of a place."""
    name, equals, rest = text.rpartition("=")
    try:
        longitude, latitude = (float(word) for word in rest.split(","))
    except ValueError as bad:
        raise typer.BadParameter(f"{text!r} is not LON,LAT or NAME=LON,LAT in degrees", param_hint="--at") from bad
    return (name if equals else rest), (longitude, latitude)


def _of_file(path: Path) -> dict[str, tuple[float, float]]:
    from echocast import stations as station_files
    from echocast.stations.places import read_places

    if path.suffix.lower() == ".csv" and not path.with_suffix(".toml").is_file():
        return {name: place[:2] for name, place in read_places(path).items()}
    series = station_files.read(path)
    places = zip(series.longitude.values, series.latitude.values, strict=True)
    return dict(zip((str(name) for name in series.station.values), places, strict=True))
