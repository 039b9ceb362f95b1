"""The families of scores: the modules of `echocast.verification.scores`, and those that other packages add.

>>> family, score = scores_of(["contingency"])["csi"]
>>> (family, score.abbreviation, score.perfect)
('contingency', 'CSI', 1.0)
"""

from collections.abc import Iterable
from types import ModuleType

from echocast import plugins
from echocast.errors import ModelError
from echocast.verification.base import Score

PACKAGE = "echocast.verification.scores"


def names() -> list[str]:
    """The families there are."""
    return plugins.names(PACKAGE)


def load(family: str) -> ModuleType:
    """The module of a family, as `echocast.verification.base` describes it; raises `ModelError` if there is none."""
    return plugins.load(PACKAGE, family, error=ModelError)


def takes_members(family: str) -> bool:
    """Whether a family scores the members of an ensemble; the others score its mean."""
    return bool(getattr(load(family), "MEMBERS", False))


def scores_of(families: Iterable[str]) -> dict[str, tuple[str, Score]]:
    """By the name of each score of some families, its family and what it is.

    Raises:
        ModelError: two families have a score of the same name.
    """
    found: dict[str, tuple[str, Score]] = {}
    for family in families:
        for name, score in load(family).SCORES.items():
            if name in found:
                raise ModelError(f"the score {name!r} is in the families {found[name][0]!r} and {family!r}; rename one")
            found[name] = (family, score)
    return found
