"""echocast: radar files in, a verified, georeferenced forecast out.

The face: what most programs need, imported when first used.

    >>> import echocast
    >>> past = echocast.generate(frames=10, size=64, grid_km=4.0)
    >>> forecast = echocast.forecast_from(past, echocast.resolve("optical_flow"), minutes=30)
    >>> forecast.dims
    ('lead', 'y', 'x')
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from echocast.data.export import to_netcdf
    from echocast.data.files import read
    from echocast.data.synthetic.storms import generate
    from echocast.errors import EchocastError
    from echocast.evaluation import Plan, evaluate
    from echocast.models.base import Forecaster, load, resolve, save
    from echocast.nn.convlstm import ConvLSTM, ConvLSTMCell
    from echocast.nowcast import forecast_from

__all__ = [
    "ConvLSTM",
    "ConvLSTMCell",
    "EchocastError",
    "Forecaster",
    "Plan",
    "evaluate",
    "forecast_from",
    "generate",
    "load",
    "read",
    "resolve",
    "save",
    "to_netcdf",
]

_HOMES = {
    "ConvLSTM": "nn.convlstm",
    "ConvLSTMCell": "nn.convlstm",
    "EchocastError": "errors",
    "Forecaster": "models.base",
    "Plan": "evaluation",
    "evaluate": "evaluation",
    "forecast_from": "nowcast",
    "generate": "data.synthetic.storms",
    "load": "models.base",
    "read": "data.files",
    "resolve": "models.base",
    "save": "models.base",
    "to_netcdf": "data.export",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'echocast' has no attribute {name!r}")
    return getattr(importlib.import_module(f"echocast.{_HOMES[name]}"), name)
