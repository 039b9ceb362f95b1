"""echocast: radar files in, a verified, georeferenced forecast out.

The face: what most programs need, imported when first used.

    >>> import echocast
    >>> past = echocast.generate(frames=10, size=64, grid_km=4.0)
    >>> forecast = echocast.forecast_from(past, echocast.resolve("optical_flow"), minutes=30)
    >>> forecast.dims
    ('lead', 'y', 'x')
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from echocast._version import __version__ as __version__

if TYPE_CHECKING:
    from echocast.errors import EchocastError
    from echocast.evaluation import VerificationConfig, evaluate
    from echocast.io.reading import read
    from echocast.models.base import Forecaster, load, resolve, save
    from echocast.nn.convlstm import ConvLSTM, ConvLSTMCell
    from echocast.nowcast import forecast_from, to_netcdf
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
    "read",
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
    "read": "io.reading",
    "resolve": "models.base",
    "save": "models.base",
    "to_netcdf": "nowcast",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'echocast' has no attribute {name!r}")
    return getattr(importlib.import_module(f"echocast.{_HOMES[name]}"), name)
