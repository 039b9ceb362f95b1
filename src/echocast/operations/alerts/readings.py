"""What an issue says of an area for a rule: one number, when it is reached, how probable, or that it is not known.

A lead is known for an area if at most 20 % of the area's cells are unknown or beyond the grid. A known lead that meets
the rule is enough to say so; that no lead meets it can be said only when all of them are known.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from echocast.operations.alerts.cells import Cells
from echocast.operations.alerts.rule_config import Rule

MOST_UNKNOWN = 0.2
"""Share of an area that may be unknown."""
_BAND = 200_000
"""Cells of a window that is read at once."""


@runtime_checkable
class Values(Protocol):
    """The layers of an issue; `echocast.operations.point_file.PointFile` is one."""

    @property
    def variables(self) -> Container[str]:
        """The names of the layers."""

    def leads(self, name: str) -> tuple[float, ...]:
        """The leads of a layer in minutes."""

    def window(self, rows: slice, columns: slice, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
        """Layers in a rectangle of cells, each (lead, y, x)."""


@dataclass(frozen=True)
class Reading:
    """What an issue says.

    Args:
        value: the largest of the leads, in the unit the rule is judged by; None where it is not known.
        probability: of the event at the place and lead where it is highest, 0 to 1; None where nothing tells it.
        onset: the first lead (minutes) that meets the rule.
        end: the last lead that meets it.
        reaches: the last lead that was looked at.
        why: where the value is not known, why.
    """

    value: float | None
    probability: float | None = None
    onset: float | None = None
    end: float | None = None
    reaches: float = 0.0
    why: str = ""


@dataclass
class Sums:
    """What is summed over the cells of an area, for each lead, band by band."""

    known: np.ndarray
    total: np.ndarray
    most: np.ndarray
    over: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, above: float) -> "Sums":
        """Of values (lead, cell); `above` is the X of ``share>X``."""
        is_known = ~np.isnan(values)
        filled = np.where(is_known, values, 0.0)
        return cls(
            is_known.sum(axis=1),
            filled.sum(axis=1, dtype=np.float64),
            np.where(is_known, values, -np.inf).max(axis=1, initial=-np.inf),
            (filled > np.float32(above)).sum(axis=1),
        )

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.known + other.known,
            self.total + other.total,
            np.maximum(self.most, other.most),
            self.over + other.over,
        )

    def statistic(self, name: str, expected: int) -> np.ndarray:
        """``max``, ``mean`` or a share for each lead; NaN where too few cells are known.

        Args:
            name: of the statistic.
            expected: the cells of the area, those beyond the grid with them.
        """
        count = np.maximum(self.known, 1)
        found = self.most if name == "max" else (self.total if name == "mean" else self.over) / count
        is_known = (self.known > 0) & (self.known >= (1 - MOST_UNKNOWN) * expected - 1e-9)
        return np.where(is_known, found, np.nan)


def readings(rules: Iterable[Rule], cells: Cells, values: Values) -> dict[str, Reading]:
    """What an issue says of an area for each of some rules, by the rules' ids."""
    rules = list(rules)
    if not len(cells.rows) or cells.share_outside > MOST_UNKNOWN:
        why = f"{cells.share_outside:.0%} of the area lie beyond the forecast"
        return {rule.id: Reading(None, why=why) for rule in rules}
    wanted = {(name, _above(rule, name)) for rule in rules for name in _layers(rule) if name in values.variables}
    sums = _summed(wanted, cells, values)
    return {rule.id: _reading(rule, sums, cells, values) for rule in rules}


def _layers(rule: Rule) -> list[str]:
    return [name for name in (rule.layer, rule.probability_layer) if name is not None]


def _above(rule: Rule, name: str) -> float:
    return rule.share_above if rule.share_above is not None and name == rule.layer else np.inf


def _summed(wanted: set[tuple[str, float]], cells: Cells, values: Values) -> dict[tuple[str, float], Sums]:
    """The sums over the cells for each layer and X; a large area is read in bands of rows."""
    names = sorted({name for name, _ in wanted})
    left, right = int(cells.columns.min()), int(cells.columns.max()) + 1
    height = max(1, _BAND // (right - left))
    sums: dict[tuple[str, float], Sums] = {}
    for top in range(int(cells.rows.min()), int(cells.rows.max()) + 1, height) if names else ():
        is_here = (cells.rows >= top) & (cells.rows < top + height)
        if not is_here.any():
            continue
        rows, columns = cells.rows[is_here], cells.columns[is_here] - left
        bottom = int(rows.max()) + 1
        found = values.window(slice(top, bottom), slice(left, right), names)
        for name, above in wanted:
            here = Sums.of(found[name][:, rows - top, columns], above)
            sums[name, above] = sums[name, above] + here if (name, above) in sums else here
    return sums


def _reading(rule: Rule, sums: Mapping[tuple[str, float], Sums], cells: Cells, values: Values) -> Reading:
    found = sums.get((rule.layer, _above(rule, rule.layer)))
    if found is None:
        return Reading(None, why=f"the forecast does not hold {rule.layer}")
    leads = np.array(values.leads(rule.layer))
    counts = (leads >= rule.lead_range[0]) & (leads <= rule.lead_range[1])
    if not counts.any():
        return Reading(
            None, why=f"the forecast has no lead within {rule.lead_range[0]:g} to {rule.lead_range[1]:g} min"
        )
    expected = len(cells.rows) + cells.outside
    series = found.statistic(rule.statistic, expected)[counts]
    leads = leads[counts]
    meets = series >= rule.raise_at
    probability = _probability(rule, sums, values, expected)
    if meets.any():
        return Reading(
            float(np.nanmax(series)), probability, _onset(rule, leads, meets), float(leads[meets][-1]), leads[-1]
        )
    if np.isnan(series).any():
        return Reading(None, why="more than 20 % of the area are not known", reaches=float(leads[-1]))
    return Reading(float(series.max()), probability, reaches=float(leads[-1]))


def _onset(rule: Rule, leads: np.ndarray, meets: np.ndarray) -> float:
    """The first lead that meets the rule; an amount falls from the issue's time on."""
    return 0.0 if rule.is_amount else float(leads[meets][0])


def _probability(rule: Rule, sums: Mapping[tuple[str, float], Sums], values: Values, expected: int) -> float | None:
    """The highest probability in the area and among the leads."""
    name = rule.probability_layer
    found = None if name is None else sums.get((name, _above(rule, name)))
    if name is None or found is None:
        return None
    leads = np.array(values.leads(name))
    counts = (leads >= rule.lead_range[0]) & (leads <= rule.lead_range[1])
    most = found.statistic("max", expected)[counts]
    return None if not most.size or np.isnan(most).all() else float(np.nanmax(most))
