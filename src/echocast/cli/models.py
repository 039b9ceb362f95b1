"""echocast models: the networks and methods there are."""

import logging
from typing import TYPE_CHECKING, Any

from echocast.cli import options, output

if TYPE_CHECKING:
    from echocast.models.registry import Registry

log = logging.getLogger(__name__)


def command(as_json: options.Json = False) -> None:
    """List the models, one line each: forecasters, segmenters (for `echocast segment`), autoencoders (for `detect`),
    networks that learn an algorithm; weights "shipped" means ready to use by name."""
    from echocast.algorithms import base as algorithms
    from echocast.anomaly import base as autoencoders
    from echocast.models import base as forecasters
    from echocast.segmentation import base as segmenters

    registries: list[Registry[Any]] = [one.REGISTRY for one in (forecasters, segmenters, autoencoders, algorithms)]
    found = [row for registry in registries for row in _rows(registry)]
    if as_json:
        output.say_json(found)
    else:
        output.say_table(("model", "task", "weights", "what it is"), [tuple(one.values()) for one in found])


def _rows(registry: "Registry[Any]") -> list[dict[str, str]]:
    from echocast.errors import PluginError

    found = []
    for name in registry.names():
        try:
            told = {"weights": registry.weights(name), "description": registry.summary(name)}
            found.append({"model": name, "task": registry.task, **told})
        except PluginError as bad:  # one broken plug-in does not hide the other models
            log.warning("%s", bad)
    return found
