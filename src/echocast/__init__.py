"""echocast: radar files in, a verified, georeferenced forecast out.

The face: what most programs need, imported when first used.

    >>> import echocast
    >>> past = echocast.generate(frames=10, size=64, grid_km=4.0)
    >>> forecast = echocast.forecast_from(past, "optical_flow", minutes=30)
    >>> forecast.dims
    ('lead', 'y', 'x')
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from echocast._version import __version__ as __version__
from echocast.errors import MissingDependency

if TYPE_CHECKING:
    from echocast.errors import EchocastError
    from echocast.evaluation import VerificationConfig, evaluate
    from echocast.fields.field import make as make_field
    from echocast.io.forecast_file import from_netcdf as read_forecast
    from echocast.io.reading import read_all as read
    from echocast.models.base import Forecaster, load, resolve, save
    from echocast.nn.convlstm import ConvLSTM, ConvLSTMCell
    from echocast.nowcast import forecast_from, to_netcdf
    from echocast.plotting.colours import rain_colours
    from echocast.plotting.fields import plot
    from echocast.synthetic.storms import generate

__all__ = [
    "ConvLSTM",
    "ConvLSTMCell",
    "EchocastError",
    "Forecaster",
    "VerificationConfig",
    "evaluate",
    "forecast_from",
    "generate",
    "load",
    "make_field",
    "plot",
    "rain_colours",
    "read",
    "read_forecast",
    "resolve",
    "save",
    "to_netcdf",
]

if "gribapi" in sys.modules and "pyproj" not in sys.modules and hasattr(os, "RTLD_DEEPBIND"):
    # ecCodes brings a PROJ, which would take the place of pyproj's and end the process: pyproj looks for its own first.
    _usual = sys.getdlopenflags()
    sys.setdlopenflags(_usual | os.RTLD_DEEPBIND)
    importlib.import_module("pyproj")
    sys.setdlopenflags(_usual)

_HOMES = {
    "ConvLSTM": "nn.convlstm",
    "ConvLSTMCell": "nn.convlstm",
    "EchocastError": "errors",
    "Forecaster": "models.base",
    "VerificationConfig": "evaluation",
    "evaluate": "evaluation",
    "forecast_from": "nowcast",
    "generate": "synthetic.storms",
    "load": "models.base",
    "make_field": "fields.field:make",
    "plot": "plotting.fields",
    "rain_colours": "plotting.colours",
    "read": "io.reading:read_all",
    "read_forecast": "io.forecast_file:from_netcdf",
    "resolve": "models.base",
    "save": "models.base",
    "to_netcdf": "nowcast",
}
"""The module of each name, and what it is called there if not the same."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'echocast' has no attribute {name!r}; it has: {', '.join(__all__)}")
    module, _, there = _HOMES[name].partition(":")
    try:
        home = importlib.import_module(f"echocast.{module}")
    except ModuleNotFoundError as bad:
        if (bad.name or "echocast").startswith("echocast"):
            raise
        raise MissingDependency(str(bad.name), "radar") from bad
    return getattr(home, there or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
