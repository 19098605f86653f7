"""What the client and the command assume where nothing else is said."""

DEFAULT_URL = "http://127.0.0.1:8000"
