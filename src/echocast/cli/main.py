"""The command ``echocast``: every file of this folder is a verb; here errors become one line and an exit status.

A verb is a function ``command``, or a typer application ``app`` with sub-commands.

Exit status: 0 done, 1 the world's fault (one line says what and how to mend it), 2 a wrong command line, 130 Ctrl-C.
"""

import importlib
import logging
import signal
import sys
import threading
import warnings
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.text import Text
from typer.core import TyperGroup

from echocast import plugins
from echocast._version import __version__
from echocast.errors import EchocastError

VERBS = (
    "nowcast",
    "archive",
    "show",
    "download",
    "train",
    "verify",
    "demo",
    "models",
    "formats",
    "scores",
    "convert",
)
"""The order of the verbs in the help; others follow."""

stderr = Console(stderr=True)
log = logging.getLogger(__name__)

_UsageError = typer.BadParameter.__base__
"""What a wrong command line raises; typer gives its class no public name of its own."""


class _Verbs(TyperGroup):
    """The verbs in their order, whether they have sub-commands or not."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=lambda verb: VERBS.index(verb) if verb in VERBS else len(VERBS))


def make() -> typer.Typer:
    """The application with all its verbs."""
    app = typer.Typer(
        cls=_Verbs,
        help="Radar files in, a verified, georeferenced nowcast out.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_common)
    for name in plugins.names("echocast.cli", skip=("main", "tables", "progress")):
        verb = importlib.import_module(f"echocast.cli.{name}")
        if hasattr(verb, "app"):
            app.add_typer(verb.app, name=name)
        else:
            app.command(name)(verb.command)
    return app


def run() -> None:
    """The entry point."""
    sys.unraisablehook = heard_again
    sys.exit(status(sys.argv[1:]))


def status(arguments: list[str]) -> int:
    """Run one command line and give its exit status; what went wrong is one line on standard error."""
    try:
        result = make()(args=arguments, prog_name="echocast", standalone_mode=False)
    except EchocastError as bad:
        log.info("what led to this error:", exc_info=bad)  # seen with --verbose
        return _say(" ".join(str(bad).split()), 1)
    except _UsageError as bad:  # type: ignore[misc]  # the class exists, whatever it is called
        bad.show()
        return int(bad.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted()
    except BrokenPipeError:
        return 141  # the reader of our output went away, as `| head` does
    except MemoryError:
        return _say("not enough memory for this grid; crop the input or use a machine with more", 1)
    if result == 130:
        return _interrupted()  # typer turns Ctrl-C into this
    return result if isinstance(result, int) else 0


_MOMENT_S = 0.1
"""After which Ctrl-C is pressed again: long enough for a busy machine to be done with finalising."""


def heard_again(lost: "sys.UnraisableHookArgs") -> None:
    """Press Ctrl-C once more where Python drops it: when it comes while an object is being finalised.

    A moment later, and from another thread, for here it would be dropped again.
    """
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    pressed = False
    while not pressed:
        with suppress(KeyboardInterrupt):  # on a busy machine it comes before this is done, and would be dropped here
            threading.Timer(_MOMENT_S, signal.raise_signal, [signal.SIGINT]).start()
            pressed = True


def _interrupted() -> int:
    return _say("interrupted: what was finished is kept", 130)


def _say(message: str, code: int) -> int:
    stderr.print(Text.assemble(("echocast:", "bold red"), " ", message), soft_wrap=True)  # brackets stay as they are
    return code


def _version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"echocast {__version__}")
        raise typer.Exit
    return wanted


def _common(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more of what is done; show the traceback of an error.")
    ] = False,
    version: Annotated[  # noqa: ARG001 (its callback does the work)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=stderr, show_path=False, show_time=False)],
    )
    if not verbose:
        warnings.simplefilter("ignore")  # libraries' warnings are for developers; ours are errors or log lines
