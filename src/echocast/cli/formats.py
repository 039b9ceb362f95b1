"""echocast formats: what can be read."""

from rich.console import Console
from rich.table import Table


def command() -> None:
    """List the file formats, one line each; a format is recognised by content, whatever the file is called."""
    from echocast import plugins

    package = "echocast.io.readers"
    table = Table(box=None, pad_edge=False)
    for title in ("format", "usual endings", "what it is"):
        table.add_column(title, no_wrap=title == "format")
    for name, reader in plugins.load_all(package).items():
        table.add_row(name, " ".join(reader.SUFFIXES), plugins.summary(package, name))
    Console().print(table)
