"""Every metric that Prometheus can read."""

from echocast.operations.measures import FAMILIES
from echocast.server.metrics import Metrics
from extension.markdown import code, table

_HEADS = ("metric", "kind", "labels", "what it tells")


def page() -> str:
    """Those of `echocast watch`, then those of `echocast serve`."""
    watch = [
        (code(name + ("_total" if one.kind == "counter" else "")), one.kind, _labels(one.labels), one.help)
        for name, one in FAMILIES.items()
    ]
    return f"## echocast watch\n\n{table(_HEADS, watch)}\n## echocast serve\n\n{table(_HEADS, _of_server())}"


def _of_server() -> list[tuple[str, str, str, str]]:
    return [
        (code(name), collector._type, _labels(collector._labelnames), collector._documentation)
        for collector, names in Metrics().registry._collector_to_names.items()
        for name in names
        if name.endswith("_total") or (collector._type != "counter" and name == collector._name)
    ]


def _labels(names: tuple[str, ...]) -> str:
    return ", ".join(code(name) for name in names)
