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
    package = one.__module__.split(".")[1]
    home = f"echocast.{package}" if package == "nn" else one.__module__
    return f"{{py:class}}`echocast.{name} <{home}.{one.__name__}>`"


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
