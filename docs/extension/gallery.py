"""Cards with the first picture of each page that has one."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from extension import links

_TUTORIALS = ("own-radar", "probabilities", "service", "train", "video", "coming-from-pysteps")
SECTIONS = {
    "Tutorials": ("start/first-nowcast.md", *(f"tutorials/{name}.md" for name in _TUTORIALS)),
    "Map and stations": ("map.md", "stations.md"),
    "Formats": ("formats/*.md",),
    "Results": ("results.md", "results/*.md"),
    "The family of the ConvLSTM": ("family/*.md",),
}
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]+)\)")


def page() -> str:
    """All sections, for a page right below `docs`."""
    return "\n".join(f"## {title}\n\n{cards(patterns)}" for title, patterns in SECTIONS.items())


def tutorials() -> str:
    """The tutorials alone, for the page in their folder."""
    return cards(SECTIONS["Tutorials"][1:], links.DOCS / "tutorials")


def cards(patterns: tuple[str, ...], here: Path = links.DOCS) -> str:
    """A grid of cards, which links to pages as seen from a folder."""
    found = [card for pattern in patterns for file in sorted(links.DOCS.glob(pattern)) for card in _card(file, here)]
    return "\n".join(["::::{grid} 1 2 3 3", ":gutter: 3", ":class-container: gallery", "", *found, "::::", ""])


def _card(file: Path, here: Path) -> Iterator[str]:
    text = file.read_text(encoding="utf-8")
    shown = _PICTURE.search(text)
    if shown:
        yield f":::{{grid-item-card}} {text.removeprefix('# ').partition(chr(10))[0]}"
        yield f":img-bottom: {os.path.relpath(file.parent / shown[2], here)}"
        yield f":img-alt: {shown[1]}"
        yield f":link: {os.path.relpath(file.with_suffix(''), here)}"
        yield ":link-type: doc\n:::\n"
