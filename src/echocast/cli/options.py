"""Options that several verbs share, each with one name and one text."""

from typing import TYPE_CHECKING, Annotated

import typer

from echocast.cli.arguments import check_format, completed_format, finite

if TYPE_CHECKING:
    from echocast.io.reading import ReadOptions

Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        autocompletion=completed_format,
        help="Format of the files (see `echocast formats`). Default: by content.",
    ),
]
Variable = Annotated[str | None, typer.Option("--variable", metavar="NAME", help="Variable, quantity or band to read.")]
Units = Annotated[
    str | None, typer.Option("--units", metavar="UNIT", help="Unit of the values where the files do not say it.")
]
ZR = Annotated[
    str | None,
    typer.Option(
        "--zr", metavar="A,B", help="Z-R relation Z = A R^B, or its name (marshall-palmer, fmi, wsr-88d, ...)."
    ),
]
MinQuality = Annotated[
    float | None,
    typer.Option(
        "--min-quality", metavar="SHARE", min=0, max=1, callback=finite, help="Cells of lower quality become missing."
    ),
]
Interval = Annotated[
    float | None,
    typer.Option(
        "--interval",
        metavar="MINUTES",
        min=0.1,
        callback=finite,
        help="Minutes that an amount fell in, where the files do not say it.",
    ),
]
TimePattern = Annotated[
    str | None,
    typer.Option(
        "--time-pattern", metavar="PATTERN", help="How file names spell the time (UTC), as 'radar_%Y%m%d%H%M.tif'."
    ),
]
MissingValue = Annotated[
    list[float] | None,
    typer.Option("--missing-value", metavar="N", help="Number in the files that means not observed. May be repeated."),
]
Bbox = Annotated[
    str | None,
    typer.Option("--bbox", metavar="W,S,E,N", help="Crop to west, south, east, north, in degrees."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse files that would be passed over.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def read_options(
    *,
    format: str | None,  # noqa: A002 (the option's name)
    variable: str | None,
    units: str | None,
    zr: str | None,
    min_quality: float | None,
    interval: float | None,
    time_pattern: str | None,
    missing_value: list[float] | None,
    max_rate: float | None = None,
) -> "ReadOptions":
    """The options for reading files; the format's name is checked before anything heavy is imported."""
    check_format(format)
    from echocast import fields
    from echocast.io.reading import ReadOptions

    return ReadOptions(
        format=format,
        variable=variable,
        units=units,
        zr=fields.zr_relation(zr) if zr else None,
        min_quality=min_quality,
        interval=interval,
        time_pattern=time_pattern,
        missing_value=tuple(missing_value or ()),
        max_rate=fields.MAX_RATE if max_rate is None else max_rate,
    )


Covariate = Annotated[
    list[str] | None,
    typer.Option(
        "--covariate",
        metavar="NAME=FILE",
        help="A file or archive of what the model is given beside the frames. May be repeated.",
    ),
]
Rates = Annotated[str, typer.Option("--thresholds", metavar="MM/H,...", help="Rain rates of the probabilities.")]
Amounts = Annotated[str, typer.Option("--amounts", metavar="MM,...", help="Rain amounts of the probabilities.")]
Quantiles = Annotated[str, typer.Option("--quantiles", metavar="SHARE,...", help="Of the members of an ensemble.")]


def limits(text: str, option: str) -> tuple[float, ...]:
    """Numbers above 0, separated by commas, the lowest first."""
    try:
        found = tuple(sorted({float(word) for word in text.split(",") if word.strip()}))
    except ValueError as bad:
        raise typer.BadParameter(f"{text!r} is not a list of numbers such as 1,5,10", param_hint=option) from bad
    if not found or not all(0 < one < float("inf") for one in found):
        raise typer.BadParameter(f"{text!r}: give one number above 0, or more", param_hint=option)
    return found


def shares(text: str) -> tuple[float, ...]:
    """Quantiles from 0 to 1, separated by commas."""
    found = limits(text, "--quantiles")
    if found[-1] >= 1:
        raise typer.BadParameter(f"{text!r}: quantiles lie between 0 and 1, as 0.1,0.5,0.9", param_hint="--quantiles")
    return found
