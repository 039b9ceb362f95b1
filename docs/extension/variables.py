"""Every variable of a forecast file, from a file's contents made on the spot."""

from collections.abc import Mapping

import xarray as xr

from echocast import forecast_from, generate
from echocast.io import forecast_file
from echocast.products import ensemble
from extension.markdown import code, table


def page() -> str:
    """The variables of a single forecast and those that an ensemble adds, with dimensions and units."""
    single, many = _single(), _ensemble()
    added = {name: one for name, one in many.variables.items() if name not in single.variables}
    return "\n".join(
        [
            "## A single forecast\n",
            _table(single.variables),
            "## What an ensemble adds\n",
            _table(added),
            "## Global attributes\n",
            table(("attribute", "example"), [(code(name), code(str(value))) for name, value in many.attrs.items()]),
        ]
    )


def _single() -> xr.Dataset:
    made = forecast_from(_storm(), "persistence")
    return forecast_file.dataset(made, None, "echocast nowcast radar/ --out forecast.nc")


def _ensemble() -> xr.Dataset:
    made = forecast_from(_storm(), "lagrangian", members=3)
    return forecast_file.dataset(made, ensemble.products(made), "echocast nowcast radar/ --members 3 --out forecast.nc")


def _storm() -> xr.DataArray:
    return generate(frames=10, size=64, grid_km=4.0)


def _table(variables: Mapping[object, xr.Variable]) -> str:
    rows = [
        (code(str(name)), ", ".join(map(str, one.dims)), code(str(one.attrs.get("units", ""))), _told(one))
        for name, one in variables.items()
    ]
    return table(("variable", "dimensions", "unit", "meaning"), rows)


def _told(one: xr.Variable) -> str:
    long, standard = one.attrs.get("long_name", ""), one.attrs.get("standard_name", "")
    return long + (f" ({code(standard)})" if standard and standard != long else "")
