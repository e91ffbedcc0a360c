"""Credentials files: the entries of apt_auth.conf(5), and one line for every address."""

from __future__ import annotations

import base64

import pytest

from snapproxy.errors import ConfigurationError
from snapproxy.formats.auth_conf import AuthEntry, Withheld, find_entry, read_auth_conf

HELLO = "https://example.org/debian/dists/stable/InRelease"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def sent(text: str, url: str = HELLO, *, over_http: bool = False) -> str | Withheld:
    found = find_entry(read_auth_conf(text), url, over_http=over_http)
    return found.authorization if isinstance(found, AuthEntry) else found


@pytest.mark.parametrize(
    "address",
    ["example.org", "example.org/deb", "example.org/debian", "example.org/debian/", "https://example.org/debian"],
)
def test_the_entries_that_the_manual_page_of_apt_calls_right_are_used(address: str) -> None:
    assert sent(f"machine {address} login apt password debian") == basic("apt", "debian")
    assert sent(f"machine {address}\n login apt\n password debian\n") == basic("apt", "debian")


@pytest.mark.parametrize(
    "address",
    ["example.org/deb/", "example.org/ubuntu", "example.orga", "example.net", "example.org:8443", "http://example.org"],
)
def test_the_entries_that_the_manual_page_of_apt_calls_wrong_are_not_used(address: str) -> None:
    assert sent(f"machine {address} login apt password debian") is Withheld.NO_ENTRY


def test_a_port_of_an_entry_must_be_that_of_the_address() -> None:
    assert sent("machine example.org:443 login a password b") == basic("a", "b")
    assert sent("machine example.org login a password b", "https://example.org:8443/x") == basic("a", "b")


def test_the_first_entry_for_an_address_counts() -> None:
    text = "machine example.org/debian login a password b\nmachine example.org login c password d"
    assert sent(text) == basic("a", "b")
    assert sent(text, "https://example.org/ubuntu/x") == basic("c", "d")


def test_an_entry_without_a_scheme_is_not_for_plain_http_unless_the_setting_says_so() -> None:
    url, text = "http://example.org/debian/x", "machine example.org login a password b"
    assert sent(text, url) is Withheld.PLAIN_HTTP
    assert sent(text, url, over_http=True) == basic("a", "b")
    assert sent("machine http://example.org login a password b", url) == basic("a", "b")
    assert sent("machine https://example.org login a password b", url, over_http=True) is Withheld.NO_ENTRY


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("bearer abc.DEF-1_~+/==\n", "Bearer abc.DEF-1_~+/=="),
        ("Bearer abc", "Bearer abc"),
        ("basic ann:s3:cret", basic("ann", "s3:cret")),
        ("# the token of the build farm\n\nbasic ann:\n", basic("ann", "")),
        ("machine example.org login bearer password token", basic("bearer", "token")),
        ("# machine a.example\nmachine example.org account x login zoë password p", basic("zoë", "p")),
    ],
)
def test_every_form_gives_its_header(text: str, header: str) -> None:
    assert sent(text) == header


def test_one_line_is_for_every_address_but_not_for_plain_http() -> None:
    assert sent("bearer abc", "https://other.example:444/x") == "Bearer abc"
    assert sent("bearer abc", "http://other.example/x") is Withheld.PLAIN_HTTP
    assert sent("bearer abc", "http://other.example/x", over_http=True) == "Bearer abc"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("s3cret", "neither"),
        ("login a password s3cret", "neither"),
        ("bearer", "one token"),
        ("bearer s3cret more", "one token"),
        ("bearer s3cret\x07", "control characters"),
        ("bearer s3crét", "one token"),
        ("basic s3cret", "USER:PASSWORD"),
        ("basic ann:s3cret more", "USER:PASSWORD"),
        ("machine", "no address"),
        ("machine h.example login s3cret", "no `login` or no `password`"),
        ("machine h.example login ann password", "no `login` or no `password`"),
        ("machine h.example login ann:x password s3cret", "colon"),
        ("machine ftp://h.example login ann password s3cret", "address"),
        ("machine ann@h.example login ann password s3cret", "address"),
        ("machine h.example:99999 login ann password s3cret", "address"),
        ("machine [::1 login ann password s3cret", "address"),
    ],
)
def test_an_unusable_file_is_refused_and_its_content_is_not_repeated(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_auth_conf(text)
    assert why in caught.value.why
    assert "s3cr" not in str(caught.value)


def test_secrets_are_not_in_the_repr_of_an_entry() -> None:
    entries = read_auth_conf("machine example.org login ann password s3cret")
    assert basic("ann", "s3cret").split()[1] not in repr(entries)
