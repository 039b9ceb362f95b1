"""Whole forecasters, one file each; each class can also be taken from here: ``from echocast.models import PredNet``.

>>> from echocast.models import EncoderForecaster
>>> EncoderForecaster.__module__
'echocast.models.encoder_forecaster'
"""

from typing import Any

from echocast import plugins

NOT_MODELS = ("base", "frames", "scaling", "registry", "resolution")
"""Modules of this folder that are no forecasters."""


def __getattr__(name: str) -> Any:
    """A forecaster's class by its name, imported when it is asked for."""
    for module in () if name.startswith("_") else plugins.names(__name__, skip=NOT_MODELS):
        if module.replace("_", "").lower() == name.lower():
            found = getattr(plugins.load(__name__, module), name, None)
            if found is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
