"""Every key of a file of settings: of `echocast watch`, of `echocast serve`, and of experiments."""

import inspect
import re
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import typer

from echocast.cli.main import make
from echocast.operations import settings as of_watch
from echocast.samples.data import Data
from echocast.server import settings as of_server
from echocast.training.experiment import Training
from echocast.training.optimiser import Optimiser
from extension.markdown import code, escaped, table

_HEADS = ("key", "default", "meaning")


def watch() -> str:
    """The table ``[watch]``."""
    return _of_model(of_watch.Settings, "watch")


def server() -> str:
    """The tables ``[serve]`` and ``[serve.limits]``."""
    limits = [(code(name), code(_shown(one.default)), "") for name, one in of_server.Limits.model_fields.items()]
    limits_table = table(("key of `[serve.limits]`", "default"), [row[:2] for row in limits])
    return _of_model(of_server.Settings, "serve", skip=("limits",)) + "\n" + limits_table


def _of_model(model: Any, verb: str, *, skip: tuple[str, ...] = ()) -> str:
    command = typer.main.get_command(make()).commands[verb]  # type: ignore[attr-defined]
    told = {one.name: one.help or "" for one in command.params}
    named = [(name, one.default, told.get(name, "")) for name, one in model.model_fields.items() if name not in skip]
    return table(
        _HEADS, [(code(name.replace("_", "-")), *apart(help_text, _shown(value))) for name, value, help_text in named]
    )


def apart(help_text: str, default: str) -> tuple[str, str]:
    """The default, as the help tells it where it does, and the rest of the help."""
    found = re.search(r"\s*Default: (.+?)\.?$", help_text)
    if found is None:
        return code(default), escaped(help_text)
    plain = re.fullmatch(r"[\w.:*/-]+", found.group(1))
    return code(found.group(1)) if plain else escaped(found.group(1)), escaped(help_text[: found.start()])


def training() -> str:
    """The tables of an experiment that are the same for all models."""
    parts = [("data", Data), ("optimiser", Optimiser), ("training", Training)]
    return "\n".join(f"### \\[{name}\\]\n\n{_of_class(one)}" for name, one in parts)


def _of_class(one: type) -> str:
    told = arguments(inspect.getdoc(one) or "")
    return table(_HEADS, [(code(name), code(shown), told.get(name, "")) for name, shown in _defaults(one)])


def _defaults(one: type) -> list[tuple[str, str]]:
    if is_dataclass(one):
        return [(f.name, _shown(f.default if f.default is not MISSING else None)) for f in fields(one)]
    return [(name, _shown(p.default)) for name, p in inspect.signature(one).parameters.items()]


def arguments(docstring: str) -> dict[str, str]:
    """What a docstring says of each argument, by name."""
    section = re.search(r"(?ms)^Args:\n(.*?)(?=^\S|\Z)", docstring)
    items = re.split(r"(?m)^ {4}(?=\w)", section.group(1))[1:] if section else []
    pairs = (item.partition(":") for item in items)
    return {name.strip(): " ".join(text.split()) for name, _, text in pairs}


def _shown(value: Any) -> str:
    if value is None or value is inspect.Parameter.empty or type(value).__name__ == "PydanticUndefinedType":
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value in ([], (), {}, "") else f"{value:g}" if isinstance(value, float) else str(value)
