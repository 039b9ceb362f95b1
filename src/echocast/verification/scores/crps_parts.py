"""The CRPS of an ensemble split into reliability and potential CRPS, and that into uncertainty less resolution.

For M sorted members, bin i lies between member i and member i + 1 (bins 0 and M outside all members), with p_i = i / M.
In each pixel alpha_i is the part of bin i below the observation, beta_i that above it. With their means over pixels and
cases, g_i = alpha_i + beta_i and o_i = beta_i / g_i; outside the members o_0 = share of observations below all members,
g_0 = beta_0 / o_0, 1 - o_M = share above all members, g_M = alpha_M / (1 - o_M). Then

- crps_reliability = sum g_i (o_i - p_i)^2: 0 if the observation lies below a bin as often as the members say;
- crps_potential = sum g_i o_i (1 - o_i): the CRPS of a perfectly reliable forecast of this resolution;
- crps_uncertainty = integral of F (1 - F) with F the distribution of all observations that count: the CRPS of the
  sample's climate, integrated numerically (within 0.5 %);
- crps_resolution = crps_uncertainty - crps_potential: larger is better.

Reliability plus potential is the CRPS, exactly. By hand: members 0 and 2 against 1: bin 1 has alpha = beta = 1,
so g = 2 and o = p = 0.5: reliability 0, potential 2 * 0.25 = 0.5.

Source: Hersbach 2000, doi:10.1175/1520-0434(2000)015<0559:DOTCRP>2.0.CO;2, equations 26 to 36.

    >>> import numpy as np
    >>> members = np.array([0, 2], np.float32).reshape(1, 2, 1, 1, 1)
    >>> float(values(statistics(members, np.ones((1, 1, 1, 1), np.float32)))["crps_potential"][0])
    0.5
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from echocast.verification.base import Score, Sums, ratio, valid_ensemble_pixels

MEMBERS = True
SCORES = {
    "crps_reliability": Score("Reliability of the CRPS", 0.0, unit="mm h-1"),
    "crps_potential": Score("Potential CRPS", 0.0, unit="mm h-1"),
    "crps_uncertainty": Score("Uncertainty of the CRPS", np.nan, unit="mm h-1"),
    "crps_resolution": Score("Resolution of the CRPS", np.nan, unit="mm h-1"),
}
_EDGES = 300.0 * np.linspace(0.0, 1.0, 1024) ** 3
"""Rates (mm/h) between which the observations are counted."""


def statistics(
    forecast: Float[np.ndarray, "case member lead y x"],
    observed: Float[np.ndarray, "case lead y x"],
    *,
    thresholds: Sequence[float] = (),  # noqa: ARG001 (these scores have none)
) -> Sums:
    """Sums of alpha and beta, (lead, members + 1), numbers of pixels, and counts of observed rates, (lead, rate)."""
    counts = valid_ensemble_pixels(forecast, observed)
    members, leads = forecast.shape[1:3]
    sums: Sums = {name: np.zeros((leads, members + 1)) for name in ("alpha", "beta")}
    sums |= {name: np.zeros(leads) for name in ("n", "below", "above")}
    sums["rates"] = np.zeros((leads, len(_EDGES) + 1))
    for lead in range(leads):
        valid = counts[:, lead]
        x = np.sort(np.moveaxis(forecast[:, :, lead], 1, 0)[:, valid].astype(np.float64), axis=0)
        y = observed[:, lead][valid].astype(np.float64)
        inside = np.clip(y, x[:-1], x[1:])
        sums["alpha"][lead, 1:-1] = (inside - x[:-1]).sum(axis=1)
        sums["beta"][lead, 1:-1] = (x[1:] - inside).sum(axis=1)
        sums["beta"][lead, 0] = np.maximum(x[0] - y, 0.0).sum()
        sums["alpha"][lead, -1] = np.maximum(y - x[-1], 0.0).sum()
        sums["n"][lead] = y.size
        sums["below"][lead], sums["above"][lead] = (y < x[0]).sum(), (y > x[-1]).sum()
        sums["rates"][lead] = np.bincount(np.searchsorted(_EDGES, y), minlength=len(_EDGES) + 1)
    return sums


def values(sums: Sums) -> dict[str, np.ndarray]:
    """The parts, each (lead,)."""
    n = sums["n"][..., None]
    alpha, beta = (ratio(sums[name], np.broadcast_to(n, sums[name].shape)) for name in ("alpha", "beta"))
    g = alpha + beta
    o = np.nan_to_num(ratio(beta, g))
    outside = {0: ratio(sums["below"], sums["n"]), -1: 1.0 - ratio(sums["above"], sums["n"])}
    for side, share in outside.items():
        o[..., side] = share
        g[..., side] = np.nan_to_num(ratio(g[..., side], share if side == 0 else 1.0 - share))
    p = np.linspace(0.0, 1.0, g.shape[-1])
    known = sums["n"] > 0
    potential = np.where(known, (g * o * (1.0 - o)).sum(axis=-1), np.nan)
    uncertainty = np.where(known, _uncertainty(sums["rates"]), np.nan)
    return {
        "crps_reliability": np.where(known, (g * (o - p) ** 2).sum(axis=-1), np.nan),
        "crps_potential": potential,
        "crps_uncertainty": uncertainty,
        "crps_resolution": uncertainty - potential,
    }


def _uncertainty(rates: np.ndarray) -> np.ndarray:
    """The integral of F (1 - F) by trapezoids; F is known at the edges."""
    total = rates.sum(axis=-1, keepdims=True)
    below = np.cumsum(rates, axis=-1)[..., :-1]
    f = ratio(below, np.broadcast_to(total, below.shape))
    return np.asarray(np.trapezoid(f * (1.0 - f), _EDGES, axis=-1))
