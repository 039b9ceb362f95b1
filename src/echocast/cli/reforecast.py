"""echocast reforecast: an archive in, a folder of the forecasts that its frames would have given out."""

from pathlib import Path
from typing import Annotated

import typer

from echocast.cli import arguments, output
from echocast.cli.progress import Bar


def command(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The archive of observations; a folder or a URL.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="The folder of the forecasts; those in it are kept.")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME|PATH",
            autocompletion=arguments.completed_model,
            help="A forecaster (see `echocast models`), a checkpoint, or your class (my.py:Class).",
        ),
    ] = "lagrangian",
    minutes: Annotated[
        float,
        typer.Option(
            "--minutes", metavar="MINUTES", min=1, callback=arguments.finite, help="Length of each forecast in minutes."
        ),
    ] = 90,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Frames that each forecast is made from.")] = 10,
    every: Annotated[
        float,
        typer.Option(
            "--every",
            metavar="MINUTES",
            min=0.1,
            callback=arguments.finite,
            help="Minutes between two issue times, counted from midnight UTC.",
        ),
    ] = 30,
    members: Annotated[
        int | None,
        typer.Option(
            "--members", metavar="N", min=1, help="Make ensembles of N members (models lagrangian and steps)."
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--start", metavar="TIME", help="Only forecasts issued at this time (UTC) or later.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", metavar="TIME", help="Only forecasts issued at this time (UTC) or earlier.")
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Processes; 0 for as many as there are processors.")
    ] = 0,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="ADDRESS",
            help="A Dask scheduler whose workers do the work; they must see STORE and --out by the same paths.",
        ),
    ] = None,
) -> None:
    """Make the forecasts that the frames of an archive would have given, one NetCDF file each.

    Forecasts are issued on the clock and written to OUT/YYYY/MM/DD/, each whole or not at all, as `echocast nowcast`
    writes them. Times whose past has a missing frame are left out, and counted. If the command is stopped, at whatever
    moment, give it again and it goes on; an archive that has grown gets the forecasts that are missing. A folder holds
    forecasts of one model with the same settings: reforecast.json in it says which, and others are refused.

    `echocast verify STORE --forecasts OUT` scores them.

    Example: echocast reforecast radar.zarr --model optical_flow --out forecasts/flow

    Example: echocast reforecast radar.zarr --members 20 --start 2016-06-01 --end 2016-08-31T23:59 --out forecasts/june
    """
    arguments.check_archive(store)
    arguments.check_model(model)
    arguments.check_output_folder(out, "--out", [store])
    span = arguments.time(start, "--start"), arguments.time(end, "--end")
    from echocast.nowcast.reforecast_notes import Settings
    from echocast.nowcast.reforecasting import run
    from echocast.parallel import Workers

    settings = Settings(model, minutes, frames, every, members)
    with Bar("forecasting", "forecasts") as bar:
        done = run(store, out, settings, span=span, workers=Workers(workers, dask), on_forecast=bar.to)
    left_out = f" {done.left_out} issue times lack a frame of their past." if done.left_out else ""
    output.say(f"{out}: {done.made} forecasts made, {done.there} were there already.{left_out}")
    output.say(f"score them with: echocast verify {store} --forecasts {out}")
