"""How often 95 % intervals of a verification contain the true value, by simulation.

Days are made up: the events of a day are lognormal (``spread`` is the standard deviation of their logarithm), its CSI
varies from day to day and is higher on wet days, and a second forecaster is a little better, with an advantage that
varies too. Its squared error grows with the events. The true values are those of a very long verification. Each trial
draws some days and asks `echocast.evaluation.intervals` for the interval, as `echocast verify` does; ``before`` is the
interval of the quantiles of the same bootstrap samples, which was used up to now.

    python experiments/interval_coverage.py        # the table of decision 9, a minute on one core
"""

import argparse
from dataclasses import dataclass

import numpy as np

from echocast.evaluation.intervals import BOOTSTRAP_SAMPLES, Days, Estimate

_LONG = 1_000_000
DAYS = (5, 8, 17, 30)
SPREADS = (0.6, 1.0, 1.4)


@dataclass(frozen=True)
class Held:
    """How often an interval was given, how often it then held, and how often the quantiles did in all trials."""

    given: float
    share: float
    before: float


@dataclass(frozen=True)
class Made:
    """Made-up days, (trial, day): hits and unions (pixels with an event, forecast or observed) of two forecasters."""

    events: np.ndarray
    hits: tuple[np.ndarray, np.ndarray]
    union: np.ndarray
    squared: tuple[np.ndarray, np.ndarray]
    pixels: np.ndarray


def make_days(rng: np.random.Generator, trials: int, days: int, spread: float) -> Made:
    """So many days for each trial."""
    size = rng.normal(0.0, spread, (trials, days))
    chance = rng.normal(-0.4, 0.5, size.shape) + 0.15 * size
    advantage = rng.normal(0.1, 0.25, size.shape)
    union = np.exp(size)
    csi = [1 / (1 + np.exp(-level)) for level in (chance, chance + advantage)]
    error = np.exp(1.2 * size + rng.normal(0.0, 0.3, size.shape))
    squared = (error, error * np.exp(rng.normal(-0.05, 0.1, size.shape)))
    return Made(union, (csi[0] * union, csi[1] * union), union, squared, np.ones_like(union))


def estimates(made: Made, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Scores and differences, (trial, row of weights), of sums pooled with some weights of the days, (row, day)."""
    pooled = {
        name: array @ weights.T
        for name, array in {
            "h1": made.hits[0], "h2": made.hits[1], "u": made.union,
            "s1": made.squared[0], "s2": made.squared[1], "n": made.pixels,
        }.items()
    }  # fmt: skip
    csi = [pooled[name] / pooled["u"] for name in ("h1", "h2")]
    rmse = [np.sqrt(pooled[name] / pooled["n"]) for name in ("s1", "s2")]
    return {
        "CSI": csi[0], "difference of CSI": csi[1] - csi[0], "RMSE": rmse[0], "difference of RMSE": rmse[1] - rmse[0],
    }  # fmt: skip


def coverage(*, days: int, trials: int, spread: float, seed: int) -> dict[str, Held]:
    """By score, how often its interval was given and held, over so many trials."""
    rng = np.random.default_rng(seed)
    many = make_days(rng, 1, _LONG, spread)
    truth = {name: float(v[0, 0]) for name, v in estimates(many, np.ones((1, _LONG))).items()}
    made = make_days(rng, trials, days, spread)
    values = {name: v[:, 0] for name, v in estimates(made, np.ones((1, days))).items()}
    drawn = rng.multinomial(days, np.full(days, 1 / days), size=BOOTSTRAP_SAMPLES).astype(float)
    sampled = estimates(made, drawn)
    effective = [Days.of(events) for events in made.events]
    return {name: _held(truth[name], values[name], sampled[name], effective) for name in truth}


def _held(truth: float, values: np.ndarray, sampled: np.ndarray, effective: list[Days]) -> Held:
    bounds = np.array([
        Estimate.of(float(value), samples, days).interval
        for value, samples, days in zip(values, sampled, effective, strict=True)
    ])  # fmt: skip
    given = np.isfinite(bounds[:, 0])
    held = (bounds[given, 0] <= truth) & (truth <= bounds[given, 1])
    low, high = np.quantile(sampled, [0.025, 0.975], axis=1)
    share = float(held.mean()) if given.any() else float("nan")
    return Held(float(given.mean()), share, float(((low <= truth) & (truth <= high)).mean()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, help="verifications made up for each row")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| spread of events | days | score | interval given | it holds | quantiles, before |")
    print("| ---: | ---: | --- | ---: | ---: | ---: |")
    for spread in SPREADS:
        for days in DAYS:
            found = coverage(days=days, trials=arguments.trials, spread=spread, seed=arguments.seed)
            for name, one in found.items():
                holds = f"{100 * one.share:.0f} %" if one.given >= 0.02 else "-"
                print(
                    f"| {spread:g} | {days} | {name} | {100 * one.given:.0f} % | {holds} | {100 * one.before:.0f} % |"
                )


if __name__ == "__main__":
    main()
