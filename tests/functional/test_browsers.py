"""What only a real server shows: raw request targets, gunicorn's own headers, `--host`."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.functional.conftest import SHORT, Start, Up


def ask(up: Up, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> Any:
    """Status, headers and body of the answer to a request that is sent as it stands."""
    lines = [f"{method} {target} HTTP/1.1", *headers, f"Content-Length: {len(body)}"]
    with socket.create_connection((up.http.base_url.host, up.http.base_url.port or 80)) as client:
        client.settimeout(10)
        client.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, text = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in rest), text


def submit(up: Up, path: str, *headers: str) -> Any:
    return ask(
        up,
        path,
        "Host: localhost",
        "Content-Type: application/json",
        *headers,
        method="POST",
        body=json.dumps(SHORT).encode(),
    )


def test_a_service_on_this_machine_minds_who_calls(up: Up) -> None:
    for target, header, right in (
        ("/v1/jobs", "Host: localhost", 200),
        ("/v1/jobs", "Host: evil.example", 421),
        ("/v1/jobs", "X-No-Host: here", 421),
        ("http://evil.example/v1/jobs", "Host: localhost", 421),
        ("http://localhost/v1/jobs", "Host: evil.example", 421),
        ("http://localhost/v1/jobs", "Host: localhost", 200),
        ("//metrics", "Host: localhost", 404),
        ("///metrics", "Host: localhost", 404),
        ("/%2fmetrics", "Host: localhost", 404),
        ("/v1%2Fjobs", "Host: localhost", 404),
        ("//localhost/metrics", "Host: localhost", 404),
        ("http://localhost//metrics", "Host: localhost", 404),
    ):
        status, headers, body = ask(up, target, header)
        assert status == right, (target, header, body)
        assert "server" not in headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-type"] == (
            "application/json" if right == 200 else "application/problem+json"
        )

    # Nobody is a trusted proxy, not even on this machine.
    status, _, _ = ask(up, "/v1/metrics", "Host: localhost", "SCRIPT_NAME: /v1")
    assert status == 404
    status, headers, _ = submit(up, "/v1/jobs", "SCRIPT_NAME: /v1", "X-Forwarded-Prefix: /ml")
    assert (status, headers["location"][:13]) == (201, "/v1/jobs/job_")

    status, _, _ = submit(up, "/v1/jobs", "Origin: http://evil.example")
    assert status == 403


def test_a_host_that_was_asked_for_is_answered_by_name(start: Start) -> None:
    up = start(
        options=["--host", "0.0.0.0"],
        GRADSERVE_AUTH="off",
        GRADSERVE_ALLOWED_HOSTS="ml.example.org",
        GRADSERVE_TRUSTED_PROXIES="127.0.0.1",
        FORWARDED_ALLOW_IPS="*",
    ).wait_until_up()

    for host, right in (("0.0.0.0", 200), ("ml.example.org", 200), ("evil.example", 421)):
        assert up.http.get("/healthz", headers={"Host": host}).status_code == right

    # Through a trusted proxy, one that removes the prefix and one that does not.
    for path, header in (("/v1/jobs", "X-Forwarded-Prefix"), ("/ml/v1/jobs", "SCRIPT_NAME")):
        status, headers, body = submit(up, path, f"{header}: /ml", "X-Forwarded-Proto: https")
        assert status == 201, body
        assert headers["location"].startswith("/ml/v1/jobs/job_")
        assert json.loads(body)["links"]["self"] == headers["location"]


@pytest.mark.parametrize("path", ["/", "/docs/"])
def test_a_browser_finds_the_documentation(up: Up, path: str) -> None:
    page = up.http.get(path, follow_redirects=True)
    assert page.status_code == 200
    assert page.url.path == "/docs"
