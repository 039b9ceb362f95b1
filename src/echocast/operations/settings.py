"""The settings of the service: defaults, then a TOML file, then the environment, then the command line.

Every option is a key of the file's table ``[watch]`` (``least-frames`` or ``least_frames``) and a variable
(``ECHOCAST_WATCH__POLL``).

>>> read_settings({"sources": ["radar/"], "out": "live"}, environment={"ECHOCAST_WATCH__POLL": "5s"}).poll
5.0
"""

import json
import tomllib
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from echocast.operations.durations import as_bytes, as_seconds
from echocast.operations.rules import Gaps

COMMAND = "watch"
PREFIX = "ECHOCAST_WATCH__"
_LISTS = ("sources", "missing_value", "bbox", "rates", "amounts", "spans", "nwp", "blend_between")
FIXED = ("out", "replay", "speed", "once", "log", "metrics")
"""What does not change while the service runs; all else may, with SIGHUP."""
_ADDRESS = r"^([0-9A-Za-z.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$"

Seconds = Annotated[float, BeforeValidator(as_seconds), Field(ge=0, le=10 * 366 * 86_400)]
"""A duration, as ``10s``, ``5min``, ``1h`` or ``7d``."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Bytes = Annotated[int, BeforeValidator(as_bytes), Field(gt=0)]
"""A size, as ``256MB``."""


class SettingsError(ValueError):
    """A wrong command line, environment or file of settings."""


class Settings(BaseModel):
    """What `echocast watch` was told; see docs/operations.md for each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: list[str] = []
    out: Path
    replay: str | None = None
    speed: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 1.0
    once: bool = False

    model: str = "lagrangian"
    minutes: Annotated[float, Field(ge=1, le=10_080, allow_inf_nan=False)] = 90
    frames: Annotated[int, Field(ge=2, le=1000)] = 10
    members: Annotated[int, Field(ge=1, le=1000)] | None = None
    bbox: tuple[float, float, float, float] | None = None
    rates: list[Positive] = []
    amounts: list[Positive] = []
    spans: list[Positive] = []

    nwp: list[str] = []
    blend: Literal["scales", "linear", "salient", "steps"] = "scales"
    blend_between: tuple[NotNegative, Positive] | None = None
    nwp_variable: str | None = None
    nwp_units: str | None = None
    nwp_max_age: Annotated[Seconds, Field(gt=0)] = 12 * 3600.0

    poll: Annotated[Seconds, Field(gt=0)] = 10.0
    settle: Seconds = 2.0
    patience: Seconds = 120.0
    read_timeout: Annotated[Seconds, Field(gt=0)] = 30.0
    most_bytes: Bytes = 256_000_000
    step: Annotated[Seconds, Field(gt=0)] | None = None
    delay: Seconds = 300.0
    stale: Annotated[Seconds, Field(gt=0)] = 1200.0

    gaps: Gaps = "shorten"
    least_frames: Annotated[int, Field(ge=2)] | None = None
    revise: bool = True
    catch_up: Seconds = 3600.0
    regrid_after: Annotated[int, Field(ge=1)] = 6

    deadline: Annotated[Seconds, Field(gt=0)] = 240.0
    memory: Bytes = 4_000_000_000
    keep: Annotated[Seconds, Field(gt=0)] = 86_400.0
    keep_netcdf: Seconds = 7 * 86_400.0
    keep_bytes: Bytes | None = None
    grace: Seconds = 600.0

    alerts: Path | None = None
    log: Literal["auto", "text", "json"] = "auto"
    metrics: Annotated[str, Field(pattern=_ADDRESS)] | None = None

    format: str | None = None
    variable: str | None = None
    units: str | None = None
    zr: str | None = None
    min_quality: Annotated[float, Field(ge=0, le=1)] | None = None
    interval: Annotated[float, Field(gt=0)] | None = None
    time_pattern: str | None = None
    missing_value: list[float] = []

    @model_validator(mode="after")
    def _goes_together(self) -> "Settings":
        if bool(self.sources) == (self.replay is not None):
            raise ValueError("give either sources or --replay ARCHIVE, and not both")
        if self.replay is None and self.speed != 1:
            raise ValueError("--speed is for --replay ARCHIVE; a real feed comes at its own speed")
        if not self.nwp and (self.blend != "scales" or self.blend_between or self.nwp_variable or self.nwp_units):
            raise ValueError("--blend, --blend-between, --nwp-variable and --nwp-units are about --nwp; give that too")
        if self.blend_between and self.blend_between[0] >= self.blend_between[1]:
            raise ValueError(f"--blend-between {self.blend_between}: the first lead is below the second, as 120,240")
        if self.least_frames is not None and self.least_frames > self.frames:
            raise ValueError(f"--least-frames {self.least_frames} is more than --frames {self.frames}")
        if self.keep < self.catch_up:
            raise ValueError(
                f"--keep {self.keep:g} s is less than --catch-up {self.catch_up:g} s: what is made up for would be"
                " removed at once; keep more, or catch up less"
            )
        return self

    def as_toml(self) -> str:
        """All settings as a file that gives the same."""
        content = self.model_dump(mode="json", exclude_none=True)
        lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in content.items()]
        return "".join([f"[{COMMAND}]\n", *lines])


def read_settings(
    given: Mapping[str, Any], *, file: Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """The settings from the command line (`given`; None is not given), a file and the environment.

    Raises:
        SettingsError: a key that does not exist, or a value that is not allowed.
    """
    merged = of_file(file, COMMAND) | of_environment(environment or {}, PREFIX, _LISTS)
    merged |= {name: value for name, value in given.items() if value not in (None, [], ())}
    try:
        return Settings(**merged)
    except ValidationError as bad:
        raise SettingsError("; ".join(told(error, Settings) for error in bad.errors())) from bad


def told(error: Any, settings: type[BaseModel]) -> str:
    """One error of pydantic in the words of the command line."""
    if error["type"] == "string_pattern_mismatch" and error["loc"][0] == "metrics":
        return f"--metrics {error['input']!r}: is no address such as 127.0.0.1:9464"
    where = "--" + ".".join(map(str, error["loc"])).replace("_", "-") if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        return f"there is no setting {str(error['loc'][0])!r}; there are: {', '.join(settings.model_fields)}"
    if error["type"] == "missing":
        return f"{where} is missing; give it on the command line or in the file of --config"
    what = str(error["msg"]).removeprefix("Value error, ")
    return f"{where} {error['input']!r}: {what}" if where else what


def of_file(file: Path | None, command: str) -> dict[str, Any]:
    """The settings in a command's table of a TOML file; its other tables are those of other commands.

    Raises:
        SettingsError: it cannot be read, has no such table, or a key that stands in no table.
    """
    if file is None:
        return {}
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as bad:
        raise SettingsError(f"--config {file}: cannot be read ({bad.strerror})") from bad
    except ValueError as bad:
        raise SettingsError(f"--config {file}: is no TOML ({bad})") from bad
    alone = [name for name, value in content.items() if not isinstance(value, dict)]
    if alone:
        raise SettingsError(
            f"--config {file}: {alone[0]} stands in no table; put a line [{command}] above the settings of"
            f" echocast {command}"
        )
    if command not in content:
        tables = ", ".join(f"[{name}]" for name in content) or "none"
        raise SettingsError(f"--config {file}: has no table [{command}] for echocast {command}; its tables: {tables}")
    return _with_underscores(content[command])


def _with_underscores(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table with the names that settings have; its own tables too."""
    return {
        name.replace("-", "_"): _with_underscores(value) if isinstance(value, dict) else value
        for name, value in table.items()
    }


def of_environment(environment: Mapping[str, str], prefix: str, lists: Container[str]) -> dict[str, Any]:
    """The settings of variables with a prefix; lists are separated by commas."""
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        if variable.startswith(prefix):
            name = variable.removeprefix(prefix).lower()
            found[name] = text.split(",") if name in lists else text
    return found
