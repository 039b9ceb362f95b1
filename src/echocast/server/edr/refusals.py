"""What a query may be refused for; each message names the parameter, shows the value and gives the remedy."""

from echocast.errors import EchocastError


class Refused(EchocastError):
    """A query that cannot be answered.

    Args:
        detail: one sentence or two for the client.
    """

    status = 400
    code = "InvalidQuery"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class TooMuch(Refused):
    """More is asked for than one answer may hold."""

    status = 413
    code = "TooMuch"


class NotThere(Refused):
    """An instance, a collection or a location that does not exist."""

    status = 404
    code = "NotFound"


def shown(text: str, most: int = 60) -> str:
    """A client's text as it may stand in a message: short, and without what a terminal or a log would act on."""
    safe = "".join(one if one.isprintable() else "?" for one in text[: most + 1])
    return repr(safe if len(text) <= most else safe[:most] + "...")
