"""The script that makes a release: what it refuses, and what it writes."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-05-01

### Added
- A thing.

## [1.1.0] - 2026-04-01

- Old.
"""


@pytest.fixture(scope="module")
def release() -> ModuleType:
    """`scripts/release` as a module."""
    loader = SourceFileLoader("release_script", str(ROOT / "scripts" / "release"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_notes_are_the_section_of_the_version(release: ModuleType) -> None:
    assert release.notes(CHANGELOG, "1.2.0") == "### Added\n- A thing.\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n- New.\n"), r"move what stands under \[Unreleased\]"),
        (CHANGELOG.replace(" - 2026-05-01", ""), r"has no section `## \[1.2.0\] - YYYY-MM-DD`"),
    ],
)
def test_a_changelog_that_is_not_ready_is_refused(release: ModuleType, text: str, why: str) -> None:
    with pytest.raises(release.NotReleasable, match=why):
        release.notes(text, "1.2.0")


def test_the_citation_must_have_the_version(release: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "src" / "echocast").mkdir(parents=True)
    (tmp_path / "src" / "echocast" / "_version.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CITATION.cff").write_text("version: 1.1.0\n")
    with pytest.raises(release.NotReleasable, match=r"CITATION.cff: version is 1.1.0, that of the package is 1.2.0"):
        release.version(tmp_path)


def test_the_bill_of_materials_follows_what_is_needed(release: ModuleType) -> None:
    made = release.sbom("echocast[radar]", "1.2.0", "2026-05-01T00:00:00+00:00")
    names = [part["name"] for part in made["components"]]
    assert {"numpy", "torch", "xarray", "pandas"} <= set(names)  # pandas is xarray's need
    assert names[-3:] == ["leaflet", "uplot", "rapidoc"]  # in the wheel itself
    assert names[:-3] == sorted(names[:-3])
    licences = {part["name"]: part["licenses"][0]["license"]["name"] for part in made["components"]}
    assert licences["leaflet"] == "BSD-2-Clause"
    assert (licences["zarr"], licences["jinja2"]) == ("MIT", "BSD License")  # an expression, a classifier
    assert made["metadata"]["component"]["version"] == "1.2.0"


def test_the_conda_recipe_needs_what_the_package_needs(release: ModuleType) -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needs = [one for one in project["dependencies"] + extras["fused"] + extras["radar"] if ">=" in one]
    recipe = yaml.safe_load((ROOT / "deploy" / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    renamed = {"torch": "pytorch", "matplotlib": "matplotlib-base", "opencv-python-headless": "py-opencv"}
    wanted = {f"{renamed.get(name, name)} >={bound}" for name, _, bound in (one.partition(">=") for one in needs)}
    assert set(recipe["requirements"]["run"]) == wanted | {"python >=${{ python_min }}"}
    assert recipe["context"]["version"] == release.version()


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/**/*.yml")), ids=lambda path: path.stem)
def test_the_files_of_the_runners_are_yaml(path: Path) -> None:
    assert "name" in yaml.safe_load(path.read_text(encoding="utf-8")) or path.stem == "config"
