"""/healthz and /readyz: is the process alive, and can it work?"""

from __future__ import annotations

from http import HTTPStatus as Status
from pathlib import Path

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.api.context import Services, current
from service.api.openapi import answers
from service.api.problems import problem
from service.common import failing, messages
from service.common.errors import DatabaseTooNew, DatabaseTooOld, DiskFull
from service.store import disk, everyone, migrate

OK = "ok"

blueprint = APIBlueprint(
    "health", __name__, abp_tags=[Tag(name="health", description="For supervisors")]
)


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(Alive):
    """The state of each part that the service needs."""

    checks: dict[str, str]


@blueprint.get(
    "/healthz",
    operation_id="healthz",
    summary="Is the process alive?",
    responses={200: Alive},
)
def healthz() -> Response:
    return jsonify({"status": OK})


@blueprint.get(
    "/readyz",
    operation_id="readyz",
    summary="Can the service work?",
    responses=answers({200: Ready}, Status.SERVICE_UNAVAILABLE),
)
def readyz() -> Response:
    """503 names what is missing: database, schema, broker, for SQLite room on the disk, or a part
    that keeps ending.
    """
    services = current()
    checks = failing.told(Path(services.settings.data_dir))
    checks |= _database(services) | {"broker": _broker(services)} | _disk(services)
    missing = [f"{part} {state}" for part, state in checks.items() if state != OK]
    if missing:
        return problem(503, "not-ready", "Not ready", "; ".join(missing), checks=checks)
    return jsonify({"status": "ready", "checks": checks})


def _database(services: Services) -> dict[str, str]:
    try:
        with everyone.read(services.database) as session:
            migrate.check(session.connection())
    except (DBAPIError, PoolTimeout):
        return {"database": "cannot be reached", "schema": "unknown"}
    except (DatabaseTooNew, DatabaseTooOld) as error:
        return {"database": OK, "schema": str(error)}
    return {"database": OK, "schema": OK}


def _broker(services: Services) -> str:
    return "cannot be reached" if messages.waiting(services.publisher) is None else OK


def _disk(services: Services) -> dict[str, str]:
    if not services.settings.sqlite:
        return {}  # that of another machine, perhaps
    try:
        disk.check(services.settings)
    except DiskFull as error:
        return {"disk": f"is too full: {error}"}
    except OSError as error:
        return {"disk": f"cannot be looked at: {error.strerror}"}
    return {"disk": OK}
