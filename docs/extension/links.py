"""Links of Markdown pages: those into the repository become links between pages of the site."""

import os
import re
from pathlib import Path

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent

PAGES = {
    "README.md": "start/overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
    "SECURITY.md": "project/security.md",
    "GOVERNANCE.md": "project/governance.md",
    "SUPPORT.md": "project/support.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "docs/decisions": "decisions/index.md",
}
"""Pages of the site that show a file or a folder of the repository, below `docs`."""

_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s]+)(#[^)]*)?\)")


def moved(text: str, file: Path, page: Path) -> str:
    """The text of a file with its relative links as they are from another place."""

    def of(link: re.Match[str]) -> str:
        before, target, anchor = link.groups()
        if not re.match(r"[a-z]+:", target):
            target = os.path.relpath(file.parent / target, page.parent)
        return f"{before}{target}{anchor or ''})"

    return _LINK.sub(of, text)


def to_pages(text: str, page: Path) -> str:
    """A page's text, whose links to what the site shows elsewhere lead there."""

    def of(link: re.Match[str]) -> str:
        before, target, anchor = link.groups()
        if re.match(r"[a-z]+:", target):
            return link.group()
        file = Path(os.path.normpath(page.parent / target))
        if not file.is_relative_to(ROOT):
            return link.group()
        name = file.relative_to(ROOT).as_posix()
        if name in PAGES:
            target = os.path.relpath(DOCS / PAGES[name], page.parent)
        elif name.startswith("src/echocast/weights/"):
            target = os.path.relpath(DOCS / "reference/models.md", page.parent)
            anchor = f"#model-card-{file.stem}"
        elif file.is_dir():
            return before.removesuffix("](")[1:]  # a folder is no page: its name is left
        elif file.suffix == ".md" and not file.is_relative_to(DOCS):
            return f"{{download}}`{before.removesuffix('](')[1:]} <{target}>`"
        return f"{before}{target}{anchor or ''})"

    return _LINK.sub(of, text)
