"""The documents against reality."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import echocast
from echocast.cli.main import status

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/echocast/weights/*.md")])
every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@every_document
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@every_document
def test_commands_exist_with_their_options(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = path.read_text(encoding="utf-8")
    lines = [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]
    for line in lines:
        words = shlex.split(line, comments=True)
        if words and words[0] == "echocast":
            assert status([words[1], "--help"]) == 0
            known = capsys.readouterr().out
            assert all(word in known for word in words if word.startswith("--")), line
        elif words and words[0].startswith("./"):
            assert (ROOT / words[0]).exists()


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = blocks((ROOT / "README.md").read_text(encoding="utf-8"), "python")
    assert code
    for block in code:
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "forecast.nc").exists()


@pytest.mark.parametrize("name", ["layers.md", "coming-from.md"])
def test_the_python_of_the_documents_runs(name: str, tmp_path: Path) -> None:
    code = blocks((ROOT / "docs" / name).read_text(encoding="utf-8"), "python")
    assert len(code) >= 2
    for block in code:
        if "import keras" in block and importlib.util.find_spec("keras") is None:
            continue  # in the extra test, so that CI does run it
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", block],
            env={**os.environ, "KERAS_BACKEND": "torch"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{name}:\n{block}\n{done.stderr}"


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == echocast.__version__


def test_constraints_pin_every_package_once() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    names = [line.partition("==")[0].lower() for line in lines]
    assert all(re.fullmatch(r"[\w.-]+==[\w.!]+", line) for line in lines)
    assert len(names) == len(set(names))
    assert "torch==2.13.0" in lines
