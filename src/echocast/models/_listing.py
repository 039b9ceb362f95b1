"""What the list of forecasters says of each, found in the sources: importing them all takes seconds.

>>> weights("lagrangian"), weights("persistence"), weights("prednet")
('shipped', 'none needed', 'to be trained')
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from echocast import plugins

PACKAGE = "echocast.models"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class _Source:
    """The classes of a module with the names of their bases, and the modules that names are imported from."""

    bases: Mapping[str, tuple[str, ...]]
    origins: Mapping[str, str]


def weights(name: str) -> str:
    """Where a forecaster's weights come from: ``shipped``, ``none needed`` or ``to be trained``.

    Raises:
        PluginError: it comes from another distribution, and is broken.
    """
    if (resources.files("echocast.weights") / f"{name}.safetensors").is_file():
        return "shipped"
    if not (_FOLDER / f"{name}.py").is_file() or plugins.origin(PACKAGE, name) != f"{PACKAGE}.{name}":
        from echocast.models import base

        return base.weights(name)
    learned = any(_is_learned(name, one) for one in _parsed(name).bases)
    return "to be trained" if learned else "none needed"


def _is_learned(module: str, name: str) -> bool:
    """Whether a class is one of those that have weights, by the bases of its bases."""
    if name.startswith("Learned"):
        return True
    source = _parsed(module)
    if name in source.bases:
        return any(_is_learned(module, base) for base in source.bases[name])
    origin = source.origins.get(name, "")
    return origin.startswith(f"{PACKAGE}._") and _is_learned(origin.removeprefix(f"{PACKAGE}."), name)


@cache
def _parsed(module: str) -> _Source:
    path = _FOLDER.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bases = {
        node.name: tuple(base.id for base in node.bases if isinstance(base, ast.Name))
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return _Source(bases, {name.asname or name.name: str(node.module) for node in imports for name in node.names})
