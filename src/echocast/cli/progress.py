"""A progress bar on standard error, so that standard output stays clean."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from echocast.cli.output import is_quiet


class Bar:
    """A progress bar in one line: what is done, the share that is done, how many of how many, the time."""

    def __init__(self, what: str, unit: str) -> None:
        self._progress = Progress(
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=is_quiet(),
        )
        self._task = self._progress.add_task(what, total=None)

    def to(self, done: int, total: int) -> None:
        """Move to `done` of `total`."""
        self._progress.update(self._task, completed=done, total=total)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
