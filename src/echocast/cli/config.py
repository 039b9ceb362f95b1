"""Options of the commands from a TOML file; the command line goes before it.

[nowcast]
model = "optical_flow"
minutes = 60

[archive.add]
time-step = 5

Commands with a --config of their own (watch, serve) read their table themselves: the environment goes before it, and
it can be read again while they run.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from echocast import plugins
from echocast.errors import DataError


def options_of_file(path: Path, commands: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults by command and option, as click takes them.

    Args:
        path: the file.
        commands: the commands of the file's tables by name, with their options; some have sub-commands.

    Raises:
        DataError: it cannot be read, or has a table or a key that does not exist.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as bad:
        raise DataError(f"--config {path}: cannot be read ({bad.strerror}); give a TOML file") from bad
    except ValueError as bad:
        raise DataError(f"--config {path}: is no TOML ({bad})") from bad
    return _defaults(content, commands, path, f"--config {path}")


def _defaults(content: Mapping[str, Any], commands: Mapping[str, Any], path: Path, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, table in content.items():
        if name not in commands:
            raise DataError(f"{where}: there is no command {name!r}; {plugins.hint(name, list(commands))}")
        if not isinstance(table, dict):
            raise DataError(f"{where}: {name} = {table!r} belongs into a table, as [nowcast]")
        sub_commands = getattr(commands[name], "commands", None)
        if sub_commands is not None:
            found[name] = _defaults(table, sub_commands, path, f"{where} [{name}]")
        else:
            found[name] = _of_command(table, commands[name], path, f"{where} [{name}]")
    return found


def _of_command(table: Mapping[str, Any], command: Any, path: Path, where: str) -> dict[str, Any]:
    """The values by the names that click gives to options."""
    known = {
        option.lstrip("-"): parameter.name
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--") and option != "--help"
    }
    if "config" in known:
        return {known["config"]: str(path)}
    named = {key.replace("_", "-"): value for key, value in table.items()}
    for key in named:
        if key not in known:
            raise DataError(f"{where}: there is no option {key!r}; {plugins.hint(key, list(known))}")
    return {known[key]: value for key, value in named.items()}
