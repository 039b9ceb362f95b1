"""echocast nowcast: radar files in, a forecast out."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def command(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Radar files, folders, globs or Zarr stores; URLs too.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.nc", help="The forecast to write, as CF-NetCDF.")],
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|PATH", help="A forecaster (see `echocast models`) or a checkpoint.")
    ] = "lagrangian",
    minutes: Annotated[float, typer.Option("--minutes", min=1, help="Length of the forecast in minutes.")] = 90,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Number of newest frames to forecast from.")] = 10,
    members: Annotated[
        int | None,
        typer.Option(
            "--members", metavar="N", min=1, help="Make an ensemble of N members (models lagrangian and steps)."
        ),
    ] = None,
    format: Annotated[  # noqa: A002 (the option's name)
        str | None,
        typer.Option("--format", help="Format of the files (see `echocast formats`). Default: by their content."),
    ] = None,
    gif: Annotated[Path | None, typer.Option("--gif", metavar="FILE", help="Also write an animation.")] = None,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="Also write a picture of panels by lead time.")
    ] = None,
) -> None:
    """Forecast rain for the next minutes from the newest radar frames.

    Uses the newest frames of the given files, on any grid, and says which they are. A missing frame among them, or a
    time step that the model was not trained for, is an error. Every file is written whole or not at all. The file of an
    ensemble also holds the mean, quantiles and the probability of rain rates and amounts; the animation shows the mean,
    the panels show the mean, two members and the probability of 1 mm/h.

    Example: echocast nowcast radar/ --minutes 90 --out forecast.nc --gif forecast.gif
    """
    from echocast import nowcast as nowcasts
    from echocast.plotting import animation, panels
    from echocast.products import ensemble as ensembles

    console = Console()
    with Console(stderr=True).status("reading and forecasting"):
        made = nowcasts.nowcast(inputs, model, minutes=minutes, frames=frames, members=members, format=format)
    console.print(made.used(), markup=False, highlight=False, soft_wrap=True)
    nowcasts.to_netcdf(made.forecast, out, command=shlex.join(["echocast", *sys.argv[1:]]))
    if gif:
        animation.to_gif(ensembles.mean(made.forecast), gif, past=made.past)
    if png:
        panels.to_png(made.forecast, png, past=made.past)
    written = ", ".join(str(path) for path in (out, gif, png) if path)
    console.print(
        f"wrote {made.forecast.sizes['lead']} lead times to {written}", markup=False, highlight=False, soft_wrap=True
    )
