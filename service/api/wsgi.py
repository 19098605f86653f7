"""The app from the environment, for `gunicorn service.api.wsgi:app`."""

import os

from service.api.app import create_app
from service.common.settings import Settings

app = create_app(Settings.from_env(os.environ))
