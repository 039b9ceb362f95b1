"""The settings of the server: defaults, then a TOML file, then the environment, then the command line.

Every option is a key of the file's table ``[serve]`` (``token-file`` or ``token_file``) and a variable
(``ECHOCAST_SERVE__TOKEN_FILE``).

>>> read_settings({"folder": "live"}, environment={"ECHOCAST_SERVE__STALE": "30min"}).stale
1800.0
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from echocast.operations.durations import as_bytes, as_seconds
from echocast.operations.settings import SettingsError, of_environment, of_file, told

COMMAND = "serve"
PREFIX = "ECHOCAST_SERVE__"

Seconds = Annotated[float, BeforeValidator(as_seconds), Field(gt=0, le=366 * 86_400)]
"""A duration, as ``10s`` or ``20min``."""
Bytes = Annotated[int, BeforeValidator(as_bytes), Field(gt=0)]
"""A size, as ``64MB``."""
Count = Annotated[int, Field(ge=1, le=100_000_000)]
Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s\[\]]+):\d{1,5}$")]
"""A host and a port, as ``127.0.0.1:8080`` or ``[::1]:8080``."""


class Limits(BaseModel):
    """What a request may ask for; more is refused before anything is computed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zoom: Annotated[int, Field(ge=0, le=18)] = 12
    points: Count = 100
    vertices: Count = 1000
    wkt_bytes: Bytes = 16_384
    values: Count = 4_000_000
    bytes: Bytes = 32_000_000
    url_bytes: Bytes = 8192
    header_bytes: Bytes = 16_384
    body_bytes: Bytes = 65_536
    seconds: Seconds = 10.0
    width: Count = 1024
    waiting: Annotated[int, Field(ge=0, le=10_000)] = 16


class Settings(BaseModel):
    """What `echocast serve` was told; see docs/serving.md for each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    bind: Address = "127.0.0.1:8080"
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    metrics_bind: Address | Literal["off"] = "127.0.0.1:9465"
    poll: Seconds = 2.0
    stale: Seconds = 1200.0
    name: str = "echocast"
    attribution: str = ""
    palette: Literal["cvd", "classic", "grey", "night"] = "cvd"
    cache: Bytes = 128_000_000
    cors: list[str] = ["*"]
    locations: Path | None = None
    token_file: Path | None = None
    rate: Annotated[str, Field(pattern=r"^\d+(\.\d+)?/s$")] | None = None
    proxies: list[str] = []
    public_url: Annotated[str, Field(pattern=r"^(https?://[^\s/?#]+)?$")] = ""
    root_path: Annotated[str, Field(pattern=r"^(/[\w.-]+)*$")] = ""
    log: Literal["auto", "text", "json"] = "auto"
    limits: Limits = Limits()

    def as_toml(self) -> str:
        """All settings as a file that gives the same."""
        content = self.model_dump(mode="json", exclude_none=True)
        limits = content.pop("limits")
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in content.items()]
        of_limits = (f"{name} = {json.dumps(value)}\n" for name, value in limits.items())
        return "".join([f"[{COMMAND}]\n", *lines, f"\n[{COMMAND}.limits]\n", *of_limits])


def read_settings(
    given: Mapping[str, Any], *, file: Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """The settings from the command line (`given`; None is not given), a file and the environment.

    Raises:
        SettingsError: a key that does not exist, or a value that is not allowed.
    """
    merged = of_file(file, COMMAND) | of_environment(environment or {}, PREFIX, ("cors", "proxies"))
    merged |= {name: value for name, value in given.items() if value not in (None, [], ())}
    try:
        return Settings(**merged)
    except ValidationError as bad:
        raise SettingsError("; ".join(told(error, Settings) for error in bad.errors())) from bad
