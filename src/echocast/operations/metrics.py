"""Measures for Prometheus, on an address of their own: ``http://127.0.0.1:9464/metrics``.

Needs prometheus-client (extra ``operations``); without ``--metrics`` it is never imported.
"""

import threading
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from echocast.errors import DataError, MissingDependency
from echocast.operations.measures import FAMILIES, Family, Measures, Spread

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class MetricsServer:
    """Answers Prometheus in a thread, until it is closed.

    Args:
        address: ``host:port``; port 0 takes a free one.
        measures: what to show.

    Raises:
        MissingDependency: prometheus-client is not installed.
        DataError: the address cannot be taken.
    """

    def __init__(self, address: str, measures: Measures) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError as bad:
            raise MissingDependency("prometheus-client, which --metrics needs,", "operations") from bad
        registry = prometheus.CollectorRegistry()
        registry.register(_Collector(measures))
        prometheus.ProcessCollector(registry=registry)
        host, _, port = address.rpartition(":")
        try:
            self._server, self._thread = _started(int(port), host.strip("[]"), registry)
        except OSError as bad:
            raise DataError(
                f"--metrics {address}: the address cannot be taken ({bad.strerror or bad}); is another watch running?"
                " Give another one"
            ) from bad
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _started(port: int, host: str, registry: Any) -> tuple[Any, threading.Thread]:
    import prometheus_client as prometheus

    return prometheus.start_http_server(port, addr=host, registry=registry)


class _Collector:
    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def collect(self) -> "Iterator[Metric]":
        """All metrics as they are now."""
        for name, family in FAMILIES.items():
            if family.kind == "histogram":
                yield _histogram(name, family, self._measures.spreads(name))
            else:
                yield _numbers(name, family, self._measures.values(name))


def _numbers(name: str, family: Family, values: dict[tuple[str, ...], float]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(name, family.help, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric(labels, value)
    return metric


def _histogram(name: str, family: Family, spreads: dict[tuple[str, ...], Spread]) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily

    metric = HistogramMetricFamily(name, family.help, labels=family.labels)
    bounds = [*(str(bound) for bound in family.bounds), "+Inf"]
    for labels, spread in spreads.items():
        buckets = list(zip(bounds, accumulate(spread.counts), strict=True))
        metric.add_metric(labels, buckets, spread.sum)
    return metric
