"""The house keeps its rules."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import echocast

SOURCE = Path(echocast.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
every_module = pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))


def test_the_face_is_whole() -> None:
    assert sorted(echocast.__all__) == echocast.__all__
    assert 8 <= len(echocast.__all__) <= 15
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
def test_print_is_for_the_command_line_and_assert_never_checks_input(path: Path) -> None:
    calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
    names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    assert "print" not in names or path.parent.name == "cli"


@every_module
def test_functions_take_few_parameters(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and path.parent.name != "cli":  # a verb has as many as it has options
            names = [argument.arg for argument in node.args.args + node.args.kwonlyargs if argument.arg != "self"]
            assert len(names) <= 9, f"{node.name} takes {names}"


@pytest.mark.parametrize(
    "name",
    [
        "echocast.fields",
        "echocast.plugins",
        "echocast.samples.segments",
        "echocast.motion.flow",
        "echocast.motion.advection",
        "echocast.nn.convlstm",
        "echocast.nn.patches",
        "echocast.models.base",
        "echocast.models.scaling",
        "echocast.models.resolution",
        "echocast.models.persistence",
        "echocast.models.optical_flow",
        "echocast.models.encoder_forecaster",
        "echocast.verification.base",
        "echocast.verification.scores.contingency",
        "echocast.verification.scores.continuous",
        "echocast.synthetic.storms",
        "echocast.synthetic._flow",
        "echocast.verification.scores.fractions",
        "echocast.verification.scores.rank_correlation",
        "echocast.verification.scores.hko7",
        "echocast.verification.scores.sal",
        "echocast.verification.scores.intensity_scale",
        "echocast.verification.scores.spectra",
        "echocast.verification.scores.crps",
        "echocast.verification.scores.probability",
        "echocast.verification.scores.ensemble",
        "echocast.verification.scores.images",
        "echocast.verification.scores.shi2015",
        "echocast.evaluation.config",
        "echocast.motion.variational",
        "echocast.models.fc_lstm",
        "echocast.models.rover1",
        "echocast.models.rover2",
        "echocast.models.rover3",
        "echocast.models.rover_hko7",
        "echocast.models.farneback",
        "echocast.models.lucas_kanade",
        "echocast.synthetic.moving_mnist",
        "echocast.training.optimiser",
        "echocast.training.losses",
        "echocast.training.module",
        "echocast.training.experiment",
        "echocast",
    ],
)
def test_examples_in_docstrings_run(name: str) -> None:
    import doctest

    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
