"""What the service measures: counters, gauges and histograms, as plain numbers that `metrics` shows to Prometheus.

>>> measures = Measures()
>>> measures.count("echocast_source_errors", source="radar/", kind="unreachable")
>>> measures.values("echocast_source_errors")
{('radar/', 'unreachable'): 1.0}
"""

import threading
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

_QUICK = (0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 240.0)
_SLOW = (30.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0, 450.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0)


@dataclass(frozen=True)
class Family:
    """A metric.

    Args:
        kind: a counter's name gets ``_total`` at its end.
        help: what it tells.
        labels: names of its labels.
        bounds: upper bounds of a histogram's buckets.
        known: all values that a label may have, where they are few.
    """

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


FAMILIES: Mapping[str, Family] = {
    "echocast_build_info": Family(
        "gauge", "Always 1; the labels tell the version and the model.", ("version", "model")
    ),
    "echocast_frames": Family(
        "counter",
        "Radar frames by what became of them.",
        ("source", "outcome"),
        known={
            "outcome": (
                *("used", "late", "duplicate", "corrected", "blank", "future", "offclock", "grid", "old"),
                *("corrupt", "quarantined"),
            )
        },
    ),
    "echocast_frame_timestamp_seconds": Family("gauge", "Time of the newest frame of a source.", ("source",)),
    "echocast_frame_delay_seconds": Family("histogram", "From a frame's time to its arrival.", (), _SLOW),
    "echocast_issues": Family(
        "counter",
        "Forecasts by what became of them.",
        ("outcome", "reason"),
        known={"outcome": ("ok", "degraded", "failed", "not_due")},
    ),
    "echocast_issue_timestamp_seconds": Family("gauge", "Time of the newest published forecast."),
    "echocast_last_success_timestamp_seconds": Family("gauge", "When a forecast was last published."),
    "echocast_stage_seconds": Family(
        "histogram",
        "How long each stage took.",
        ("stage",),
        _QUICK,
        {"stage": ("list", "read", "compute", "products", "write", "publish")},
    ),
    "echocast_publish_latency_seconds": Family(
        "histogram", "From a whole frame first seen to index.json naming its forecast.", (), _QUICK
    ),
    "echocast_catchup_backlog": Family("gauge", "Forecasts that are due and not made yet."),
    "echocast_source_errors": Family(
        "counter",
        "Failed listings and readings of a source.",
        ("source", "kind"),
        known={"kind": ("unreachable", "wait", "timeout", "read")},
    ),
    "echocast_published_bytes": Family("gauge", "Bytes of all published forecasts."),
    "echocast_disk_free_bytes": Family("gauge", "Bytes that are free on the disk of the output."),
    "echocast_worker_restarts": Family(
        "counter",
        "Renewals of the compute process.",
        ("reason",),
        known={"reason": ("age", "memory", "died", "deadline")},
    ),
    "echocast_alerts_active": Family("gauge", "Active alerts.", ("rule", "severity")),
    "echocast_notifications": Family(
        "counter",
        "Messages of alerts.",
        ("rule", "channel", "outcome"),
        known={"outcome": ("sent", "not_sent", "expired")},
    ),
}
"""All metrics of `echocast watch`; times are seconds since 1970, and ages are computed by who asks."""


@dataclass
class Spread:
    """A histogram: how many values fell up to each bound and above the last, and their sum."""

    counts: list[int]
    sum: float = 0.0


@dataclass
class Measures:
    """The numbers; another thread may read them meanwhile."""

    _values: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)
    _spreads: dict[str, dict[tuple[str, ...], Spread]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        """Add to a counter; raises `KeyError` or `ValueError` for one that does not exist, or other labels."""
        with self._lock:
            values, key = self._values.setdefault(name, {}), _key(name, labels)
            values[key] = values.get(key, 0.0) + by

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge; errors as of `count`."""
        with self._lock:
            self._values.setdefault(name, {})[_key(name, labels)] = value

    def clear(self, name: str) -> None:
        """Forget the values of a gauge, before those that still hold are set."""
        with self._lock:
            self._values.pop(name, None)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add a value to a histogram; errors as of `count`."""
        key, bounds = _key(name, labels), FAMILIES[name].bounds
        with self._lock:
            spread = self._spreads.setdefault(name, {}).setdefault(key, Spread([0] * (len(bounds) + 1)))
            spread.counts[bisect_left(bounds, value)] += 1
            spread.sum += value

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """The values of a counter or gauge, by the values of its labels."""
        with self._lock:
            return dict(self._values.get(name, {}))

    def spreads(self, name: str) -> dict[tuple[str, ...], Spread]:
        """The values of a histogram, by the values of its labels."""
        with self._lock:
            return {key: Spread(list(one.counts), one.sum) for key, one in self._spreads.get(name, {}).items()}


def _key(name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    wanted = FAMILIES[name].labels
    if set(wanted) != set(labels):
        raise ValueError(f"{name} has the labels {', '.join(wanted) or 'none'}, not {', '.join(labels) or 'none'}")
    return tuple(labels[one] for one in wanted)
