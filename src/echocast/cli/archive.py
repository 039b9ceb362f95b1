"""echocast archive: many files, one store; and what a store holds."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from echocast.cli.progress import Bar
from echocast.errors import DataError

_GAPS_SHOWN = 20


def command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Radar files, folders, globs, Zarr stores; s3://, gs://, https:// too."
        ),
    ],
    store: Annotated[str, typer.Option("--to", metavar="STORE", help="The store to make or to add to.")] = "",
    format: Annotated[  # noqa: A002 (the option's name)
        str | None,
        typer.Option("--format", help="Their format (see `echocast formats`); recognised by default."),
    ] = None,
    variable: Annotated[
        str | None, typer.Option("--variable", metavar="NAME", help="The variable, quantity or band to take.")
    ] = None,
    units: Annotated[str | None, typer.Option("--units", help="The unit of files that do not say it.")] = None,
    zr: Annotated[
        str | None,
        typer.Option("--zr", metavar="A,B", help="Z = A R^B, or a name (marshall-palmer, fmi, wsr-88d, ...)."),
    ] = None,
    least_quality: Annotated[
        float | None, typer.Option("--least-quality", min=0, max=1, help="Mask cells of lower quality (ODIM's QIND).")
    ] = None,
    limit: Annotated[float, typer.Option("--limit", metavar="MM/H", min=1, help="Clip rain above this.")] = 300.0,
    transform: Annotated[
        list[str] | None,
        typer.Option(
            "--transform", metavar="TRANSFORM", help="Prepare each frame, as 'coarsen factor=2'; may be repeated."
        ),
    ] = None,
    step: Annotated[
        float | None, typer.Option("--step", metavar="MINUTES", min=0.1, help="The clock of a new store.")
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Processes that read; 0: as many as there are cores, if it pays.")
    ] = 0,
    dask: Annotated[str | None, typer.Option("--dask", metavar="ADDRESS", help="Let a Dask cluster read.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.nc", help="For clutter: the mask to write.")
    ] = None,
) -> None:
    """Put radar files into a store on a regular clock; or tell what a store holds.

    Frames are sorted and checked; a repeated frame is ignored, a changed one replaces the old, a missing one stays a
    gap that no training or verification touches. The store grows by whole transactions: stopped at any moment it stays
    usable, and the same command run again finishes the work.

    Transforms, in their order: crop, centre, coarsen, resize, regrid, disk, clip, mask. They are kept in the store
    and done again to frames added later.

    What a store holds:  echocast archive info STORE       at once, from its coordinates

                         echocast archive check STORE      reads every frame; exit status 1 if unfit for training

                         echocast archive clutter STORE --out mask.nc      cells that always echo, for --transform 'mask ...'

    Example: echocast archive radar/2016/ --to radar.zarr --transform 'coarsen factor=2'
    """
    if inputs[0] in ("info", "check", "clutter") and not store:
        raise typer.Exit(_about(inputs[0], inputs[1:], out))
    if not store:
        raise DataError("give the store to make or to add to: --to STORE")
    if out:
        raise DataError("--out goes with `archive clutter`; the store is --to")
    import numpy as np

    from echocast import archive, fields, parallel
    from echocast.archive import transforms as transforming
    from echocast.io import reading

    time_step = None if step is None else np.timedelta64(round(step * 60), "s").astype("timedelta64[ns]")
    options = reading.ReadOptions(
        format=format,
        variable=variable,
        units=units,
        zr=fields.zr_relation(zr) if zr else None,
        min_quality=least_quality,
        max_rate=limit,
    )
    transforms = transforming.parse(transform) if transform else None
    processes = parallel.Workers(workers, dask)
    with Bar("archiving", "files") as bar:
        report = archive.write(
            inputs,
            store,
            options=options,
            time_step=time_step,
            transforms=transforms,
            workers=processes,
            on_file=bar.to,
        )
    first, last = fields.format_time(report.start), fields.format_time(report.end)
    clipped = f" {report.clipped} cells outside 0 to {limit:g} mm/h were clipped." if report.clipped else ""
    _say(
        f"{store}: {report.added} frames added from {report.files} files,"
        f" {report.duplicates} already there, {report.corrected} corrected.{clipped}\n"
        f"It holds {report.frames} frames from {first} to {last} UTC, every {_minutes(report.time_step)} min,"
        f" {report.gaps} missing."
    )


def _about(what: str, stores: list[str], out: Path | None) -> int:
    if len(stores) != 1:
        raise DataError(f"`archive {what}` takes one store; got {len(stores)}: {' '.join(stores)}")
    if what == "clutter":
        return _clutter(stores[0], out)
    from echocast.archive import survey

    found = survey.look(stores[0], closely=what == "check")
    _say("\n".join(f"{name:<12} {text}" for name, text in _rows(stores[0], found, survey.WET, survey.SUSPICIOUS)))
    if what == "check":
        _say("fit for training" if not found.unfit else "not fit for training:\n  " + "\n  ".join(found.unfit))
    return 1 if what == "check" and found.unfit else 0


def _rows(store: str, found: Any, wet: float, suspicious: float) -> list[tuple[str, str]]:
    from echocast.fields import UNITS, format_time

    rows, columns = found.shape
    listed = [
        f"{format_time(a)}" + (f" to {format_time(b)}" if count > 1 else "") + f" ({count})"
        for a, b, count in found.gaps[:_GAPS_SHOWN]
    ]
    if len(found.gaps) > _GAPS_SHOWN:
        listed.append(f"and {len(found.gaps) - _GAPS_SHOWN} more")
    size = "" if found.bytes is None else f"{found.bytes / 2**20:.1f} MiB"
    lines = [
        ("store", store),
        ("frames", f"{found.frames}, {found.missing} missing"),
        ("from", f"{format_time(found.start)} UTC"),
        ("to", f"{format_time(found.end)} UTC, every {_minutes(found.time_step)} min"),
        ("grid", f"{rows} x {columns} cells of {found.cell_km:.3g} km, {found.crs}"),
        ("unit", f"{UNITS}; Z-R: {found.zr}"),
        ("source", found.source),
        ("transforms", found.transforms),
        ("windows", f"{found.windows} of 28 frames; the longest run has {found.longest}"),
    ]
    if size:
        per = f", {found.bytes / max(1, found.frames) / 1024:.1f} KiB a frame"
        lines.append(("size", size + per))
    if found.seen is not None:
        lines += [
            ("seen", f"{100 * found.seen:.1f} % of the cells"),
            ("wet", f"{100 * found.wet:.2f} % of what was seen ({wet} mm/h or more)"),
            ("highest", f"{found.highest:.1f} mm/h, {found.outliers} cells above {suspicious:g}"),
            ("repeated", f"{found.stuck} frames equal to the one before"),
        ]
    if listed:
        lines += [("gaps" if n == 0 else "", text) for n, text in enumerate(listed)]
    return lines


def _clutter(store: str, out: Path | None) -> int:
    if out is None:
        raise DataError("give the file to write the mask to: --out mask.nc")
    from echocast import archive
    from echocast.archive import clutter
    from echocast.io import forecast_file

    field = archive.open(store)
    found = clutter.monthly(field)
    mask = clutter.mask(field, found)
    forecast_file.series_to_netcdf(mask, out)
    for one in found:
        levels = ", ".join(f"{level:.3f}" for level in one.levels)
        _say(f"{one.month}: {int(one.cells.sum())} cells stand out; mean grey levels of the clusters {levels}")
    _say(f"{out}: {int(mask.values.sum())} cells marked; use it with --transform 'mask file={out}'")
    return 0


def _minutes(step: Any) -> str:
    import numpy as np

    return f"{step / np.timedelta64(1, 'm'):g}"


def _say(text: str) -> None:
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
