"""echocast archive: many files, one store."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from echocast.cli.progress import Bar


def command(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Radar files, folders or globs.")],
    store: Annotated[Path, typer.Option("--to", metavar="STORE", help="The store to make or to add to.")],
    format: Annotated[  # noqa: A002 (the option's name)
        str | None,
        typer.Option("--format", help="Their format (see `echocast formats`); recognised by default."),
    ] = None,
    step: Annotated[
        float | None, typer.Option("--step", metavar="MINUTES", min=0.1, help="The clock of a new store.")
    ] = None,
) -> None:
    """Put radar files into a store on a regular clock.

    Frames are sorted and checked; a repeated frame is ignored, a changed one replaces the old, a missing one stays a
    gap that no training or verification touches. The store grows by whole transactions: stopped at any moment it stays
    usable, and the same command run again finishes the work.

    Example: echocast archive radar/2016/ --to radar.zarr
    """
    import numpy as np

    from echocast import field
    from echocast.data import archive

    clock = None if step is None else np.timedelta64(round(step * 60), "s").astype("timedelta64[ns]")
    with Bar("archiving", "files") as bar:
        report = archive.write(inputs, store, format=format, step=clock, on_file=bar.to)
    first, last = field.clock(report.start), field.clock(report.end)
    minutes = report.step / np.timedelta64(1, "m")
    Console().print(
        f"{store}: {report.added} frames added from {report.files} files,"
        f" {report.duplicates} already there, {report.corrected} corrected.\n"
        f"It holds {report.frames} frames from {first} to {last} UTC, every {minutes:g} min, {report.gaps} missing.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
