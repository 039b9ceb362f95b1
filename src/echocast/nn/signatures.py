"""What editors are told by types, `help` and `inspect` are told here: ``**options`` by name, with defaults and meaning.

>>> from inspect import signature
>>> from echocast.nn import ConvLSTM
>>> signature(ConvLSTM).parameters["state_kernel"].default
3
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Unpack, get_args, get_origin, get_type_hints


def told_in_full(cls: type, sources: Sequence[type]) -> None:
    """Let `help(cls)` show the options that its constructor takes as ``**options: Unpack[...]``.

    Args:
        cls: the class; left as it is if its constructor takes no such options.
        sources: the classes whose constructors have the options' defaults, and whose docstrings say what they mean.
    """
    if "__init__" not in vars(cls):
        cls.__signature__ = inspect.signature(cls)  # type: ignore[attr-defined]
        return
    own = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
    types = _option_types(cls)
    if not types:
        cls.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
        return
    given = {p.name for p in own}
    defaults = _defaults(sources)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=annotation)
        for name, annotation in types.items()
        if name not in given
    ]
    cls.__signature__ = inspect.Signature([*own[:-1], *more])  # type: ignore[attr-defined]
    if cls.__doc__:
        cls.__doc__ = _with_meanings(cls.__doc__, [p.name for p in more], sources)


def _option_types(cls: type) -> Mapping[str, Any]:
    hint = getattr(vars(cls)["__init__"], "__annotations__", {}).get("options")
    return get_type_hints(get_args(hint)[0]) if get_origin(hint) is Unpack else {}


def _defaults(sources: Sequence[type]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for source in sources:
        parameters = inspect.signature(vars(source)["__init__"]).parameters.values()
        found |= {p.name: p.default for p in parameters if p.default is not p.empty}
    return found


def _with_meanings(doc: str, names: Sequence[str], sources: Sequence[type]) -> str:
    """The docstring with what the sources say about each option after what it says of ``options``."""
    entries: dict[str, list[str]] = {}
    for source in sources:
        entries |= _entries(source)
    lines, wanted = doc.splitlines(), set(names)
    begin = next((k for k, line in enumerate(lines) if line.strip().startswith("options:")), None)
    if begin is None:
        return doc
    end = begin + 1
    while end < len(lines) and lines[end].startswith(" " * 12):
        end += 1
    told = [line for key, entry in entries.items() if wanted & set(key.split(", ")) for line in entry]
    return "\n".join([*lines[:end], *told, *lines[end:]])


def _entries(source: type) -> dict[str, list[str]]:
    """What a docstring says under "Args:", by the names that stand before the colon."""
    found: dict[str, list[str]] = {}
    name, inside = "", False
    for line in inspect.cleandoc(source.__doc__ or "").splitlines():
        if not line.startswith(" "):
            inside, name = line.strip() == "Args:", ""
        elif inside:
            if not line.startswith(" " * 8):
                name = line.split(":")[0].strip()
            found.setdefault(name, []).append(" " * 4 + line)
    return found
