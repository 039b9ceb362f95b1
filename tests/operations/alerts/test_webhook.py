"""Webhooks against real servers on loopback: signed, pinned to a checked address, never long, never redirected."""

import base64
import hashlib
import hmac
import ipaddress
import json
import socket
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from tests.operations.alerts import made, servers

from echocast.errors import DataError
from echocast.operations.alerts import addresses
from echocast.operations.alerts.channel_config import WebhookChannel
from echocast.operations.alerts.channels import NotSent, Surroundings, Webhook, signing_key
from echocast.operations.alerts.channels import made as sender_of
from echocast.operations.alerts.messages import from_json

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdefghijklmn").decode()


def webhook(tmp_path: Path, url: str, **more: Any) -> Webhook:
    (tmp_path / "secret").write_text(SECRET + "\n")
    given = {"id": "ops", "kind": "webhook", "url": url, "secret_file": "secret", "insecure": True} | more
    found = sender_of(WebhookChannel(**given), Surroundings(tmp_path, tmp_path))
    assert isinstance(found, Webhook)
    return found


def test_a_message_arrives_whole_and_signed(tmp_path: Path) -> None:
    message = made.message(made.alerts(tmp_path))
    with servers.hook() as server:
        assert webhook(tmp_path, f"http://127.0.0.1:{server.port}/in?team=a").send(message) == ""
    ((path, headers, body),) = server.got
    assert path == "/in?team=a"
    content = json.loads(body)
    assert content["type"] == "echocast.alert"
    assert from_json(content["data"]) == message
    # As https://github.com/standard-webhooks/standard-webhooks says: HMAC-SHA256 of id.timestamp.body.
    assert headers["webhook-id"] == message.id
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"0123456789abcdefghijklmn", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    ("status", "headers", "told", "wait"),
    [
        (500, {}, "answered 500", 0.0),
        (503, {"Retry-After": "120"}, "answered 503", 120.0),
        (302, {"Location": "http://169.254.169.254/latest/meta-data/"}, "redirects are not followed", 0.0),
        (410, {}, "answered 410", 0.0),
    ],
)
def test_what_is_no_success_is_told(
    tmp_path: Path, status: int, headers: dict[str, str], told: str, wait: float
) -> None:
    with servers.hook([(status, headers)]) as server, pytest.raises(NotSent, match=told) as bad:
        webhook(tmp_path, f"http://127.0.0.1:{server.port}/").send(made.message(made.alerts(tmp_path)))
    assert len(server.got) == 1
    assert bad.value.wait == wait


@pytest.mark.parametrize(
    ("first", "drop"),
    [(b"", b""), (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x")],
    ids=["silent", "headers for ever", "a body for ever"],
)
def test_a_server_that_never_ends_is_left_in_time(tmp_path: Path, first: bytes, drop: bytes) -> None:
    with servers.dripping(first, drop, 0.05) as port:
        sender = webhook(tmp_path, f"http://127.0.0.1:{port}/")
        began = time.monotonic()
        quick = Webhook(sender.channel, sender.key, sender.base, limit_s=0.4)
        # Where the answer is known, what never ends after it does not matter.
        is_known = b"\r\n\r\n" in first
        with nullcontext() if is_known else pytest.raises(NotSent, match="did not answer within"):
            quick.send(made.message(made.alerts(tmp_path)))
        assert time.monotonic() - began < 30  # it would be for ever


def test_certificates_are_checked_against_the_name(tmp_path: Path) -> None:
    message = made.message(made.alerts(tmp_path))
    context, trusted = servers.certificates(tmp_path)
    with servers.hook(context=context) as server:
        url = f"https://localhost:{server.port}/"
        assert webhook(tmp_path, url, private=True, ca_file=trusted).send(message) == ""
        with pytest.raises(NotSent, match="certificate"):
            webhook(tmp_path, url, private=True).send(message)
        with pytest.raises(NotSent, match="this machine"):
            webhook(tmp_path, url, ca_file=trusted).send(message)
    other, trusted = servers.certificates(tmp_path, "elsewhere.example")
    with servers.hook(context=other) as server, pytest.raises(NotSent, match="localhost"):
        webhook(tmp_path, f"https://localhost:{server.port}/", private=True, ca_file=trusted).send(message)


@pytest.mark.parametrize(
    ("address", "private", "told"),
    [
        ("93.184.216.34", False, ""),
        ("2606:2800:220:1:248:1893:25c8:1946", False, ""),
        ("10.1.2.3", False, "private network"),
        ("10.1.2.3", True, ""),
        ("fd00::1", False, "private network"),
        ("100.64.0.1", False, "private network"),
        ("127.0.0.1", False, "this machine"),
        ("::1", False, "this machine"),
        ("127.8.8.8", True, ""),
        ("169.254.169.254", True, "link-local"),
        ("fe80::1", True, "link-local"),
        ("::ffff:169.254.169.254", True, "link-local"),  # IPv4 in the clothes of IPv6
        ("64:ff9b::a9fe:a9fe", True, "link-local"),
        ("2002:7f00:1::", False, "this machine"),
        ("0.0.0.0", True, "no address of one machine"),
        ("224.0.0.1", True, "no address of one machine"),
        ("ff02::1", True, "no address of one machine"),
        ("255.255.255.255", True, "no address of one machine"),
    ],
)
def test_which_addresses_are_allowed(address: str, private: bool, told: str) -> None:
    found = addresses.refusal(ipaddress.ip_address(address), private=private, loopback=False)
    assert told in found
    assert bool(told) is bool(found)


def test_a_name_is_resolved_once_and_all_its_addresses_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers with another address each time wins nothing."""
    asked = []

    def lookup(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        inside = [(2, 1, 6, "", ("169.254.169.254", port))] if len(asked) > 1 else []
        return [(2, 1, 6, "", ("127.0.0.1", port)), *inside]

    with servers.hook() as server:
        monkeypatch.setattr(socket, "getaddrinfo", _only("rebound.example", lookup, socket.getaddrinfo))
        status, _ = addresses.post(f"http://rebound.example:{server.port}/", b"{}", {}, insecure=True)
        assert (status, asked) == (204, ["rebound.example"])
        assert server.got[0][1]["host"] == f"rebound.example:{server.port}"
        with pytest.raises(addresses.Refused, match="link-local"):
            addresses.post(f"http://rebound.example:{server.port}/", b"{}", {}, insecure=True)
    assert len(server.got) == 1


def _only(name: str, instead: Any, otherwise: Any) -> Any:
    return lambda host, *a, **k: instead(host, *a, **k) if host == name else otherwise(host, *a, **k)


@pytest.mark.parametrize(("secret", "told"), [("short", "has 5 bytes"), ("whsec_&&", "no base64")])
def test_a_wrong_secret_is_told_without_it(secret: str, told: str) -> None:
    with pytest.raises(DataError, match=told) as bad:
        signing_key(secret)
    assert secret not in str(bad.value)
