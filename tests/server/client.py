"""A client that calls an ASGI application directly."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Application = Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    """What came back; the names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Client:
    """Asks an application, without a socket."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def get(self, url: str, *, method: str = "GET", peer: str = "127.0.0.1", **headers: str) -> Answer:
        """Ask; underscores in the names of headers are hyphens."""
        return asyncio.run(self.ask(url, method=method, peer=peer, **headers))

    async def ask(self, url: str, *, method: str = "GET", peer: str = "127.0.0.1", **headers: str) -> Answer:
        """As `get`, from a loop that runs."""
        path, _, query = url.partition("?")
        scope: MutableMapping[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"localhost")]
            + [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": (peer, 1),
            "server": ("127.0.0.1", 8080),
        }
        sent: list[MutableMapping[str, Any]] = []
        asked = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> MutableMapping[str, Any]:
            if not asked:
                await asyncio.Event().wait()  # the client stays
            return asked.pop()

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        pairs = [(name.decode(), value.decode("latin-1")) for name, value in sent[0]["headers"]]
        assert len({name for name, _ in pairs}) == len(pairs), pairs
        return Answer(sent[0]["status"], dict(pairs), body)
