"""E-mail to a real SMTP server with STARTTLS."""

import email
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message as Mail
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from tests.operations.alerts import made, servers

from echocast.operations.alerts.channel_config import EmailChannel
from echocast.operations.alerts.channels import NotSent, Surroundings
from echocast.operations.alerts.channels import made as sender_of
from echocast.operations.alerts.states import Told


class Inbox:
    """Keeps what comes; refuses one recipient."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], Mail]] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("nobody"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        assert session.ssl is not None
        self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return "250 OK"


def login(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
    is_right = (given.login, given.password) == (b"nowcast", b"open sesame")
    return AuthResult(success=is_right, handled=is_right)  # not handled: the server answers 535


@contextmanager
def smtp(folder: Path, **more: Any) -> Iterator[tuple[Inbox, int, Path]]:
    """An SMTP server: its inbox, its port and the file that trusts it."""
    context, trusted = servers.certificates(folder)
    inbox = Inbox()
    given = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": login} | more
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(inbox, hostname="127.0.0.1", port=port, **given)
    server.start()
    try:
        yield inbox, port, trusted
    finally:
        server.stop()


def send(
    tmp_path: Path, port: int, trusted: Path | None, *, to: object = "duty@example.org", secret: str = "open sesame"
) -> str:
    (tmp_path / "password").write_text(secret)
    channel = EmailChannel(
        **{"id": "mail", "kind": "email", "host": "127.0.0.1", "port": port, "from": "nowcast@example.org", "to": to},
        user="nowcast",
        password_file=Path("password"),
        ca_file=trusted,
    )
    told = Told((("a" * 32, "2026-10-14T17:00:00Z"),), "Severe", 0, 0, 0, {})
    alerts = made.alerts(tmp_path, top='languages = ["de", "en"]')
    return sender_of(channel, Surroundings(tmp_path, tmp_path)).send(made.message(alerts, "Update", told=told))


def test_a_mail_arrives_encrypted_with_all_that_it_must_say(tmp_path: Path) -> None:
    with smtp(tmp_path) as (inbox, port, trusted):
        assert send(tmp_path, port, trusted, to=["duty@example.org", "chief@example.org"]) == ""
    ((to, mail),) = inbox.mails
    assert to == ["duty@example.org", "chief@example.org"]
    text, attached = mail.get_payload()  # type: ignore[misc]
    content = json.loads(attached.get_payload(decode=True))  # type: ignore[union-attr]
    assert mail["Message-ID"] == f"<{content['id']}@example.org>"
    assert mail["References"] == f"<{'a' * 32}@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    body = text.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert "keine amtliche Warnung" in body
    assert "not an official warning" in body


def test_what_does_not_arrive_is_told(tmp_path: Path) -> None:
    with smtp(tmp_path) as (inbox, port, trusted):
        with pytest.raises(NotSent, match="certificate"):
            send(tmp_path, port, None)
        with pytest.raises(NotSent) as bad:
            send(tmp_path, port, trusted, secret="hush hush")
        assert "hush" not in str(bad.value)
        with pytest.raises(NotSent, match=r"refused nobody@example.org \(550 no such user\)"):
            send(tmp_path, port, trusted, to="nobody@example.org")
        # It came to the other one: sent again, that one would get it twice.
        assert "nobody@example.org" in send(tmp_path, port, trusted, to=["duty@example.org", "nobody@example.org"])
    assert len(inbox.mails) == 1


def test_a_server_without_encryption_gets_nothing(tmp_path: Path) -> None:
    open_to_all = {"tls_context": None, "require_starttls": False, "auth_required": False}
    with smtp(tmp_path, **open_to_all) as (inbox, port, trusted), pytest.raises(NotSent, match="STARTTLS"):
        send(tmp_path, port, trusted)
    assert inbox.mails == []
