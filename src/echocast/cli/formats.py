"""echocast formats: which file formats can be read, and what one of them is."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

_READERS = "echocast.io.readers"
_PAGES = "https://echocast.readthedocs.io/en/latest/formats"


def command(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One format, to be described in full.")] = None,
) -> None:
    """List the file formats, one line each, or describe one of them in full.

    A format is recognised by content, whatever the file is called.

    Example: echocast formats images
    """
    if name is None:
        Console().print(_table())
    else:
        Console().print(_described(name), markup=False, highlight=False, soft_wrap=True)


def _table() -> Table:
    from echocast import plugins

    table = Table(box=None, pad_edge=False)
    for title in ("format", "usual endings", "what it is"):
        table.add_column(title, no_wrap=title == "format")
    for name, reader in plugins.load_all(_READERS).items():
        table.add_row(name, " ".join(reader.SUFFIXES), plugins.summary(_READERS, name))
    return table


def _described(name: str) -> str:
    import inspect

    from echocast import plugins
    from echocast.errors import DataError

    reader = plugins.load(_READERS, name, error=DataError)
    options = [parameter for parameter in inspect.signature(reader.read).parameters if parameter != "path"]
    lines = [
        ("option", f"--format {name}"),
        ("endings", " ".join(reader.SUFFIXES)),
        ("takes", " ".join(f"--{option.replace('_', '-')}" for option in options) or "no further options"),
        ("page", str(getattr(reader, "PAGE", f"{_PAGES}/{name}.html"))),
    ]
    return "\n".join([inspect.getdoc(reader) or "", "", *(f"{title:<11} {text}" for title, text in lines)])
