"""The Python client of the service and the `gradserve` command."""

DEFAULT_URL = "http://127.0.0.1:8000"
