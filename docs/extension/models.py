"""Every network and method, by task."""

from importlib import resources

from echocast import plugins
from echocast.cli.models import _TASKS
from echocast.models import _listing
from extension.markdown import code, table


def page() -> str:
    """A table for each task."""
    parts = []
    for task, (package, skip) in _TASKS.items():
        rows = [
            (code(name), _weights(package, name), plugins.summary(package, name))
            for name in plugins.names(package, skip=skip)
        ]
        parts.append(f"## {task.capitalize()}s\n\n{table(('name', 'weights', 'what it is'), rows)}")
    return "\n".join(parts)


def _weights(package: str, name: str) -> str:
    if package == _listing.PACKAGE:
        return _listing.weights(name)
    return "shipped" if (resources.files("echocast.weights") / f"{name}.safetensors").is_file() else "to be trained"
