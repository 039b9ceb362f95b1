"""The Python interface: what autodoc is asked for, and docstrings as it wants them."""

import importlib
import inspect
import re
from typing import Any

import echocast
from echocast import models as of_models
from echocast import plugins
from extension.markdown import table

SECTIONS = ("Args:", "Returns:", "Raises:", "Yields:", "Example:", "Examples:", "Attributes:", "Source:")


def _rst(*lines: str) -> str:
    return "```{eval-rst}\n" + "\n".join(lines) + "\n```\n"


def face() -> str:
    """The names of the package itself: functions in full, classes as links to where they are documented."""
    classes = [name for name in echocast.__all__ if inspect.isclass(getattr(echocast, name))]
    functions = [name for name in echocast.__all__ if name not in classes]
    rows = [(_link(getattr(echocast, name), name), _first_line(getattr(echocast, name))) for name in classes]
    told = [line for name in functions for line in (f".. autofunction:: echocast.{name}", "")]
    return _rst(*told) + "\n## Classes\n\n" + table(("class", "what it is"), rows)


def _link(one: Any, name: str) -> str:
    return f"{{py:class}}`echocast.{name} <{_home(one)}.{one.__name__}>`"


def _home(one: Any) -> str:
    """The module whose page documents a class: a package that lists it among its own, or that where it is defined."""
    parts = one.__module__.split(".")
    packages = [".".join(parts[:end]) for end in range(2, len(parts))]
    listing = [name for name in packages if one.__name__ in getattr(importlib.import_module(name), "__all__", ())]
    return listing[0] if listing else one.__module__


def _first_line(one: Any) -> str:
    return (inspect.getdoc(one) or "").partition("\n")[0]


def models() -> str:
    """The class of each forecaster."""
    parts = []
    for name in plugins.names("echocast.models", skip=of_models.NOT_MODELS):
        module = importlib.import_module(f"echocast.models.{name}")
        shown = (f".. automodule:: {module.__name__}", "   :no-members:", "")
        own = [one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == module.__name__]
        public = [one for one in own if not one.__name__.startswith("_")]
        told = [f".. autoclass:: {module.__name__}.{one.__name__}" for one in public]
        parts.append(f"## {name}\n\n{_rst(*shown, *told)}")
    return "\n".join(parts)


def process(_app: Any, _what: str, _name: str, _one: Any, _options: Any, lines: list[str]) -> None:
    """Our docstrings for Sphinx: blocks that are indented become literal, and an asterisk is one.

    Sections of arguments are left to Napoleon.
    """
    made: list[str] = []
    inside = literal = False
    for line in lines:
        if line and not line.startswith(" "):
            inside, literal = line in SECTIONS, line.endswith("::")
            line = re.sub(r"(?<![`\w*])\*(?=\w)", r"\\*", line)
        before = made[-1] if made else ""
        starts = not (inside or literal or before.strip()) and line.startswith("    ")
        if starts and not line.lstrip().startswith(">>>"):
            made += ["::", ""]
            literal = True
        made.append(line)
    lines[:] = made


def signature(
    _app: Any, _what: str, _name: str, _one: Any, _options: Any, given: str | None, result: str | None
) -> Any:
    """A signature that Sphinx can read: `...` for a default that is made anew each time."""
    if given is None or "<factory>" not in given:
        return None
    return given.replace("<factory>", "..."), result
