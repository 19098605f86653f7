"""Hosts, origins and networks, as the settings list them and as requests name them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from service.common.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HOST_AND_PORT = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_][a-z0-9_.-]*)(?::[0-9]{0,5})?")
DEFAULT_PORTS = {"http": 80, "https": 443}


def host_of(text: str) -> str:
    """The host in `HOST[:PORT]`, in the one form in which hosts are compared; empty if invalid."""
    found = HOST_AND_PORT.fullmatch(text.lower())
    if found is None:
        return ""
    host = found[1].removesuffix(".")
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return "" if "[" in host else host


def is_loopback(host: str) -> bool:
    """Whether a host in that form can only be this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listed(text: str) -> list[str]:
    """The entries of a comma-separated setting."""
    return [entry for part in text.split(",") if (entry := part.strip())]


def hosts(variable: str, text: str) -> frozenset[str]:
    """The hosts that a setting lists. Raises ConfigError for what is not a host."""
    wanted = (
        "each must be the name or address of a host without scheme and port, such as "
        "ml.example.org or 10.0.0.1"
    )
    return _all(variable, text, _host, wanted)


def origins(variable: str, text: str) -> frozenset[str]:
    """The origins that a setting lists, as browsers send them. Raises ConfigError for others."""
    wanted = "each must look like https://HOST or https://HOST:PORT, without a path"
    return _all(variable, text, _origin, wanted)


def networks(variable: str, text: str) -> tuple[Network, ...]:
    """The networks that a setting lists. Raises ConfigError for what is neither that nor an
    address.
    """
    found = []
    for entry in listed(text):
        try:
            found.append(ipaddress.ip_network(entry))
        except ValueError as error:
            raise ConfigError(
                f"{variable} has the entry {entry!r} ({error}): each must be an address or a "
                "network, such as 10.0.0.1 or 10.0.0.0/8"
            ) from None
    return tuple(found)


def is_within(address: str, allowed: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks; False for what is not an address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    # How a socket for both kinds of addresses shows one of the older kind.
    plain = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(plain in network for network in allowed)


def _all(variable: str, text: str, read: Callable[[str], str], wanted: str) -> frozenset[str]:
    """Every entry as `read` returns it. Raises ConfigError where that is empty."""
    found = {entry: read(entry) for entry in listed(text)}
    for entry, meaning in found.items():
        if not meaning:
            raise ConfigError(f"{variable} has the entry {entry!r}: {wanted}")
    return frozenset(found.values())


def _host(entry: str) -> str:
    try:
        return str(ipaddress.ip_address(entry))
    except ValueError:
        pass
    try:
        name = entry.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    return "" if ":" in name.rpartition("]")[2] else host_of(name)


def _origin(entry: str) -> str:
    try:
        parts = urlsplit(entry.lower())
        port = parts.port
    except ValueError:
        return ""
    host = host_of(parts.netloc)
    if not host or parts.scheme not in DEFAULT_PORTS or parts.path or re.search("[?#]", entry):
        return ""
    shown = f"[{host}]" if ":" in host else host
    shown_port = "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{shown}{shown_port}"
