"""echocast watch: a forecast after every new radar frame."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echocast.cli import arguments, options, output

if TYPE_CHECKING:
    from collections.abc import Callable

    from echocast.io.reading import ReadOptions
    from echocast.operations.settings import Settings


_LISTS = ("rates", "amounts", "spans", "blend_between")
"""Options of several numbers, with commas between them."""


def _text(flag: str, metavar: str, help: str) -> Any:  # noqa: A002 (typer's name)
    return typer.Option(flag, metavar=metavar, help=help, show_default=False)


def command(
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE...", help="Folders, globs, or URLs of s3, gs, http.")
    ] = None,
    out: Annotated[Path | None, _text("--out", "DIR", "Folder for forecasts, index.json and status.json.")] = None,
    config: Annotated[
        Path | None, _text("--config", "FILE", "Settings in TOML: every option is a key of [watch].")
    ] = None,
    model: Annotated[
        str | None, _text("--model", "NAME|PATH", "A forecaster or a checkpoint. Default: lagrangian.")
    ] = None,
    minutes: Annotated[float | None, _text("--minutes", "MINUTES", "Length of the forecast. Default: 90.")] = None,
    frames: Annotated[int | None, _text("--frames", "N", "Frames to forecast from. Default: 10.")] = None,
    members: Annotated[int | None, _text("--members", "N", "Make an ensemble of N members.")] = None,
    bbox: options.Bbox = None,
    rates: Annotated[
        str | None, _text("--rates", "MM/H,...", "Further rain rates whose probability is published.")
    ] = None,
    amounts: Annotated[
        str | None, _text("--amounts", "MM,...", "Further amounts whose probability is published.")
    ] = None,
    spans: Annotated[
        str | None, _text("--spans", "MINUTES,...", "Further spans over which amounts are published.")
    ] = None,
    nwp: Annotated[
        list[str] | None,
        typer.Option(
            "--nwp",
            metavar="PLACE",
            help="Blend into the newest run of a weather model: file, folder or glob. May repeat.",
        ),
    ] = None,
    blend: Annotated[
        str | None, _text("--blend", "METHOD", "scales, linear, salient or steps. Default: scales.")
    ] = None,
    blend_between: Annotated[
        str | None,
        _text("--blend-between", "MIN,MIN", "Leads between which it takes over. Default: 120,240; of scales none."),
    ] = None,
    nwp_variable: Annotated[str | None, _text("--nwp-variable", "NAME", "Its variable that is the rain.")] = None,
    nwp_units: Annotated[str | None, _text("--nwp-units", "UNIT", "Unit, where its files do not say it.")] = None,
    nwp_max_age: Annotated[
        str | None, _text("--nwp-max-age", "TIME", "Do not use a run that began longer ago. Default: 12h.")
    ] = None,
    poll: Annotated[str | None, _text("--poll", "TIME", "Time between two looks at the sources. Default: 10s.")] = None,
    settle: Annotated[str | None, _text("--settle", "TIME", "Time a file must stay the same. Default: 2s.")] = None,
    patience: Annotated[
        str | None, _text("--patience", "TIME", "Time to try a file that cannot be read. Default: 120s.")
    ] = None,
    read_timeout: Annotated[
        str | None, _text("--read-timeout", "TIME", "Longest read of a file. Default: 30s.")
    ] = None,
    most_bytes: Annotated[str | None, _text("--most-bytes", "SIZE", "Largest file. Default: 256MB.")] = None,
    step: Annotated[str | None, _text("--step", "TIME", "Time between frames. Default: found from them.")] = None,
    delay: Annotated[str | None, _text("--delay", "TIME", "Usual delay of frames at the start. Default: 5min.")] = None,
    stale: Annotated[
        str | None, _text("--stale", "TIME", "Age of the newest frame that is too old. Default: 20min.")
    ] = None,
    gaps: Annotated[
        str | None, _text("--gaps", "shorten|fill|refuse", "What a missing frame does. Default: shorten.")
    ] = None,
    least_frames: Annotated[
        int | None, _text("--least-frames", "N", "Fewest frames of a forecast. Default: what the model needs.")
    ] = None,
    revise: Annotated[
        bool | None,
        typer.Option("--revise/--no-revise", help="Make the newest issue again when a late frame fills a gap."),
    ] = None,
    catch_up: Annotated[
        str | None, _text("--catch-up", "TIME", "Make up for missed issues so far back. Default: 1h.")
    ] = None,
    regrid_after: Annotated[
        int | None, _text("--regrid-after", "N", "Refused frames in a row that end the service. Default: 6.")
    ] = None,
    deadline: Annotated[str | None, _text("--deadline", "TIME", "Longest computation. Default: 4min.")] = None,
    memory: Annotated[str | None, _text("--memory", "SIZE", "Memory that renews the process. Default: 4GB.")] = None,
    keep: Annotated[str | None, _text("--keep", "TIME", "Issues are kept so long. Default: 24h.")] = None,
    keep_netcdf: Annotated[
        str | None, _text("--keep-netcdf", "TIME", "NetCDF files of older issues are kept so long. Default: 7d.")
    ] = None,
    keep_bytes: Annotated[
        str | None, _text("--keep-bytes", "SIZE", "Issues and NetCDF files together hold no more.")
    ] = None,
    grace: Annotated[
        str | None, _text("--grace", "TIME", "Time from index to disk for what is removed. Default: 10min.")
    ] = None,
    alerts: Annotated[Path | None, _text("--alerts", "FILE", "Rules of alerts, judged on each forecast.")] = None,
    log: Annotated[
        str | None, _text("--log", "auto|text|json", "Form of the log. Default: text on a terminal.")
    ] = None,
    metrics: Annotated[
        str | None, _text("--metrics", "HOST:PORT", "Tell Prometheus on this address, as 127.0.0.1:9464.")
    ] = None,
    replay: Annotated[str | None, _text("--replay", "ARCHIVE", "Take the frames of an archive as a feed.")] = None,
    speed: Annotated[float | None, _text("--speed", "N", "Speed of the replay. Default: 1.")] = None,
    once: Annotated[bool, typer.Option("--once", help="One pass, then exit: for cron.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Print the settings in force and exit.")] = False,
    format: options.Format = None,  # noqa: A002 (the option's name)
    variable: options.Variable = None,
    units: options.Units = None,
    zr: options.ZR = None,
    min_quality: options.MinQuality = None,
    interval: options.Interval = None,
    time_pattern: options.TimePattern = None,
    missing_value: options.MissingValue = None,
) -> None:
    """Watch a radar feed and publish a forecast after each new frame.

    Writes each forecast whole into a folder of its own below DIR/issues, names it in DIR/index.json last, and tells how
    it is in DIR/status.json. Frames that are late, missing, damaged, repeated, corrected or of another grid are dealt
    with by fixed rules and told in the log. Times are given as 10s, 5min, 1h or 7d. Every option can also stand in the
    table [watch] of the file of --config, or in the environment as ECHOCAST_WATCH__NAME.

    Exit status: 0 asked to stop or done, 1 what waiting will not mend, 2 a wrong setting, 3 --once and no forecast for
    the newest frame, 75 another process watches into DIR, 130 Ctrl-C.

    Example: echocast watch radar/ --out live/ --members 20
    """
    given = {name: value for name, value in locals().items() if name not in ("config", "check", "bbox")}
    given |= {"once": once or None, "bbox": arguments.box(bbox)}
    given |= {name: text.split(",") for name, text in given.items() if name in _LISTS and text}
    chosen = _checked(given, config)
    if check:
        output.say(chosen.as_toml().rstrip())
        return
    arguments.check_model(chosen.model)
    raise typer.Exit(_watched(chosen, lambda: _settings(given, config)))


def _checked(given: dict[str, Any], config: Path | None) -> "Settings":
    from echocast.operations.settings import SettingsError

    try:
        return _settings(given, config)
    except SettingsError as bad:
        raise typer.BadParameter(str(bad)) from bad


def _settings(given: dict[str, Any], config: Path | None) -> "Settings":
    from echocast.operations.settings import read_settings

    return read_settings(given, file=config, environment=os.environ)


def _reading(chosen: "Settings") -> "ReadOptions":
    names = ("format", "variable", "units", "zr", "min_quality", "interval", "time_pattern", "missing_value")
    return options.read_options(**{name: getattr(chosen, name) for name in names})


def _watched(chosen: "Settings", again: "Callable[[], Settings]") -> int:
    """Run the service; its exit status."""
    from echocast.operations import watching

    def reread() -> "tuple[Settings, ReadOptions]":
        new = again()
        return new, _reading(new)

    try:
        return watching.Watch(chosen, _reading(chosen), reread=reread).run()
    except watching.Locked as bad:
        typer.echo(f"echocast: {bad}", err=True)
        return watching.LOCKED
