"""What exists: the modules of a package, and those that installed distributions add to it.

A reader, a model, a family of scores, a source of downloads and a transform is a module each. Those of echocast lie in
one folder; any installed distribution adds its own by an entry point, whose value is a module:

    [project.entry-points."echocast.readers"]
    acme = "acme_radar.reader"

The groups are the values of `GROUPS`. Listing imports nothing; loading imports one module. A name that does not exist
is answered with those that do, a module that is broken with what is wrong with it and where it comes from.

    >>> from echocast import plugins
    >>> "netcdf" in plugins.names("echocast.readers")
    True
"""

import ast
import importlib
import importlib.util
import inspect
import logging
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from echocast.errors import PluginError

if TYPE_CHECKING:
    import pydantic

T = TypeVar("T")
log = logging.getLogger(__name__)

GROUPS = {
    "echocast.readers": "echocast.readers",
    "echocast.models": "echocast.models",
    "echocast.verification.scores": "echocast.scores",
    "echocast.fetch.sources": "echocast.sources",
    "echocast.archive.transforms": "echocast.transforms",
    "echocast.stations.readers": "echocast.station_readers",
}
"""The group of entry points that adds modules to a package."""

REQUIRED = {
    "echocast.readers": ("SUFFIXES", "recognises", "read"),
    "echocast.models": (),  # a class of its own, which `models.base` looks for
    "echocast.verification.scores": ("SCORES", "statistics", "values"),
    "echocast.fetch.sources": ("BASE", "STEP_MINUTES", "addresses"),
    "echocast.archive.transforms": ("{name}",),
    "echocast.stations.readers": ("SUFFIXES", "recognises", "read"),
}
"""The names that a module of a package must have; ``{name}`` is its own."""


def names(package: str, *, skip: tuple[str, ...] = ("base",)) -> list[str]:
    """The modules of a package, sorted, without importing any of them (`skip` and private ones left out)."""
    return sorted(_own(package).difference(skip) | set(_added(package)))


def full_name(package: str, name: str) -> str:
    """The name itself, or the only one of the package that begins with it and an underscore: ``fmi`` is ``fmi_pgm``."""
    known = names(package)
    longer = [one for one in known if one.startswith(f"{name}_")]
    return longer[0] if name not in known and len(longer) == 1 else name


def load(package: str, name: str, *, error: type[Exception] = ValueError) -> ModuleType:
    """Import one module of a package by its short name.

    Raises:
        error: there is no module of this name; the message has the nearest names.
        PluginError: an installed distribution adds it, and it has a name that is taken, does not import, or lacks what
            the package asks of its modules.
    """
    known = names(package)
    if name not in known:
        raise error(f"{name!r} is not one of {package}; {hint(name, known)}")
    if name in _added(package):
        return _load_added(package, name)
    return importlib.import_module(f"{package}.{name}")


def hint(name: str, known: Sequence[str]) -> str:
    """What to say about a name that is not known: the nearest, and all there are."""
    near = get_close_matches(name, known)
    there = f"there are: {', '.join(known)}"
    return f"did you mean {near[0]!r}? {there}" if near else there


@cache
def load_all(package: str, *, skip: tuple[str, ...] = ("base",)) -> Mapping[str, ModuleType]:
    """Every module of a package by its name; a broken one of another distribution is left out, with a warning.

    The same mapping each time, so that each warning comes once.
    """
    found = {}
    for name in names(package, skip=skip):
        try:
            found[name] = load(package, name)
        except PluginError as bad:
            log.warning("%s", bad)
    return types.MappingProxyType(found)


def summary(package: str, name: str) -> str:
    """The first line of a module's docstring, read without importing it; empty if there is none to be found."""
    source = _source_of(_added(package)[name][0].module) if name in _added(package) else _folder(package) / f"{name}.py"
    if source is None:
        return ""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def name_of(package: str, module: str) -> str:
    """The short name of a module by its full name: what `load` finds it by, in a checkpoint."""
    added = (name for name, points in _added(package).items() if any(point.module == module for point in points))
    return next(added, module.rpartition(".")[2])


def origin(package: str, name: str) -> str:
    """Where a module comes from, in words for a message: which package of echocast, or which distribution."""
    if name not in _added(package):
        return f"{package}.{name}"
    return " and ".join(
        f"plug-in {name!r} of the distribution {_distribution(point)} (group {point.group}, module {point.value})"
        for point in _added(package)[name]
    )


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
    import pydantic  # a tenth of a second, for what few commands need

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


def _explain(bad: "pydantic.ValidationError", where: str, known: list[str]) -> str:
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


@cache
def _added(package: str) -> Mapping[str, tuple[Any, ...]]:
    """What installed distributions add to a package, by name."""
    found: dict[str, tuple[Any, ...]] = {}
    if package in GROUPS:
        for point in _entry_points():
            if point.group == GROUPS[package]:
                found[point.name] = (*found.get(point.name, ()), point)
    return found


@cache
def _entry_points() -> tuple[Any, ...]:
    """Those of all our groups, read once a process: every distribution has a file of its own.

    Of the standard library, or of the package `importlib_metadata`, which takes its place where it is imported.
    """
    found = entry_points()
    return tuple(point for group in GROUPS.values() for point in found.select(group=group))


def _load_added(package: str, name: str) -> ModuleType:
    """Import a module that a distribution adds; raises `PluginError` if it cannot be used."""
    where = origin(package, name)
    point, *others = _added(package)[name]
    remedy = f"upgrade or uninstall {_distribution(point)}, or tell its authors"
    if others:
        raise PluginError(f"two plug-ins have one name: {where}; uninstall one of the distributions")
    if name in _own(package):
        raise PluginError(f"{where} has the name of {package}.{name}, which is part of echocast; {remedy}")
    if point.attr or not name.isidentifier():
        raise PluginError(
            f"{where}: its name must be a Python name and its value a module, such as acme_radar.reader; {remedy}"
        )
    try:
        module = importlib.import_module(point.module)
    except MemoryError:
        raise
    except Exception as bad:  # a module of others may raise anything
        raise PluginError(f"{where} cannot be imported ({type(bad).__name__}: {bad}); {remedy}") from bad
    missing = [asked for asked in _asked(package, name) if not hasattr(module, asked)]
    if missing:
        raise PluginError(f"{where} lacks {', '.join(missing)}, which {package} asks of its modules; {remedy}")
    return module


def _asked(package: str, name: str) -> list[str]:
    return [asked.format(name=name) for asked in REQUIRED[package]]


def _distribution(point: Any) -> str:
    return point.dist.name if point.dist is not None else "of unknown name"


@cache
def _own(package: str) -> frozenset[str]:
    """The modules that lie in a package's folder, looked for once a process."""
    return frozenset(path.stem for path in _folder(package).glob("*.py") if not path.stem.startswith("_"))


def _folder(package: str) -> Path:
    """Where a package lies; of echocast's own without an import, for the packages above may take seconds."""
    own = Path(__file__).parent.joinpath(*package.split(".")[1:])
    if package.startswith("echocast.") and (own / "__init__.py").is_file():
        return own
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{package!r} is not a package")
    return Path(next(iter(spec.submodule_search_locations)))


def _source_of(module: str) -> Path | None:
    """The source file of a module that is not imported for it: nor are the packages around it."""
    first, *rest = module.split(".")
    spec = importlib.util.find_spec(first)
    for depth in range(len(rest)):
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(".".join([first, *rest[: depth + 1]]), spec.submodule_search_locations)
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None
