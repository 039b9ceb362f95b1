"""What can go wrong, as one tree.

::

    EchocastError
    ├── DataError (ValueError)         the data are not what they must be
    │   ├── UnreadableFile             a file that no reader can make sense of
    │   │   └── Unreachable            a server that does not answer, or not now
    │   ├── GridMismatch               fields of different grids or projections
    │   ├── MissingFrames              a gap, a wrong step, too few frames
    │   └── WrongUnits                 a unit that is not known or not the one needed
    ├── ModelError (ValueError)        a forecaster that does not exist or cannot do what is asked
    │   └── CheckpointMismatch         weights of another model, version or file
    ├── ExperimentError (ValueError)   an experiment file with a wrong key or value
    ├── PluginError                    a module that another distribution adds, and that cannot be used
    └── MissingDependency (ImportError)  an optional package is not installed

A caller's bug is a plain ``ValueError`` or ``TypeError``; the world's fault is one of these. Each message names
the thing, shows the value, states the rule and gives the remedy. Only the command line catches them.
"""


class EchocastError(Exception):
    """Anything echocast reports about the world rather than about the caller's code."""


class DataError(EchocastError, ValueError):
    """The data are not what they must be."""


class UnreadableFile(DataError):
    """A file that no reader, or not the chosen reader, can make sense of."""


class Unreachable(UnreadableFile):
    """A server that does not answer, or answers that it cannot just now: the same may succeed later."""


class GridMismatch(DataError):
    """Fields that should share a grid and projection do not."""


class MissingFrames(DataError):
    """A gap, a wrong time step, or fewer frames than needed."""


class WrongUnits(DataError):
    """A unit that is unknown, or not the one needed."""


class ModelError(EchocastError, ValueError):
    """A forecaster that does not exist or cannot do what is asked of it."""


class CheckpointMismatch(ModelError):
    """Weights that belong to another model, another version, or are no weights at all."""


class ExperimentError(EchocastError, ValueError):
    """An experiment file with a key or value that does not exist."""


class PluginError(EchocastError):
    """A reader, model, score, source or transform of another distribution that cannot be used."""


class MissingDependency(EchocastError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install 'echocast[{extra}]'")
        self._made_from = package, extra

    def __reduce__(self) -> tuple[type["MissingDependency"], tuple[str, str]]:
        """Made again from its two words where it comes from another process."""
        return type(self), self._made_from
