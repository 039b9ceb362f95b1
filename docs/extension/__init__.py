"""Parts of the site that come from the code, and from pages outside `docs`.

A page in `docs` may hold a block

    ```{from-code} commands
    ```

in whose place stands what a function of `GENERATORS` makes of the code as it is, or ``{from-file} ../README.md``, in
whose place stands that file, its links made to fit.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from extension import cards, commands, formats, gallery, links, metrics, models, python, scores, settings, variables

DOCS = Path(__file__).parents[1]

GENERATORS: dict[str, Callable[[], str]] = {
    "commands": commands.page,
    "formats": formats.page,
    "gallery": gallery.page,
    "metrics": metrics.page,
    "model-cards": cards.page,
    "models": models.page,
    "python-face": python.face,
    "python-models": python.models,
    "scores": scores.page,
    "server-settings": settings.server,
    "training-settings": settings.training,
    "tutorials": gallery.tutorials,
    "variables": variables.page,
    "watch-settings": settings.watch,
}

_BLOCK = re.compile(r"```\{from-(code|file)\} ([\w./-]+)\n```\n")


def filled(text: str, page: Path) -> str:
    """A page's text with all that stands in for its blocks, and links as the site has them."""

    def of(block: re.Match[str]) -> str:
        kind, name = block.groups()
        if kind == "code":
            return GENERATORS[name]()
        file = (page.parent / name).resolve()
        return links.moved(file.read_text(encoding="utf-8"), file, page)

    return links.to_pages(_BLOCK.sub(of, text), page)


def _source_read(app: Any, name: str, content: list[str]) -> None:
    content[0] = filled(content[0], Path(app.env.doc2path(name)))


def _doctree_read(_app: Any, doctree: Any) -> None:
    """Put a dash between a parameter and what it means, where Sphinx puts two hyphens. `Bases: object` says nothing."""
    from docutils import nodes  # here, so that the pages can be made, and tested, without Sphinx

    for text in [one for one in doctree.findall(nodes.Text) if one == " -- "]:
        text.parent.replace(text, nodes.Text(" \N{EN DASH} "))
    for line in [one for one in doctree.findall(nodes.paragraph) if one.astext() == "Bases: object"]:
        line.parent.remove(line)


def setup(app: Any) -> dict[str, Any]:
    """What Sphinx calls."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("source-read", _source_read)
    app.connect("doctree-read", _doctree_read)
    app.connect("autodoc-process-docstring", python.process)
    app.connect("autodoc-process-signature", python.signature)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
