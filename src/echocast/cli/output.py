"""What the verbs print: lines that never wrap, tables as wide as they must be, JSON; nothing of it with --quiet."""

import json
import logging
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 10_000
"""Characters in a line of a file or a pipe: no table is wrapped there."""


class _Quiet:
    on = False


def be_quiet(quiet: bool) -> None:
    """From now on print errors and JSON only, or everything again."""
    _Quiet.on = quiet


def is_quiet() -> bool:
    """Whether only errors are wanted."""
    return _Quiet.on


def console(*, stderr: bool = False) -> Console:
    """A console that wraps tables on a screen only, and prints nothing with --quiet."""
    found = Console(stderr=stderr, quiet=_Quiet.on)
    return found if found.is_terminal else Console(stderr=stderr, quiet=_Quiet.on, width=_PIPED_WIDTH)


def say(text: str) -> None:
    """Print lines as they are."""
    console().print(text, markup=False, highlight=False, soft_wrap=True)


def say_rows(rows: Iterable[tuple[str, str]]) -> None:
    """Print a title and a text in each line."""
    say("\n".join(f"{title:<12} {text}" for title, text in rows))


def say_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table whose last column alone may wrap, on a narrow screen."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=title != titles[-1], justify="right" if title in right else "left")
    for row in rows:
        table.add_row(*(Text(word) for word in row))
    console().print(table)


def say_json(content: Any) -> None:
    """Print what a script reads: JSON, with times as ISO 8601 in UTC and null for what is not known."""
    sys.stdout.write(json.dumps(_plain(content), indent=2, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    """NumPy's numbers and times as JSON has them."""
    import numpy as np

    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else f"{np.datetime_as_string(value, unit='s')}Z"
    if isinstance(value, np.timedelta64):
        return None if np.isnat(value) else float(value / np.timedelta64(1, "m"))
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def print_log(level: int) -> None:
    """Print echocast's log from a level on, and what other packages warn of, unless only errors are wanted."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, LogLines)]:
        root.removeHandler(handler)
    root.addHandler(LogLines())
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("echocast").setLevel(level)


class LogLines(logging.Handler):
    """Log lines on standard error, one line each, whatever the width."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line, and the traceback that belongs to it."""
        line = Text(record.getMessage(), style="yellow" if record.levelno >= logging.WARNING else "dim")
        shown = Console(stderr=True)
        shown.print(line, soft_wrap=True)
        if record.exc_info:
            shown.print(Text(logging.Formatter().formatException(record.exc_info)), soft_wrap=True)
