"""Channels: each sends a message in its form, or raises `NotSent`."""

import base64
import binascii
import hashlib
import hmac
import json
import os
import smtplib
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from echocast._version import __version__
from echocast.atomic import write_bytes
from echocast.errors import DataError
from echocast.operations.alerts import addresses, cap
from echocast.operations.alerts.channel_config import (
    CapChannel,
    Channel,
    EmailChannel,
    FileChannel,
    StdoutChannel,
    WebhookChannel,
)
from echocast.operations.alerts.messages import Message
from echocast.operations.alerts.places import Place
from echocast.operations.stamps import seconds_of

_SMTP_LIMIT_S = 20.0
_LEAST_SECRET = 16


class NotSent(Exception):
    """A message could not be sent.

    Args:
        why: in one line.
        wait: seconds that the other side asks to wait.
    """

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


@runtime_checkable
class Sender(Protocol):
    """Sends messages."""

    def send(self, message: Message) -> str:
        """Send a message; what is to be told although it arrived, mostly nothing. Raises `NotSent`."""


@dataclass(frozen=True)
class Surroundings:
    """What channels must know.

    Args:
        base: paths of the rules' file are relative to this folder.
        caps: the folder of the service for CAP files.
        place: the area of an id; None where there is none any more.
    """

    base: Path
    caps: Path
    place: Callable[[str], Place | None] = lambda _: None


def made(channel: Channel, around: Surroundings) -> Sender:
    """The sender of a channel.

    Raises:
        DataError: a file with a secret cannot be read, or what it holds is too short.
    """
    match channel:
        case FileChannel():
            return LinesFile(around.base / channel.path)
        case StdoutChannel():
            return LinesOut()
        case WebhookChannel():
            secret = (
                None if channel.secret_file is None else signing_key(_secret(channel.id, around, channel.secret_file))
            )
            return Webhook(channel, secret, around.base)
        case CapChannel():
            return CapFiles(channel, around)
        case EmailChannel():
            file = channel.password_file
            return Email(channel, None if file is None else _secret(channel.id, around, file), around.base)


def _secret(channel: str, around: Surroundings, file: Path) -> str:
    path = around.base / file
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as bad:
        why = getattr(bad, "strerror", None) or "is no text"
        raise DataError(f"channel {channel!r}: the secret in {path} cannot be read ({why}); make it readable") from bad
    if not text:
        raise DataError(f"channel {channel!r}: {path} is empty; write the secret into it")
    return text


def signing_key(secret: str) -> bytes:
    """The bytes of a secret: of ``whsec_`` and base64 as Standard Webhooks has it, else of the text as it is.

    Raises:
        DataError: it is no base64, or shorter than 16 bytes.
    """
    try:
        found = base64.b64decode(secret.removeprefix("whsec_"), validate=True) if secret.startswith("whsec_") else None
    except binascii.Error as bad:
        raise DataError("a webhook's secret begins with whsec_ and is no base64; copy it again") from bad
    key = secret.encode() if found is None else found
    if len(key) < _LEAST_SECRET:
        raise DataError(f"a webhook's secret has {len(key)} bytes; give {_LEAST_SECRET} or more")
    return key


def line_of(message: Message) -> bytes:
    """A message as a line of JSON."""
    return json.dumps(message.to_json(), ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True)
class LinesFile:
    """Appends to a file, which may be moved away at any time; a line that a power cut tore is ended first."""

    path: Path

    def send(self, message: Message) -> str:
        """Append a line; it is on the disk when this returns."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                is_torn = file.tell() > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
                file.write((b"\n" if is_torn else b"") + line_of(message))
                file.flush()
                os.fsync(file.fileno())
        except OSError as bad:
            raise NotSent(f"{self.path}: cannot be written ({bad.strerror or bad})") from bad
        return ""


class LinesOut:
    """Writes to standard output."""

    def send(self, message: Message) -> str:
        """Write a line."""
        try:
            sys.stdout.buffer.write(line_of(message))
            sys.stdout.buffer.flush()
        except (OSError, ValueError) as bad:
            raise NotSent(f"standard output: {bad}") from bad
        return ""


@dataclass(frozen=True)
class Webhook:
    """Posts JSON, signed as Standard Webhooks says: HMAC-SHA256 of id, time and body."""

    channel: WebhookChannel
    key: bytes | None
    base: Path
    limit_s: float = addresses.LIMIT_S

    def send(self, message: Message) -> str:
        """Post a message; only an answer of 200 to 299 means that it has arrived."""
        body = json.dumps(
            {"type": f"echocast.{message.kind.lower()}", "timestamp": message.sent, "data": message.to_json()},
            ensure_ascii=False,
        ).encode()
        ca_file = None if self.channel.ca_file is None else self.base / self.channel.ca_file
        try:
            status, after = addresses.post(
                self.channel.url,
                body,
                self._headers(message.id, body),
                private=self.channel.private,
                insecure=self.channel.insecure,
                ca_file=ca_file,
                limit_s=self.limit_s,
            )
        except OSError as bad:
            raise NotSent(str(bad)) from bad
        if 300 <= status < 400:
            raise NotSent(f"answered {status}: redirects are not followed; give the address that it points to")
        if not 200 <= status < 300:
            raise NotSent(f"answered {status}", _seconds_after(after))
        return ""

    def _headers(self, name: str, body: bytes) -> dict[str, str]:
        now = str(int(time.time()))
        found = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": f"echocast/{__version__}",
            "webhook-id": name,
            "webhook-timestamp": now,
        }
        if self.key is not None:
            found["webhook-signature"] = signature(self.key, name, now, body)
        return found


def signature(key: bytes, name: str, timestamp: str, body: bytes) -> str:
    """The value of ``webhook-signature``: ``v1,`` and the base64 of HMAC-SHA256 of ``id.timestamp.body``."""
    digest = hmac.new(key, b".".join((name.encode(), timestamp.encode(), body)), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _seconds_after(text: str | None) -> float:
    """The seconds of a Retry-After, which is a number or a date; 0 where there is none."""
    if text is None:
        return 0.0
    if text.strip().isdigit():
        return float(min(int(text.strip()[:9]), 86_400))
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


@dataclass(frozen=True)
class CapFiles:
    """Writes a file of CAP for each message into the folder of the service, and into another one if asked."""

    channel: CapChannel
    around: Surroundings

    def send(self, message: Message) -> str:
        """Write the file; it appears whole."""
        content = cap.to_xml(message, self.channel, self.around.place(message.area["id"]))
        folders = [self.around.caps]
        if self.channel.folder is not None:
            folders.append(self.around.base / self.channel.folder)
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
                write_bytes(folder / f"{message.id}.cap.xml", content, sync=True)
        except (OSError, DataError) as bad:
            raise NotSent(str(bad)) from bad
        return ""


@dataclass(frozen=True)
class Email:
    """Sends an e-mail; the connection is always encrypted by STARTTLS and the certificate checked."""

    channel: EmailChannel
    password: str | None
    base: Path

    def send(self, message: Message) -> str:
        """Send to all recipients at once."""
        chosen = self.channel
        try:
            context = ssl.create_default_context(
                cafile=None if chosen.ca_file is None else str(self.base / chosen.ca_file)
            )
            lost = self._sent(self.mail(message), context)
        except smtplib.SMTPRecipientsRefused as bad:
            raise NotSent(f"{chosen.host}: refused {_refusals(bad.recipients)}") from bad
        except (OSError, smtplib.SMTPException, ValueError) as bad:
            raise NotSent(f"{chosen.host}: {_without(str(bad), self.password)}") from bad
        # Sent again, it would come to the others twice; so it counts as sent.
        return f"{chosen.host}: refused {_refusals(lost)}" if lost else ""

    def _sent(self, mail: EmailMessage, context: ssl.SSLContext) -> dict[str, tuple[int, bytes]]:
        """Send over an encrypted connection; the recipients that were refused while others were not."""
        chosen = self.channel
        server = smtplib.SMTP(chosen.host, chosen.port, timeout=_SMTP_LIMIT_S)
        try:
            server.starttls(context=context)
            if chosen.user is not None and self.password is not None:
                server.login(chosen.user, self.password)
            lost = server.send_message(mail)
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            return lost
        finally:
            server.close()  # no farewell where something failed: it would wait for an answer

    def mail(self, message: Message) -> EmailMessage:
        """A message as an e-mail: the texts in all languages, and the message itself as an attachment of JSON."""
        mail = EmailMessage()
        domain = self.channel.sender.rpartition("@")[2]
        first, *others = message.headline.values()
        mail["Subject"] = " ".join(f"{message.severity}: {first}".split())
        mail["From"] = self.channel.sender
        mail["To"] = ", ".join(self.channel.to)
        mail["Date"] = formatdate(seconds_of(message.sent))
        mail["Message-ID"] = f"<{message.id}@{domain}>"
        if message.references:
            mail["References"] = " ".join(f"<{name}@{domain}>" for name, _ in message.references)
        mail["Auto-Submitted"] = "auto-generated"
        parts = [
            "\n".join(filter(None, (title, message.description[language], message.instruction.get(language))))
            for language, title in zip(message.headline, (first, *others), strict=True)
        ]
        mail.set_content("\n\n".join(parts) + f"\n\nIncident {message.incident}, issue {message.issue['id']}.\n")
        mail.add_attachment(line_of(message), maintype="application", subtype="json", filename=f"{message.id}.json")
        return mail


def _refusals(lost: Mapping[str, tuple[int, bytes]]) -> str:
    told = (f"{name} ({code} {text.decode(errors='replace')})" for name, (code, text) in lost.items())
    return " ".join(", ".join(told).split())


def _without(text: str, secret: str | None) -> str:
    return text.replace(secret, "***") if secret else text
