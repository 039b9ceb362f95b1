"""Counters of the server, for Prometheus; each server has its own."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from echocast._version import __version__

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """The counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "echocast_http_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "echocast_http_request_seconds",
            "Seconds to answer a request.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.tile_hits = Counter("echocast_tile_cache_hits", "Tiles from the cache.", registry=self.registry)
        self.tile_misses = Counter("echocast_tile_cache_misses", "Tiles drawn.", registry=self.registry)
        self.tile_bytes = self._gauge("echocast_tile_cache_bytes", "Bytes in the cache of tiles.", "livesum")
        self.heavy = self._gauge("echocast_heavy_in_use", "Heavy requests computed or waiting.", "livesum")
        self.rejected = Counter(
            "echocast_rejected", "Requests refused by a limit.", ("reason",), registry=self.registry
        )
        self.served_issue = self._gauge("echocast_served_issue_timestamp_seconds", "Time of the newest issue.", "max")
        about = Gauge(
            "echocast_build_info", "The program.", ("version", "part"), registry=self.registry, multiprocess_mode="max"
        )
        about.labels(__version__, "serve").set(1)

    def _gauge(self, name: str, text: str, together: Literal["livesum", "max"]) -> Gauge:
        return Gauge(name, text, registry=self.registry, multiprocess_mode=together)
