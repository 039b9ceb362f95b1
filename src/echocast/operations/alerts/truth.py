"""What was observed in an area, for a rule: at which times its event happened.

The event of a rule, at an observed time:

- the quantities rate and arrival: the statistic over the area's observed rates reaches the threshold;
- amount: the same of the amount observed over the span up to that time;
- probabilities with statistic max: any cell of the area reaches the threshold, in rate or amount;
- probabilities with another statistic, and shares: at least the share `at_least` of the area does.

A time is unknown if more than 20 % of the area are.
"""

import numpy as np
from jaxtyping import Float

from echocast.operations.alerts.cells import Cells
from echocast.operations.alerts.readings import MOST_UNKNOWN, Sums
from echocast.operations.alerts.rule_config import Rule


def happened(
    rule: Rule, cells: Cells, observed: Float[np.ndarray, "time cell"], step_min: float
) -> Float[np.ndarray, " time"]:
    """1 where the event happened, 0 where it did not, NaN where it is not known.

    Args:
        rule: the rule.
        cells: of the area.
        observed: rates (mm/h) in the area's cells on a regular clock, NaN where unknown or missing.
        step_min: minutes between times.
    """
    values = amounts(observed, rule.span, step_min) if rule.span is not None else observed
    expected = len(cells.rows) + cells.outside
    if cells.share_outside > MOST_UNKNOWN or not len(cells.rows):
        return np.full(len(observed), np.nan)
    if rule.is_probability and rule.statistic == "max":
        return _reaches(Sums.of(values, np.inf).statistic("max", expected), rule.event_threshold)
    if rule.is_probability:
        is_known = ~np.isnan(values)
        reached = np.where(is_known, (values >= np.float32(rule.event_threshold)).astype(np.float32), np.nan)
        return _reaches(Sums.of(reached, np.inf).statistic("mean", expected), rule.at_least or 0.0)
    above = np.inf if rule.share_above is None else rule.share_above
    least = rule.at_least if rule.is_share else rule.event_threshold
    return _reaches(Sums.of(values, above).statistic(rule.statistic, expected), least or 0.0)


def amounts(rates: Float[np.ndarray, "time cell"], span_min: float, step_min: float) -> Float[np.ndarray, "time cell"]:
    """The amounts (mm) over the span up to each time; each rate holds for the step before it.

    NaN where a rate in the span is not known, and where the span begins before the first time.
    """
    count = max(1, round(span_min / step_min))
    found = np.full(rates.shape, np.nan, np.float32)
    for last in range(count - 1, len(rates)):
        found[last] = rates[last - count + 1 : last + 1].sum(axis=0) * (step_min / 60)
    return found


def _reaches(series: np.ndarray, least: float) -> np.ndarray:
    return np.where(np.isnan(series), np.nan, (series >= least - 1e-6).astype(float))
