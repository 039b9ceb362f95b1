"""echocast nowcast: radar files in, a forecast out."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def command(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Radar files, folders or globs.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.nc", help="The CF-NetCDF forecast to write.")],
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|PATH", help="A forecaster (see `echocast models`) or a checkpoint.")
    ] = "lagrangian",
    minutes: Annotated[float, typer.Option("--minutes", min=1, help="How far to forecast.")] = 90,
    frames: Annotated[int, typer.Option("--frames", min=2, help="How many of the newest frames to use.")] = 10,
    members: Annotated[
        int | None, typer.Option("--members", min=1, help="Also so many futures, of lagrangian or steps.")
    ] = None,
    format: Annotated[  # noqa: A002 (the option's name)
        str | None, typer.Option("--format", help="The files' format (see `echocast formats`); recognised by default.")
    ] = None,
    gif: Annotated[Path | None, typer.Option("--gif", metavar="FILE", help="Also an animation.")] = None,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Also a picture of panels by lead.")] = None,
) -> None:
    """Forecast the rain of the next minutes from the newest radar frames.

    Uses the newest frames of what is given, on any grid, and says which in one line. A missing frame among them, or a
    time step that the model was not trained on, is refused. Every file is written whole or not at all. Of an ensemble
    the file also holds the mean, quantiles and the probability of rates and amounts; the animation shows the mean, the
    panels also members and a probability.

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
        f"wrote {made.forecast.sizes['lead']} leads to {written}", markup=False, highlight=False, soft_wrap=True
    )
