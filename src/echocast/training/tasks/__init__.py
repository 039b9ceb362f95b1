"""What there is to train: one module a task, found by its name, which an experiment file gives as ``task``.

A module of a task has:

- ``DATA``: the frozen dataclass of the table ``[data]``;
- ``REGISTRY``: the networks of the task, see `echocast.models.registry`;
- ``DEFAULT_LOSS``, ``make_network(experiment, learned_at)``, ``make_loss(experiment)``: the tables ``[model]`` and
  ``[loss]``;
- ``open_sources(data)``: what is learned from and validated with, anything that the next three understand;
- ``module(experiment, sources)``: a `TrainingModule` with the untrained network;
- ``training_batches(sources, *, size, seed, rank, world)``: a data set of batches by number, batch 7 always the same;
- ``validation_batches(sources, *, size)``: a loader of batches.

    >>> names()[0]
    'forecast'
"""

from types import ModuleType

from echocast import plugins
from echocast.errors import ExperimentError

DEFAULT = "forecast"


def names() -> list[str]:
    """The tasks there are."""
    return plugins.names(__name__)


def load(name: str) -> ModuleType:
    """The module of a task; raises `ExperimentError`, with the names there are, for any other."""
    if name not in names():
        raise ExperimentError(f"task = {name!r}: {plugins.hint(name, names())}")
    return plugins.load(__name__, name, error=ExperimentError)
