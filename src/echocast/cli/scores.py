"""echocast scores: what is measured."""

import math

from rich.console import Console
from rich.table import Table


def command() -> None:
    """List the families of scores, and each score with its perfect value and unit.

    A score without a perfect value is one that depends on the weather.
    """
    from echocast import plugins
    from echocast.verification import families

    table = Table(box=None, pad_edge=False)
    for title in ("family", "score", "perfect", "unit", "title"):
        table.add_column(title, no_wrap=title != "title", justify="right" if title == "perfect" else "left")
    for family, module in plugins.load_all(families.PACKAGE).items():
        for row, (name, score) in enumerate(module.SCORES.items()):
            perfect = "" if math.isnan(score.perfect) else f"{score.perfect:g}"
            table.add_row("" if row else family, name, perfect, score.plain_unit, score.title)
    Console().print(table)
