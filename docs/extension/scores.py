"""Every family of scores: formula, source and a number worked by hand, from the docstring of its module."""

import inspect
import math

from echocast import plugins
from echocast.verification import families
from extension.markdown import code, prose, table


def page() -> str:
    """The families by their names."""
    return "\n".join(_family(name, module) for name, module in plugins.load_all(families.PACKAGE).items())


def _family(name: str, module: object) -> str:
    rows = [
        (code(key), score.title, "" if math.isnan(score.perfect) else f"{score.perfect:g}", score.plain_unit)
        for key, score in module.SCORES.items()  # type: ignore[attr-defined]
    ]
    return "\n".join(
        [
            f"## {name}\n",
            table(("score", "title", "perfect", "unit"), rows),
            prose(inspect.getdoc(module) or "", doctests=True),
        ]
    )
