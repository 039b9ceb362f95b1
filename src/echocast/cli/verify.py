"""echocast verify: forecasters against what was observed."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from echocast.cli.progress import Bar


def command(
    store: Annotated[str, typer.Argument(help="An archive made by `echocast archive`; a folder or a URL.")],
    models: Annotated[
        str, typer.Option("--models", metavar="NAME,...", help="Forecasters and checkpoints, separated by commas.")
    ] = "persistence,optical_flow,encoder_forecaster",
    out: Annotated[Path, typer.Option("--out", metavar="REPORT/", help="The folder of the report.")] = Path("report"),
    split: Annotated[
        str, typer.Option("--split", help="all, or the archive's train, validation or test runs.")
    ] = "all",
    past: Annotated[int, typer.Option("--past", min=2, help="Frames before each forecast.")] = 10,
    minutes: Annotated[float, typer.Option("--minutes", min=1, help="How far to forecast.")] = 90,
    stride: Annotated[float, typer.Option("--stride", min=1, help="Minutes between the starts of two cases.")] = 30,
    thresholds: Annotated[
        str, typer.Option("--thresholds", metavar="MM/H,...", help="Rain rates of the contingency scores.")
    ] = "0.5,1,2,5,10",
) -> None:
    """Score forecasters on an archive, and report by lead.

    Writes report.md, scores.csv, scores.json and curves.png: CSI, POD, FAR, bias, skill scores and FSS at each
    threshold, RMSE, MAE, correlation and rainfall-MSE, for every lead (`echocast scores` lists them). Counts are pooled
    over cases; a window with a missing frame is never used; all forecasters are scored on the same pixels.

    Example: echocast verify test.zarr --models persistence,optical_flow,encoder_forecaster --out report/
    """
    import numpy as np

    from echocast import evaluation, field, report
    from echocast.cli.tables import show
    from echocast.data import archive, windows
    from echocast.models import base

    forecasters = {_label(name): base.resolve(name) for name in _words(models)}
    rain = archive.open(store)
    step = float(field.step(rain.time.values) / np.timedelta64(1, "m"))
    with Bar("forecasting and scoring", "cases") as bar:
        result = evaluation.evaluate(
            rain,
            forecasters,
            runs=windows.split(rain, split),
            past=past,
            leads=max(1, round(minutes / step)),
            stride=max(1, round(stride / step)),
            thresholds=_numbers(thresholds),
            on_batch=bar.to,
        )
    report.write_report(result, out, command=shlex.join(["echocast", *sys.argv[1:]]))
    console = Console()
    show(result, console)
    console.print(
        f"{result.cases} cases; the whole report is {out / 'report.md'}", markup=False, highlight=False, soft_wrap=True
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _label(name: str) -> str:
    """A checkpoint goes by its run and file, a model by its name."""
    path = Path(name)
    return f"{path.parent.name}/{path.stem}" if path.suffix else name


def _numbers(text: str) -> list[float]:
    try:
        found = sorted({float(word) for word in _words(text)})
    except ValueError as bad:
        raise typer.BadParameter(
            f"{text!r} is not a list of numbers such as 0.5,1,2", param_hint="--thresholds"
        ) from bad
    if len(found) < 2 or found[0] <= 0:
        raise typer.BadParameter(f"{text!r} must hold at least two numbers above 0", param_hint="--thresholds")
    return found
