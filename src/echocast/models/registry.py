"""The networks of one task: found by listing a folder, made from plain values, saved and loaded.

Forecasters, segmenters and autoencoders each have a folder, a class that they all are, and a name in checkpoints.

    >>> from echocast.models.base import REGISTRY
    >>> REGISTRY.load_class("persistence").__name__
    'Persistence'
"""

import importlib.util
import inspect
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from echocast import checkpoint, plugins
from echocast.checkpoint import Checkpoint
from echocast.errors import CheckpointMismatch, ModelError, PluginError

M = TypeVar("M", bound=nn.Module)

_SOURCE = ".py:"
"""What a class in a Python file has in its name."""


@dataclass(frozen=True)
class Registry(Generic[M]):
    """The networks of a task.

    Args:
        task: what a checkpoint says that its weights are for, such as ``forecaster``.
        package: the folder of its modules, each of which defines one network.
        kind: the class that all of them are.
        skip: modules of the folder that define none.
    """

    task: str
    package: str
    kind: type[M]
    skip: tuple[str, ...] = ("base",)

    def names(self) -> list[str]:
        """The networks there are."""
        return plugins.names(self.package, skip=self.skip)

    def summary(self, name: str) -> str:
        """A network in one line."""
        return plugins.summary(self.package, name)

    def weights(self, name: str) -> str:
        """Where a network's weights come from: ``shipped``, ``none needed`` or ``to be trained``."""
        if (resources.files("echocast.weights") / f"{name}.safetensors").is_file():
            return "shipped"
        with torch.device("meta"):  # some have more parameters than it takes to count them
            made = self.load_class(name)()
        return "to be trained" if any(True for _ in made.parameters()) else "none needed"

    def load_class(self, name: str) -> type[M]:
        """The class of a network by its short name; raises `ModelError`, with the names there are, for any other."""
        if name not in self.names():
            hint = plugins.hint(name, self.names())
            what = "model" if self.task == "forecaster" else self.task
            raise ModelError(f"there is no {what} {name!r}; {hint}, or give the path of a checkpoint")
        module = plugins.load(self.package, name)
        for found in vars(module).values():
            if inspect.isclass(found) and found.__module__ == module.__name__ and issubclass(found, self.kind):
                return found
        where = plugins.origin(self.package, name)
        raise PluginError(f"{where} defines no {self.kind.__name__}; upgrade it, or tell its authors")

    def construct(self, name: str, arguments: Mapping[str, Any], *, where: str = "[model]") -> M:
        """A new network from plain values, checked against its constructor's signature."""
        return plugins.construct(self.load_class(name), arguments, where=where, error=ModelError)

    def resolve(self, name_or_path: str | Path) -> M:
        """A network ready to use.

        By name, with the weights that ship with echocast; from a checkpoint's path; or of one's own class, as
        ``my.py:Class``, made without arguments.

        Raises:
            ModelError: no such network, or one that has weights but ships none.
            CheckpointMismatch: the file is no checkpoint of this version.
        """
        name = str(name_or_path)
        if _SOURCE in name:
            return self._of_source(*name.rsplit(":", 1))
        if Path(name).suffix or os.sep in name:
            return self.load(Path(name))
        cls = self.load_class(name)
        with resources.as_file(resources.files("echocast.weights") / f"{name}.safetensors") as shipped:
            if shipped.exists():
                return self.load(shipped)
        if self.weights(name) == "to be trained":
            raise ModelError(
                f"{name} ships without weights; train it with `echocast train` and give its checkpoint's path"
            )
        return cls().eval()

    def _of_source(self, path: str, name: str) -> M:
        """A network of a class in a Python file; raises `ModelError` for anything that goes wrong with it."""
        if not Path(path).is_file():
            raise ModelError(f"{path}:{name}: there is no file {path}")
        spec = importlib.util.spec_from_file_location(f"echocast_own_{Path(path).stem}", path)
        if spec is None or spec.loader is None:
            raise ModelError(f"{path}:{name}: {path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
            found = getattr(module, name, None)
            if not (inspect.isclass(found) and issubclass(found, self.kind)):
                own = [key for key, one in vars(module).items() if inspect.isclass(one) and issubclass(one, self.kind)]
                there = f"there are: {', '.join(own)}" if own else f"a class of echocast.{self.kind.__name__} is needed"
                raise ModelError(f"{path}:{name}: the file has no {self.kind.__name__} of this name; {there}")
            network: M = found()
        except (ModelError, MemoryError):
            raise
        except Exception as bad:  # a file of others may raise anything
            raise ModelError(f"{path}:{name}: cannot be used ({type(bad).__name__}: {bad}); mend the file") from bad
        return network.eval()

    def save(self, network: M, path: str | Path) -> None:
        """Write weights, constructor arguments and scaling to one file, which appears whole or not at all.

        Raises:
            ModelError: of a class that echocast does not find by a name, so that nothing could load the file.
        """
        cls = type(network)
        name = plugins.name_of(self.package, cls.__module__)
        if name not in self.names() or plugins.load(self.package, name).__name__ != cls.__module__:
            raise ModelError(
                f"{cls.__name__} of {cls.__module__} is not known by a name, so a checkpoint of it could not be loaded;"
                f" keep its state_dict with torch.save, give it as --model my.py:{cls.__name__}, or make it a plug-in"
                " (docs/plugins.md)"
            )
        checkpoint.write(Path(path), Checkpoint(self.task, name, _arguments(network), network.state_dict()))

    def load(self, path: str | Path) -> M:
        """The network of a checkpoint, in evaluation mode.

        Raises:
            CheckpointMismatch: the file does not exist, is none of ours, is of another version or task, or does not
                fit its network.
        """
        stored = checkpoint.read(Path(path), task=self.task)
        if stored.name not in self.names():
            raise CheckpointMismatch(
                f"{path}: holds the weights of a model {stored.name!r} that is not installed; install the distribution"
                f" that adds it, or take one of: {', '.join(self.names())}"
            )
        try:
            network = self.construct(stored.name, stored.arguments, where=f"{path}:")
            network.load_state_dict(stored.weights)
        except (ModelError, KeyError, RuntimeError, ValueError) as bad:
            why = " ".join(str(bad).split())
            raise CheckpointMismatch(f"{path}: does not fit this version's model ({why}); train it again") from bad
        return network.eval()


def _arguments(network: nn.Module) -> dict[str, Any]:
    """The constructor's keywords with the values that the network keeps under the same names."""
    return {name: _plain(getattr(network, name)) for name in inspect.signature(type(network)).parameters}


def _plain(value: Any) -> Any:
    """A value of a constructor as JSON can hold it: dataclasses become tables."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value
