"""No path leaves its archive, and all forms of one path have one key."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapproxy.core.paths import (
    LONGEST,
    canonical_path,
    escape_path,
    listed_path,
    names_a_file,
    referenced_path,
    snapshot_url,
)
from snapproxy.errors import ArchiveDataError, ClientError

RAW = st.text(max_size=80) | st.from_regex(r"/?([a-z0-9.~+/]|%[0-9a-fA-F]{2}){0,40}", fullmatch=True)


@pytest.mark.parametrize("plus", ["+", "%2b", "%2B"])
@pytest.mark.parametrize("tilde", ["~", "%7e", "%7E"])
@pytest.mark.parametrize("letter", ["g", "%67"])
def test_every_spelling_of_a_name_is_one_key(plus: str, tilde: str, letter: str) -> None:
    assert canonical_path(f"/pool/main/{letter}/a_1{plus}b1{tilde}rc1.deb") == "pool/main/g/a_1+b1~rc1.deb"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/", ""),
        ("", ""),
        ("/dists/", "dists/"),
        ("/dists", "dists"),
        ("/repo/./InRelease", "repo/InRelease"),  # apt, for a flat repository
        ("/repo/./", "repo/"),
        ("/repo/.", "repo/"),
        ("/./", ""),
        ("/a/%2e/b", "a/b"),
        ("/a/.../b", "a/.../b"),
        ("/a/..b/c..", "a/..b/c.."),
        ("/2024-06-01T00%3A00%3a00Z/x", "2024-06-01T00:00:00Z/x"),
        ("/na%C3%AFve", "naïve"),
        ("/foo_1%253a2.deb", "foo_1%3a2.deb"),  # decoded once: the file's own name holds an escape
    ],
)
def test_a_path_is_decoded_once_and_keeps_its_trailing_slash(raw: str, path: str) -> None:
    assert canonical_path(raw) == path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("//", ""),
        ("//a", "a"),
        ("/a//b", "a/b"),
        ("/a///b", "a/b"),
        ("/a//", "a/"),
        ("/././/", ""),
        ("/a/.//./b", "a/b"),
    ],
)
def test_slashes_in_a_row_are_one_as_in_the_servers_of_archives(raw: str, path: str) -> None:
    assert canonical_path(raw) == path


@pytest.mark.parametrize(
    "name", ["pool/x", "/pool/x", "pool//x", "./pool/x", "pool/./x", "//pool///x", "pool/x y", "pool/x%3a1"]
)
def test_a_listed_name_is_the_path_that_a_request_for_it_reaches(name: str) -> None:
    """apt and dnf append the name to the address of the repository, and escape nothing but special characters."""
    for folder in ("", "debian/"):
        request = f"/{folder}{quote(name, safe='/')}"
        assert listed_path(folder, name) == canonical_path(request)


@pytest.mark.parametrize(
    "name", ["", "/", "..", "../x", "a/../b", "a/", "a\\b", "a\x00b", "a%2fb", "a%2Fb", "%2e%2e/x", "x" * 3000]
)
def test_a_name_that_no_request_reaches_is_outside(name: str) -> None:
    with pytest.raises(ArchiveDataError, match="outside its archive"):
        listed_path("debian/", name)


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("../noarch/x", "el/noarch/x"),
        ("a/../x", "el/x86/x"),
        ("/x", "el/x86/x"),
        ("a//x%20y", "el/x86/a/x y"),
        ("../../x", "x"),
    ],
)
def test_a_reference_may_lead_to_another_folder_of_its_archive(reference: str, path: str) -> None:
    assert referenced_path("el/x86/", reference) == path


@pytest.mark.parametrize(
    "reference", ["", ".", "..", "../..", "../../../x", "a/..", "a/", "http://h/x", "a%2fb", "x?y", "a\\b"]
)
def test_a_reference_that_leaves_its_archive_is_outside(reference: str) -> None:
    with pytest.raises(ArchiveDataError, match="outside its archive"):
        referenced_path("el/x86/", reference)


ATTACKS = {
    "contains a '..' segment": ["/..", "/a/../b", "/a/..", "/%2e%2e/etc", "/%2E./x", "/.%2e/x", "/a/./../b"],
    "backslash or an encoded separator": [
        *[
            "/a%2fb",
            "/a%2Fb",
            "/..%2f..%2fetc",
            "/a\\b",
            "/a%5cb",
            "/..%5C..",
            "/%252e%252e/x",
            "/a%252fb",
            "/a%255cb",
            "/a%2500",
        ],
    ],
    "broken percent escape": ["/%", "/%z", "/%zz", "/%1", "/a%2", "/%%41", "/%u002e"],
    "control characters": ["/a\x00", "/a%00", "/a%0d%0aX-Y:1", "/a\n", "/a%7f", "/a%C2%85", "/a\x1b[0m"],
    "not UTF-8": ["/%ff", "/%c0%ae%c0%ae/x", "/%c0%af", "/%ed%a0%80", "/\udcff", "/\ud800"],
    "a query or a fragment": ["/a?b", "/a#b"],
    "longer than": ["/" + "a" * LONGEST, "/" + "%41" * 2000],
}


@pytest.mark.parametrize(("reason", "raw"), [(reason, raw) for reason, raws in ATTACKS.items() for raw in raws])
def test_an_attack_is_refused_for_what_it_is(reason: str, raw: str) -> None:
    with pytest.raises(ClientError, match=reason) as refused:
        canonical_path(raw)
    assert refused.value.status == 400
    assert len(refused.value.reason) <= 80
    assert refused.value.reason.isascii()


@given(RAW)
def test_any_text_is_a_path_inside_or_a_client_error(raw: str) -> None:
    try:
        path = canonical_path(raw)
    except ClientError:
        return
    names = path.split("/")
    assert ".." not in names
    assert "." not in names
    assert "" not in names[:-1]
    assert "\\" not in path
    assert path.isprintable() or not any(ord(letter) < 32 for letter in path)
    assert canonical_path("/" + escape_path(path)) == path, "canonical is idempotent"


@given(RAW)
def test_what_goes_upstream_is_plain_and_means_the_key(raw: str) -> None:
    try:
        path = canonical_path(raw)
    except ClientError:
        return
    escaped = escape_path(path)
    assert escaped.isascii()
    assert not set(escaped) & set('+?#\\ "<>')
    assert unquote(escaped) == path


def test_a_plus_is_escaped_upstream_because_object_stores_read_it_as_a_space() -> None:
    assert escape_path("pool/g/g++_1~rc1.deb") == "pool/g/g%2B%2B_1~rc1.deb"


def test_an_upstream_address_is_base_id_and_path() -> None:
    assert snapshot_url("https://s.example/archive/d/", "ID", "a/b+c") == "https://s.example/archive/d/ID/a/b%2Bc"
    assert snapshot_url("https://s.example/d", "ID", "") == "https://s.example/d/ID/"
    assert snapshot_url("http://m.example/d", "live", "a/") == "http://m.example/d/a/"


def test_the_id_stands_behind_the_scope() -> None:
    assert snapshot_url("https://p.example", "ID", "o/p/ubuntu/dists/x", 3) == "https://p.example/o/p/ubuntu/ID/dists/x"
    assert snapshot_url("https://p.example", "live", "o/p/ubuntu/dists/x", 3) == "https://p.example/o/p/ubuntu/dists/x"
    assert snapshot_url("https://p.example", "ID", "o/p/ubuntu", 3) == "https://p.example/o/p/ubuntu/ID/"
    assert snapshot_url("https://p.example", "ID", "o/", 3) == "https://p.example/o/ID/"


@pytest.mark.parametrize("path", ["InRelease", "dists/stable/InRelease", "a b/c+d~e%f", "größe/x", ".hidden", "a:b"])
def test_a_path_of_a_file_names_one(path: str) -> None:
    assert names_a_file(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc/passwd",
        "a/",
        "a//b",
        "..",
        "../a",
        "a/../b",
        "a/..",
        ".",
        "a/./b",
        "a\\b",
        "a\0",
        "a\nb",
        "\udc80",
        "a%2fb",
        "x" * 5000,
    ],
)
def test_what_escapes_or_has_a_second_spelling_names_no_file(path: str) -> None:
    assert not names_a_file(path)


@given(raw=st.text(max_size=40))
def test_exactly_what_a_request_can_lead_to_names_a_file(raw: str) -> None:
    try:
        path = canonical_path(escape_path(raw))
    except (ClientError, UnicodeEncodeError):
        return
    assert names_a_file(path) == (path != "" and not path.endswith("/"))
