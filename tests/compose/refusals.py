"""Mistakes of a person: each gives one clear sentence, and `docker compose ps` shows where.

Each step leaves the stack broken; `mended` repairs it.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence

from tests.compose.checks import Failed, expect, until
from tests.compose.stack import Stack
from tests.compose.world import World

WRONG_BROKER_PASSWORD = """
services:
  worker:
    environment: {GRADSERVE_BROKER_URL: "redis://:wrong@redis:6379/0"}
"""
UNKNOWN_SETTING = """
services:
  recovery:
    environment: {GRADSERVE_RECOVERY_SECOND: "1"}
"""


def missing_password(world: World) -> str:
    stack = world.stack
    password = stack.env.pop("REDIS_PASSWORD")
    done = stack.up(check=False)
    stack.env["REDIS_PASSWORD"] = password
    expect(done.returncode != 0, "the stack starts without a password")
    return sentence(done.stderr.splitlines(), "REDIS_PASSWORD")


def taken_port(world: World) -> str:
    stack = world.stack
    stack.compose("rm", "--stop", "--force", "api")
    with socket.create_server(("127.0.0.1", stack.port)):
        done = stack.up(check=False)
    expect(done.returncode != 0, "the stack starts although its port is taken")
    expect("Up" not in stack.status("api"), "the API runs without its port")
    return sentence(done.stderr.splitlines(), str(stack.port))


def wrong_broker_password(world: World) -> str:
    return _ends(world.stack, "worker", "the broker refuses", override=WRONG_BROKER_PASSWORD)


def unknown_setting(world: World) -> str:
    return _ends(world.stack, "recovery", "GRADSERVE_RECOVERY_SECOND is", override=UNKNOWN_SETTING)


def wrong_database_password(world: World) -> str:
    stack = world.stack
    password = stack.env["POSTGRES_PASSWORD"]
    stack.env["POSTGRES_PASSWORD"] = "another"
    done = stack.up(check=False)
    stack.env["POSTGRES_PASSWORD"] = password
    expect(done.returncode != 0, "the stack starts with a wrong password")
    expect("Exited (1)" in stack.status("migrate"), "ps does not show that migrate failed")
    return sentence(stack.logs("migrate"), "the database refuses")


def other_postgres(world: World) -> str:
    """Starts Postgres on a volume that another major version has written."""
    stack = world.stack
    version = stack.inside("postgres", 'cat "$PGDATA/PG_VERSION"')
    _write_version(stack, "9.6")
    said = _ends(stack, "postgres", "initialized by PostgreSQL version 9.6")
    _write_version(stack, version)
    return said


def mended(world: World) -> str:
    world.stack.up()
    expect(world.stack.client().ready(), "the API is not ready")
    return "the next up succeeds"


def sentence(lines: Sequence[str], wanted: str) -> str:
    """The line with the wanted text, from a log or from Docker's output, without a traceback.

    Raises:
        Failed: there is no such line, or there is a traceback.
    """
    expect(not any("Traceback" in line for line in lines), "there is a traceback in the log")
    for line in lines:
        if wanted in line:
            return str(json.loads(line)["message"]) if line.startswith("{") else line.strip()
    raise Failed(f"no line has {wanted!r}: {list(lines)[-5:]}")


def _ends(stack: Stack, service: str, wanted: str, override: str | None = None) -> str:
    """The sentence with which a container of the service ends, again and again."""
    done = stack.up(check=False, override=override)
    expect(done.returncode != 0, "the stack starts in spite of the mistake")
    until(lambda: "Restarting (1)" in stack.status(service), 30, f"ps shows {service} failing")
    return sentence(stack.logs(service), wanted)


def _write_version(stack: Stack, version: str) -> None:
    stack.compose("rm", "--stop", "--force", "postgres")
    script = f'echo {version} > "$PGDATA/PG_VERSION"'
    options = ("--rm", "--no-TTY", "--no-deps", "--entrypoint", "sh")
    stack.compose("run", *options, "postgres", "-c", script)
