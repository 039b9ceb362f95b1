"""The documents against reality."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from benchmarks.__main__ import make_parser

import echocast
from echocast.cli.main import make

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/echocast/weights/*.md")])


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_links_lead_somewhere() -> None:
    assert len(DOCUMENTS) > 100
    targets = [(path, to) for path in DOCUMENTS for to in re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8"))]
    nowhere = [(path, to) for path, to in targets if not to.startswith("http") and not (path.parent / to).exists()]
    assert nowhere == []


def commands(text: str) -> list[str]:
    """The command lines of a document: those of blocks, and those in the middle of a sentence."""
    lines = [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += [" ".join(span.split()) for span in re.findall(r"`((?:echocast|python -m benchmarks) [^`]*)`", prose)]
    return [part for line in lines for part in re.split(r"\s*(?:;|&&)\s+", line)]


@cache
def application() -> Any:
    return typer.main.get_command(make())


def check_echocast(words: list[str]) -> None:
    """The verb, its sub-commands and their options exist."""
    command = application()
    while hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            break
        assert words[0] in command.commands, f"there is no {words[0]!r}; there are: {', '.join(command.commands)}"
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert given <= known, f"there is no {', '.join(given - known)}"


def check(line: str) -> None:
    """The command, script or benchmark of a line exists, with its options."""
    words = shlex.split(line, comments=True)
    if words[:1] == ["echocast"] and set(words[1:]) != {"..."}:
        check_echocast(words[1:])
    elif words[:3] == ["python", "-m", "benchmarks"]:
        make_parser().parse_args(words[3:])
    elif words and words[0].startswith("./"):
        assert (ROOT / words[0]).exists(), f"there is no {words[0]}"


def test_commands_exist_with_their_options() -> None:
    wrong, seen = [], 0
    for path in DOCUMENTS:
        for line in commands(path.read_text(encoding="utf-8")):
            seen += 1
            try:
                check(line)
            except (AssertionError, ValueError, SystemExit) as bad:
                wrong.append(f"{path.relative_to(ROOT)}: {line}: {bad}")
    assert wrong == []
    assert seen > 300


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nowcats radar/", "there is no 'nowcats'"),
        ("nowcast radar/ --outt forecast.nc", "there is no --outt"),
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        check_echocast(line.split())


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = blocks((ROOT / "README.md").read_text(encoding="utf-8"), "python")
    assert code
    for block in code:
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "forecast.nc").exists()


RUN_BLOCKS = """
import json, sys, warnings
warnings.simplefilter("ignore")
for block in json.load(sys.stdin):
    try:
        exec(compile(block, "block", "exec"), {"__name__": "__main__"})
    except BaseException:
        print(block, file=sys.stderr)
        raise
"""


@pytest.mark.slow  # every block of two long pages
@pytest.mark.parametrize("name", ["layers.md", "coming-from.md"])
def test_the_python_of_the_documents_runs(name: str, tmp_path: Path) -> None:
    code = blocks((ROOT / "docs" / name).read_text(encoding="utf-8"), "python")
    assert len(code) >= 2
    if importlib.util.find_spec("keras") is None:  # it is in the extra test, so that CI has it
        code = [block for block in code if "import keras" not in block]
    done = subprocess.run(  # one process for all, each block with names of its own
        [sys.executable, "-c", RUN_BLOCKS],
        input=json.dumps(code),
        env={**os.environ, "KERAS_BACKEND": "torch"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{name}:\n{done.stderr}"


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == echocast.__version__


def test_constraints_pin_every_package_once() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    names = [line.partition("==")[0].lower() for line in lines]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+", line) for line in lines)
    assert len(names) == len(set(names))
    assert "torch==2.13.0" in lines


def test_the_lowest_versions_are_the_lower_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needs = project["dependencies"] + [need for name in ("fused", "radar", "formats", "train") for need in extras[name]]
    bounds = [re.match(r"([\w.-]+)>=([\d.]+)", need) for need in needs if not need.startswith("echocast[")]
    pins = dict(re.findall(r"^([\w.-]+)==(.+)$", (ROOT / "constraints-lowest.txt").read_text(), flags=re.MULTILINE))
    for bound in bounds:
        assert bound is not None
        name, lowest = bound.groups()
        assert f"{pins[name]}.".startswith(f"{lowest}."), f"{name}>={lowest} in pyproject.toml, {pins[name]} is tested"
