"""A class for every cell of every frame: networks, one file each, their loss, scores, and how they are run.

Each network's class can also be taken from here: ``from echocast.segmentation import UNetConvLSTM``.

>>> from echocast.segmentation import UNet
>>> UNet.__module__
'echocast.segmentation.unet'
"""

from typing import Any

from echocast import plugins

NOT_NETWORKS = ("base", "classes", "losses", "pictures", "run", "scores")
"""Modules of this folder that are no networks."""


def __getattr__(name: str) -> Any:
    """A network's class by its name, imported when it is asked for."""
    for module in () if name.startswith("_") else plugins.names(__name__, skip=NOT_NETWORKS):
        if module.replace("_", "").lower() == name.lower():
            found = getattr(plugins.load(__name__, module), name, None)
            if found is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
