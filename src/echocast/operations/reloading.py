"""New settings while the service runs: all of them count at once, or none does."""

from collections.abc import Callable
from typing import Any

from echocast.io.reading import ReadOptions
from echocast.operations import jobs
from echocast.operations.extensions import Extensions
from echocast.operations.intake import Intake
from echocast.operations.issuing import Issuing
from echocast.operations.settings import FIXED, Settings, SettingsError
from echocast.operations.sources import Polled

Reread = Callable[[], tuple[Settings, ReadOptions]]
"""Reads the configuration again; raises `EchocastError` or `SettingsError` where it is wrong."""


def changed(old: Settings, new: Settings) -> dict[str, Any]:
    """The settings that differ, with their new values; raises `SettingsError` for one that cannot change."""
    found = {name: value for name, value in new.model_dump(mode="json").items() if value != _plain(old, name)}
    begins_or_ends = {"alerts"} if None in (old.alerts, new.alerts) else set()
    fixed = [f"--{name.replace('_', '-')}" for name in found if name in {*FIXED, *begins_or_ends}]
    if fixed:
        raise SettingsError(f"{', '.join(fixed)}: cannot change while the service runs; start it again")
    return found


def prepare(
    new: tuple[Settings, ReadOptions], intake: Intake, issuing: Issuing, extensions: Extensions, polled: list[Polled]
) -> Callable[[], None]:
    """Do all of a change that may fail, and give what makes it count, which does not.

    Args:
        new: settings and how files are read.
        intake: the frames.
        issuing: the issues.
        extensions: what else takes part.
        polled: the sources, those of before among them.

    Raises:
        EchocastError: there is no such model, or an extension refuses the settings.
    """
    settings, options = new
    model = issuing.model
    if (settings.model, settings.members) != (issuing.settings.model, issuing.settings.members):
        model = issuing.worker.call(jobs.prepare, (settings.model, settings.members), deadline=jobs.PREPARE_S)
    prepared = extensions.prepare(settings)

    def count() -> None:
        intake.settings, intake.options, intake.sources = settings, options, polled
        intake.files.settle, intake.files.patience = settings.settle, settings.patience
        issuing.settings, issuing.model = settings, model
        issuing.removal.grace, issuing.worker.memory = settings.grace, settings.memory
        for one in polled:
            one.poll = settings.poll
        for each in prepared:
            each()

    return count


def _plain(settings: Settings, name: str) -> Any:
    return settings.model_dump(mode="json")[name]
