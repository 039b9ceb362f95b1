"""Every reader, with the endings and options of its format."""

import inspect

from echocast import plugins
from extension.markdown import code, table

PACKAGE = "echocast.readers"


def page() -> str:
    """A table of the formats, each name a link to its page."""
    rows = []
    for name, reader in plugins.load_all(PACKAGE).items():
        taken = [one for one in inspect.signature(reader.read).parameters if one != "path"]
        options = " ".join(code(f"--{one.replace('_', '-')}") for one in taken)
        endings = " ".join(code(one) for one in reader.SUFFIXES)
        rows.append((f"[{name}](../formats/{name}.md)", plugins.summary(PACKAGE, name), endings, options))
    return table(("format", "what it is", "usual endings", "options"), rows)
