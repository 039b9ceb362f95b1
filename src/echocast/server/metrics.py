"""Counters of the server, for Prometheus; each server has its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

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
        self.tile_bytes = Gauge("echocast_tile_cache_bytes", "Bytes in the cache of tiles.", registry=self.registry)
        self.heavy = Gauge("echocast_heavy_in_use", "Heavy requests computed or waiting.", registry=self.registry)
        self.rejected = Counter(
            "echocast_rejected", "Requests refused by a limit.", ("reason",), registry=self.registry
        )
        self.served_issue = Gauge(
            "echocast_served_issue_timestamp_seconds", "Time of the newest issue.", registry=self.registry
        )
        Info("echocast_build", "The program.", registry=self.registry).info({"version": __version__, "part": "serve"})
