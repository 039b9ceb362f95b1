"""echocast models: the forecasters there are."""

import logging

from rich.console import Console
from rich.table import Table

log = logging.getLogger(__name__)


def command() -> None:
    """List the forecasters, one line each; weights "shipped" means ready to use by name."""
    from echocast.errors import PluginError
    from echocast.models import base

    table = Table(box=None, pad_edge=False)
    for title in ("model", "weights", "what it is"):
        table.add_column(title, no_wrap=title != "what it is")
    for name in base.names():
        try:
            table.add_row(name, base.weights(name), base.summary(name))
        except PluginError as bad:  # one broken plug-in does not hide the other models
            log.warning("%s", bad)
    Console().print(table)
