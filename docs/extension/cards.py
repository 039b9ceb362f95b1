"""The model cards of the weights that ship."""

import re
from pathlib import Path

from extension import links

WEIGHTS = links.ROOT / "src" / "echocast" / "weights"


def page() -> str:
    """All cards, each below its own title."""
    here = links.DOCS / "reference" / "models.md"
    return "\n".join(_card(file, here) for file in sorted(WEIGHTS.glob("*.md")))


def _card(file: Path, page: Path) -> str:
    """A card, a level lower, and its headings with the model's name: one page has no two of one name."""
    title, _, body = links.moved(file.read_text(encoding="utf-8"), file, page).partition("\n")
    return f"(model-card-{file.stem})=\n#{title}\n" + re.sub(r"(?m)^(#+ .*)$", r"#\1", body)
