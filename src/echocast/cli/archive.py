"""echocast archive: put radar files into a store on a regular time axis, and describe or check a store."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echocast.cli import arguments, options, output
from echocast.cli.progress import Bar
from echocast.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from echocast.archive.survey import Survey

_GAPS_SHOWN = 20

app = typer.Typer(
    help="Put radar files into an archive on a regular time axis; describe or check an archive.",
    no_args_is_help=True,
)


class Quantity(enum.StrEnum):
    """What an archive of sequences holds."""

    image = "image"
    label = "label"


Store = Annotated[str, typer.Argument(metavar="STORE", help="The archive: a folder, or its s3:// or gs:// address.")]


@app.command()
def add(
    store: Annotated[
        str,
        typer.Argument(
            metavar="STORE", help="The archive to make or to add to: a folder, or an s3:// or gs:// address."
        ),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Radar files, folders, globs, Zarr stores; s3://, gs://, https:// too."
        ),
    ],
    format: options.Format = None,  # noqa: A002 (the option's name)
    variable: options.Variable = None,
    units: options.Units = None,
    zr: options.ZR = None,
    min_quality: options.MinQuality = None,
    interval: options.Interval = None,
    time_pattern: options.TimePattern = None,
    missing_value: options.MissingValue = None,
    max_rate: Annotated[
        float,
        typer.Option(
            "--max-rate",
            metavar="MM/H",
            min=1,
            callback=arguments.finite,
            help="Rain rates above this are set to it.",
        ),
    ] = 300.0,
    transform: Annotated[
        list[str] | None,
        typer.Option(
            "--transform", metavar="TRANSFORM", help="Applied to each frame, as 'coarsen factor=2'. May be repeated."
        ),
    ] = None,
    time_step: Annotated[
        float | None,
        typer.Option(
            "--time-step",
            metavar="MINUTES",
            min=0.1,
            callback=arguments.finite,
            help="Time step of a new archive. Default: the files'.",
        ),
    ] = None,
    strict: options.Strict = False,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", min=0, help="Processes that read files. 0: one per processor, where that is quicker."
        ),
    ] = 0,
    dask: Annotated[
        str | None, typer.Option("--dask", metavar="ADDRESS", help="Read by the workers of this Dask scheduler.")
    ] = None,
) -> None:
    """Add radar files to an archive, which is made if it is not there.

    Frames are sorted by time and checked. A repeated frame is ignored, a corrected one replaces the old one, and a
    missing one is a gap, which training and verification leave out. The archive grows by whole transactions: stopped at
    any moment it stays usable, and the same command run again finishes the work.

    Transforms: crop, centre, coarsen, resize, regrid, disk, clip, mask. They are applied in the given order, kept in
    the archive, and applied to frames that are added later.

    Example: echocast archive add radar.zarr radar/2016/ --transform 'coarsen factor=2'
    """
    arguments.check_format(format)
    _check_store(store, inputs)
    arguments.check_inputs(inputs)
    chosen = options.read_options(
        format=format,
        variable=variable,
        units=units,
        zr=zr,
        min_quality=min_quality,
        interval=interval,
        time_pattern=time_pattern,
        missing_value=missing_value,
        max_rate=max_rate,
    )
    import numpy as np

    from echocast import archive, fields
    from echocast.archive import transforms as transforming
    from echocast.parallel import Workers

    step = None if time_step is None else np.timedelta64(round(time_step * 60), "s").astype("timedelta64[ns]")
    with Bar("archiving", "files") as bar:
        report = archive.write(
            inputs,
            store,
            options=chosen,
            time_step=step,
            transforms=transforming.parse(transform) if transform else None,
            workers=Workers(workers, dask),
            on_file=bar.to,
            strict=strict,
        )
    blank = f" {report.blank} without any observed cell were left out." if report.blank else ""
    clipped = f" {report.clipped} cells were outside 0 to {max_rate:g} mm/h and clipped." if report.clipped else ""
    output.say(
        f"{store}: {report.added} frames added from {report.files} files,"
        f" {report.duplicates} already there, {report.corrected} corrected.{blank}{clipped}\n"
        f"It holds {report.frames} frames from {fields.format_time(report.start)} to {fields.format_time(report.end)}"
        f" UTC, every {_minutes(report.time_step)} min, {report.gaps} missing."
    )


@app.command("add-video")
def add_video(
    store: Annotated[
        str,
        typer.Argument(
            metavar="STORE", help="The archive to make or to add to: a folder, or an s3:// or gs:// address."
        ),
    ],
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Videos (mp4, avi, gif, ...), folders of pictures, folders of such folders, arrays (npy, npz, HDF5).",
        ),
    ],
    quantity: Annotated[
        Quantity, typer.Option("--quantity", help="What the numbers are: grey levels and colours, or classes.")
    ] = Quantity.image,
    grey: Annotated[bool, typer.Option("--grey", help="Make grey levels of colours.")] = False,
    frame_rate: Annotated[
        float | None,
        typer.Option(
            "--frame-rate",
            metavar="PER SECOND",
            min=1e-6,
            callback=arguments.finite,
            help="Frames a second. Default: what a video says; 1 for pictures and arrays.",
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            metavar="VALUE,...",
            help="With --quantity label, the pixel values of class 0, 1, ... Default: the values are the classes.",
        ),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(
            "--beside",
            metavar="FOLDER",
            help="With --quantity label, the pictures that the labels are for: a label map belongs to the picture of"
            " its name, and some pictures may have none.",
        ),
    ] = None,
    transform: Annotated[
        list[str] | None,
        typer.Option(
            "--transform", metavar="TRANSFORM", help="Applied to each frame, as 'resize height=128'. May be repeated."
        ),
    ] = None,
) -> None:
    """Add videos and folders of pictures to an archive of sequences, which is made if it is not there.

    Each video, folder of pictures or sequence of an array becomes one unbroken stretch of frames. Frames keep their
    size, channels and depth; all sequences of an archive have one size and one frame rate. A sequence that is there
    already is left as it is.

    Example: echocast archive add-video kitti.zarr kitti/ --transform 'resize height=128'
    """
    if quantity is Quantity.image and (classes or beside):
        raise typer.BadParameter("--classes and --beside are for --quantity label")
    _check_store(store, [str(path) for path in inputs])
    values = arguments.whole_numbers(classes, "--classes") if classes else ()
    from echocast import archive, video
    from echocast.archive import transforms as transforming

    with Bar("archiving", "sequences") as bar:
        report = archive.add_videos(
            inputs,
            store,
            options=video.Options(
                quantity=quantity.value, grey=grey, frame_rate=frame_rate, classes=values, beside=beside
            ),
            transforms=transforming.parse(transform) if transform else None,
            on_sequence=bar.to,
        )
    *channels, rows, columns = report.shape
    there = f" {len(report.already_there)} were there already." if report.already_there else ""
    output.say(
        f"{store}: {report.added} sequences of {report.added_frames} frames added.{there}\n"
        f"It holds {report.sequences} sequences, {report.frames} frames of {columns} x {rows} pixels"
        f"{f' and {channels[0]} channels' if channels else ''}, {report.frame_rate:.6g} a second."
    )


@app.command()
def info(store: Store, as_json: options.Json = False) -> None:
    """Describe an archive from its coordinates: times, gaps, grid, source, size.

    Example: echocast archive info radar.zarr
    """
    arguments.check_archive(store)
    if _say_sequences(store, read_frames=False, as_json=as_json):
        return
    from echocast.archive import survey

    _say_found(store, survey.survey(store, read_frames=False), as_json=as_json)


@app.command()
def check(store: Store, as_json: options.Json = False) -> None:
    """Read every frame of an archive and say whether it is fit for training; exit status 1 if not.

    Example: echocast archive check radar.zarr
    """
    arguments.check_archive(store)
    if _say_sequences(store, read_frames=True, as_json=as_json):
        return
    from echocast.archive import survey

    found = survey.survey(store, read_frames=True)
    _say_found(store, found, as_json=as_json)
    if not as_json:
        output.say(
            "fit for training" if not found.problems else "not fit for training:\n  " + "\n  ".join(found.problems)
        )
    if found.problems:
        raise typer.Exit(1)


@app.command()
def clutter(
    store: Store,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.nc", help="The mask to write.")],
) -> None:
    """Find ground clutter in an archive and write it as a mask for --transform 'mask file=...'.

    Clutter are the cells whose monthly mean is far above that of the others (K-means, after Shi et al. 2015).

    Example: echocast archive clutter radar.zarr --out mask.nc
    """
    arguments.check_archive(store)
    arguments.check_output(out, "--out", (".nc",), [store])
    from echocast import archive
    from echocast.archive import clutter as clutters
    from echocast.io import forecast_file

    field = archive.open(store)
    found = clutters.monthly(field)
    mask = clutters.mask(field, found)
    forecast_file.series_to_netcdf(mask, out)
    for month in found:
        means = ", ".join(f"{mean:.3f}" for mean in month.cluster_means)
        output.say(
            f"{month.month}: {int(month.cells.sum())} cells of clutter; mean grey levels of the clusters: {means}"
        )
    output.say(f"{out}: {int(mask.values.sum())} cells marked; use it with --transform 'mask file={out}'")


def _check_store(store: str, inputs: list[str]) -> None:
    """Raise unless an archive can be made there or is there, and is none of the inputs."""
    path = Path(store)
    if "://" in store:
        return
    if path.is_file():
        raise DataError(f"{store}: is a file, not an archive; give another STORE")
    for given in inputs:
        if "://" not in given and path.resolve() == Path(given).resolve():
            raise DataError(f"{store}: is both the archive and an input; give another STORE")


def _say_sequences(store: str, *, read_frames: bool, as_json: bool) -> bool:
    """Describe an archive of sequences; False if it is one of frames with times of their own."""
    from echocast import archive
    from echocast.archive.videos import describe

    stored = archive.open(store)
    if not archive.sequences(stored):
        return False
    found = describe(stored, read_frames=read_frames)
    if as_json:
        output.say_json({"archive": store} | vars(found) | {"sequences": [one._asdict() for one in found.sequences]})
        return True
    channels = f", {', '.join(found.channels)}" if found.channels else ""
    rows = [
        ("archive", store),
        ("holds", f"{len(found.sequences)} sequences of {found.quantity}, {found.frames} frames"),
        ("frame", f"{found.columns} x {found.rows} pixels{channels}, {found.frame_rate:.6g} a second"),
        ("transforms", found.transforms),
    ]
    if found.lowest is not None:
        rows.append(("values", f"{found.lowest:g} to {found.highest:g}"))
    listed = [f"{one.name} ({one.length} frames)" for one in found.sequences[:_GAPS_SHOWN]]
    more = len(found.sequences) - len(listed)
    listed += [f"and {more} more"] if more else []
    output.say_rows(rows + [("sequences" if number == 0 else "", text) for number, text in enumerate(listed)])
    return True


def _say_found(store: str, found: "Survey", *, as_json: bool) -> None:
    if as_json:
        output.say_json({"archive": store} | vars(found))
    else:
        output.say_rows(_described(store, found))


def _described(store: str, found: "Survey") -> list[tuple[str, str]]:
    """The lines about a store: a title and a text each."""
    from echocast.archive.survey import FUTURE, OUTLIER_MM_H, PAST, WET_MM_H
    from echocast.fields import UNITS, format_time

    rows, columns = found.shape
    lines = [
        ("archive", store),
        ("frames", f"{found.frames}, {found.missing} missing"),
        ("from", f"{format_time(found.start)} UTC"),
        ("to", f"{format_time(found.end)} UTC, every {_minutes(found.time_step)} min"),
        ("grid", f"{rows} x {columns} cells of {found.cell_km:.3g} km, {found.crs}"),
        ("unit", f"{UNITS}; Z-R relation: {found.zr}"),
        ("source", found.source),
        ("transforms", found.transforms),
        ("windows", f"{found.windows} of {PAST + FUTURE} frames; the longest segment has {found.longest_segment}"),
    ]
    if found.bytes is not None:
        each = found.bytes / max(1, found.frames) / 1024
        lines.append(("size", f"{found.bytes / 2**20:.1f} MiB, {each:.1f} KiB a frame"))
    if found.observed is not None and found.wet is not None:
        lines += [
            ("observed", f"{100 * found.observed:.1f} % of the cells"),
            ("wet", f"{100 * found.wet:.2f} % of the observed cells ({WET_MM_H} mm/h or more)"),
            ("highest", f"{found.highest:.1f} mm/h, {found.outliers} cells above {OUTLIER_MM_H:g} mm/h"),
            ("repeated", f"{found.repeated} frames equal to the one before"),
            ("blank", f"{found.blank} frames without any observed cell"),
        ]
    return lines + [("gaps" if number == 0 else "", text) for number, text in enumerate(_gaps(found))]


def _gaps(found: "Survey") -> list[str]:
    from echocast.fields import format_time

    listed = [
        f"{format_time(first)}" + (f" to {format_time(last)}" if count > 1 else "") + f" ({count})"
        for first, last, count in found.gaps[:_GAPS_SHOWN]
    ]
    more = len(found.gaps) - _GAPS_SHOWN
    return [*listed, f"and {more} more"] if more > 0 else listed


def _minutes(step: "np.timedelta64") -> str:
    import numpy as np

    return f"{step / np.timedelta64(1, 'm'):g}"
