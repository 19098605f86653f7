"""Defaults of the client and the command."""

DEFAULT_URL = "http://127.0.0.1:8000"
