"""The documentation site: what it makes of the code, the code on its pages, and the whole of it as Sphinx builds it."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import echocast
from echocast import plugins
from echocast.models import NOT_MODELS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOW_TO = [page for page in sorted(DOCS.glob("how-to/*.md")) if page.stem not in ("index", "export")]
RUN = [
    page
    for page in sorted([*DOCS.glob("start/*.md"), *DOCS.glob("tutorials/*.md")])
    if "```python\n" in page.read_text(encoding="utf-8")
]


@pytest.fixture(scope="module")
def extension() -> ModuleType:
    """The package `docs/extension`, imported as Sphinx does."""
    pytest.importorskip("prometheus_client", reason="metrics have a page")
    sys.path.insert(0, str(DOCS))
    try:
        importlib.import_module("extension.run")
        return importlib.import_module("extension")
    finally:
        sys.path.remove(str(DOCS))


def test_every_command_has_its_options(extension: ModuleType) -> None:
    page = extension.commands.page()
    nowcast = page[page.index("## echocast nowcast") : page.index("## echocast watch")]
    assert "`--minutes MINUTES`\n: Length of the forecast in minutes. Default: `90`.\n" in nowcast
    assert "`--out FILE` (must be given)\n" in nowcast
    assert "### echocast archive add-video" in page


def test_a_score_has_formula_source_and_example(extension: ModuleType) -> None:
    page = extension.scores.page()
    assert "| `csi` | Critical success index | 1 |  |" in page
    assert "- CSI = h / (h + m + f)" in page
    assert "[doi:10.1175/WAF-D-10-05030.1](https://doi.org/10.1175/WAF-D-10-05030.1)" in page
    assert "```pycon\n>>> import numpy as np" in page


def test_settings_have_their_defaults_and_what_they_mean(extension: ModuleType) -> None:
    assert "| `poll` | `10s` | Time between two looks at the sources" in extension.settings.watch()
    assert "| `zoom` | `12` |" in extension.settings.server()
    assert "| `batch_size` | `16` | windows a batch. |" in extension.settings.training()


def test_metrics_of_both_services_are_there(extension: ModuleType) -> None:
    page = extension.metrics.page()
    assert "| `echocast_frames_total` | counter | `source`, `outcome` |" in page
    assert "| `echocast_http_request_seconds` | histogram | `route` |" in page


def test_links_lead_to_pages_of_the_site(extension: ModuleType) -> None:
    text = "[a](../README.md), [b](../LICENSE), [c](https://host/README.md), [d](decisions/), [e](map.md#x)"
    assert extension.links.to_pages(text, DOCS / "page.md") == (
        "[a](start/overview.md), [b](../LICENSE), [c](https://host/README.md), [d](decisions/index.md), [e](map.md#x)"
    )
    moved = extension.links.moved("![p](docs/images/p.png) [x](#here)", ROOT / "README.md", DOCS / "start/overview.md")
    assert moved == "![p](../images/p.png) [x](#here)"


def test_every_page_is_in_a_table_of_contents() -> None:
    told = {"index"}
    for page in DOCS.rglob("*.md"):
        for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            for entry in (line for line in block.split("\n") if line and not line.startswith(":")):
                entry = re.sub(r".*<(.+)>", r"\1", entry)
                found = list(page.parent.glob(f"{entry}.md")) if "*" in entry else [page.parent / f"{entry}.md"]
                told |= {os.path.relpath(one, DOCS).removesuffix(".md") for one in found}
    pages = {page.relative_to(DOCS).as_posix().removesuffix(".md") for page in DOCS.rglob("*.md")}
    assert pages == told


def test_every_public_name_is_in_the_reference(extension: ModuleType) -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in DOCS.glob("reference/python/*.md"))
    told = set(re.findall(r"automodule:: (\S+)", pages))
    told |= {f"echocast.models.{name}" for name in plugins.names("echocast.models", skip=NOT_MODELS)}
    face = extension.python.face()
    for name in echocast.__all__:
        one = getattr(echocast, name)
        home = re.search(rf"`echocast\.{name} <(.+)\.\w+>`", face)
        assert f"autofunction:: echocast.{name}\n" in face or (home and home[1] in told), one
    inner = {
        "echocast.nn.fused",
        "echocast.server.edr",
        "echocast.training.tasks.forecast",
    }  # no other package's to use
    for file in (ROOT / "src" / "echocast").rglob("*.py"):
        module = ".".join(["echocast", *file.relative_to(ROOT / "src" / "echocast").with_suffix("").parts])
        module = module.removesuffix(".__init__")
        if module != "echocast" and "\n__all__ = " in file.read_text(encoding="utf-8"):
            assert module in told | inner, f"{module} has public names and no page in docs/reference/python"


def test_links_to_the_outside_are_checked_every_week() -> None:
    """Not here, where there is no network: the workflow calls what the script offers."""
    steps = (ROOT / ".github" / "workflows" / "slow.yml").read_text(encoding="utf-8")
    assert "./scripts/site --links" in steps
    script = (ROOT / "scripts" / "site").read_text(encoding="utf-8")
    assert "--links) links=yes" in script
    assert "-b linkcheck" in script


def test_every_page_has_one_title() -> None:
    for page in DOCS.rglob("*.md"):
        text = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"))
        titles = re.findall(r"(?m)^# .+", text)
        assert len(titles) == ("```{from-file}" not in page.read_text(encoding="utf-8")), f"{page}: {titles}"


def test_the_gallery_leads_to_pages_and_pictures(extension: ModuleType) -> None:
    for text, folder in ((extension.gallery.page(), DOCS), (extension.gallery.tutorials(), DOCS / "tutorials")):
        pictures, pages = (re.findall(rf"(?m)^:{key}: (.+)$", text) for key in ("img-bottom", "link"))
        assert len(pictures) == len(pages) >= len(list(DOCS.glob("tutorials/*.md"))) - 1
        assert all((folder / picture).is_file() for picture in pictures)
        assert all((folder / f"{page}.md").is_file() for page in pages)


def test_a_default_that_is_made_anew_does_not_spoil_a_signature(extension: ModuleType) -> None:
    made = extension.python.signature(None, "class", "", None, None, "(a: dict[str, int] = <factory>)", None)
    assert made == ("(a: dict[str, int] = ...)", None)


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
@pytest.mark.filterwarnings("ignore")
def test_the_python_of_a_how_to_guide_runs(
    page: Path, extension: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = extension.run.python(page.read_text(encoding="utf-8"))
    exec(compile(code, page.name, "exec"), {"__name__": "__main__"})


@pytest.mark.slow  # traces a network in a process of its own: the types checked here know no sizes that are symbols
def test_the_python_of_the_guide_to_exports_runs(extension: ModuleType, tmp_path: Path) -> None:
    extension.run.run(DOCS / "how-to" / "export.md", tmp_path)


@pytest.mark.slow  # a minute or two each
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_a_tutorial_runs_and_makes_its_pictures(page: Path, tmp_path: Path) -> None:
    program = [sys.executable, str(DOCS / "extension" / "run.py"), str(page), "--pictures", str(tmp_path)]
    subprocess.run(program, check=True)
    images = re.findall(r"!\[[^\]]*\]\(\.\./images/(?:start|tutorials)/([^)]+)\)", page.read_text(encoding="utf-8"))
    assert sorted(images) == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.slow  # imports all of echocast and writes 130 pages: half a minute to minutes
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="pip install '.[docs]'")
    line = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky", "-q", "-c", str(DOCS)]
    done = subprocess.run([*line, str(DOCS), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    foreign = [
        f"{page.name}: {found}"
        for page in tmp_path.rglob("*.html")
        for found in re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)', page.read_text("utf-8"))
        if 'rel="canonical"' not in found
    ]
    assert foreign == []
