"""The folder is the registry: what exists is what lies in a package.

Listing imports nothing; loading imports one module. A name that does not exist is answered with those that do.

    >>> from echocast import plugins
    >>> "netcdf" in plugins.names("echocast.data.readers")
    True
"""

import ast
import importlib
import importlib.util
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType


def names(package: str, *, skip: tuple[str, ...] = ("base",)) -> list[str]:
    """The modules of a package, sorted, without importing any of them (`skip` and private ones left out)."""
    return sorted(
        path.stem for path in _folder(package).glob("*.py") if not path.stem.startswith("_") and path.stem not in skip
    )


def load(package: str, name: str, *, error: type[Exception] = ValueError) -> ModuleType:
    """Import one module of a package by its short name; raises `error`, with the nearest names, if there is none."""
    known = names(package)
    if name not in known:
        near = get_close_matches(name, known)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}."
        raise error(f"{name!r} is not one of {package}; {hint}")
    return importlib.import_module(f"{package}.{name}")


def summary(package: str, name: str) -> str:
    """The first line of a module's docstring, read without importing it."""
    tree = ast.parse((_folder(package) / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{package!r} is not a package")
    return Path(next(iter(spec.submodule_search_locations)))
