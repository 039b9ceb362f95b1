"""The script that measures the package finds what breaks a limit."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.structure import structure

CONTRACT = """
[[tool.importlinter.contracts]]
name = "Imports point one way"
type = "layers"
containers = ["echocast"]
layers = ["top | (later)", "middle | beside", "bottom"]
"""


def make(root: Path, **files: str) -> Path:
    """A repository with modules by name; ``a__b`` lies in the package ``a``."""
    (root / "pyproject.toml").write_text(CONTRACT)
    package = root / "src" / "echocast"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    padding = "x = 1\n" * 20  # so that no room is large by itself
    for room in ("top", "middle", "beside", "bottom", "later"):
        (package / room).mkdir()
        (package / room / "__init__.py").write_text(padding)
    for name, text in files.items():
        (package / f"{name.replace('__', '/', 1)}.py").write_text(text)
    return root


def broken(root: Path) -> list[str]:
    found: list[str] = structure.House(root).broken()
    return [line for line in found if not line.startswith("room")]


def test_a_package_within_the_limits_has_nothing_to_say(tmp_path: Path) -> None:
    make(
        tmp_path,
        top__a="from echocast import middle\nfrom echocast.bottom import x\n",
        middle__a="import echocast.bottom\n",
    )
    assert broken(tmp_path) == []


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"bottom__a": "from echocast import top\n"}, "echocast.bottom.a -> echocast.top"),
        ({"bottom__a": "from echocast.top import x\n"}, "echocast.bottom.a -> echocast.top"),
        ({"bottom__a": "def f() -> None:\n    import echocast.top\n"}, "echocast.bottom.a -> echocast.top"),
        ({"middle__a": "from ..beside import x\n"}, "echocast.middle.a -> echocast.beside"),
        ({"middle__a": "from echocast import x\n"}, "echocast.middle.a -> echocast"),
        ({"new": "x = 1\n"}, "new has no layer in pyproject.toml"),
    ],
    ids=["a module", "a name in a module", "inside a function", "beside, relative", "the package itself", "no layer"],
)
def test_imports_against_the_layers_are_found(tmp_path: Path, files: dict[str, str], found: str) -> None:
    assert broken(make(tmp_path, **files)) == [f"back-arrow: {found}"]


def test_imports_for_the_type_checker_do_not_count(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from echocast import top\n"
    assert broken(make(tmp_path, bottom__a=text)) == []


def test_circles_are_found_through_others(tmp_path: Path) -> None:
    files = {name: f"from echocast.middle import {other}\n" for name, other in zip("abcd", "bcaa", strict=True)}
    make(tmp_path, **{f"middle__{name}": text for name, text in files.items()})
    assert broken(tmp_path) == ["circle: echocast.middle.a, echocast.middle.b, echocast.middle.c"]


def test_large_rooms_long_bodies_and_long_modules_are_found(tmp_path: Path) -> None:
    inner = "    def g():\n" + "        x = 1\n" * 49
    body = 'def f(a: int) -> None:\n    """Doc."""\n' + inner + "    g()\n"
    make(tmp_path, top__a=body, top__b="x = 1\n" * 401)
    found = structure.House(tmp_path).broken()
    assert "body of 51 lines: echocast.top.a:1 f" in found
    assert "module of 401 lines: echocast.top.b" in found
    assert [line for line in found if line.startswith("room top")]
    assert len(found) == 3


def test_the_script_prints_the_figures_and_fails_when_a_limit_is_broken(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "scripts" / "structure"
    text = "def f(a: int, *b: int, c: int) -> None:\n    def g(self, x):\n        return x\n"
    make(tmp_path, bottom__a="from echocast import top\n" + text)
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for line in (
        "files           7",
        "functions       2",
        "annotated       50.0%",
        "back-arrows     1",
        "circles         0",
    ):
        assert line in done.stdout
    assert "limit broken: back-arrow: echocast.bottom.a -> echocast.top" in done.stderr
