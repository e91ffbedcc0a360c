"""Addresses in configuration files, the lines that are comments, and apt's option `snapshot`."""

from __future__ import annotations

import pytest

from snapproxy.formats.time_evidence.addresses import MOST, addresses, disabled_lines, snapshot_options

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


def test_the_text_after_an_address_may_be_a_comment() -> None:
    line = b"deb http://a.example/d bookworm main # http://snapshot.debian.org/archive/debian/20200101T000000Z/"
    assert [each.is_comment for each in addresses(line)] == [False, True]
    assert list(snapshot_options(b"Snapshot: enable # snapshot=20240601T000000Z")) == []


@pytest.mark.parametrize(
    ("path", "text", "lines"),
    [
        ("etc/apt/sources.list.d/a.sources", "URIs: u\nEnabled: no\n# c\n\nURIs: v\nEnabled: yes\n", {1, 2, 3}),
        ("etc/apt/sources.list.d/a.sources", "URIs: u\n\nenabled: False\nURIs: v", {2, 3, 4}),
        ("etc/yum.repos.d/a.repo", "[a]\nenabled = 0\nbaseurl=u\n\n[b]\nenabled=1\n[c]\nenabled=0", {1, 2, 3, 4, 7, 8}),
        ("etc/apt/sources.list", "deb u x\nEnabled: no\n", set()),
    ],
)
def test_a_disabled_source_is_not_used(path: str, text: str, lines: set[int]) -> None:
    assert disabled_lines(path, text.encode()) == lines
    dated = b"URIs: http://snapshot.debian.org/archive/debian/20240601T000000Z\nSnapshot: 20240601T000000Z"
    assert [each.is_comment for each in addresses(dated, {1, 2})] == [True]
    assert list(snapshot_options(dated, {1, 2})) == []


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
