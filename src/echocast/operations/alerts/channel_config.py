"""What a channel says: where messages go and how."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from echocast.operations.alerts.rule_config import Identifier, as_list

Recipients = Annotated[list[str], BeforeValidator(as_list), Field(min_length=1)]


class _Base(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Identifier


class FileChannel(_Base):
    """JSON lines, appended to a file."""

    kind: Literal["file"]
    path: Path


class StdoutChannel(_Base):
    """JSON lines on standard output."""

    kind: Literal["stdout"]


class WebhookChannel(_Base):
    """A POST of JSON, signed by the rules of Standard Webhooks."""

    kind: Literal["webhook"]
    url: str
    secret_file: Path | None = None
    unsigned: bool = False
    insecure: bool = False
    private: bool = False
    ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _is_web(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("is no address such as https://host/path")
        if parts.username or parts.password or parts.fragment:
            raise ValueError("holds a user, a password or a fragment, which do not belong there; leave them out")
        _ = parts.port  # raises ValueError where it is no number
        return url

    @model_validator(mode="after")
    def _goes_together(self) -> "WebhookChannel":
        if self.url.startswith("http:") and not self.insecure:
            raise ValueError("url is not https; use https, or insecure = true for a program on this machine")
        if (self.secret_file is None) != self.unsigned:
            raise ValueError("give secret_file, with which messages are signed, or unsigned = true, and not both")
        return self


class CapChannel(_Base):
    """CAP 1.2, a file a message, in the folder of the service; `echocast serve` shows it."""

    kind: Literal["cap"]
    sender: Annotated[str, Field(pattern=r"^[^\s,<&]+$")]
    sender_name: str | None = None
    status: Literal["Actual", "Exercise", "System", "Test", "Draft"] = "Test"
    scope: Literal["Public", "Restricted", "Private"] = "Public"
    restriction: str | None = None
    addresses: str | None = None
    contact: str | None = None
    web: str | None = None
    folder: Path | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> "CapChannel":
        for scope, key in (("Restricted", "restriction"), ("Private", "addresses")):
            if (self.scope == scope) != (getattr(self, key) is not None):
                raise ValueError(f"{key} belongs to scope = {scope!r} and must be there with it, and only then")
        return self


class EmailChannel(_Base):
    """E-mail by SMTP with STARTTLS."""

    kind: Literal["email"]
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(gt=0, le=65_535)] = 587
    sender: Annotated[str, Field(alias="from", pattern=r"^[^\s<>]+@[^\s<>]+$")]
    to: Recipients
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> "EmailChannel":
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file go together; give both or none")
        return self


Channel = Annotated[
    FileChannel | StdoutChannel | WebhookChannel | CapChannel | EmailChannel, Field(discriminator="kind")
]
"""An entry ``[[channel]]``."""
