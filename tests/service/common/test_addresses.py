"""Hosts, origins and networks are compared in one form, and typing errors are named."""

from __future__ import annotations

import pytest

from service.common.addresses import host_of, is_loopback, listed
from service.common.errors import ConfigError
from service.common.settings import Settings


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("LocalHost:8000", "localhost"),
        ("ml.example.org.", "ml.example.org"),
        ("my_api", "my_api"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("[2001:DB8:0::1]:8000", "2001:db8::1"),
        ("2001:db8::1", ""),
        ("[localhost]", ""),
        ("user@localhost", ""),
        ("a b", ""),
        ("localhost\n", ""),
        ("", ""),
    ],
)
def test_a_host_has_one_form(text: str, host: str) -> None:
    assert host_of(text) == host


def test_loopback_is_this_machine() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.9.1", "::1")))
    assert not any(map(is_loopback, ("", "0.0.0.0", "localhost.example", "10.0.0.1", "::")))


def test_a_list_may_have_spaces_and_a_last_comma() -> None:
    assert listed(" a, b ,,c,") == ["a", "b", "c"]


def test_settings_are_lists() -> None:
    settings = Settings.from_env(
        {
            "GRADSERVE_ALLOWED_HOSTS": "ML.example.org, [::1], fd00::1,bücher.example",
            "GRADSERVE_CORS_ORIGINS": "https://App.example.org:443, http://[::1]:3000",
            "GRADSERVE_TRUSTED_PROXIES": "10.0.0.1, fd00::/8",
        }
    )
    assert settings.host_set == {"ml.example.org", "::1", "fd00::1", "xn--bcher-kva.example"}
    assert settings.origin_set == {"https://app.example.org", "http://[::1]:3000"}
    assert [str(network) for network in settings.proxy_networks] == ["10.0.0.1/32", "fd00::/8"]


@pytest.mark.parametrize(
    ("name", "entry", "remedy"),
    [
        ("ALLOWED_HOSTS", "http://ml.example.org", "without scheme and port"),
        ("ALLOWED_HOSTS", "ml.example.org:8000", "without scheme and port"),
        ("ALLOWED_HOSTS", "[::1]:8000", "without scheme and port"),
        ("ALLOWED_HOSTS", "*", "without scheme and port"),
        ("ALLOWED_HOSTS", "*.example.org", "without scheme and port"),
        ("ALLOWED_HOSTS", "a..b", "without scheme and port"),
        ("ALLOWED_HOSTS", "10.0.0.0/8", "without scheme and port"),
        ("CORS_ORIGINS", "*", "each must look like https://HOST"),
        ("CORS_ORIGINS", "null", "each must look like https://HOST"),
        ("CORS_ORIGINS", "app.example.org", "each must look like https://HOST"),
        ("CORS_ORIGINS", "https://app.example.org/", "without a path"),
        ("CORS_ORIGINS", "https://app.example.org?", "without a path"),
        ("CORS_ORIGINS", "https://*.example.org", "each must look like https://HOST"),
        ("CORS_ORIGINS", "https://app.example.org:port", "each must look like https://HOST"),
        ("CORS_ORIGINS", "ftp://app.example.org", "each must look like https://HOST"),
        ("CORS_ORIGINS", "https://[::1", "each must look like https://HOST"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "has host bits set"),
        ("TRUSTED_PROXIES", "proxy", "each must be an address or a network"),
        ("TRUSTED_PROXIES", "*", "each must be an address or a network"),
    ],
)
def test_an_entry_that_is_none_is_named(name: str, entry: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({f"GRADSERVE_{name}": f"  {entry}  "})
    assert f"GRADSERVE_{name} has the entry {entry!r}" in str(caught.value)
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)
