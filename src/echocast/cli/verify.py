"""echocast verify: forecasts against observations."""

import inspect
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echocast import plugins
from echocast.cli import arguments, options, output
from echocast.cli.progress import Bar
from echocast.errors import DataError, ModelError

if TYPE_CHECKING:
    from echocast.evaluation import Job


def command(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The archive of observations; a folder or a URL.")],
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            metavar="NAME,...",
            autocompletion=arguments.completed_model,
            help="Forecasters (see `echocast models`), checkpoints and classes (my.py:Class), separated by commas;"
            " by default persistence,optical_flow,lagrangian, or none with --forecasts. The first is the reference.",
        ),
    ] = None,
    forecasts: Annotated[
        list[str] | None,
        typer.Option(
            "--forecasts",
            metavar="[NAME=]FOLDER",
            help="A folder of forecast files of `echocast nowcast`, on the grid of the archive; may be repeated.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="REPORT/", help="The folder of the report.")] = Path("report"),
    split: Annotated[
        str, typer.Option("--split", help="The part of the archive to use: all, train, validation or test.")
    ] = "all",
    past: Annotated[
        int | None,
        typer.Option(
            "--past",
            min=2,
            help="Frames given to each forecast, 10 by default; of forecasts that were made before none are needed.",
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", min=1, callback=arguments.finite, help="The longest lead time.")
    ] = 90,
    stride: Annotated[
        float | None,
        typer.Option(
            "--stride",
            min=1,
            callback=arguments.finite,
            help="Minutes between the issue times of two forecasts; by default 30, or with --forecasts those at which"
            " every folder has a forecast.",
        ),
    ] = None,
    thresholds: Annotated[
        str,
        typer.Option(
            "--thresholds", metavar="MM/H,...", help="Rain rates: an event is a rain rate of at least a threshold."
        ),
    ] = "0.5,1,2,5,10",
    scores: Annotated[
        str | None,
        typer.Option(
            "--scores",
            metavar="FAMILY,...",
            help="Families of scores (see `echocast scores`), or all; by default contingency,fractions,continuous,"
            "spectra, and crps,ensemble,probability if there is an ensemble.",
        ),
    ] = None,
    leads: Annotated[
        str | None, typer.Option("--leads", metavar="MINUTES,...", help="Score only these lead times; all by default.")
    ] = None,
    months: Annotated[
        str | None, typer.Option("--months", metavar="1-12,...", help="Score only forecasts issued in these months.")
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            "--region",
            metavar="NAME=W,S,E,N",
            help="Also score this region (longitudes and latitudes in degrees); may be repeated.",
        ),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(
            "--members",
            min=1,
            help="Members of each ensemble; by default as many as the forecaster makes, and of lagrangian its"
            " deterministic forecast.",
        ),
    ] = None,
    mask: Annotated[
        str,
        typer.Option(
            "--mask",
            metavar="common|own",
            help="The pixels that are scored: common, those that all forecasters have; or own, all that were observed,"
            " where what a forecaster does not know is dry. The report has the CSI of both, and of pairs.",
        ),
    ] = "common",
    margin: Annotated[
        float,
        typer.Option(
            "--margin",
            metavar="PERCENT",
            min=0,
            max=100,
            callback=arguments.finite,
            help="How much worse than another's score still counts as not worse, in percent of that score.",
        ),
    ] = 1.0,
    frames: Annotated[
        int, typer.Option("--frames", min=1, help="Of an archive of pictures: the number of frames to predict.")
    ] = 10,
    stations: Annotated[
        Path | None,
        typer.Option(
            "--stations",
            metavar="FILE",
            help="Rain gauges to verify against (see `echocast stations`); the radar itself is one of the forecasters.",
        ),
    ] = None,
    match: Annotated[
        str,
        typer.Option(
            "--match",
            metavar="WAY",
            help="How the grid is taken at a station: nearest cell, mean of 3 x 3 cells, or best of these.",
        ),
    ] = "nearest",
    accumulation: Annotated[
        float | None,
        typer.Option(
            "--accumulation",
            metavar="MINUTES",
            min=1,
            callback=arguments.finite,
            help="Of the amounts that are compared at stations; by default the shortest of at least 15 minutes that"
            " frames and gauges share.",
        ),
    ] = None,
    climate: Annotated[
        str | None,
        typer.Option(
            "--climate",
            metavar="ARCHIVE",
            help="An archive of this grid and of other times, such as years of training: the Brier skill score is also"
            " given against how often each place exceeds each threshold there in the month.",
        ),
    ] = None,
    flagged: Annotated[
        bool, typer.Option("--flagged", help="Use values of stations that quality control flagged, too.")
    ] = False,
    covariate: options.Covariate = None,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Processes; 0 for as many as there are processors.")
    ] = 0,
    dask: Annotated[
        str | None, typer.Option("--dask", metavar="ADDRESS", help="A Dask scheduler whose workers do the work.")
    ] = None,
) -> None:
    """Verify forecasts against the observations of an archive, by lead time.

    Writes report.html (one page with all figures), report.md, scores.csv, scores.json, scores.nc, and differences.csv
    with the confidence interval and tests of each difference at each lead time. All forecasters are scored on the same
    cases and pixels; contingency tables and sums are pooled over cases; a case with a missing frame is left out.
    Differences have 95 % confidence intervals from a block bootstrap over days, and p-values corrected for the number
    of comparisons. If the command is stopped, give it again and it goes on.

    With --stations the forecasts, and the radar, are verified against rain gauges: amounts in exactly the gauges'
    intervals, as mean rates. The report then has a map of the stations, scatter and double-mass plots.

    Models that were trained with covariates are given their files by --covariate; without one they are verified
    without it, with a warning.

    An archive of pictures (`echocast archive add-video`) is verified frame by frame: MSE, MAE, SSIM and PSNR of
    --frames frames predicted from --past, in windows that do not overlap. Of the other options only --models and --out
    are for it.

    Example: echocast verify test.zarr --models persistence,optical_flow,lagrangian --out report/
    """
    given = dict(locals())
    arguments.check_archive(store)
    arguments.check_name(mask, ("common", "own"), "mask")
    named = _words(models) if models is not None else ([] if forecasts else list(_DEFAULT_MODELS))
    folders = dict(_folder(text) for text in forecasts or [])
    _check_names(named, folders, scores, climate)
    arguments.check_output_folder(out, "--out", [store, *folders.values()])
    limits, only_leads = tuple(_numbers(thresholds)), tuple(_numbers(leads, "--leads", 1)) if leads else ()
    only_months = tuple(int(month) for month in _numbers(months, "--months", 1)) if months else ()
    regions = dict(_region(text) for text in region or [])
    if _holds_pictures(store):
        known = ("store", "models", "out", "past", "frames")
        _refuse_other_options({name: value for name, value in given.items() if name not in known}, "archives of rain")
        _verify_pictures(store, named if models else ["persistence"], out, past=past or _PAST, frames=frames)
        return
    _refuse_other_options({"frames": frames}, "archives of pictures")
    if not named and not folders:
        raise typer.BadParameter("name at least one forecaster", param_hint="--models")
    if stations is None:
        of_stations = {"match": match, "accumulation": accumulation, "flagged": flagged}
        _refuse_other_options(of_stations, "verification at --stations")
    import numpy as np

    from echocast import archive, evaluation, fields
    from echocast.verification import families

    step = float(fields.time_step(archive.open(store).time.values) / np.timedelta64(1, "m"))
    every = families.names if stations is None else evaluation.at_stations.families_at_stations
    chosen = every() if scores == "all" else _words(scores or "")
    config = evaluation.VerificationConfig(
        past=past or (_PAST if named else 1),
        leads=max(1, round(minutes / step)),
        stride=max(1, round((stride or (step if folders else _STRIDE_MINUTES)) / step)),
        thresholds=limits,
        scores=tuple(chosen) or None,
        lead_minutes=only_leads,
        months=only_months,
        regions=regions,
        members=members,
        mask=mask,
    )
    by_label = {_label(name): name for name in named}
    files = arguments.covariates(covariate or [])
    job = evaluation.Job(store, by_label, folders, config, split, files, climate)
    if stations is not None:
        on_grid = {"region": region, "workers": workers, "dask": dask, "margin": margin, "climate": climate}
        _refuse_other_options(on_grid, "verification on the grid")
        _verify_at_stations(job, stations, out, way=match, minutes=accumulation, use_flagged=flagged)
    else:
        _verify_on_grid(job, out, workers, dask, margin / 100)


def _verify_on_grid(job: "Job", out: Path, workers: int, dask: str | None, margin: float) -> None:
    """Verify forecasts against the archive's frames."""
    from echocast import evaluation, parallel, report
    from echocast.cli.tables import show

    with Bar("forecasting and scoring", "cases") as bar:
        processes = parallel.Workers(workers, dask)
        result = evaluation.run(job, workers=processes, keep=out / ".unfinished", on_case=bar.to)
    panels = report.case_panels(result, job.rain, job.sources, job.config)
    command = shlex.join(["echocast", *sys.argv[1:]])
    report.write_report(result, out, command=command, panels=panels, margin=margin)
    show(result, output.console())
    output.say(f"{result.cases} cases; the full report is {out / 'report.html'} ({out / 'report.md'})")


def _refuse_other_options(given: Mapping[str, object], what: str) -> None:
    """Raise for an option that would be ignored: one of another value than its default."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(command).parameters.items()}
    for name, value in given.items():
        if value != defaults[name]:
            raise typer.BadParameter(f"is for {what}; leave it out", param_hint=f"--{name}")


def _verify_at_stations(
    job: "Job", path: Path, out: Path, *, way: str, minutes: float | None, use_flagged: bool
) -> None:
    """Verify forecasts and the radar against gauges."""
    from echocast import evaluation, report
    from echocast import stations as station_files
    from echocast.cli.tables import show
    from echocast.samples import splits
    from echocast.stations import sampling

    arguments.check_name(way, sampling.WAYS, "way to take the grid at a station")
    series = station_files.read(path)
    with Bar("forecasting and scoring", "cases") as bar:
        result = evaluation.evaluate_at_stations(
            job.rain,
            job.sources,
            series,
            job.config,
            minutes=minutes,
            use_flagged=use_flagged,
            segments=splits.by_fractions(job.rain, job.split),
            on_case=bar.to,
        )
    evaluation.runner.checked_uses(job, result.by_way[way].blocks)
    command = shlex.join(["echocast", *sys.argv[1:]])
    report.write_station_report(result, job.rain, out, way=way, command=command)
    show(result.by_way[way], output.console())
    left_out = f"; {result.left_out} flagged values left out" if result.left_out else ""
    output.say(
        f"{result.by_way[way].cases} cases, {len(result.series)} stations, amounts over {result.minutes:g}"
        f" min{left_out}"
    )
    output.say(f"The full report is {out / 'report.html'} ({out / 'report.md'})")


def _holds_pictures(store: str) -> bool:
    from echocast import archive

    return archive.open(store).name == "image"


def _verify_pictures(store: str, models: list[str], out: Path, *, past: int, frames: int) -> None:
    """Verify predictions of the frames of an archive of pictures."""
    from echocast import archive, report
    from echocast.evaluation.pictures import evaluate_pictures
    from echocast.models import base
    from echocast.report.pictures import score_table

    stored, forecasters = archive.open(store), {_label(name): base.resolve(name) for name in models}
    with Bar("predicting and scoring", "windows") as bar:
        result = evaluate_pictures(stored, forecasters, past=past, frames=frames, on_case=bar.to)
    command = shlex.join(["echocast", *sys.argv[1:]])
    report.write_picture_report(result, out, stored, forecasters, past=past, command=command)
    header, rows = score_table(result)
    output.say_table(tuple(header), [tuple(row) for row in rows])
    output.say(f"{int(result.windows.sum())} windows; the full report is {out / 'report.html'} ({out / 'report.md'})")


def _check_names(named: list[str], folders: dict[str, str], scores: str | None, climate: str | None) -> None:
    """Raise for a forecaster, a folder of forecasts, a family of scores or an archive that does not exist."""
    if climate is not None:
        arguments.check_archive(climate)
    for name in named:
        arguments.check_model(name)
    for folder in folders.values():
        if not Path(folder).is_dir():
            raise DataError(f"{folder}: no such folder; give a folder of forecasts of `echocast nowcast`")
    for family in _words(scores or ""):
        if family != "all":
            arguments.check_name(family, plugins.names("echocast.verification.scores"), "family", error=ModelError)


_PAST, _STRIDE_MINUTES = 10, 30.0
_DEFAULT_MODELS = ("persistence", "optical_flow", "lagrangian")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _label(name: str) -> str:
    """The name in the report: of a checkpoint its folder and file, of one's own class or a model its name."""
    if ".py:" in name:
        return name.rpartition(":")[2]
    path = Path(name)
    return f"{path.parent.name}/{path.stem}" if path.suffix else name


def _numbers(text: str, option: str = "--thresholds", least: int = 2) -> list[float]:
    try:
        found = sorted({float(word) for word in _words(text)})
    except ValueError as bad:
        raise typer.BadParameter(f"{text!r} is not a list of numbers such as 0.5,1,2", param_hint=option) from bad
    if len(found) < least or not all(0 < number < float("inf") for number in found):
        count = "two numbers" if least == 2 else "one number"
        raise typer.BadParameter(f"{text!r} must hold at least {count} above 0", param_hint=option)
    return found


def _region(text: str) -> tuple[str, tuple[float, float, float, float]]:
    name, _, box = text.partition("=")
    try:
        west, south, east, north = (float(word) for word in box.split(","))
    except ValueError as bad:
        raise typer.BadParameter(
            f"{text!r} is not NAME=WEST,SOUTH,EAST,NORTH in degrees", param_hint="--region"
        ) from bad
    return name.strip(), (west, south, east, north)


def _folder(text: str) -> tuple[str, str]:
    """The name in the report, and the folder: NAME=FOLDER, or the folder's own name."""
    name, equals, folder = text.partition("=")
    return (name, folder) if equals else (Path(text).name or text, text)
