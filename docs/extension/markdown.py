"""Docstrings and tables as Markdown."""

import re
from collections.abc import Iterable, Sequence
from textwrap import dedent

_DOI = re.compile(r"\bdoi:(10\.\d{4,9}/[^\s,;)]*[^\s,;).:])")
_ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Text between backticks; nothing of nothing."""
    return f"`{text}`" if text else ""


def escaped(text: str) -> str:
    """Text whose signs mean nothing in Markdown; what holds code is left as it is."""
    return re.sub(r"([\[<*])", r"\\\1", text) if "`" not in text else text


def prose(text: str, *, doctests: bool = False) -> str:
    """A docstring as Markdown: what is indented becomes a block of code, DOIs and arXiv numbers links.

    Args:
        text: the docstring without its indentation.
        doctests: whether examples at the prompt stay.
    """
    parts = [_part(part, doctests) for part in re.split(r"\n\s*\n", text.strip("\n"))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _part(part: str, doctests: bool) -> str:
    if part.lstrip().startswith(">>>"):
        return f"```pycon\n{dedent(part)}\n```" if doctests else ""
    if part.startswith("    "):
        return f"```text\n{dedent(part)}\n```"
    lines = part.replace("``", "`")
    lines = re.sub(r"(?<![`\w])\*(?=\w)|(?<=\w)\*(?![`\w])", r"\\*", lines)
    lines = _DOI.sub(r"[doi:\1](https://doi.org/\1)", lines)
    return _ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", lines)
