"""gunicorn's own lines as JSON, for
`gunicorn --logger-class service.run.gunicorn_log.JsonLogger`."""

from __future__ import annotations

import sys
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from service.common import logs


class JsonLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """Hands everything to the one formatter; requests are logged by the app, with their ids."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        logs.configure()
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        if isinstance(sys.exception(), TimeoutError):  # set by service.run.gunicorn_worker
            self.info("a client took too long to receive an answer")
        else:
            super().exception(msg, *args, **kwargs)
