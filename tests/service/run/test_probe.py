"""The health checks of the containers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werkzeug.serving import make_server

from service.api.app import create_app
from service.common.heartbeat import beat
from service.common.settings import Settings
from service.run import probe


@contextmanager
def api(settings: Settings) -> Iterator[int]:
    """The port of a running API."""
    app = create_app(settings)
    server = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["gradserve"].close()


def test_an_api_that_is_ready(settings: Settings) -> None:
    with api(settings) as port:
        assert probe.api(port) == ""


def test_an_api_says_what_it_lacks(sqlite_database: str) -> None:
    settings = Settings(database_url=sqlite_database, broker_url="redis://127.0.0.1:1/0")
    with api(settings) as port:
        assert probe.api(port) == "broker cannot be reached"


def test_no_api() -> None:
    assert probe.api(1).startswith("the API does not answer: ")


def test_a_heart_beats_until_its_last_beat_is_too_old(tmp_path: Path) -> None:
    file = str(tmp_path / "alive")
    assert "no heartbeat" in probe.heart(file)

    beat(file, good_for=30)
    assert probe.heart(file) == ""

    beat(file, good_for=-0.01)
    assert "no heartbeat" in probe.heart(file)


def test_without_a_file_nothing_is_written() -> None:
    beat("", good_for=30)
