"""The house keeps its rules."""

import ast
import doctest
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from tests.structure import structure

import echocast

ROOT = Path(__file__).parents[1]
SOURCE = Path(echocast.__file__).parent


def test_the_face_is_whole() -> None:
    assert sorted(echocast.__all__) == echocast.__all__
    assert 8 <= len(echocast.__all__) <= 18
    for name in echocast.__all__:
        assert getattr(echocast, name).__doc__
    with pytest.raises(AttributeError, match="'nowcats'"):
        echocast.nowcats  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    line = "import echocast, sys; print(sorted({'torch', 'xarray', 'matplotlib', 'icechunk'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_nothing_heavy() -> None:
    line = (
        "import sys; from echocast.cli.main import status; status(['--help'])\n"
        "print(sorted({'torch', 'xarray', 'matplotlib', 'icechunk'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def undocumented(path: str, text: str, tree: ast.Module) -> list[str]:
    """A module, or a public function or class of it, without a docstring."""
    public = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")]
    return ["no module docstring"] * (not ast.get_docstring(tree)) + [
        n.name for n in public if not ast.get_docstring(n)
    ]


def prints(path: str, text: str, tree: ast.Module) -> list[str]:
    """The calls of print outside the command line."""
    if path.split("/")[-2:-1] == ["cli"]:
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [f"line {call.lineno}" for call in calls if getattr(call.func, "id", "") == "print"]


def told_to_the_type_checker(node: ast.Assert) -> bool:
    """``isinstance(...)``, ``x is not None`` or a bare name: what narrows a type."""
    match node.test:
        case ast.Call(func=ast.Name(id="isinstance")) | ast.Name() | ast.Attribute():
            return True
        case ast.Compare(ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return True
    return False


def bad_asserts(path: str, text: str, tree: ast.Module) -> list[str]:
    """The asserts that are for more than the type checker, or do not say why they hold whatever the input is."""
    lines = text.splitlines()
    asserts = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    return [
        f"line {node.lineno}: {lines[node.lineno - 1].strip()}"
        for node in asserts
        if not told_to_the_type_checker(node) or "  # " not in lines[(node.end_lineno or node.lineno) - 1]
    ]


def long_signatures(path: str, text: str, tree: ast.Module) -> list[str]:
    """The functions of more than nine parameters."""
    # A verb has as many as it has options; a kernel of a GPU is given every tensor and size by itself.
    if path.split("/")[-2:-1] == ["cli"] or path.endswith("/triton_kernels.py"):
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args + node.args.kwonlyargs if argument.arg != "self"]
            found += [f"{node.name} takes {names}"] * (len(names) > 9)
    return found


RULES = (undocumented, prints, bad_asserts, long_signatures)


@cache
def faults() -> dict[str, list[str]]:
    """What each rule finds in all modules, each of which is read and parsed once."""
    found: dict[str, list[str]] = {rule.__name__: [] for rule in RULES}
    paths = sorted(SOURCE.rglob("*.py"))
    assert len(paths) > 500
    for path in paths:
        name, text = path.relative_to(SOURCE).as_posix(), path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        for rule in RULES:
            found[rule.__name__] += [f"{name}: {fault}" for fault in rule(name, text, tree)]
    return found


def test_modules_and_what_they_offer_are_documented() -> None:
    assert faults()["undocumented"] == []


def test_print_is_for_the_command_line() -> None:
    assert faults()["prints"] == []


def test_assert_never_checks_input() -> None:
    assert faults()["bad_asserts"] == []


def test_functions_take_few_parameters() -> None:
    assert faults()["long_signatures"] == []


def test_what_breaks_a_rule_is_found() -> None:
    text = '"""A module."""\ndef f(a, b, c, d, e, f, g, h, i, j):\n    print(a)\n'
    tree = ast.parse(text)
    assert undocumented("io/x.py", text, tree) == ["f"]
    assert undocumented("io/x.py", "", ast.parse("")) == ["no module docstring"]
    assert prints("io/x.py", text, tree) == ["line 3"]
    assert prints("cli/x.py", text, tree) == []
    assert [fault[:8] for fault in long_signatures("io/x.py", text, tree)] == ["f takes "]


def test_an_assert_that_checks_input_is_found() -> None:
    text = "assert x is not None  # made above\nassert x is not None\nassert n > 0  # positive\n"
    assert bad_asserts("x.py", text, ast.parse(text)) == [
        "line 2: assert x is not None",
        "line 3: assert n > 0  # positive",
    ]


def with_examples() -> list[str]:
    """The modules whose docstrings hold examples, by name; none is left out."""
    found = []
    for folder in (SOURCE, ROOT / "benchmarks"):
        for path in sorted(folder.rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                parts = path.relative_to(folder.parent).with_suffix("").parts
                found.append(".".join(parts).removesuffix(".__init__"))
    return found


@pytest.mark.parametrize("name", with_examples())
def test_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_the_package_is_within_the_limits() -> None:
    assert structure.House(ROOT).broken() == []
