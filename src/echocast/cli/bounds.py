"""echocast bounds: how far areas of heavy rain may grow in forecasts of lagrangian, from an archive of one's own."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from echocast import atomic
from echocast.cli import arguments, output
from echocast.cli.progress import Bar
from echocast.errors import DataError, MissingDependency, ModelError

if TYPE_CHECKING:
    from echocast.evaluation.area_growth import AreaGrowth
    from echocast.models._lagrangian.settings import HeavyRainBounds


def command(
    store: arguments.OwnArchive,
    out: arguments.NewWeights,
    model: Annotated[
        str,
        typer.Option("--model", metavar="NAME|PATH", help="Whose weights to take: lagrangian, or its checkpoint."),
    ] = "lagrangian",
    quantile: Annotated[
        float,
        typer.Option(
            "--quantile",
            min=0.5,
            max=0.999,
            callback=arguments.finite,
            help="The part of the archive's growth of areas that the bound lets through.",
        ),
    ] = 0.9,
) -> None:
    """Derive the bounds on heavy rain of lagrangian from the archive of your radar, and save them with its weights.

    Growth that was learned from one radar must not run away on another's, nor forbid what that radar's weather does.
    The area above each rate is bounded by a factor times the newest frame's area, plus an area for rain that is new.
    Both are measured: the new area as its mean within 90 minutes after frames that have rain but none so heavy, the
    factor as a quantile of the growth of areas within 90 minutes. A rate that was reached on fewer than 5 days keeps
    the bound that it has. The weights themselves do not change.

    FILE.archives.toml beside it tells `echocast verify` that the archive decided a setting.

    Example: echocast bounds radar.zarr --out mine.safetensors
    """
    arguments.check_archive(store)
    arguments.check_output(out, "--out", [".safetensors"], [store, model])
    beside = out.with_suffix(".archives.toml")
    arguments.check_beside(out, beside)
    from echocast import archive, fields
    from echocast.evaluation import used_archives
    from echocast.evaluation.area_growth import area_growth
    from echocast.models import base, resolution
    from echocast.models.lagrangian import Lagrangian

    arguments.check_model(model)
    forecaster, rain = base.resolve(model), archive.open(store)
    if not isinstance(forecaster, Lagrangian):
        raise ModelError(f"{model}: has no bounds on heavy rain; give lagrangian, or its checkpoint")
    fields.check(rain, quantity=fields.NAME)
    old = forecaster.heavy_rain_bounds
    factor = resolution.factor(fields.grid_km(rain), forecaster.grid_km)
    with Bar("reading the archive", "frames") as bar:
        found = area_growth(rain, rates_mm_h=old.rates_mm_h, coarsen=factor, quantile=quantile, on_frame=bar.to)
    new = _replaced(old, found, store)
    output.say_table(("above", "days", "new area before", "new area now"), _rows(old, new, found))
    output.say(f"areas grow by a factor of {new.max_area_growth:.2f} at most (before: {old.max_area_growth:.2f})")
    forecaster.heavy_rain_bounds = new
    try:
        uses = [used_archives.of_whole(rain, store, "tuning"), *used_archives.uses_of(model)]
        listed = used_archives.listed(uses, out.stem)
    except ModuleNotFoundError as missing:
        raise MissingDependency(str(missing.name), "train") from missing
    atomic.write_bytes(beside, listed.encode())
    base.save(forecaster, out)
    output.say(f"{out}: use it as --model")


def _replaced(old: "HeavyRainBounds", found: "AreaGrowth", store: str) -> "HeavyRainBounds":
    """The bounds with what the archive says; raises `DataError` where it says nothing."""
    if math.isnan(found.max_area_growth):
        raise DataError(
            f"{store}: reaches {found.rates_mm_h[1]:g} mm/h on {found.days[0]} days, too few to derive bounds from;"
            " give an archive with more days of rain"
        )
    fractions = tuple(
        then if math.isnan(now) else now
        for then, now in zip(old.new_area_fraction, found.new_area_fraction, strict=True)
    )
    return replace(old, max_area_growth=found.max_area_growth, new_area_fraction=fractions)


def _rows(old: "HeavyRainBounds", new: "HeavyRainBounds", found: "AreaGrowth") -> list[tuple[str, ...]]:
    columns = (old.rates_mm_h[1:], found.days, old.new_area_fraction, new.new_area_fraction)
    return [
        (f"{rate:g} mm/h", str(days), f"{100 * then:.3g} %", f"{100 * now:.3g} %")
        for rate, days, then, now in zip(*columns, strict=True)
    ]
