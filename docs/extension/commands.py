"""Every command with its arguments and options, from the parser of the command line."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from echocast.cli.main import make
from extension.markdown import code, prose, table
from extension.settings import apart


def page(app: typer.Typer | None = None) -> str:
    """The commands in the order of the help, sub-commands below theirs."""
    group = typer.main.get_command(app or make())
    root = ["## Before any command\n", _options(group), _text(group.epilog or "")]
    return "\n".join([*root, *_of_group(group, "echocast", level=2)])


def _of_group(group: Any, name: str, *, level: int) -> Iterator[str]:
    commands = group.commands
    context = typer.Context(group, info_name="echocast")
    for verb in group.list_commands(context):
        command = commands[verb]
        yield f"{'#' * level} {name} {verb}\n"
        told = _text(inspect.cleandoc(command.help or ""))
        if hasattr(command, "commands"):
            yield told
            yield from _of_group(command, f"{name} {verb}", level=level + 1)
        else:
            yield f"```text\n{_usage(command, f'{name} {verb}')}\n```\n"
            yield told
            yield _arguments(command)
            yield _options(command)


def _text(help_text: str) -> str:
    """The help as Markdown; its examples as blocks to copy."""
    text = re.sub(r"(?m)^Example: ((?:.+\n?)+?)(?=\n|Example|\Z)", _example, help_text)
    return prose(text.replace("[", "\\[").replace("<", "\\<")) if "```" not in text else text


def _example(found: re.Match[str]) -> str:
    return f"\n```sh\n{' '.join(found.group(1).split())}\n```\n"


def _usage(command: Any, name: str) -> str:
    needed = [p for p in command.params if p.param_type_name == "option" and p.required]
    parts = [name, *(f"{p.opts[0]} {_value(p)}" for p in needed)]
    parts += ["[OPTIONS]", *(_value(p) for p in command.params if p.param_type_name == "argument")]
    return " ".join(parts)


def _arguments(command: Any) -> str:
    rows = [(code(_value(p)), p.help or "") for p in command.params if p.param_type_name == "argument"]
    return table(("argument", "meaning"), rows) if rows else ""


def _options(command: Any) -> str:
    """A list of the options: beside a table of four columns a phone has no room for the words."""
    shown = [p for p in command.params if p.param_type_name == "option" and not p.hidden and p.name != "help"]
    return "\n".join(f"{_names(p)}\n: {_meaning(p)}\n" for p in shown)


def _meaning(option: Any) -> str:
    default, told = apart(option.help or "", _default(option))
    told = " ".join(told.split())
    return told if not default else f"{told} Default: {default}."


def _names(option: Any) -> str:
    value = _value(option)
    names = [*option.opts, *option.secondary_opts]
    return ", ".join(code(f"{name} {value}".rstrip()) for name in names) + (
        " (must be given)" if option.required else ""
    )


def _value(parameter: Any) -> str:
    """What stands behind an option, or in an argument's place, as the help has it."""
    if getattr(parameter, "is_flag", False):
        return ""
    return str(parameter.metavar or _kind(parameter))


def _kind(parameter: Any) -> str:
    """The type in capitals, or the values there are to choose from."""
    described = getattr(parameter, "type_descriptor", None)  # typer from 0.27 on; before, click's type
    annotation = getattr(described, "annotation", None)
    choices = getattr(annotation, "__members__", None) or getattr(annotation, "__args__", ())
    if choices and all(isinstance(one, str) for one in choices):
        return "|".join(choices)
    names = {"int": "INTEGER", "float": "NUMBER", "str": "TEXT", "integer": "INTEGER", "Path": "PATH"}
    name = getattr(annotation, "__name__", None) or getattr(getattr(parameter, "type", None), "name", "text")
    return names.get(name, name.upper())


def _default(option: Any) -> str:
    default = option.default
    if default in (None, [], ()) or callable(default) or (option.is_flag and not default):
        return ""
    return option.opts[0] if option.is_flag else str(getattr(default, "value", default))
