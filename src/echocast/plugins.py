"""The folder is the registry: what exists is what lies in a package.

Listing imports nothing; loading imports one module. A name that does not exist is answered with those that do.

    >>> from echocast import plugins
    >>> "netcdf" in plugins.names("echocast.io.readers")
    True
"""

import ast
import importlib
import importlib.util
import inspect
import typing
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pydantic

T = TypeVar("T")


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


def construct(
    factory: Callable[..., T],
    table: Mapping[str, Any],
    *,
    where: str,
    error: type[Exception] = ValueError,
    given: tuple[Any, ...] = (),
) -> T:
    """Call `factory` with the keywords of `table`, checked against its keyword-only signature.

    A constructor's signature is the schema of its table in an experiment file and of its arguments in a checkpoint.

    Args:
        factory: a class or function; parameters without a keyword are not filled from the table.
        table: names and plain values; numbers, lists and tables become what the annotations say.
        where: what the message names as the table's place, such as ``[model]``.
        error: the class to raise, with every wrong key and value in one line.
        given: positional arguments, not checked.
    """
    hints = typing.get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    parameters = [p for p in inspect.signature(factory).parameters.values() if p.kind is p.KEYWORD_ONLY]
    fields: dict[str, Any] = {
        p.name: (hints[p.name], ... if p.default is inspect.Parameter.empty else p.default) for p in parameters
    }
    config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    try:
        checked = pydantic.create_model("Table", __config__=config, **fields)(**table)
    except pydantic.ValidationError as bad:
        raise error(_explain(bad, where, list(fields))) from None
    return factory(*given, **{name: getattr(checked, name) for name in fields if name in table})


def _explain(bad: pydantic.ValidationError, where: str, known: list[str]) -> str:
    parts = []
    for item in bad.errors():
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            near = get_close_matches(key, known)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes: {', '.join(known)}"
            parts.append(f"{where} has no key {key!r}; {hint}")
        else:
            parts.append(f"{where} {key} = {item['input']!r}: {item['msg']}")
    return "; ".join(parts)


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{package!r} is not a package")
    return Path(next(iter(spec.submodule_search_locations)))
