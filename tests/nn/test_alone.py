"""The layers with torch and as little else as can be: without the packages that read, keep and draw radar."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.nn.alone import ABSENT

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("alone.py")
CORE = ("numpy", "safetensors", "torch")

BLOCKED = """
import runpy, sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Nothing())
runpy.run_path({script!r}, run_name="__main__")
"""


def test_the_core_needs_are_those_of_the_layers() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert tuple(Requirement(one).name for one in project["dependencies"]) == CORE


def test_every_extra_for_radar_brings_the_radar_stack() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for name, needs in extras.items():
        inner = {extra for need in needs for extra in Requirement(need).extras if need.startswith("echocast[")}
        assert name in ("radar", "fused", "check") or inner, f"echocast[{name}] brings no echocast[radar]"


def test_the_layers_work_without_the_radar_stack() -> None:
    code = BLOCKED.format(names=set(ABSENT), script=str(SCRIPT))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if "fused kernels" in line]
    assert len(warned) == 1, done.stderr
    assert "pip install 'echocast[fused]'" in warned[0]


def test_the_command_says_what_it_needs() -> None:
    code = BLOCKED.format(names={"typer"}, script=str(ROOT / "src" / "echocast" / "__main__.py"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "echocast: typer is not installed, only the layers are; for the commands: pip install 'echocast[radar]'\n"
    )


def test_the_import_loads_little() -> None:
    line = f"import torch, sys; before = set(sys.modules); import echocast.nn\nprint({ABSENT!r}, len(sys.modules))"
    line += "\nprint(sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"\w+", done.stdout.splitlines()[-1])) - set(sys.stdlib_module_names)
    assert loaded <= {"echocast", "safetensors", "numpy", "jaxtyping", "wadler_lindig"}


def needed(names: tuple[str, ...]) -> Iterator[metadata.Distribution]:
    """The installed distributions that some need, and those that these need, without extras."""
    waiting, seen = [Requirement(name) for name in names], set[str]()
    while waiting:
        name = waiting.pop().name.lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of another system
        yield found
        further = (Requirement(need) for need in found.requires or [])
        waiting += [one for one in further if one.marker is None or one.marker.evaluate({"extra": ""})]


@pytest.mark.slow  # makes an environment
def test_an_environment_with_the_core_needs_alone(tmp_path: Path) -> None:
    """What pip would install, linked into an environment of its own from the packages that are here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip())
    for one in needed(CORE):
        tops = {file.parts[0] for file in one.files or [] if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            (site / top).symlink_to(Path(str(one.locate_file(top))))
    (site / "echocast").symlink_to(ROOT / "src" / "echocast")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1.0  # seconds of the import, 0.1 on an idle machine
    command = subprocess.run([python, "-m", "echocast"], env=environment, capture_output=True, text=True, check=False)
    assert (command.returncode, command.stderr[:9]) == (1, "echocast:")
