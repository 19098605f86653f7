"""A running service with keys, and people with data sets and with jobs in every state that waits or
has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from service.common.settings import Settings
from service.run import keys
from service.store.api_keys import Scope
from tests.functional.conftest import SHORT, Up
from tests.processes import until

SECRET = "eves-secret"
"""Stands in every job of eve, whom nobody else may learn of."""

EVERY_SCOPE: tuple[Scope, ...] = ("read", "write", "admin")
# Of each state and person. The first request that deletes a job deletes it for all others.
TIMES = 5
DIVERGES = SHORT | {"optimizer": {"learning_rate": 1e6}}
ENVIRON = {
    "GRADSERVE_AUTH": "keys",
    # Jobs that train for longer than some seconds tell nothing more of the API.
    "GRADSERVE_MAX_JOB_WORK": "100000000",
    "GRADSERVE_MAX_REQUESTS_PER_SECOND": "0",
    # Whoever tests may say from which address a request comes.
    "GRADSERVE_TRUSTED_PROXIES": "127.0.0.1",
}


@dataclass(frozen=True)
class Live:
    """`people` send with their keys; `ids` are the jobs and data sets of each."""

    up: Up
    keys: Mapping[str, str]
    people: Mapping[str, httpx.Client]
    ids: Mapping[str, list[str]]

    @property
    def url(self) -> str:
        return str(self.up.http.base_url)


@contextmanager
def service(folder: Path, database_url: str | None = None) -> Iterator[Live]:
    """`gradserve up` in the folder, on its own SQLite file or on the given database."""
    data = folder / "var"
    data.mkdir()
    settings = Settings(database_url=database_url or f"sqlite:///{data}/gradserve.db")
    made = {
        name: keys.create(
            settings, owner=name, name=name, scopes=EVERY_SCOPE, lifetime_seconds=None
        )
        for name in ("ada", "bob", "eve")
    }
    environ = ENVIRON | {"GRADSERVE_DATABASE_URL": settings.database_url}
    up = Up(folder, data, environ, options=("--workers", "1"))
    try:
        up.wait_until_up()
        people = {
            name: httpx.Client(
                base_url=up.http.base_url, headers={"Authorization": f"Bearer {key}"}, timeout=60
            )
            for name, key in made.items()
        }
        ids = {
            name: [*_jobs(person, name), *_datasets(person, name)]
            for name, person in people.items()
        }
        yield Live(up, made, people, ids)
    finally:
        up.clear()


def _jobs(person: httpx.Client, name: str) -> Iterator[str]:
    job = {"name": SECRET if name == "eve" else name}
    ended = [_submit(person, spec | job) for spec in (SHORT, DIVERGES)]
    yield from ended
    for _ in range(TIMES):
        for action in ("pause", "cancel"):
            id = _submit(person, SHORT | job)
            person.post(f"/v1/jobs/{id}/{action}")
            yield id
    for id in ended:
        until(lambda id=id: person.get(f"/v1/jobs/{id}").json()["terminal"], 60)  # type: ignore[misc]


def _datasets(person: httpx.Client, name: str) -> Iterator[str]:
    called = SECRET if name == "eve" else name
    for i in range(TIMES):
        text = f"size,colour,{called}\n1,red,{i}\n2,blue,5\n3,red,6\n"
        answer = person.post(
            "/v1/datasets",
            params={"name": called},
            content=text,
            headers={"Content-Type": "text/csv"},
        )
        assert answer.status_code == 201, answer.text
        yield answer.json()["id"]


def _submit(person: httpx.Client, spec: Mapping[str, Any]) -> str:
    answer = person.post("/v1/jobs", json=spec)
    assert answer.status_code == 201, answer.text
    id: str = answer.json()["id"]
    return id
