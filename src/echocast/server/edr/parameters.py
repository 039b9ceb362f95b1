"""The parameters of the collection: the variables of points.bin under names that say what they are.

>>> [parameter_name(name) for name in ("rate", "rate.p90", "amount.60")]
['rainfall_rate', 'rainfall_rate_p90', 'rainfall_amount_60min']
>>> [parameter_name(name) for name in ("prob.rate.0.1", "prob.amount.60.10")]
['probability_rate_ge_0p1', 'probability_amount_60min_ge_10']
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from echocast.server.edr.refusals import Refused, shown

_UNITS = {
    "rate": ("mm h-1", "mm/h", "millimetres per hour"),
    "amount": ("mm", "mm", "millimetres"),
    "probability": ("1", "1", "share from 0 to 1"),
}
"""Of each kind of variable that is a parameter; where nothing is known null tells, so the coverage is none."""
_STANDARD = {"rate": "rainfall_rate", "amount": "thickness_of_rainfall_amount"}
_VOCABULARY = "http://vocab.nerc.ac.uk/standard_name/"


@dataclass(frozen=True)
class Parameter:
    """What a client asks for by name.

    Args:
        name: of the parameter.
        variable: its name in points.bin.
        title: what it is, in a few words.
        kind: ``rate``, ``amount`` or ``probability``.
        leads: lead times in minutes; the end of the span for amounts.
        span: minutes over which rain is summed, up to the lead; 0 for none.
    """

    name: str
    variable: str
    title: str
    kind: str
    leads: tuple[float, ...]
    span: float = 0.0

    @property
    def units(self) -> str:
        """As CF writes them."""
        return _UNITS[self.kind][0]

    @property
    def standard_name(self) -> str:
        """CF's standard name, or nothing for a probability, which has none."""
        return _STANDARD.get(self.kind, "")

    def unit(self) -> tuple[str, str]:
        """Symbol by UCUM, and label."""
        return _UNITS[self.kind][1:]

    def observed(self) -> str:
        """An identifier of what is observed."""
        return f"{_VOCABULARY}{self.standard_name}/" if self.standard_name else self.name


def parameters_of(variables: Mapping[str, Mapping[str, Any]]) -> dict[str, Parameter]:
    """The parameters of an issue by name, from the variables of its points.bin; those of other kinds are none."""
    made = (_made(name, about) for name, about in variables.items() if about["scale"] in _UNITS)
    return {one.name: one for one in made}


def chosen(text: str | None, known: Mapping[str, Parameter]) -> tuple[Parameter, ...]:
    """The parameters that a `parameter-name` asks for, in its order; all for none; raises `Refused`."""
    if text is None:
        return tuple(known.values())
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    if unknown := [name for name in names if name not in known]:
        raise Refused(f"parameter-name: {shown(unknown[0])} is not known; there are: {', '.join(known)}")
    return tuple(known[name] for name in names)


def leads_of(parameters: Sequence[Parameter]) -> tuple[float, ...]:
    """All leads of parameters, ascending."""
    return tuple(sorted({lead for one in parameters for lead in one.leads}))


def parameter_name(variable: str) -> str:
    """The name of a variable as a parameter; letters, digits and underscores, so that NetCDF has the same."""
    match variable.split(".", 2):
        case ["rate"]:
            return "rainfall_rate"
        case ["rate", *which]:
            return "rainfall_rate_" + _word(".".join(which))
        case ["amount", span]:
            return f"rainfall_amount_{_word(span)}min"
        case ["prob", "rate", least]:
            return f"probability_rate_ge_{_word(least)}"
        case ["prob", "amount", rest]:
            span, _, least = rest.partition(".")
            return f"probability_amount_{_word(span)}min_ge_{_word(least)}"
    return _word(variable)


def _word(text: str) -> str:
    return text.replace(".", "p")


def _made(variable: str, about: Mapping[str, Any]) -> Parameter:
    name = parameter_name(variable)
    span = float(about["leads"][0]) if "_amount_" in name else 0.0
    return Parameter(name, variable, str(about["title"]), str(about["scale"]), tuple(map(float, about["leads"])), span)
