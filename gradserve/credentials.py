"""API keys on the side of the client: from the environment, or from a file of one's own."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gradserve.errors import ClientError

VARIABLE = "GRADSERVE_API_KEY"
MODE = 0o600


def find(url: str) -> str | None:
    """The key for a service: that of GRADSERVE_API_KEY, else the one that `login` has stored."""
    return os.environ.get(VARIABLE) or _read().get(_name(url))


def store(url: str, key: str) -> Path:
    """Stores the key for a service in a file that only this user can read; returns its path."""
    path = file()
    keys = _read() | {_name(url): key}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Written beside and moved, so that an interrupted write loses no key.
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w") as output:
        json.dump(keys, output, indent=2)
    new.replace(path)
    return path


def file() -> Path:
    """`gradserve/keys.json` in the user's folder of configuration (XDG_CONFIG_HOME)."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "gradserve" / "keys.json"


def _name(url: str) -> str:
    return url.rstrip("/")


def _read() -> dict[str, str]:
    path = file()
    try:
        keys = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ClientError(f"{path} cannot be read ({error}): `gradserve login` makes it") from None
    if not isinstance(keys, dict):
        raise ClientError(f"{path} does not hold keys by address: remove it and log in again")
    return keys
