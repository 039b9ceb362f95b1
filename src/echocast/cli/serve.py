"""echocast serve: what echocast watch published, over HTTP."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echocast.cli import output

if TYPE_CHECKING:
    from echocast.server.settings import Settings


def _text(flag: str, metavar: str, help: str) -> Any:  # noqa: A002 (typer's name)
    return typer.Option(flag, metavar=metavar, help=help, show_default=False)


def command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Folder of echocast watch --out.", show_default=False)
    ] = None,
    config: Annotated[
        Path | None, _text("--config", "FILE", "Settings in TOML: every option is a key of [serve].")
    ] = None,
    bind: Annotated[str | None, _text("--bind", "HOST:PORT", "Where to answer. Default: 127.0.0.1:8080.")] = None,
    workers: Annotated[int | None, _text("--workers", "N", "Processes. Default: 1.")] = None,
    metrics_bind: Annotated[
        str | None, _text("--metrics-bind", "HOST:PORT|off", "Where Prometheus asks. Default: 127.0.0.1:9465.")
    ] = None,
    poll: Annotated[str | None, _text("--poll", "TIME", "Time between two looks at index.json. Default: 2s.")] = None,
    stale: Annotated[str | None, _text("--stale", "TIME", "Age of a forecast that is too old. Default: 20min.")] = None,
    name: Annotated[str | None, _text("--name", "TEXT", "Title of the service. Default: echocast.")] = None,
    attribution: Annotated[str | None, _text("--attribution", "TEXT", "Whose data are shown.")] = None,
    locations: Annotated[
        Path | None, _text("--locations", "FILE", "Places of the EDR interface that have a name: GeoJSON.")
    ] = None,
    palette: Annotated[
        str | None, _text("--palette", "cvd|classic|grey|night", "Colours where none are asked for. Default: cvd.")
    ] = None,
    cache: Annotated[str | None, _text("--cache", "SIZE", "Memory for pictures. Default: 128MB.")] = None,
    cors: Annotated[
        list[str] | None, _text("--cors", "ORIGIN", "Pages whose scripts may ask; may be repeated. Default: *.")
    ] = None,
    token_file: Annotated[
        Path | None, _text("--token-file", "FILE", "SHA-256 of tokens, one a line; one is then needed.")
    ] = None,
    rate: Annotated[str | None, _text("--rate", "N/s", "Requests a second of one client. Default: no limit.")] = None,
    proxies: Annotated[
        list[str] | None, _text("--proxies", "NETWORK", "Proxies whose X-Forwarded-For is believed; may be repeated.")
    ] = None,
    public_url: Annotated[
        str | None, _text("--public-url", "URL", "What clients ask, as https://radar.example.org.")
    ] = None,
    root_path: Annotated[
        str | None, _text("--root-path", "PATH", "Path below which a proxy shows this server.")
    ] = None,
    log: Annotated[
        str | None, _text("--log", "auto|text|json", "Form of the log. Default: text on a terminal.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Print the settings in force and exit.")] = False,
) -> None:
    """Serve what echocast watch publishes: maps, series, files and alerts over HTTP.

    Reads the files of DIR and nothing else; a new forecast is served within seconds. Answers on this machine only,
    unless told otherwise with --bind; put a proxy with TLS in front of it for others. Limits of requests are keys of
    the table [serve.limits] in the file of --config. Every option can also stand in its table [serve], or in the
    environment as ECHOCAST_SERVE__NAME.

    Exit status: 0 asked to stop, 1 no such folder, an address in use or a package missing, 2 a wrong setting, 130
    Ctrl-C.

    Example: echocast serve live/ --bind 127.0.0.1:8080
    """
    given = {key: value for key, value in locals().items() if key not in ("config", "check")}
    chosen = _settings(given, config)
    if check:
        output.say(chosen.as_toml().rstrip())
        return
    from echocast.server import run

    run.serve(chosen)


def _settings(given: dict[str, Any], config: Path | None) -> "Settings":
    from echocast.operations.settings import SettingsError
    from echocast.server.settings import read_settings

    try:
        return read_settings(given, file=config, environment=os.environ)
    except SettingsError as bad:
        raise typer.BadParameter(str(bad)) from bad
