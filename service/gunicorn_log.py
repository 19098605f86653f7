"""gunicorn's own lines as JSON, for `gunicorn --logger-class service.gunicorn_log.JsonLogger`."""

from __future__ import annotations

from gunicorn.config import Config
from gunicorn.glogging import Logger

from service import log


class JsonLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """Hands everything to the one formatter; requests are logged by the app, with their ids."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        log.configure()
        self.error_log.handlers.clear()
        self.error_log.propagate = True
