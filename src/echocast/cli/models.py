"""echocast models: the forecasters there are."""

import logging

from echocast.cli import options, output

log = logging.getLogger(__name__)


def command(as_json: options.Json = False) -> None:
    """List the forecasters, one line each; weights "shipped" means ready to use by name."""
    from echocast.errors import PluginError
    from echocast.models import base

    found = []
    for name in base.names():
        try:
            found.append({"model": name, "weights": base.weights(name), "description": base.summary(name)})
        except PluginError as bad:  # one broken plug-in does not hide the other models
            log.warning("%s", bad)
    if as_json:
        output.say_json(found)
    else:
        output.say_table(("model", "weights", "what it is"), [tuple(one.values()) for one in found])
