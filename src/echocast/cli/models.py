"""echocast models: the forecasters there are."""

import logging

from echocast import models, plugins
from echocast.cli import options, output
from echocast.errors import PluginError
from echocast.models import _listing

log = logging.getLogger(__name__)


def command(as_json: options.Json = False) -> None:
    """List the forecasters, one line each; weights "shipped" means ready to use by name."""
    found = []
    for name in plugins.names(_listing.PACKAGE, skip=models.NOT_MODELS):
        try:
            summary = plugins.summary(_listing.PACKAGE, name)
            found.append({"model": name, "weights": _listing.weights(name), "description": summary})
        except PluginError as bad:  # one broken plug-in does not hide the other models
            log.warning("%s", bad)
    if as_json:
        output.say_json(found)
    else:
        output.say_table(("model", "weights", "what it is"), [tuple(one.values()) for one in found])
