"""The app from the environment, for `gunicorn service.wsgi:app`."""

import os

from service.app import create_app
from service.config import Settings

app = create_app(Settings.from_env(os.environ))
