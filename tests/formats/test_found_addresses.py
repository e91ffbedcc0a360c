"""Addresses in configuration files, the lines that are comments, and apt's option `snapshot`."""

from __future__ import annotations

import pytest

from snapproxy.formats.time_evidence.addresses import MOST, addresses, snapshot_options

DOCKER = b"""\
Types: deb
# http://snapshot.debian.org/archive/debian/20240513T000000Z
URIs: http://deb.example.org/debian
Suites: bookworm bookworm-updates
"""


def test_a_comment_is_distinguished() -> None:
    assert [(each.url, each.line, each.is_comment) for each in addresses(DOCKER)] == [
        ("http://snapshot.debian.org/archive/debian/20240513T000000Z", 2, True),
        ("http://deb.example.org/debian", 3, False),
    ]


@pytest.mark.parametrize(("line", "url"), [
    ('Acquire::http::Proxy "http://20240601T000000Z:x@127.0.0.1:3142";', "http://20240601T000000Z:x@127.0.0.1:3142"),
    ("Server = https://a.example/repos/2024/05/31/$repo/os/$arch", "https://a.example/repos/2024/05/31/$repo/os/$arch"),
    ("baseurl=https://a.example/x/20240601/,https://b.example/", "https://a.example/x/20240601/"),
    ("RUN curl -O 'http://a.example/f' && true", "http://a.example/f"),
])  # fmt: skip
def test_an_address_ends_where_its_syntax_does(line: str, url: str) -> None:
    assert next(addresses(line.encode())).url == url


@pytest.mark.parametrize("line", [
    b"deb [snapshot=20240601T000000Z] http://a.example bookworm main", b"Snapshot: 20240601T000000Z",
    b'APT::Snapshot "20240601T000000Z";',
])  # fmt: skip
def test_the_option_of_apt(line: bytes) -> None:
    assert [each.id for each in snapshot_options(line)] == ["20240601T000000Z"]


def test_an_option_in_a_comment_or_without_an_id_is_none() -> None:
    assert list(snapshot_options(b"# Snapshot: 20240601T000000Z\nSnapshot: enable\n")) == []


def test_the_number_of_addresses_is_limited() -> None:
    assert len(list(addresses(b"http://a.example/x " * (2 * MOST)))) == MOST
    assert list(addresses(b"http://" + b" " * 100_000)) == []
