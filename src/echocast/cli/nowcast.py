"""echocast nowcast: radar files in, a forecast out."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echocast.cli import arguments, options, output
from echocast.errors import DataError, ModelError

if TYPE_CHECKING:
    from echocast.nowcast import Nowcast
    from echocast.nowcast.writing import Written

_LONGEST_MINUTES = 10_080.0
BLENDS = ("scales", "linear", "salient", "steps")


def command(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Radar files, folders, globs or Zarr stores; URLs too.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE", help="The forecast to write: .nc CF-NetCDF, .zarr Zarr, .tif GeoTIFF (COG)."
        ),
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
            "--minutes",
            metavar="MINUTES",
            min=1,
            max=_LONGEST_MINUTES,
            callback=arguments.finite,
            help="Length of the forecast in minutes.",
        ),
    ] = 90,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Number of newest frames to forecast from.")] = 10,
    members: Annotated[
        int | None,
        typer.Option(
            "--members", metavar="N", min=1, help="Make an ensemble of N members (models lagrangian and steps)."
        ),
    ] = None,
    nwp: Annotated[
        list[str] | None,
        typer.Option(
            "--nwp",
            metavar="FILE",
            help="Blend into the rain of a weather model: GRIB or NetCDF file, folder or glob. May be repeated.",
        ),
    ] = None,
    blend: Annotated[
        str, typer.Option("--blend", metavar="METHOD", help=f"How to blend with --nwp: {', '.join(BLENDS)}.")
    ] = BLENDS[0],
    blend_between: Annotated[
        str | None,
        typer.Option(
            "--blend-between",
            metavar="MIN,MIN",
            help="Leads between which the weather model takes over. Default: 120,240; of scales none.",
        ),
    ] = None,
    nwp_variable: Annotated[
        str | None,
        typer.Option("--nwp-variable", metavar="NAME", help="Parameter or variable of the model that is the rain."),
    ] = None,
    nwp_units: Annotated[
        str | None,
        typer.Option("--nwp-units", metavar="UNIT", help="Unit of that variable where the files do not say it."),
    ] = None,
    nwp_max_age: Annotated[
        float,
        typer.Option(
            "--nwp-max-age",
            metavar="HOURS",
            min=0,
            callback=arguments.finite,
            help="Do not use a run that began longer before the newest frame.",
        ),
    ] = 12,
    covariate: options.Covariate = None,
    format: options.Format = None,  # noqa: A002 (the option's name)
    variable: options.Variable = None,
    units: options.Units = None,
    zr: options.ZR = None,
    min_quality: options.MinQuality = None,
    interval: options.Interval = None,
    time_pattern: options.TimePattern = None,
    missing_value: options.MissingValue = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Use only frames up to this time (UTC), as 2016-09-28T15:00."),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            metavar="MINUTES",
            min=0.1,
            callback=arguments.finite,
            help="Use one frame in so many minutes, a multiple of their time step.",
        ),
    ] = None,
    bbox: options.Bbox = None,
    coarsen: Annotated[int, typer.Option("--coarsen", metavar="N", min=1, help="Forecast means of N x N cells.")] = 1,
    max_age: Annotated[
        float | None,
        typer.Option(
            "--max-age",
            metavar="MINUTES",
            min=0,
            callback=arguments.finite,
            help="Refuse to forecast if the newest frame is older.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Refuse a missing frame, files that would be passed over, and a missing model run."
        ),
    ] = False,
    gif: Annotated[Path | None, typer.Option("--gif", metavar="FILE.gif", help="Also write an animation.")] = None,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE.png", help="Also write a picture of panels by lead time.")
    ] = None,
    motion: Annotated[
        Path | None,
        typer.Option("--motion", metavar="FILE.png", help="Also write a map of the newest frame and how it moves."),
    ] = None,
    basemap: Annotated[
        bool, typer.Option("--basemap/--no-basemap", help="Draw coasts, borders and places in the pictures.")
    ] = True,
    as_json: options.Json = False,
) -> None:
    """Forecast rain for the next minutes from the newest radar frames.

    Uses the newest frames of the given files, on any grid, and says which they are. Of missing frames among them it
    says what it does: models that can, pass over one or two in a row; else only the frames after the gap are used, or
    those before it if too few follow. A frame without any observed cell counts as missing. A time step that the model
    was not trained for is an error.
    Every file is written whole or not at all. NetCDF and Zarr files of an ensemble also hold the mean, quantiles and
    the probability of rain rates and amounts; a GeoTIFF holds the mean. The animation shows the mean, the panels show
    the mean, two members and the probability of 1 mm/h.

    With --nwp the forecast is blended into the rain of a weather model, for leads up to six hours: the newest run of
    the files that had begun at the newest frame is used. If none can be used it says why, and the forecast is the
    nowcast alone (with --strict that is an error).

    A model that was trained with covariates (`[data.covariates]` of its experiment) is given their files by
    --covariate. Hour and season need none; what is not given or not known at these times is passed over, with a
    warning.

    Example: echocast nowcast radar/ --minutes 90 --out forecast.nc --gif forecast.gif

    Example: echocast nowcast radar/ --nwp 'arome/*.grib' --minutes 360 --out forecast.nc
    """
    _check(inputs, model, out, gif, (png, motion))
    between = _check_nwp(nwp, blend, blend_between, (nwp_variable, nwp_units))
    box, time, files = arguments.box(bbox), arguments.time(at), arguments.covariates(covariate or [])
    reading = options.read_options(
        format=format,
        variable=variable,
        units=units,
        zr=zr,
        min_quality=min_quality,
        interval=interval,
        time_pattern=time_pattern,
        missing_value=missing_value,
    )
    from echocast.nowcast import Selection, writing
    from echocast.nowcast.blending.choosing import Nwp

    with output.console(stderr=True).status("reading, forecasting and writing"):
        select = Selection(
            frames=frames, at=time, every=every, bbox=box, coarsen=coarsen, max_age=max_age, strict=strict
        )
        into = Nwp(tuple(nwp), blend, between, nwp_variable, nwp_units, nwp_max_age, strict) if nwp else None
        written_by = shlex.join(["echocast", *sys.argv[1:]])
        done = writing.write(
            inputs,
            model,
            out,
            minutes=minutes,
            members=members,
            select=select,
            options=reading,
            beside=writing.Beside(into, files),
            command=written_by,
        )
    pictures = {"gif": gif, "png": png, "motion": motion}
    _tell(done, {"out": out} | {name: path for name, path in pictures.items() if path}, basemap, as_json)


def _tell(done: "Written", files: dict[str, Path], basemap: bool, as_json: bool) -> None:
    """Draw the pictures, and say what was made of what."""
    made = done.shown
    if not as_json:
        output.say(made.used())
        if "nwp" in made.forecast.attrs:
            output.say(f"NWP {made.forecast.attrs['nwp']}")
    _write_pictures(made, files.get("gif"), files.get("png"), basemap=basemap)
    if "motion" in files:
        from echocast.plotting.motion import motion_to_png

        motion_to_png(made.past, files["motion"])
    written = [str(path) for path in files.values()]
    if as_json:
        output.say_json(_summary(made, done.shape, written))
    else:
        output.say(f"wrote {made.forecast.sizes['lead']} lead times to {', '.join(written)}")


def _check_nwp(
    nwp: list[str] | None, blend: str, between: str | None, others: tuple[str | None, str | None]
) -> tuple[float, float] | None:
    """The leads of --blend-between; raises what is wrong with the options of a weather model."""
    arguments.check_name(blend, BLENDS, "blending", error=ModelError)
    found = _between(between)
    if nwp:
        arguments.check_inputs(nwp)
    elif blend != BLENDS[0] or found or any(others):
        raise DataError("--blend, --blend-between, --nwp-variable and --nwp-units are about --nwp FILE; give that too")
    return found


def _between(text: str | None) -> tuple[float, float] | None:
    """Two leads in minutes, the lower first."""
    if text is None:
        return None
    try:
        start, end = (float(word) for word in text.split(","))
    except ValueError as bad:
        raise DataError(f"--blend-between {text}: give two leads in minutes, as 120,240") from bad
    if not 0 <= start < end < float("inf"):
        raise DataError(f"--blend-between {text}: the first lead is at least 0 and below the second, as 120,240")
    return start, end


def _check(inputs: list[str], model: str, out: Path, gif: Path | None, pngs: tuple[Path | None, Path | None]) -> None:
    """All that can be known of the command line before anything is imported or read."""
    arguments.check_model(model)
    arguments.check_forecast_file(out, inputs)
    png, motion = pngs
    for path, option, suffix in ((gif, "--gif", ".gif"), (png, "--png", ".png"), (motion, "--motion", ".png")):
        if path is not None:
            arguments.check_output(path, option, (suffix,), inputs)
    arguments.check_distinct((out, gif, png, motion))
    arguments.check_inputs(inputs)


def _write_pictures(made: "Nowcast", gif: Path | None, png: Path | None, *, basemap: bool) -> None:
    if gif:
        from echocast.plotting import animation
        from echocast.products import ensemble

        animation.to_gif(ensemble.mean(made.forecast), gif, past=made.past, basemap=basemap)
    if png:
        from echocast.plotting import panels

        panels.to_png(made.forecast, png, past=made.past, basemap=basemap)


def _summary(made: "Nowcast", shape: tuple[int, int], written: list[str]) -> dict[str, Any]:
    """What a script wants to know of a nowcast."""
    from echocast.samples import segments

    forecast, past = made.forecast, made.past
    return {
        "model": forecast.attrs["model"],
        "forecast_reference_time": forecast.forecast_reference_time.values[()],
        "valid_times": list(forecast.time.values),
        "lead_minutes": list(forecast.lead.values),
        "members": forecast.sizes.get("member"),
        "passed_over": {str(place): why for place, why in made.passed_over.items()},
        "nwp": forecast.attrs.get("nwp"),
        "nwp_weight": list(forecast.nwp_weight.values) if "nwp_weight" in forecast.coords else None,
        "variable": str(forecast.name),
        "units": forecast.attrs["units"],
        "shape": list(shape),
        "frames": list(past.time.values[segments.observed(past)]),
        "missing_frames": list(made.missing),
        "input_files": [str(place) for place in made.files],
        "output_files": written,
    }
