"""echocast basins: a forecast over areas, such as catchments, as a series of lead times."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echocast.cli import arguments, options, output
from echocast.errors import DataError, GridMismatch

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    from echocast.operations.alerts.places import Place

SUFFIXES = (".csv", ".geojson", ".json", ".nc")


def command(
    forecast: Annotated[Path, typer.Argument(metavar="FORECAST", help="A NetCDF forecast of `echocast nowcast`.")],
    areas: Annotated[
        Path,
        typer.Option("--areas", metavar="FILE.geojson", help="Polygons in degrees: a GeoJSON FeatureCollection."),
    ],
    id_property: Annotated[
        str | None,
        typer.Option("--id", metavar="PROPERTY", help="The property that is an area's id; by default id or name."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write .csv, .geojson or .nc; by default CSV is printed."),
    ] = None,
    quantiles: options.Quantiles = "0.1,0.5,0.9",
    thresholds: options.Rates = "0.1,1,5,10",
    amounts: options.Amounts = "1,5,10,20",
) -> None:
    """Write what a forecast says over areas: mean, maximum and amount by lead time, with probabilities.

    An area has the cells whose centre lies in it, or the nearest cell. Mean, maximum and amount are taken of each
    member first, so that a probability is that of the whole area in one possible future, not a mean of the cells'
    probabilities. Where the forecast knows less than half of an area its values are empty; the column known says how
    much. An area outside the grid is named and left out.

    Example: echocast basins forecast.nc --areas basins.geojson --out basins.csv
    """
    shares, rates, depths = (
        options.shares(quantiles),
        options.limits(thresholds, "--thresholds"),
        options.limits(amounts, "--amounts"),
    )
    arguments.check_inputs([str(forecast), str(areas)])
    if out is not None:
        arguments.check_output(out, "--out", SUFFIXES, [str(forecast), str(areas)])
    from echocast.io import forecast_file, series_file
    from echocast.products import series

    field = forecast_file.from_netcdf(forecast)
    places = places_in(areas, id_property)
    cells = _cells(field, places, areas)
    found = series.over_areas(field, cells)
    summary = series.summary(found, quantiles=shares, rates=rates, amounts=depths)
    if out is None:
        sys.stdout.write(series_file.to_csv(summary))
        return
    from echocast.atomic import write_bytes

    text = shlex.join(["echocast", *sys.argv[1:]])
    inside = {place.id: place for place in places if place.id in cells}
    shapes, titles = ({key: place.geojson() for key, place in inside.items()},
                      {key: place.name for key, place in inside.items()})  # fmt: skip
    content = {
        ".csv": lambda: series_file.to_csv(summary).encode(),
        ".geojson": lambda: series_file.to_geojson(summary, shapes, titles).encode(),
        ".json": lambda: series_file.to_geojson(summary, shapes, titles).encode(),
        ".nc": lambda: series_file.to_netcdf(found, summary, text),
    }[out.suffix.lower()]()
    write_bytes(out, content)
    output.say(f"{out}: {len(cells)} areas, {field.sizes['lead']} lead times")


def places_in(path: Path, id_property: str | None) -> "list[Place]":
    """The areas of a GeoJSON file; raises `DataError` for one that is none, or for two of one id."""
    import dataclasses
    import json

    from pydantic import ValidationError

    from echocast.operations.alerts.places import Area, places_of

    try:
        names = [id_property] if id_property else _usual(json.loads(path.read_bytes()))
        area = Area(id="area", file=path.resolve(), id_property=names[0], name_property="name", radius_km=0.0)
        found = [dataclasses.replace(place, id=place.id.removeprefix("area/")) for place in places_of(area, Path())]
    except (ValidationError, ValueError, OSError) as bad:
        raise DataError(f"--areas {path}: {str(bad).removeprefix(f'file {path.resolve()}: ')}") from bad
    ids = [place.id for place in found]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise DataError(f"--areas {path}: two areas have the id {twice[0]!r}; name another property with --id")
    return found


def _usual(content: object) -> list[str]:
    """Of the usual properties for an id those that the first feature has."""
    features = content.get("features") if isinstance(content, dict) else None
    first = features[0] if isinstance(features, list) and features else {}
    properties = (first.get("properties") or {}) if isinstance(first, dict) else {}
    found = [name for name in ("id", "name", "ID", "NAME", "code") if name in properties]
    if not found and properties:
        raise ValueError(f"say by --id which property is an area's id; there are: {', '.join(map(str, properties))}")
    return found or ["id"]


def _cells(
    field: "xr.DataArray", places: "list[Place]", path: Path
) -> "dict[str, tuple[np.ndarray, np.ndarray, float]]":
    """The cells of each area that has some in the grid."""
    import logging

    from echocast import fields
    from echocast.operations.alerts.cells import cells_of
    from echocast.operations.grid import Axis, Grid

    axes = [
        Axis(float(a[0]), float(a[-1] - a[0]) / max(a.size - 1, 1), a.size) for a in (field.x.values, field.y.values)
    ]
    grid = Grid(fields.crs(field).to_wkt(), *axes)
    found, outside = {}, []
    for place in places:
        cells = cells_of(place, grid)
        if len(cells.rows):
            found[place.id] = cells.rows, cells.columns, cells.share_outside
        else:
            outside.append(place.id)
    if not found:
        raise GridMismatch(f"--areas {path}: no area lies in the grid of the forecast ({outside[0]} does not)")
    if outside:
        logging.getLogger(__name__).warning("areas outside the grid are left out: %s", ", ".join(outside))
    return found
