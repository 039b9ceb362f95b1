"""echocast alerts: check rules of alerts, try a channel, and see what rules would have raised on an archive."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echocast.cli import arguments, output
from echocast.cli.progress import Bar
from echocast.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from echocast.operations.alerts.config import Alerts
    from echocast.operations.alerts.replay import Replayed
    from echocast.operations.alerts.scoring import Score

app = typer.Typer(
    help="Check the rules of alerts, try a channel, or see what rules would have raised on an archive.",
    no_args_is_help=True,
)
File = Annotated[Path, typer.Option("--alerts", metavar="FILE", help="The rules.")]


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The rules, in TOML.")] = Path("alerts.toml"),
    folder: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="Folder of a service: also compare with its newest issue."),
    ] = None,
) -> None:
    """Read the rules of alerts, and print what they ask for.

    With --dir the areas are laid on the grid of the newest issue in that folder, and layers that rules need and the
    issue lacks are told, with the option of `echocast watch` that adds them.

    Exit status: 0 all is well, 1 the newest issue lacks something, 2 the rules are wrong.

    Example: echocast alerts check alerts.toml --dir live/
    """
    alerts = _loaded(file)
    from echocast.operations.alerts.needs import needs_of

    needs = needs_of(alerts)
    output.say_rows(
        [
            ("rules", ", ".join(rule.id for rule in alerts.rules)),
            ("areas", f"{len(alerts.places)}"),
            ("channels", ", ".join(f"{one.id} ({one.kind})" for one in alerts.channels.values()) or "none"),
        ]
    )
    for rule in alerts.rules:
        if not rule.to:
            output.say(f"rule {rule.id!r} sends to no channel: it is only seen in alerts.json and on the map")
    wanted = [f"--minutes {needs.minutes:g} or more"] if needs.minutes else []
    wanted += ["--members N (probabilities need an ensemble)"] if needs.members else []
    extra = {"--rates": needs.rates, "--amounts": needs.amounts, "--spans": needs.spans}
    wanted += [f"{name} {','.join(f'{one:g}' for one in found)}" for name, found in extra.items() if found]
    if wanted:
        output.say("the service must publish: " + "; ".join(wanted))
    if any(extra.values()):
        output.say("watch --alerts FILE adds --rates, --amounts and --spans by itself")
    if folder is not None:
        _compare(alerts, folder)


def _compare(alerts: "Alerts", folder: Path) -> None:
    """Lay the areas on the newest issue; tell what it lacks, and end with 1 if it lacks anything."""
    from echocast.operations.alerts.cells import cells_of
    from echocast.operations.alerts.issue import newest_in
    from echocast.operations.alerts.readings import MOST_UNKNOWN

    issue = newest_in(folder)
    lacks = []
    for rule in alerts.rules:
        if rule.layer not in issue.values.variables:
            lacks.append(f"rule {rule.id!r}: the issue {issue.id} has no layer {rule.layer}")
    rows = []
    for place in alerts.places.values():
        cells = None if issue.grid is None else cells_of(place, issue.grid)
        count, outside = (0, 1.0) if cells is None else (len(cells.rows), cells.share_outside)
        rows.append((place.id, place.name, f"{count}", f"{outside:.0%}"))
        if outside > MOST_UNKNOWN:
            lacks.append(f"area {place.id!r}: {outside:.0%} of it lie beyond the forecast: it stays unknown")
    output.say_table(("area", "name", "cells", "outside"), rows, right=("cells", "outside"))
    for one in lacks:
        output.say(one)
    if lacks:
        raise typer.Exit(1)


@app.command("test")
def try_channel(
    channel: Annotated[str, typer.Option("--channel", metavar="ID", help="The channel.")],
    file: File = Path("alerts.toml"),
    folder: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="Folder of the service, for CAP files. Default: none.")
    ] = None,
) -> None:
    """Send a message that is marked as a test to a channel, now and once.

    A CAP file is written to the folder of the channel, to DIR/alerts with --dir, and printed if there is neither.

    Exit status: 0 it arrived, 1 it did not, 2 the rules are wrong or there is no such channel.

    Example: echocast alerts test --channel ops --alerts alerts.toml
    """
    alerts = _loaded(file)
    if channel not in alerts.channels:
        known = ", ".join(alerts.channels) or "none"
        raise typer.BadParameter(f"--channel {channel}: there is no such channel in {file}; there are: {known}")
    from echocast.operations.alerts import cap, trial
    from echocast.operations.alerts.channel_config import CapChannel
    from echocast.operations.alerts.channels import NotSent, Surroundings

    chosen = alerts.channels[channel]
    if isinstance(chosen, CapChannel) and folder is None and chosen.folder is None:
        message = trial.message_of(alerts, time.time(), channel)
        place = alerts.places.get(message.area["id"])
        output.say(cap.to_xml(message, chosen, place).decode().rstrip())
        return
    caps = Path(folder or alerts.path.parent / (getattr(chosen, "folder", None) or "."))
    around = Surroundings(alerts.path.parent, caps / "alerts" if folder else caps, alerts.places.get)
    try:
        message, remark = trial.send(alerts, channel, time.time(), around)
    except NotSent as bad:
        raise DataError(f"channel {channel!r}: the test was not sent: {bad}") from bad
    output.say(f"sent as {message.id}" + (f"; {remark}" if remark else ""))


@app.command()
def replay(
    archive: Annotated[str, typer.Argument(metavar="ARCHIVE", help="An archive of radar frames.")],
    file: File = Path("alerts.toml"),
    model: Annotated[
        str, typer.Option("--model", metavar="NAME|PATH", help="A forecaster or a checkpoint.")
    ] = "lagrangian",
    minutes: Annotated[float, typer.Option("--minutes", metavar="MINUTES", help="Length of the forecasts.")] = 90,
    frames: Annotated[int, typer.Option("--frames", metavar="N", min=2, help="Frames to forecast from.")] = 10,
    members: Annotated[
        int | None, typer.Option("--members", metavar="N", min=1, help="Make ensembles of N members.")
    ] = None,
    every: Annotated[int, typer.Option("--every", metavar="N", min=1, help="Forecast at every Nth frame.")] = 1,
    begin: Annotated[str | None, typer.Option("--begin", metavar="TIME", help="First issue, in UTC.")] = None,
    end: Annotated[str | None, typer.Option("--end", metavar="TIME", help="Last issue, in UTC.")] = None,
    gap: Annotated[
        str, typer.Option("--gap", metavar="TIME", help="Observed events that are less apart are one.")
    ] = "30min",
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the counts of each rule and area.")
    ] = None,
    messages: Annotated[
        Path | None, typer.Option("--messages", metavar="FILE", help="Write what would have been sent, as JSON lines.")
    ] = None,
) -> None:
    """Judge the rules on forecasts made from an archive, and compare with what was observed. Nothing is sent.

    An event is a stretch of observed times at which what the rule is about happened in the area: its statistic reached
    the threshold (of the amount over the span up to that time for amounts); for probabilities: a cell reached it, or
    with statistic mean or share the share at_least of the area did. Stretches less than --gap apart are one event.

    hits: events that were warned of before their onset. late: only at their onset or after. misses: not at all.
    false alarms: alerts in whose time, from raising to the last lead, no event was observed. open: the same, but part
    of that time was not observed. POD = hits / (hits + late + misses). FAR = false alarms / (alerts - open).
    warning: median of the minutes from raising to onset, of the hits.
    CSI: issue by issue, whether the rule was met against whether the event happened within its leads.

    Example: echocast alerts replay radar.zarr --alerts alerts.toml --members 20 --csv counts.csv
    """
    alerts = _loaded(file)
    arguments.check_model(model)
    arguments.check_archive(archive)
    from echocast.operations.alerts import replay as work
    from echocast.operations.alerts.channels import line_of

    chosen = work.Settings(
        model=model,
        minutes=minutes,
        frames=frames,
        members=members,
        every=every,
        begin=_time(begin, "--begin"),
        end=_time(end, "--end"),
        gap_min=_minutes(gap),
    )
    _refuse_lacking(alerts, chosen.minutes, chosen.members)
    with Bar("replaying", "forecasts") as bar:
        found = work.replay(alerts, archive, chosen, on_issue=bar.to)
    _print(found, alerts)
    _write(table, work.as_csv(found).encode())
    _write(messages, b"".join(line_of(message) for message in found.messages))


def _loaded(file: Path) -> "Alerts":
    """The rules; a wrong file is a wrong command line."""
    from echocast.operations.alerts.config import AlertsError, load

    try:
        return load(file)
    except AlertsError as bad:
        raise typer.BadParameter(str(bad)) from bad


def _refuse_lacking(alerts: "Alerts", minutes: float, members: int | None) -> None:
    """A replay that could tell nothing of a rule is refused; thresholds and spans are added by themselves."""
    from echocast.operations.alerts.needs import lacking, needs_of
    from echocast.products.ensemble import Thresholds

    needs = needs_of(alerts)
    lacks = lacking(alerts, minutes, members, Thresholds().also(needs.rates, needs.amounts, needs.spans))
    if lacks:
        raise typer.BadParameter("; ".join(lacks))


def _time(text: str | None, option: str) -> "np.datetime64 | None":
    import numpy as np

    if text is None:
        return None
    try:
        return np.datetime64(text.removesuffix("Z"), "ns")
    except ValueError as bad:
        raise typer.BadParameter(f"{option} {text}: is no time such as 2016-09-28T15:00") from bad


def _minutes(text: str) -> float:
    from echocast.operations.durations import as_seconds

    try:
        return as_seconds(text) / 60
    except ValueError as bad:
        raise typer.BadParameter(f"--gap {text}: {bad}") from bad


def _print(found: "Replayed", alerts: "Alerts") -> None:
    from echocast.operations.alerts.replay import cell

    output.say(f"{found.issues} forecasts, {len(found.messages)} messages")
    titles = (
        "rule",
        "areas",
        "alerts",
        "false",
        "open",
        "events",
        "hits",
        "late",
        "misses",
        "POD",
        "FAR",
        "warning",
        "CSI",
    )

    def row(rule: str, score: "Score") -> tuple[str, ...]:
        counts = (score.alerts, score.false_alarms, score.open, score.events, score.hits, score.late, score.misses)
        ratios = (score.pod, score.far, score.warning, score.csi)
        return rule, f"{len(alerts.areas[rule])}", *(f"{one}" for one in counts), *(cell(one) or "-" for one in ratios)

    output.say_table(titles, [row(rule, score) for rule, score in found.by_rule.items()], right=titles[1:])


def _write(path: Path | None, content: bytes) -> None:
    from echocast.atomic import write_bytes

    if path is not None:
        write_bytes(path, content)
        output.say(f"wrote {path}")
