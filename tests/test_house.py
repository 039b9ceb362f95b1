"""The house keeps its rules."""

import ast
import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from tests.structure import structure

import echocast

ROOT = Path(__file__).parents[1]
SOURCE = Path(echocast.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
every_module = pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))


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


@every_module
def test_modules_and_what_they_offer_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "no module docstring"
    undocumented = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert undocumented == []


@every_module
def test_print_is_for_the_command_line(path: Path) -> None:
    calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
    names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    assert "print" not in names or path.parent.name == "cli"


def told_to_the_type_checker(node: ast.Assert) -> bool:
    """``isinstance(...)``, ``x is not None`` or a bare name: what narrows a type."""
    match node.test:
        case ast.Call(func=ast.Name(id="isinstance")) | ast.Name() | ast.Attribute():
            return True
        case ast.Compare(ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return True
    return False


def bad_asserts(text: str) -> list[str]:
    """The asserts that are for more than the type checker, or do not say why they hold whatever the input is."""
    lines = text.splitlines()
    asserts = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
    return [
        f"line {node.lineno}: {lines[node.lineno - 1].strip()}"
        for node in asserts
        if not told_to_the_type_checker(node) or "  # " not in lines[(node.end_lineno or node.lineno) - 1]
    ]


@every_module
def test_assert_never_checks_input(path: Path) -> None:
    assert bad_asserts(path.read_text(encoding="utf-8")) == []


def test_an_assert_that_checks_input_is_found() -> None:
    text = "assert x is not None  # made above\nassert x is not None\nassert n > 0  # positive\n"
    assert bad_asserts(text) == ["line 2: assert x is not None", "line 3: assert n > 0  # positive"]


@every_module
def test_functions_take_few_parameters(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        # A verb has as many as it has options; a kernel of a GPU is given every tensor and size by itself.
        if isinstance(node, ast.FunctionDef) and path.parent.name != "cli" and path.name != "triton_kernels.py":
            names = [argument.arg for argument in node.args.args + node.args.kwonlyargs if argument.arg != "self"]
            assert len(names) <= 9, f"{node.name} takes {names}"


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
