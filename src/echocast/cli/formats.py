"""echocast formats: which file formats can be read, and what one of them is."""

from typing import Annotated, Any

import typer

from echocast.cli import arguments, options, output

_READERS = "echocast.readers"
_PAGES = "https://echocast.readthedocs.io/en/latest/formats"


def command(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One format, to be described in full.")] = None,
    as_json: options.Json = False,
) -> None:
    """List the file formats, one line each, or describe one of them in full.

    A format is recognised by content, whatever the file is called.

    Example: echocast formats images
    """
    arguments.check_format(name)
    from echocast import plugins

    readers = plugins.load_all(_READERS)
    chosen = list(readers) if name is None else [name]
    if as_json:
        found = [_about(one) for one in chosen]
        output.say_json(found if name is None else found[0])
    elif name is None:
        rows = [(one, " ".join(reader.SUFFIXES), plugins.summary(_READERS, one)) for one, reader in readers.items()]
        output.say_table(("format", "usual endings", "what it is"), rows)
    else:
        output.say(_described(name))


def _about(name: str) -> dict[str, Any]:
    """A format as a script reads it."""
    import inspect

    from echocast import plugins
    from echocast.errors import DataError

    reader = plugins.load(_READERS, name, error=DataError)
    taken = [parameter for parameter in inspect.signature(reader.read).parameters if parameter != "path"]
    return {
        "format": name,
        "endings": list(reader.SUFFIXES),
        "description": plugins.summary(_READERS, name),
        "options": [f"--{option.replace('_', '-')}" for option in taken],
        "page": str(getattr(reader, "PAGE", f"{_PAGES}/{name}.html")),
    }


def _described(name: str) -> str:
    import inspect

    from echocast import plugins

    about = _about(name)
    lines = [
        ("option", f"--format {name}"),
        ("endings", " ".join(about["endings"])),
        ("takes", " ".join(about["options"]) or "no further options"),
        ("page", about["page"]),
    ]
    text = inspect.getdoc(plugins.load(_READERS, name)) or ""
    return "\n".join([text, "", *(f"{title:<11} {text}" for title, text in lines)])
