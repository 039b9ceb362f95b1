"""echocast demo: nowcast a simulated storm and verify the nowcast."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from echocast.cli import arguments, output
from echocast.cli.progress import Bar

_PAST, _LEADS, _FRAMES = 10, 18, 70


def command(
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the files it writes.")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the simulated storm.")] = 0,
    live: Annotated[
        bool, typer.Option("--live", help="Show a live map instead: a simulated radar, watched at 60 times the clock.")
    ] = False,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="With --live: open the map in the browser.")
    ] = True,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="With --live: the map's port. Default: any that is free.")
    ] = 0,
    members: Annotated[
        int, typer.Option("--members", min=1, max=100, help="With --live: members of the ensemble.")
    ] = 10,
) -> None:
    """Simulate a storm, nowcast it for 90 minutes with the shipped weights, and verify the nowcast.

    Needs no data and no download. Writes forecast.nc (CF-NetCDF), forecast.gif (observation beside forecast),
    forecast.png (panels by lead time), and scores beside those of persistence and optical flow (report.md, scores.csv,
    curves.png).

    With --live it runs the whole system until Ctrl-C: a simulated radar drops a file every 5 s into a temporary
    folder, `echocast watch` makes a forecast of each, and `echocast serve` shows them on a map.

    Example: echocast demo --out demo/

    Example: echocast demo --live
    """
    if live:
        from echocast.cli import live as demonstration

        raise typer.Exit(demonstration.run(seed=seed, members=members, port=port, browser=browser))
    arguments.check_output_folder(out, "--out")
    from echocast import evaluation, nowcast, report
    from echocast.cli.tables import show
    from echocast.models import base
    from echocast.plotting import animation, panels
    from echocast.synthetic import storms

    what = shlex.join(["echocast", *sys.argv[1:]])
    with Bar("demo", "steps") as bar:
        bar.to(0, 6)
        storm = storms.generate(frames=_FRAMES, seed=seed)
        forecasters = {name: base.resolve(name) for name in ("persistence", "optical_flow", "lagrangian")}
        bar.to(1, 6)
        issue = _FRAMES - _LEADS
        past, observed = storm[issue - _PAST : issue], storm[issue:]
        forecast = nowcast.forecast_from(past, forecasters["lagrangian"])
        forecast.attrs["model"] = "lagrangian"
        bar.to(2, 6)
        result = evaluation.evaluate(
            storm, forecasters, evaluation.VerificationConfig(past=_PAST, leads=_LEADS, stride=3)
        )
        bar.to(3, 6)
        report.write_report(result, out, command=what)
        nowcast.to_netcdf(forecast, out / "forecast.nc", command=what)
        bar.to(4, 6)
        panels.to_png(forecast, out / "forecast.png", past=past, observed=observed)
        bar.to(5, 6)
        animation.to_gif(forecast, out / "forecast.gif", past=past, observed=observed)
    show(result, output.console())
    output.say(
        f"{result.cases} forecasts of one {storm.attrs['source']}. The storm is not real, the network never saw its"
        " like, and its flow never changes, which suits optical flow: the model card has the scores on real radar.\n"
        f"Look at {out / 'forecast.gif'} and {out / 'forecast.png'}; the forecast itself is {out / 'forecast.nc'}.",
    )
