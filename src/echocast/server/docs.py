"""The documentation of the interface at /docs: RapiDoc, which lies beside, over /openapi.json; nothing is foreign."""

from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import Response

from echocast.server import answers
from echocast.server.answers import Body
from echocast.server.service import Service

_SCRIPT = Path(__file__).parent / "static" / "vendor" / "rapidoc-min.js"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""RapiDoc writes styles into its page; scripts are those of this server, as everywhere."""
_KEEP = "public, max-age=3600"
_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Interface of echocast</title>
<script type="module" src="docs/rapidoc.js"></script>
</head>
<body>
<rapi-doc spec-url="openapi.json" load-fonts="false" show-header="false" render-style="read" theme="light"
 regular-font="system-ui, sans-serif" mono-font="ui-monospace, monospace" primary-color="#0b5fa5"
 allow-server-selection="false" allow-spec-file-download="false" show-method-in-nav-bar="as-colored-text"
 schema-description-expanded="true" sort-endpoints-by="none">
</rapi-doc>
<noscript>This page needs JavaScript. The same as JSON: <a href="openapi.json">openapi.json</a>.</noscript>
</body>
</html>
"""


def add(app: FastAPI, _: Service) -> None:
    """Add the addresses."""
    page = Body(_PAGE, "text/html; charset=utf-8")
    script = Body(_SCRIPT.read_bytes(), "text/javascript; charset=utf-8")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        found = answers.answer(request, page, keep=_KEEP)
        found.headers["content-security-policy"] = _POLICY
        return found

    @app.get("/docs/rapidoc.js", include_in_schema=False)
    async def rapidoc(request: Request) -> Response:
        return answers.answer(request, script, keep=_KEEP)
