"""The address of a service where nobody has given another one."""

DEFAULT_URL = "http://127.0.0.1:8000"
URL_VARIABLE = "GRADSERVE_URL"
