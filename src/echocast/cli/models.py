"""echocast models: the networks and methods there are."""

import logging
from importlib import resources

from echocast import algorithms, anomaly, models, plugins, segmentation
from echocast.cli import options, output
from echocast.errors import PluginError
from echocast.models import _listing

log = logging.getLogger(__name__)

_TASKS = {
    "forecaster": (_listing.PACKAGE, models.NOT_MODELS),
    "segmenter": ("echocast.segmentation", segmentation.NOT_NETWORKS),
    "autoencoder": ("echocast.anomaly", anomaly.NOT_NETWORKS),
    "algorithm": ("echocast.algorithms", algorithms.NOT_NETWORKS),
}
"""The folder of each task's networks, and the modules in it that are none; nothing is imported to list them."""


def command(as_json: options.Json = False) -> None:
    """List the models, one line each: forecasters, segmenters (for `echocast segment`), autoencoders (for `detect`),
    networks that learn an algorithm; weights "shipped" means ready to use by name."""
    found = []
    for task, (package, skip) in _TASKS.items():
        for name in plugins.names(package, skip=skip):
            try:
                told = {"weights": _weights(package, name), "description": plugins.summary(package, name)}
                found.append({"model": name, "task": task, **told})
            except PluginError as bad:  # one broken plug-in does not hide the other models
                log.warning("%s", bad)
    if as_json:
        output.say_json(found)
    else:
        output.say_table(("model", "task", "weights", "what it is"), [tuple(one.values()) for one in found])


def _weights(package: str, name: str) -> str:
    """Where a model's weights come from; all but forecasters are networks."""
    if package == _listing.PACKAGE:
        return _listing.weights(name)
    shipped = (resources.files("echocast.weights") / f"{name}.safetensors").is_file()
    return "shipped" if shipped else "to be trained"
