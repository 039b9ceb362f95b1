"""Series of a forecast at places or over areas, written as CSV, JSON, GeoJSON or CF-NetCDF.

What is not known is an empty cell in CSV and null in JSON, never 0. Times are UTC, ISO 8601. Columns have their unit in
their name, as in ``rain_rate_mm_h``; shares and probabilities, from 0 to 1, have none.

>>> print(to_csv(summary))  # doctest: +SKIP
place,issued,lead_minutes,valid,rain_rate_mm_h,...
"""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import xarray as xr

from echocast._version import __version__

_MINUTE = np.timedelta64(1, "m")
_THRESHOLDS = ("rate_threshold", "amount_threshold")
_UNITS = {"mm h-1": "_mm_h", "mm": "_mm", "1": ""}
"""What units add to the name of a column."""
_TIME = {"units": "seconds since 1970-01-01 00:00:00", "calendar": "standard", "units_metadata": "leap_seconds: none"}


def columns_of(summary: xr.Dataset) -> Iterator[tuple[str, xr.DataArray]]:
    """Each column, (place, lead), by a name with its unit.

    As ``rain_rate_mm_h``, ``rain_rate_q0.9_mm_h`` (a quantile) and ``probability_amount_ge_10_mm``.
    """
    for name, variable in summary.data_vars.items():
        unit = _UNITS[str(variable.attrs["units"])]
        axis = next((dim for dim in variable.dims if dim in ("quantile", *_THRESHOLDS)), None)
        if axis is None:
            yield f"{name}{unit}", variable
            continue
        of_axis = _UNITS[str(variable[axis].attrs["units"])]
        for value in variable[axis].values:
            if axis in _THRESHOLDS:
                told = f"probability_{str(name).removesuffix('_probability')}_ge_{value:g}{of_axis}"
            else:
                told = f"{str(name).removesuffix('_quantile')}_q{value:g}{unit}"
            yield told, variable.sel({axis: value})


def rows_of(summary: xr.Dataset) -> list[dict[str, Any]]:
    """A row for each place and lead time; None for what is not known."""
    columns = [(name, variable.values) for name, variable in columns_of(summary)]
    issued, leads = summary.forecast_reference_time.values, summary.lead.values
    return [
        {
            "place": str(place),
            "issued": _iso(issued),
            "lead_minutes": float(lead / _MINUTE),
            "valid": _iso(issued + lead),
            **{name: _number(values[number, at]) for name, values in columns},
        }
        for number, place in enumerate(summary.place.values)
        for at, lead in enumerate(leads)
    ]


def to_csv(summary: xr.Dataset) -> str:
    """A table with a head line."""
    rows = rows_of(summary)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if value is None else _short(value) for key, value in row.items()})
    return text.getvalue()


def to_json(summary: xr.Dataset) -> str:
    """An object with what the forecast is, the units, and by place its series."""
    return json.dumps(_about(summary) | {"places": _places(summary)}, indent=1, allow_nan=False)


def to_geojson(summary: xr.Dataset, geometries: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]) -> str:
    """A FeatureCollection: of each area the geometry and, as properties, its series."""
    features = [
        {
            "type": "Feature",
            "id": name,
            "geometry": geometries[name],
            "properties": {"name": titles.get(name, name)} | series,
        }
        for name, series in _places(summary).items()
    ]
    content = {"type": "FeatureCollection", **_about(summary), "features": features}
    return json.dumps(content, allow_nan=False)


def to_netcdf(series: xr.Dataset, summary: xr.Dataset, command: str) -> bytes:
    """CF-NetCDF: what the members say one by one (``member_V``), and together.

    Args:
        series: of `echocast.products.series.at_cells` or `over_areas`.
        summary: of `echocast.products.series.summary`.
        command: what the history says made it.
    """
    minutes = summary.lead.values / _MINUTE
    issued = np.asarray(summary.forecast_reference_time.values, "datetime64[s]")
    valid = (issued + summary.lead.values.astype("timedelta64[s]")).astype(np.int64)
    made = summary.drop_vars(["lead", "place", "forecast_reference_time"])
    if series.sizes["member"] > 1:
        apart = series[[name for name in series.data_vars if "member" in series[name].dims]]
        renamed = apart.rename({name: f"member_{name}" for name in apart.data_vars})
        made = made.merge(renamed.drop_vars(["lead", "place", "forecast_reference_time"]))
    made = made.assign_coords(
        lead=("lead", minutes, {"standard_name": "forecast_period", "long_name": "lead time", "units": "minutes"})
    )
    about = {"standard_name": "forecast_reference_time", "long_name": "time the forecast was issued", **_TIME}
    made["forecast_reference_time"] = ((), issued.astype(np.int64), about)
    made["time"] = ("lead", valid, {"standard_name": "time", "long_name": "time it is valid for", **_TIME})
    made["place_name"] = ("place", summary.place.values.astype(object), {"long_name": "name of the place"})
    for name, variable in made.data_vars.items():
        if {"place", "lead"} <= set(variable.dims):
            made[name].attrs["coordinates"] = "place_name forecast_reference_time time"
    if "member" in made.coords:
        made["member"].attrs = {"standard_name": "realization", "long_name": "member", "units": "1"}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made.attrs = {
        "Conventions": "CF-1.11",
        "title": "Forecast of rain at places",
        "source": f"echocast {__version__}, {summary.attrs.get('model', 'model not stated')}",
        "history": f"{now} {command}",
    }
    encoding: dict[str, dict[str, Any]] = {str(name): {"_FillValue": None} for name in made.variables}
    encoding |= {str(n): {"_FillValue": np.float32(np.nan)} for n, v in made.data_vars.items() if v.dtype == np.float32}
    return bytes(made.to_netcdf(engine="h5netcdf", encoding=encoding))


def _about(summary: xr.Dataset) -> dict[str, Any]:
    return {
        "issued": _iso(summary.forecast_reference_time.values),
        "model": str(summary.attrs.get("model", "not stated")),
        "units": {str(n): str(v.attrs.get("units", "1")) for n, v in columns_of(summary)},
        "echocast_version": __version__,
    }


def _places(summary: xr.Dataset) -> dict[str, dict[str, list[Any]]]:
    """By place its series: the columns of `rows_of` as lists."""
    found: dict[str, dict[str, list[Any]]] = {}
    for row in rows_of(summary):
        own = found.setdefault(row["place"], {})
        for key, value in row.items():
            if key not in ("place", "issued"):
                own.setdefault(key, []).append(value)
    return found


def _iso(time: Any) -> str:
    return f"{np.datetime_as_string(np.asarray(time, 'datetime64[s]'))}Z"


def _number(value: Any) -> float | None:
    return float(f"{float(value):.4g}") if math.isfinite(value) else None


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
