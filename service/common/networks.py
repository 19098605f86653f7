"""Lists of addresses and networks in settings, such as `10.0.0.0/8, 127.0.0.1`."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def networks(text: str) -> list[Network]:
    """The networks of a comma-separated list. Raises ValueError, naming the one that is none."""
    return [ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()]


def is_within(address: str, allowed: Sequence[Network]) -> bool:
    """Whether an address lies in one of the networks; False for what is not an address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(mapped in network for network in allowed)
