"""The command ``echocast``: every file of this folder is a verb; here errors become one line and an exit status.

A verb is a function ``command``, or a typer application ``app`` with sub-commands.

Exit status: 0 done, 1 the world's fault (one line says what and how to mend it), 2 a wrong command line, 130 Ctrl-C.
"""

import importlib
import logging
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from echocast import parallel, plugins
from echocast._version import __version__
from echocast.cli import output
from echocast.cli.config import options_of_file
from echocast.errors import EchocastError

VERBS = (
    "nowcast",
    "watch",
    "serve",
    "alerts",
    "archive",
    "show",
    "predict",
    "segment",
    "detect",
    "download",
    "train",
    "adapt",
    "bounds",
    "reforecast",
    "verify",
    "point",
    "basins",
    "stations",
    "adjust",
    "demo",
    "models",
    "formats",
    "scores",
    "convert",
)
"""The order of the verbs in the help; others follow."""

HELPERS = ("main", "arguments", "config", "live", "options", "output", "progress", "tables")
"""Modules of this folder that are no verbs."""
_EVERYWHERE = ("-q", "--quiet", "-v", "--verbose")
"""Options that may stand before the verb or behind it."""

stderr = Console(stderr=True)
log = logging.getLogger(__name__)

_UsageError = typer.BadParameter.__base__
"""What a wrong command line raises; typer gives its class no public name of its own."""


class _Verbs(TyperGroup):
    """The verbs in their order, whether they have sub-commands or not."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=lambda verb: VERBS.index(verb) if verb in VERBS else len(VERBS))

    def invoke(self, ctx: Any) -> Any:
        if ctx.params.get("config") is not None:
            ctx.default_map = options_of_file(ctx.params["config"], self.commands)
        return super().invoke(ctx)


def make() -> typer.Typer:
    """The application with all its verbs."""
    app = typer.Typer(
        cls=_Verbs,
        help="Radar files in, a verified, georeferenced nowcast out.",
        epilog="Exit status: 0 done; 1 the data or the machine do not allow it, which one line explains; 2 a wrong"
        " command line; 130 interrupted with Ctrl-C. OMP_NUM_THREADS limits the threads, OMP_WAIT_POLICY=active lets"
        " them wait actively.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_common)
    for name in plugins.names("echocast.cli", skip=HELPERS):
        verb = importlib.import_module(f"echocast.cli.{name}")
        if hasattr(verb, "app"):
            app.add_typer(verb.app, name=name)
        else:
            app.command(name)(verb.command)
    return app


def run() -> None:
    """The entry point."""
    sys.unraisablehook = heard_again
    parallel.share_the_machine()
    sys.exit(status(sys.argv[1:]))


def status(arguments: list[str]) -> int:
    """Run one command line and give its exit status; what went wrong is one line on standard error."""
    began = time.monotonic()
    try:
        result = make()(args=_ordered(arguments), prog_name="echocast", standalone_mode=False)
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
        return _say(_NO_MEMORY, 1)
    except RuntimeError as bad:
        if not any(words in str(bad).lower() for words in _OUT_OF_MEMORY):
            raise
        return _say(_NO_MEMORY, 1)
    log.info("%.1f s in all", time.monotonic() - began)
    if result == 130:
        return _interrupted()  # typer turns Ctrl-C into this
    return result if isinstance(result, int) else 0


_NO_MEMORY = "not enough memory for this grid; crop the input with --bbox, ask for less, or use a machine with more"
_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""What PyTorch says, as a RuntimeError, where there is no more memory."""


def _ordered(arguments: list[str]) -> list[str]:
    """The command line with the options of all verbs before the verb; behind ``--`` nothing is an option."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    moved = [word for word in arguments[:end] if word in _EVERYWHERE]
    return moved + [word for word in arguments[:end] if word not in _EVERYWHERE] + arguments[end:]


_MOMENT_S = 0.1
"""Seconds after which Ctrl-C is raised again: enough for a busy machine to finish finalising the object."""


def heard_again(lost: "sys.UnraisableHookArgs") -> None:
    """Raise Ctrl-C again where Python drops it: when it comes while an object is being finalised.

    It is raised a moment later from another thread; here it would be dropped again.
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
        bool, typer.Option("--verbose", "-v", help="Print what is done, and the traceback of an error.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    config: Annotated[  # noqa: ARG001 (`_Verbs` reads it, before the options of the verb are)
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Options in TOML, a table for each command: [nowcast] model = 'optical_flow'.",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 (its callback does the work)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    if verbose and quiet:
        raise typer.BadParameter("--verbose and --quiet do not go together")
    output.be_quiet(quiet)
    level = logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    output.print_log(level)
    if not verbose:
        warnings.simplefilter("ignore")  # libraries' warnings are for developers; ours are errors or log lines
