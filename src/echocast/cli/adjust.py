"""echocast adjust: how much the adjustment of radar by gauges helps, at gauges that it did not see."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echocast.cli import arguments, options, output

if TYPE_CHECKING:
    from echocast.evaluation import VerificationResult


def command(
    store: Annotated[str, typer.Argument(metavar="STORE", help="The archive of the radar as it is.")],
    gauges: Annotated[Path, typer.Option("--stations", metavar="FILE", help="Rain gauges (see `echocast stations`).")],
    methods: Annotated[
        str, typer.Option("--methods", metavar="NAME,...", help="bias, range (needs --site), merging, drift.")
    ] = "bias,merging,drift",
    minutes: Annotated[
        float, typer.Option("--minutes", min=1, callback=arguments.finite, help="The interval that is learned from.")
    ] = 60,
    window: Annotated[
        str,
        typer.Option(
            "--window",
            help="same: the interval of the clock that a frame lies in, known only afterwards; past: the one before"
            " each frame, which a forecast may use.",
        ),
    ] = "same",
    range_km: Annotated[
        float, typer.Option("--range-km", min=0.1, callback=arguments.finite, help="Of the covariance of kriging.")
    ] = 20,
    nugget: Annotated[
        float, typer.Option("--nugget", min=0, callback=arguments.finite, help="Of the covariance; its sill is 1.")
    ] = 0.1,
    site: Annotated[
        str | None, typer.Option("--site", metavar="LON,LAT", help="The place of the radar, for the method range.")
    ] = None,
    scored: Annotated[
        float,
        typer.Option("--scored", metavar="MINUTES", min=1, callback=arguments.finite, help="Amounts to be compared."),
    ] = 60,
    as_json: options.Json = False,
) -> None:
    """Cross-validate the adjustment of radar by rain gauges: each gauge is left out in turn and judges.

    Prints the scores of the radar as it is and of each method, and the difference in RMSE from the radar with its 95 %
    confidence interval from a bootstrap over days. Nothing is written: the transform adjust of `echocast archive add`
    does that, with the settings of the same names.

    Example: echocast adjust radar.zarr --stations gauges.nc
    """
    arguments.check_archive(store)
    from echocast import archive, stations
    from echocast.evaluation.left_out_gauges import leave_one_out
    from echocast.stations.adjusting import METHODS, Method
    from echocast.stations.intervals import WINDOWS
    from echocast.stations.kriging import Covariance

    names = [name.strip() for name in methods.split(",") if name.strip()]
    for name in names:
        arguments.check_name(name, METHODS, "method")
    arguments.check_name(window, WINDOWS, "window")
    result = leave_one_out(
        archive.open(store),
        stations.read(gauges),
        {name: Method(name=name, covariance=Covariance(range_km, nugget)) for name in names},
        minutes=minutes,
        window=window,
        site=site,
        scored_minutes=scored,
    )
    rows = rows_of(result)
    if as_json:
        output.say_json({"intervals": result.cases, "days": len(result.blocks), "scored_minutes": scored, "rows": rows})
        return
    output.say_table(_TITLES, [_line(row) for row in rows], right=_TITLES[1:-1])
    output.say(
        f"{result.cases} intervals of {scored:g} min on {len(result.blocks)} days, {len(result.regions) - 1} gauges,"
        " each judged by the others"
    )


_TITLES = ("rain", "RMSE in mm/h", "correlation", "mean error", "CSI 0.5 mm/h", "RMSE, difference from the radar")


def rows_of(result: "VerificationResult") -> list[dict[str, Any]]:
    """The scores of the radar and of each method, with the difference in RMSE and its interval."""
    from echocast.evaluation.left_out_gauges import RADAR

    found: list[dict[str, Any]] = []
    for name in result.forecasters:
        scores = {score: result.mean(score, name) for score in ("rmse", "correlation", "mean_error")}
        change = result.difference("rmse", name, RADAR)
        found.append(
            {"rain": name, **scores, "csi": result.mean("csi", name, result.thresholds[0])}
            | ({} if name == RADAR else {"rmse_change": change.value, "low": change.low, "high": change.high})
        )
    return found


def _line(row: dict[str, Any]) -> list[str]:
    numbers = [f"{row[name]:.3f}" for name in ("rmse", "correlation", "mean_error", "csi")]
    if "rmse_change" not in row:
        return [row["rain"], *numbers, ""]
    low, high = row["low"], row["high"]
    said = "" if low > 0 or high < 0 else ", not significant"
    between = f" [{low:+.3f}, {high:+.3f}{said}]" if low == low else " (too few days for an interval)"
    return [row["rain"], *numbers, f"{row['rmse_change']:+.3f}{between}"]
