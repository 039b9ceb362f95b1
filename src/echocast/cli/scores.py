"""echocast scores: what is measured."""

from rich.console import Console
from rich.table import Table


def command() -> None:
    """List the scores, one line each family, with the value of a perfect forecast."""
    from echocast import plugins

    package = "echocast.verification.scores"
    table = Table(box=None, pad_edge=False)
    for title in ("family", "scores (perfect)", "what they are"):
        table.add_column(title, no_wrap=title == "family")
    for name, family in plugins.load_all(package).items():
        values = ", ".join(f"{score} ({value:g})" for score, value in family.PERFECT.items())
        table.add_row(name, values, plugins.summary(package, name))
    Console().print(table)
