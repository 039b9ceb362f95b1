"""echocast models: the forecasters there are."""

from rich.console import Console
from rich.table import Table


def command() -> None:
    """List the forecasters, one line each; weights "shipped" means ready to use by name."""
    from echocast.models import base

    table = Table(box=None, pad_edge=False)
    for title in ("model", "weights", "what it is"):
        table.add_column(title, no_wrap=title != "what it is")
    for name in base.names():
        table.add_row(name, base.weights(name), base.summary(name))
    Console().print(table)
